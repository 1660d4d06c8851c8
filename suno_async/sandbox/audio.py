"""Accompaniments: plain chords, a bass and a broken chord over them, mixed with the stem.

Chords are in just intonation, 4:5:6 (major) and 10:12:15 (minor): all notes of a chord then
repeat together after some milliseconds, so that rendering one is repeating a short tile.
"""

import hashlib
import math
from array import array
from collections.abc import Mapping
from itertools import islice, pairwise, repeat
from operator import add, mul

from attrs import frozen

from suno_async.sandbox.wav import Pcm, Stem, decode, encode

_BACKING_PEAK = 12_500
# Together with the backing's peak this stays below 32767, so nothing clips.
_STEM_PEAK = 18_500
_BEATS_PER_BAR = 4
_FADE_S = 0.35
_TEMPI: Mapping[str, int] = {
    "ambient": 66, "relax": 72, "soothing": 72, "calm": 72, "slow": 68, "ballad": 70, "lo-fi": 80,
    "acoustic": 92, "folk": 96, "jazz": 104, "pop": 108, "rock": 118, "upbeat": 118, "fast": 132,
    "house": 124, "dance": 124, "electr": 120,
}  # fmt: skip
_MINOR_WORDS = ("sad", "dark", "minor", "melanchol", "moody", "drama", "noir", "goth")
# Semitones above the tonic, and whether the chord is minor.
_MAJOR_SONGS = (
    ((0, False), (7, False), (9, True), (5, False)),
    ((0, False), (9, True), (5, False), (7, False)),
    ((0, False), (5, False), (9, True), (7, False)),
    ((9, True), (5, False), (0, False), (7, False)),
)
_MINOR_SONGS = (
    ((0, True), (8, False), (3, False), (10, False)),
    ((0, True), (5, True), (8, False), (10, False)),
    ((0, True), (10, False), (8, False), (10, False)),
    ((0, True), (3, False), (10, False), (5, True)),
)
# Index into (root, third, fifth, octave) for each eighth note of a bar.
_FIGURES = ((0, 1, 2, 3, 2, 1, 2, 1), (0, 2, 1, 2, 3, 2, 1, 2), (0, 2, 3, 2, 1, 2, 3, 1))


@frozen
class Arrangement:
    """What is played: enough to render it, small enough to compare."""

    tonic_hz: float
    beats_per_minute: int
    song: tuple[tuple[int, bool], ...]
    figure: tuple[int, ...]


def arrange(tags: str, seed: int, track_index: int) -> Arrangement:
    """Choose key, tempo, chords and figure; a task's tracks never share key and figure."""
    draw = hashlib.sha256(f"{seed}\0{tags}".encode()).digest()
    lower = tags.lower()
    tempo = next((bpm for word, bpm in _TEMPI.items() if word in lower), 88 + draw[0] % 24)
    songs = _MINOR_SONGS if any(word in lower for word in _MINOR_WORDS) else _MAJOR_SONGS
    # 5 is coprime to 12: neighbouring tracks are in different keys.
    semitone = (draw[1] + 5 * track_index) % 12
    return Arrangement(
        tonic_hz=164.81 * 2 ** (semitone / 12),
        beats_per_minute=tempo,
        song=songs[(draw[2] + track_index) % len(songs)],
        figure=_FIGURES[(draw[3] + track_index) % len(_FIGURES)],
    )


def accompany(stem: Stem, arrangement: Arrangement) -> bytes:
    """Write a 16-bit WAV file with the stem's rate and exactly its length, voice and backing mixed.

    Takes tens of milliseconds of CPU: call it in a thread.
    """
    backing = _render(arrangement, stem.sample_rate, stem.frames)
    if stem.data is None or stem.problem is not None:
        return encode(Pcm(stem.sample_rate, 1, backing))
    voice = decode(stem.data)
    if voice.channels == 2:
        mono, backing = backing, array("h", bytes(2 * len(voice.samples)))
        backing[0::2] = mono
        backing[1::2] = mono
    mixed = array("h", map(add, _tamed(voice.samples), backing))
    return encode(Pcm(voice.sample_rate, voice.channels, mixed))


def _tamed(samples: "array[int]") -> "array[int]":
    peak = max(max(samples), -min(samples))
    if peak <= _STEM_PEAK:
        return samples
    return array("h", map(int, map((_STEM_PEAK / peak).__mul__, samples)))


def _render(arrangement: Arrangement, rate: int, frames: int) -> "array[int]":
    bar_frames = max(round(rate * 60 * _BEATS_PER_BAR / arrangement.beats_per_minute), 16)
    bars_needed = -(-frames // bar_frames)
    envelopes = _Envelopes.of(rate, bar_frames)
    bars: dict[tuple[int, bool], array[int]] = {}
    backing = array("h")
    for number in range(bars_needed):
        chord = arrangement.song[number % len(arrangement.song)]
        if chord not in bars:
            bars[chord] = _bar(arrangement, chord, rate, envelopes)
        backing.extend(bars[chord])
    del backing[frames:]
    _fade_ends(backing, min(round(_FADE_S * rate), frames // 2))
    return backing


@frozen
class _Envelopes:
    """Loudness over one bar of each voice of the backing; peaks add up to 1."""

    pad: "array[float]"
    bass: "array[float]"
    pluck: "array[float]"
    eighth_frames: tuple[int, ...]

    @classmethod
    def of(cls, rate: int, bar_frames: int) -> "_Envelopes":
        edges = [bar_frames * step // 8 for step in range(9)]
        eighths = tuple(after - before for before, after in pairwise(edges))
        half = bar_frames // 2
        return cls(
            pad=_swell(bar_frames, rate, level=0.34),
            bass=_pluck(half, rate, level=0.34, decay_s=0.9)
            + _pluck(bar_frames - half, rate, level=0.3, decay_s=0.7),
            pluck=_pluck(max(eighths), rate, level=0.32, decay_s=0.35),
            eighth_frames=eighths,
        )


def _pluck(frames: int, rate: int, *, level: float, decay_s: float) -> "array[float]":
    """Shape a note: a soft attack, then an exponential decay that ends in silence."""
    attack = max(min(round(0.012 * rate), frames // 4), 1)
    release = max(min(round(0.02 * rate), frames // 4), 1)
    fade = math.exp(-1.0 / (decay_s * rate))
    shape = array("d")
    loudness = level
    for _ in repeat(None, frames):
        shape.append(loudness)
        loudness *= fade
    _soften(shape, attack, release)
    return shape


def _swell(frames: int, rate: int, *, level: float) -> "array[float]":
    """Shape a bar of the pad: up within a fifth of a second, held, and down before the next."""
    shape = array("d", [level]) * frames
    edge = max(min(round(0.2 * rate), frames // 3), 1)
    _soften(shape, edge, edge)
    return shape


def _soften(shape: "array[float]", attack: int, release: int) -> None:
    for at in range(attack):
        shape[at] *= 0.5 - 0.5 * math.cos(math.pi * at / attack)
    for at in range(release):
        shape[-1 - at] *= 0.5 - 0.5 * math.cos(math.pi * at / release)


def _bar(
    arrangement: Arrangement, chord: tuple[int, bool], rate: int, envelopes: _Envelopes
) -> "array[int]":
    semitones, minor = chord
    bass, root, third, fifth, octave = (5, 10, 12, 15, 20) if minor else (2, 4, 5, 6, 8)
    root_hz = arrangement.tonic_hz * 2 ** (semitones / 12)
    if root_hz > 330:
        root_hz /= 2
    period = max(round(rate * root / root_hz), 8)
    sine = [math.sin(2 * math.pi * at / period) for at in range(period)]

    def tile(*partials: tuple[int, float]) -> list[float]:
        """Add harmonics of the tile's own length; `partials` are (number, strength)."""
        audible = [(number, strength) for number, strength in partials if number < period // 2]
        waves = [
            [strength * sine[number * at % period] for at in range(period)]
            for number, strength in audible
        ]
        return list(map(sum, zip(*waves, strict=True))) if waves else [0.0] * period

    notes = [
        tile((number, 0.72), (2 * number, 0.2), (3 * number, 0.08))
        for number in (root, third, fifth, octave)
    ]
    pad = tile(
        *(
            (number * over, level)
            for number in (root, third, fifth)
            for over, level in ((1, 0.25), (2, 0.08))
        )
    )
    low = tile((bass, 0.7), (2 * bass, 0.22), (3 * bass, 0.08))
    plucked = array("d")
    for frames, note in zip(envelopes.eighth_frames, arrangement.figure, strict=True):
        plucked.extend(map(mul, _tiled(notes[note], frames), envelopes.pluck))
    frames = len(envelopes.pad)
    chords = map(mul, _tiled(pad, frames), envelopes.pad)
    basses = map(mul, _tiled(low, frames), envelopes.bass)
    together = map(add, map(add, chords, basses), plucked)
    return array("h", map(int, map(float(_BACKING_PEAK).__mul__, together)))


def _tiled(tile: list[float], frames: int) -> list[float]:
    tiled = tile * (frames // len(tile) + 1)
    return list(islice(tiled, frames))


def _fade_ends(samples: "array[int]", frames: int) -> None:
    for at in range(frames):
        samples[at] = samples[at] * at // frames
        samples[-1 - at] = samples[-1 - at] * at // frames
