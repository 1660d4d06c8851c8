"""Stems on disk."""

import hashlib
import os
import socket
from pathlib import Path

import pytest

from suno_async import InvalidRequest
from suno_async.cli.stems import check_stem, stem_path
from suno_async.sandbox import sing


def refusal(path: Path) -> str:
    """Check a stem, which must be refused; return the sentence."""
    with pytest.raises(InvalidRequest) as caught:
        check_stem(path)
    return str(caught.value)


def test_a_stem_is_measured_and_digested(tmp_path: Path) -> None:
    """Size and digest are those of its content."""
    audio = sing(0.5)
    (tmp_path / "a.wav").write_bytes(audio)
    stem = check_stem(tmp_path / "a.wav")
    assert stem.path == tmp_path / "a.wav"
    assert (stem.size_bytes, stem.digest) == (len(audio), hashlib.sha256(audio).hexdigest())


@pytest.mark.parametrize(
    "head",
    [b"ID3\4", b"fLaC", b"OggS", b"\xff\xfb\x90\x00", b"FORM\0\0\0\0AIFF", b"\0\0\0\x20ftypM4A "],
)
def test_audio_of_any_format_passes(tmp_path: Path, head: bytes) -> None:
    """Known formats, and those that are like nothing else, are left to the service."""
    (tmp_path / "a").write_bytes(head + bytes(40))
    assert check_stem(tmp_path / "a").size_bytes == len(head) + 40


@pytest.mark.parametrize(
    "head",
    [
        b"la la la",
        b"<html>",
        b'{"a": 1}',
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"%PDF-1.7\n%\xe2",
        b"PK\3\4",
    ],
)
def test_what_is_something_else_is_refused(tmp_path: Path, head: bytes) -> None:
    """Text, pages, pictures, documents and archives are no stems, whatever they are called."""
    (tmp_path / "a.wav").write_bytes(head)
    assert "stem must be audio" in refusal(tmp_path / "a.wav")


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    """A pipe or a device would block, or never end."""
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        assert "and this is a named pipe" in refusal(tmp_path / "pipe")
        assert "and this is a socket" in refusal(tmp_path / "socket")
    assert "and this is a device" in refusal(Path("/dev/zero"))
    assert "(Is a directory)" in refusal(tmp_path)
    assert "(No such file or directory)" in refusal(tmp_path / "none")
    assert "must be a readable file" in refusal(tmp_path / ("x" * 300))
    (tmp_path / "empty").touch()
    assert "must not be an empty file" in refusal(tmp_path / "empty")
    (tmp_path / "loop").symlink_to("loop")
    assert "must be a readable file" in refusal(tmp_path / "loop")


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other paths start from the folder that is given."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert stem_path("~/a.wav", Path("/other")) == tmp_path / "a.wav"
    assert stem_path("a.wav", tmp_path) == tmp_path / "a.wav"
    assert stem_path(Path("/b.wav"), tmp_path) == Path("/b.wav")
