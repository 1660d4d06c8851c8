"""Waveforms: the loudest sample of each of a few hundred stretches of an audio file.

WAV is read with the standard library, which visits only some samples of each stretch. MP3, FLAC
and Ogg Vorbis are decoded by miniaudio, where it is installed. Others (AAC in M4A) have none.
"""

import importlib
import sys
import wave
from array import array
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from attrs import frozen

BARS = 200
_FULL_SCALE = 32_768
# per stretch of a WAV file: this many windows of this many frames are looked at
_WINDOWS = 8
_WINDOW_FRAMES = 192
_DECODED_RATE = 8_000
_DECODED_WINDOW = 160
# what is longer than this is drawn up to here
_MOST_DECODED_S = 3_600


@frozen
class Waveform:
    """What an audio file looks like.

    Attributes:
        peaks: `BARS` numbers from 0 to 255; none when the file cannot be decoded.
        duration_s: Length in seconds; None when the file cannot be decoded.
    """

    peaks: tuple[int, ...] = ()
    duration_s: float | None = None


def measure(path: Path) -> Waveform:
    """Look at an audio file; one that cannot be read or decoded has no peaks and no length."""
    try:
        if not path.is_file():
            return Waveform()
        return _of_wav(path) or _decoded(path)
    except (OSError, ValueError):
        return Waveform()


def _of_wav(path: Path) -> Waveform | None:
    try:
        with wave.open(str(path), "rb") as audio:
            size = audio.getnchannels() * audio.getsampwidth()
            # a header that was written before the samples may promise too many
            frames = min(audio.getnframes(), path.stat().st_size // size)
            if not frames or not audio.getframerate() or audio.getsampwidth() > 4:
                return None
            peaks = [_loudest(audio, first, last) for first, last in _stretches(frames)]
            return Waveform(tuple(peaks), frames / audio.getframerate())
    except (wave.Error, EOFError):
        return None


def _stretches(frames: int) -> Iterator[tuple[int, int]]:
    for bar in range(BARS):
        first = frames * bar // BARS
        yield first, max(frames * (bar + 1) // BARS, first + 1)


def _loudest(audio: wave.Wave_read, first: int, last: int) -> int:
    loudest = 0
    for start, frames in _looks(first, last):
        audio.setpos(start)
        raw = audio.readframes(frames)
        loudest = max(loudest, _peak(_samples(raw, audio.getsampwidth())))
    return _scaled(loudest)


def _looks(first: int, last: int) -> Iterator[tuple[int, int]]:
    """Choose what of a stretch is read: all, or windows at equal distances."""
    frames = last - first
    if frames <= _WINDOWS * _WINDOW_FRAMES:
        yield first, frames
        return
    for window in range(_WINDOWS):
        yield first + frames * window // _WINDOWS, _WINDOW_FRAMES


def _samples(raw: bytes, sample_bytes: int) -> "array[int]":
    """Take the upper 16 bits of little-endian samples."""
    if sample_bytes == 1:
        return array("h", [(value - 128) << 8 for value in raw])
    raw = raw[: len(raw) - len(raw) % sample_bytes]
    upper = bytearray(2 * (len(raw) // sample_bytes))
    upper[0::2] = raw[sample_bytes - 2 :: sample_bytes]
    upper[1::2] = raw[sample_bytes - 1 :: sample_bytes]
    samples = array("h", bytes(upper))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def _peak(samples: "array[int]") -> int:
    return max(max(samples), -min(samples)) if samples else 0


def _scaled(peak: int) -> int:
    return min(255 * peak // _FULL_SCALE, 255)


def _decoded(path: Path) -> Waveform:
    miniaudio = _decoder()
    if miniaudio is None:
        return Waveform()
    windows, frames = array("h"), 0
    try:
        stream = miniaudio.stream_file(
            str(path),
            nchannels=1,
            sample_rate=_DECODED_RATE,
            frames_to_read=_DECODED_RATE,
        )
        for samples in stream:
            windows.extend(_windows(samples))
            frames += len(samples)
            if frames >= _MOST_DECODED_S * _DECODED_RATE:
                stream.close()
                return Waveform(_folded(windows))
    except miniaudio.MiniaudioError:
        return Waveform()
    return Waveform(_folded(windows), frames / _DECODED_RATE) if frames else Waveform()


def _decoder() -> ModuleType | None:
    try:
        return importlib.import_module("miniaudio")
    except (ImportError, OSError):
        return None


def _windows(samples: "array[int]") -> Iterator[int]:
    for start in range(0, len(samples), _DECODED_WINDOW):
        yield min(_peak(samples[start : start + _DECODED_WINDOW]), _FULL_SCALE - 1)


def _folded(windows: "array[int]") -> tuple[int, ...]:
    return tuple(_scaled(max(windows[first:last])) for first, last in _stretches(len(windows)))
