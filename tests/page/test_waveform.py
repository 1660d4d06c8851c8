"""Peaks of audio files, and where they are kept."""

import io
import json
import os
import wave
from array import array
from pathlib import Path

import pytest

from suno_async.cli.page.cache import FILE, Waveforms
from suno_async.cli.page.waveform import BARS, Waveform, measure
from suno_async.sandbox import sing

from .runs import SECONDS


def wav(samples: "array[int]", *, channels: int = 1, width: int = 2, rate: int = 8_000) -> bytes:
    """Write 16-bit samples as a WAV file of another width."""
    raw = samples.tobytes()
    if width == 1:
        raw = bytes((value >> 8) + 128 for value in samples)
    elif width > 2:
        pad = bytes(width - 2)
        raw = b"".join(pad + raw[at : at + 2] for at in range(0, len(raw), 2))
    data = io.BytesIO()
    with wave.open(data, "wb") as audio:
        audio.setnchannels(channels)
        audio.setsampwidth(width)
        audio.setframerate(rate)
        audio.writeframes(raw)
    return data.getvalue()


def put(folder: Path, data: bytes, name: str = "a.wav") -> Path:
    """Write a file."""
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 2])
def test_peaks_are_the_loudest_samples(tmp_path: Path, width: int, channels: int) -> None:
    """A quarter that is silent, one that is half as loud, and full scale downwards."""
    quarter = 2_000 * channels
    samples = array("h", [0] * quarter + [16_384, -16_000] * (quarter // 2))
    samples.extend([-32_768, 100] * (quarter // 2) + [0] * quarter)
    seen = measure(put(tmp_path, wav(samples, channels=channels, width=width)))
    assert seen.duration_s == 1
    assert len(seen.peaks) == BARS
    assert [set(seen.peaks[at : at + 50]) for at in (0, 50, 100, 150)] == [{0}, {127}, {255}, {0}]


@pytest.mark.parametrize("frames", [1, 7, BARS - 1, BARS, BARS + 1, 12_345])
def test_any_length_has_as_many_peaks(tmp_path: Path, frames: int) -> None:
    """Also what is shorter than the picture is wide."""
    seen = measure(put(tmp_path, wav(array("h", [8_192] * frames))))
    assert seen.peaks == (63,) * BARS
    assert seen.duration_s == frames / 8_000


@pytest.mark.parametrize("kind", ["mp3", "flac", "ogg"])
def test_compressed_audio_looks_as_it_sounds(tmp_path: Path, kind: str) -> None:
    """The second of singing that it was made of has nearly the same peaks."""
    pytest.importorskip("miniaudio")
    seen = measure(SECONDS / f"second.{kind}")
    sung = measure(put(tmp_path, sing(1, sample_rate=16_000)))
    assert seen.duration_s == pytest.approx(1, abs=0.1)
    differences = [abs(a - b) for a, b in zip(seen.peaks, sung.peaks, strict=True)]
    assert sum(differences) / BARS < 25


@pytest.mark.parametrize(
    "data",
    [b"", b"no audio", sing(1)[:30], b"RIFF" + bytes(60), (SECONDS / "second.m4a").read_bytes()],
    ids=["empty", "text", "a cut head", "zeros", "AAC"],
)
def test_what_cannot_be_decoded_has_none(tmp_path: Path, data: bytes) -> None:
    """The page shows a plain bar."""
    assert measure(put(tmp_path, data)) == Waveform()


def test_a_file_that_is_cut_is_drawn_as_far_as_it_goes(tmp_path: Path) -> None:
    """Its length is what is there, not what its head promises."""
    data = sing(2)
    seen = measure(put(tmp_path, data[: len(data) // 2]))
    assert seen.duration_s == pytest.approx(1, abs=0.01)
    assert max(seen.peaks[-20:]) > 0


def test_only_files_are_read(tmp_path: Path) -> None:
    """A folder, a missing file, a pipe: no peaks, and no waiting."""
    os.mkfifo(tmp_path / "pipe")
    for name in (".", "missing", "pipe", "a\0b", "x" * 5_000):
        assert measure(tmp_path / name) == Waveform()


def test_a_file_is_looked_at_once(tmp_path: Path) -> None:
    """Unchanged in size and time, it is not read again, by this process or the next."""
    path = put(tmp_path, sing(1))
    known = Waveforms(tmp_path)
    first = known.of("a.wav")
    known.save()
    stamp = path.stat()
    # what cannot be decoded, with the same size and time
    path.write_bytes(bytes(stamp.st_size))
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))

    assert first.peaks
    assert known.of("a.wav") == first
    assert Waveforms(tmp_path).of("a.wav") == first


def test_a_file_that_changed_is_looked_at_again(tmp_path: Path) -> None:
    """It may have been fetched or tagged again."""
    put(tmp_path, sing(1))
    known = Waveforms(tmp_path)
    assert known.of("a.wav").duration_s == 1
    put(tmp_path, sing(2))
    assert known.of("a.wav").duration_s == 2
    known.save()
    assert Waveforms(tmp_path).of("a.wav").duration_s == 2


def test_what_is_not_used_any_more_is_forgotten(tmp_path: Path) -> None:
    """What is kept does not grow with every run."""
    put(tmp_path, sing(1))
    put(tmp_path, sing(1), "b.wav")
    known = Waveforms(tmp_path)
    known.of("a.wav")
    known.of("b.wav")
    known.save()
    known.of("a.wav")
    known.save()
    assert list(json.loads((tmp_path / FILE).read_bytes())["files"]) == ["a.wav"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"version": 2, "files": {}}',
        '{"version": 1, "files": {"a.wav": [1]}}',
        '{"version": 1, "files": {"a.wav": [1, 2, "x", "AAAA"]}}',
        '{"version": 1, "files": {"a.wav": [1, 2, 3, "?"]}}',
        '{"version": 1, "files": [1]}',
        "[" * 100_000,
        "\udcff",
    ],
)
def test_what_was_kept_and_is_damaged_is_made_again(tmp_path: Path, text: str) -> None:
    """It costs time, and nothing else."""
    put(tmp_path, sing(1))
    (tmp_path / FILE).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert Waveforms(tmp_path).of("a.wav").duration_s == 1


def test_a_folder_that_cannot_be_written_costs_time_only(tmp_path: Path) -> None:
    """The waveforms are there all the same."""
    put(tmp_path, sing(1))
    (tmp_path / FILE).mkdir()
    known = Waveforms(tmp_path)
    assert known.of("a.wav").duration_s == 1
    known.save()
