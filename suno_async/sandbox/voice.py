"""A short sung-like stem, so that there is something to accompany."""

import math
import random
from array import array
from functools import lru_cache

from suno_async.sandbox.wav import Pcm, encode

_SCALE = (0, 2, 4, 7, 9, 12)
_TABLE = 1024
_PEAK = 17_000
# Formants of sung vowels (Hz) after Peterson and Barney: "ah", "oh", "oo".
_VOWELS = ((730.0, 1090.0, 2440.0), (570.0, 840.0, 2410.0), (300.0, 870.0, 2240.0))


def sing(seconds: float, *, sample_rate: int = 22_050, seed: int = 0) -> bytes:
    """Sing a little melody with rests on open vowels.

    Args:
        seconds: Length; the file has exactly `round(seconds * sample_rate)` frames.
        sample_rate: Frames per second.
        seed: Another seed is another melody.

    Returns:
        A 16-bit mono WAV file.
    """
    frames = round(seconds * sample_rate)
    if frames < 1:
        raise ValueError(f"seconds: must make at least one frame, got {seconds}")
    return _sung(frames, sample_rate, seed)


@lru_cache(maxsize=8)  # computing one takes a moment, and most callers want the same
def _sung(frames: int, sample_rate: int, seed: int) -> bytes:
    rng = random.Random(seed)  # nosec B311 # repeatable
    samples = array("h")
    degree = rng.randrange(3)
    while len(samples) < frames:
        degree = min(max(degree + rng.choice((-2, -1, -1, 1, 1, 2)), 0), len(_SCALE) - 1)
        hertz = 220.0 * 2 ** (_SCALE[degree] / 12)
        length_s = rng.choice((0.35, 0.5, 0.5, 0.8))
        samples.extend(_note(hertz, length_s, sample_rate, rng.choice(_VOWELS)))
        if rng.random() < 0.25:
            samples.extend(array("h", bytes(2 * round(0.3 * sample_rate))))
    del samples[frames:]
    release = min(round(0.02 * sample_rate), frames)
    for at in range(release):
        samples[-1 - at] = samples[-1 - at] * at // release
    return encode(Pcm(sample_rate, 1, samples))


def _note(hertz: float, seconds: float, rate: int, vowel: tuple[float, ...]) -> "array[int]":
    frames = round(seconds * rate)
    cycle = _cycle(hertz, rate, vowel)
    attack, release = max(round(0.04 * rate), 1), max(round(0.08 * rate), 1)
    phase, step = 0.0, hertz * _TABLE / rate
    vibrato = 2 * math.pi * 5.5 / rate
    notes = array("h")
    for at in range(frames):
        # A singer's vibrato sets in after the note does.
        depth = 0.012 * min(at / (0.25 * rate), 1.0)
        phase += step * (1.0 + depth * math.sin(vibrato * at))
        loudness = min(at / attack, (frames - at) / release, 1.0)
        notes.append(int(loudness * cycle[int(phase) % _TABLE]))
    return notes


def _cycle(hertz: float, rate: int, vowel: tuple[float, ...]) -> list[float]:
    """Compute one period of a voice: harmonics, louder near the vowel's formants."""
    count = max(min(int(rate * 0.45 / hertz), 16), 1)
    strengths = [
        sum(
            math.exp(-(((n * hertz - formant) / 180.0) ** 2)) / (k + 1)
            for k, formant in enumerate(vowel)
        )
        + 0.5 / n
        for n in range(1, count + 1)
    ]
    wave = [
        sum(s * math.sin(2 * math.pi * n * at / _TABLE) for n, s in enumerate(strengths, 1))
        for at in range(_TABLE)
    ]
    loudest = max(map(abs, wave))
    return [_PEAK * value / loudest for value in wave]
