"""What is small and unpacks to gigabytes is bounded, wherever it comes from."""

import tracemalloc
import zlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from struct import pack

import pytest

from suno_async import RetryPolicy, SunoError, SunoSession
from suno_async.cli.tags import is_tagged, tag_file
from suno_async.sandbox import Call, Reply, Sandbox
from tests.world import session_for, song

MIB = 1024 * 1024


@contextmanager
def at_most(size_bytes: int) -> Iterator[None]:
    """Make sure that a block takes no more memory than that at any moment."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < size_bytes


@cache
def packed(wbits: int, size_mib: int = 300) -> bytes:
    """Pack blanks, which JSON may begin with, to next to nothing."""
    packer = zlib.compressobj(1, wbits=wbits)
    blanks = b" " * MIB
    return b"".join(packer.compress(blanks) for _ in range(size_mib)) + packer.flush()


CALLS: dict[Call, Callable[[SunoSession], Awaitable[object]]] = {
    Call.SUBMIT: lambda suno: suno.submit(song()),
    Call.DETAILS: lambda suno: suno.details("t1"),
    Call.CREDITS: lambda suno: suno.credits(),
    Call.UPLOAD: lambda suno: suno.upload(b"RIFF"),
}


@pytest.mark.parametrize(
    ("call", "encoding"), [*((call, "gzip") for call in CALLS), (Call.SUBMIT, "deflate")]
)
async def test_an_answer_unpacks_to_some_megabytes(
    sandbox: Sandbox, call: Call, encoding: str
) -> None:
    """A bomb in place of an answer is an answer that cannot be read."""
    body = packed(31 if encoding == "gzip" else 15)
    assert len(body) < 2 * MIB
    sandbox.inject(call, Reply(200, body, {"Content-Encoding": encoding}), times=None)
    async with session_for(sandbox, retry=RetryPolicy(attempts=1)) as suno:
        with at_most(200 * MIB), pytest.raises(SunoError):
            await CALLS[call](suno)


def test_a_tag_is_not_unpacked(tmp_path: Path) -> None:
    """A compressed frame of some kilobytes stays as it is, in a chapter too; the rest is tagged."""
    pytest.importorskip("mutagen", reason="the extra `cli` brings it")
    text = b"\x03bomb\0" + bytes(100 * MIB)
    frame = _frame(b"TXXX", _size(len(text)) + zlib.compress(text, 9), compressed=True)
    chapter = _frame(b"CHAP", b"one\0" + bytes(16) + frame)
    path = tmp_path / "bomb.mp3"
    audio = Path(__file__).parents[1] / "page" / "audio" / "second.mp3"
    path.write_bytes(_tag(frame + chapter) + audio.read_bytes())
    assert path.stat().st_size < MIB
    with at_most(16 * MIB):
        assert tag_file(path, title="One", genre="pop", cover=None, task_id="t", row="1")
        assert is_tagged(path, "t")
    assert path.read_bytes().count(frame) == 2
    assert b"bomb" not in path.read_bytes()


def _frame(name: bytes, content: bytes, *, compressed: bool = False) -> bytes:
    return name + _size(len(content)) + pack(">H", 0x0009 if compressed else 0) + content


def _tag(frames: bytes) -> bytes:
    return b"ID3\x04\x00\x00" + _size(len(frames)) + frames


def _size(number: int) -> bytes:
    """Write a number in four bytes of seven bits."""
    return bytes(number >> shift & 127 for shift in (21, 14, 7, 0))
