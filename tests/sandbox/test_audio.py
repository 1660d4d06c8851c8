"""The music: every form of WAV is read, nothing clips, and length and rate are kept."""

import io
import math
import time
import wave
from array import array
from collections.abc import Callable
from itertools import pairwise
from struct import pack

import pytest

from suno_async.sandbox import sing
from suno_async.sandbox.audio import accompany, arrange
from suno_async.sandbox.wav import NotAudioError, Stem, decode, read_layout, silence

_TONE = [math.sin(at / 7) for at in range(4000)]


def _wav(
    tag: int, bits: int, channels: int, body: bytes, rate: int = 8000, *, extensible: bool = False
) -> bytes:
    block = bits // 8 * channels
    fmt = pack("<HHIIHH", 0xFFFE if extensible else tag, channels, rate, rate * block, block, bits)
    if extensible:
        guid = pack("<H", tag) + bytes.fromhex("0000000010008000 00aa00389b71")
        fmt += pack("<HHI", 22, bits, 0) + guid
    chunks = b"LIST" + pack("<I", 3) + b"abc\0" + b"fmt " + pack("<I", len(fmt)) + fmt
    chunks += b"data" + pack("<I", len(body)) + body
    return b"RIFF" + pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def _int(bits: int) -> Callable[[float], bytes]:
    peak = 2 ** (bits - 1) - 1
    if bits == 8:
        return lambda x: bytes([128 + int(x * peak)])
    return lambda x: int(x * peak).to_bytes(bits // 8, "little", signed=True)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize(
    ("tag", "bits", "write"),
    [
        (1, 8, _int(8)),
        (1, 16, _int(16)),
        (1, 24, _int(24)),
        (1, 32, _int(32)),
        (3, 32, lambda x: pack("<f", x)),
        (3, 64, lambda x: pack("<d", x)),
    ],
)
def test_every_form_of_wav_is_read(
    tag: int, bits: int, channels: int, write: Callable[[float], bytes], *, extensible: bool
) -> None:
    """Whatever the width, the decoded tone is the written one."""
    body = b"".join(write(x) * channels for x in _TONE)
    pcm = decode(_wav(tag, bits, channels, body, extensible=extensible))
    assert (pcm.sample_rate, pcm.channels, pcm.frames) == (8000, channels, len(_TONE))
    # Eight bits are steps of 256, and full scale is 127 of 128 of them.
    tolerance = 512 if bits == 8 else 2
    assert all(
        abs(got - 32767 * x) <= tolerance
        for got, x in zip(pcm.samples[::channels], _TONE, strict=True)
    )


def test_of_many_channels_two_are_kept() -> None:
    """A stem with six channels becomes stereo."""
    body = b"".join(pack("<6h", *(100 * c for c in range(6))) for _ in range(10))
    pcm = decode(_wav(1, 16, 6, body))
    assert (pcm.channels, pcm.frames, list(pcm.samples[:4])) == (2, 10, [0, 100, 0, 100])


def test_wild_floats_do_no_harm() -> None:
    """Values beyond full scale are limited, and what is no number is silence."""
    values = (2.0, -2.0, math.nan, math.inf, -math.inf)
    pcm = decode(_wav(3, 32, 1, b"".join(pack("<f", x) for x in values)))
    assert list(pcm.samples) == [32767, -32767, 0, 32767, -32767]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"ID3\x04",
        b"RIFF\0\0\0\0WAVE",
        _wav(1, 16, 1, b""),
        _wav(1, 16, 0, b"\0\0"),
        _wav(1, 12, 1, b"\0\0\0"),
        _wav(85, 16, 1, b"\0\0"),
        _wav(1, 16, 1, b"\0\0", rate=0),
        _wav(1, 16, 1, b"\0\0")[:30],
    ],
)
def test_what_is_no_wav_is_said_to_be_none(data: bytes) -> None:
    """Broken or foreign files raise the one error that the sandbox expects."""
    with pytest.raises(NotAudioError):
        read_layout(data)


def test_a_body_cut_short_is_read_as_far_as_it_goes() -> None:
    """A data chunk that promises more than the file has ends with the file."""
    assert decode(_wav(1, 16, 1, bytes(200))[:-100]).frames == 50


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_an_accompaniment_is_as_long_as_its_stem(rate: int, channels: int) -> None:
    """Rate, channels and the exact number of frames are the stem's, as `wave` sees it too."""
    frames = rate // 3 + 1
    data = _wav(1, 16, channels, bytes(2 * channels * frames), rate)
    made = accompany(Stem(rate, frames, data), arrange("pop", 0, 0))
    with wave.open(io.BytesIO(made)) as file:
        assert file.getparams()[:4] == (channels, 2, rate, frames)


def test_the_loudest_stem_does_not_clip() -> None:
    """A square wave at full scale and the backing together stay below the limit."""
    loud = _wav(1, 16, 1, pack("<hh", 32767, -32768) * 20_000, 20_000)
    stem = Stem(20_000, 40_000, loud)
    for index in range(4):
        samples = decode(accompany(stem, arrange("dance", index, index))).samples
        assert max(samples) < 32_700
        assert min(samples) > -32_700


def test_the_backing_is_audible_and_ends_softly() -> None:
    """Over silence there are chords throughout, and neither end is a click."""
    samples = decode(accompany(silence(4.0), arrange("calm", 0, 0))).samples
    for start in range(0, len(samples) - 22_050, 22_050):
        assert max(samples[start : start + 22_050]) > 1500
    assert max(map(abs, samples[:20])) < 150
    assert max(map(abs, samples[-20:])) < 150


def test_there_are_no_clicks_between_bars() -> None:
    """Neighbouring samples never differ by more than a smooth wave of this loudness does."""
    samples = decode(accompany(silence(6.0), arrange("fast", 3, 1))).samples
    steps = [abs(after - before) for before, after in pairwise(samples)]
    assert max(steps) < 2600


def test_tags_decide_tempo_and_mood() -> None:
    """Words in the tags choose the speed and a minor key; seed and track the rest."""
    assert arrange("relaxing", 0, 0).beats_per_minute < arrange("dance", 0, 0).beats_per_minute
    assert arrange("sad ballad", 0, 0).song[0][1]
    assert arrange("pop", 0, 0) == arrange("pop", 0, 0)
    assert arrange("pop", 0, 0).tonic_hz != arrange("pop", 0, 1).tonic_hz


def test_a_track_is_cheap() -> None:
    """A stem of 6 s at 48 kHz is accompanied in a small part of a second of CPU."""
    data = sing(6, sample_rate=48_000)
    stem = Stem(48_000, 288_000, data)
    took_s = []
    for index in range(3):
        start_s = time.thread_time()
        accompany(stem, arrange("pop", 0, index))
        took_s.append(time.thread_time() - start_s)
    # Far above the usual tenth: this is to notice an algorithm, not a busy machine.
    assert min(took_s) < 0.5


def test_a_sung_stem_is_a_wav_with_notes_and_rests() -> None:
    """`sing` makes exactly the length asked for, neither silent nor clipped, and repeatable."""
    data = sing(5.0, sample_rate=16_000, seed=4)
    pcm = decode(data)
    assert (pcm.frames, pcm.channels) == (80_000, 1)
    assert 10_000 < max(pcm.samples) < 20_000
    quiet = array("h", bytes(2 * 1600)).tobytes()
    assert quiet in pcm.samples.tobytes()
    assert data == sing(5.0, sample_rate=16_000, seed=4) != sing(5.0, sample_rate=16_000, seed=5)


def test_a_stem_without_length_is_refused() -> None:
    """Nothing can be sung in no time."""
    with pytest.raises(ValueError, match="seconds"):
        sing(0)
