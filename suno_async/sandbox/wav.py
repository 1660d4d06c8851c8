"""WAV files, read and written by hand: the standard library's `wave` knows no floats."""

import sys
from array import array
from struct import pack, unpack_from
from typing import Literal

from attrs import field, frozen

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_LITTLE_ENDIAN = sys.byteorder == "little"


class NotAudioError(ValueError):
    """The bytes are not a WAV file that the sandbox can read."""


@frozen
class Layout:
    """Where the samples of a WAV file are and in which form."""

    kind: Literal["pcm", "float"]
    sample_bytes: int
    channels: int
    sample_rate: int
    start: int
    frames: int


@frozen
class Stem:
    """What a task accompanies.

    Args:
        sample_rate: Frames per second.
        frames: Length.
        data: The file; None for a stem that nobody has fetched, which counts as silence.
        problem: Why the file can not be read, if so.
        digest: Names the content.
    """

    sample_rate: int
    frames: int
    data: bytes | None = field(default=None, repr=False)
    problem: str | None = None
    digest: str = ""

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return round(self.frames / self.sample_rate, 6)


@frozen
class Pcm:
    """Decoded audio: 16-bit samples, interleaved when there are two channels."""

    sample_rate: int
    channels: int
    samples: "array[int]"

    @property
    def frames(self) -> int:
        """Length."""
        return len(self.samples) // self.channels


def silence(seconds: float, sample_rate: int = 22_050) -> Stem:
    """Make up a stem of some length that was never fetched."""
    return Stem(sample_rate, max(round(seconds * sample_rate), 1))


def read_layout(data: bytes) -> Layout:
    """Find the samples of a WAV file without reading them.

    Raises:
        NotAudioError: It is no WAV file, or one in a form that is not supported.
    """
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise NotAudioError(
            f"the uploaded file is not a WAV file (it starts with {bytes(data[:4])!r})"
        )
    fmt: tuple[int, int, int, int] | None = None
    at = 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int(unpack_from("<I", data, at + 4)[0])
        if name == b"fmt ":
            fmt = _read_format(data[at + 8 : at + 8 + size])
        elif name == b"data":
            if fmt is None:
                break
            return _layout(fmt, at + 8, min(size, len(data) - at - 8))
        at += 8 + size + (size & 1)
    raise NotAudioError("the WAV file has no format or no samples")


def _read_format(chunk: bytes) -> tuple[int, int, int, int]:
    if len(chunk) < 16:
        raise NotAudioError("the WAV file's format chunk is too short")
    tag, channels, rate, _, _, bits = unpack_from("<HHIIHH", chunk)
    if tag == _EXTENSIBLE and len(chunk) >= 26:
        tag = unpack_from("<H", chunk, 24)[0]
    return tag, channels, rate, bits


def _layout(fmt: tuple[int, int, int, int], start: int, size: int) -> Layout:
    tag, channels, rate, bits = fmt
    if (tag, bits) not in {
        (_PCM, 8),
        (_PCM, 16),
        (_PCM, 24),
        (_PCM, 32),
        (_FLOAT, 32),
        (_FLOAT, 64),
    }:
        raise NotAudioError(f"WAV format {tag} with {bits} bits is not supported")
    if not channels or not rate:
        raise NotAudioError("the WAV file has no channels or no sample rate")
    sample_bytes = bits // 8
    frames = size // (sample_bytes * channels)
    if not frames:
        raise NotAudioError("the WAV file has no samples")
    kind: Literal["pcm", "float"] = "pcm" if tag == _PCM else "float"
    return Layout(kind, sample_bytes, channels, rate, start, frames)


def decode(data: bytes) -> Pcm:
    """Decode a WAV file to 16 bits; of more than two channels the first two are kept.

    Raises:
        NotAudioError: It is no WAV file, or one in a form that is not supported.
    """
    layout = read_layout(data)
    size = layout.frames * layout.channels * layout.sample_bytes
    samples = _to_16_bits(layout, data[layout.start : layout.start + size])
    if layout.channels <= 2:
        return Pcm(layout.sample_rate, layout.channels, samples)
    kept = array("h", bytes(4 * layout.frames))
    kept[0::2] = samples[0 :: layout.channels]
    kept[1::2] = samples[1 :: layout.channels]
    return Pcm(layout.sample_rate, 2, kept)


def _to_16_bits(layout: Layout, raw: bytes) -> "array[int]":
    if layout.kind == "float":
        floats = array("f" if layout.sample_bytes == 4 else "d")
        floats.frombytes(raw)
        if not _LITTLE_ENDIAN:
            floats.byteswap()
        # The comparisons are written so that NaN becomes silence.
        return array(
            "h", [int(x * 32767) if -1 < x < 1 else 32767 * ((x >= 1) - (x <= -1)) for x in floats]
        )
    if layout.sample_bytes == 1:
        return array("h", [(x - 128) << 8 for x in raw])
    if layout.sample_bytes == 2:
        return _int16(raw)
    # Of wider samples the two upper bytes are kept.
    upper = bytearray(2 * (len(raw) // layout.sample_bytes))
    upper[0::2] = raw[layout.sample_bytes - 2 :: layout.sample_bytes]
    upper[1::2] = raw[layout.sample_bytes - 1 :: layout.sample_bytes]
    return _int16(bytes(upper))


def _int16(raw: bytes) -> "array[int]":
    samples = array("h")
    samples.frombytes(raw)
    if not _LITTLE_ENDIAN:
        samples.byteswap()
    return samples


def encode(pcm: Pcm) -> bytes:
    """Write a 16-bit PCM WAV file."""
    samples = pcm.samples
    if not _LITTLE_ENDIAN:
        samples = samples[:]
        samples.byteswap()
    body = samples.tobytes()
    block = 2 * pcm.channels
    fmt = pack("<HHIIHH", _PCM, pcm.channels, pcm.sample_rate, pcm.sample_rate * block, block, 16)
    return b"".join(
        (
            b"RIFF",
            pack("<I", 36 + len(body)),
            b"WAVEfmt ",
            pack("<I", len(fmt)),
            fmt,
            b"data",
            pack("<I", len(body)),
            body,
        )
    )
