"""Stems go up whole or not at all."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from suno_async import (
    AuthenticationError,
    ConnectionFailed,
    InvalidRequest,
    ServerError,
    SunoSession,
)
from suno_async.observe import Observation, Uploaded, Uploading
from suno_async.sandbox import (
    Call,
    DropAfter,
    DropBefore,
    EnvelopeError,
    Html200,
    HttpError,
    Sandbox,
    Truncated,
)
from tests.world import EAGER, session_for, song

from .hosts import BODY, ROOT


async def _stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def _stored(sandbox: Sandbox, url: str) -> bytes:
    data = await sandbox._read_own(url.removeprefix(sandbox.base_url))
    assert data is not None
    return data


@pytest.mark.parametrize("form", ["path", "text", "bytes", "bytearray", "memoryview", "stream"])
async def test_a_stem_goes_up_as_it_is(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path, form: str
) -> None:
    """Whatever form a stem has, its URL gives back the same bytes."""
    path = tmp_path / "stem.wav"
    path.write_bytes(BODY)
    stems: dict[str, Any] = {
        "path": path,
        "text": str(path),
        "bytes": BODY,
        "bytearray": bytearray(BODY),
        "memoryview": memoryview(BODY),
        "stream": _stream(b"", BODY[:100], BODY[100:]),
    }
    url = await suno.upload(stems[form])
    assert await _stored(sandbox, url) == BODY


async def test_uploads_never_overwrite_each_other(suno: SunoSession, tmp_path: Path) -> None:
    """The same stem uploaded twice has two URLs, and no name of the caller's is in them."""
    path = tmp_path / "../secret name.wav"
    path.write_bytes(BODY)
    one, two = await asyncio.gather(suno.upload(path), suno.upload(path))
    assert one != two
    assert "secret" not in one


@pytest.mark.parametrize(
    ("begins", "ending"),
    [
        (b"RIFF", ".wav"),
        (b"ID3\x04", ".mp3"),
        (b"\xff\xfb\x90", ".mp3"),
        (b"fLaC", ".flac"),
        (b"OggS", ".ogg"),
        (b"\0\0\0\x20ftypM4A ", ".m4a"),
        (b"?", ".wav"),
    ],
)
async def test_the_format_of_bytes_is_told_by_their_beginning(
    suno: SunoSession, begins: bytes, ending: str
) -> None:
    """Bytes without a file name get the ending of the format that they begin with."""
    assert (await suno.upload(begins)).endswith(ending)
    assert (await suno.upload(_stream(begins))).endswith(ending)


@pytest.mark.parametrize(("name", "ending"), [("a.MP3", ".MP3"), ("a.x y", ""), ("a", "")])
async def test_a_file_keeps_its_plain_ending(
    suno: SunoSession, tmp_path: Path, name: str, ending: str
) -> None:
    """A file's ending is sent when it is a plain one, and nothing else of its name."""
    path = tmp_path / name
    path.write_bytes(BODY)
    assert Path(await suno.upload(path)).suffix == ending


@pytest.mark.parametrize("stem", [b"", bytearray(), 7, None, ["a"]])
async def test_a_stem_must_be_one(sandbox: Sandbox, suno: SunoSession, stem: Any) -> None:
    """What is empty or no stem is refused before anything is sent."""
    with pytest.raises(InvalidRequest, match="stem must"):
        await suno.upload(stem)
    assert sandbox.requests == []


async def test_an_empty_file_is_refused(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """An empty file is refused by name before anything is sent."""
    path = tmp_path / "empty.wav"
    path.touch()
    with pytest.raises(InvalidRequest, match=r"empty\.wav"):
        await suno.upload(path)
    assert sandbox.requests == []


@pytest.mark.parametrize("chunks", [(), (b"", b"")])
async def test_an_empty_stream_is_refused(
    sandbox: Sandbox, suno: SunoSession, chunks: tuple[bytes, ...]
) -> None:
    """A stream without a byte is refused before anything is sent."""
    with pytest.raises(InvalidRequest, match="stem must not be empty"):
        await suno.upload(_stream(*chunks))
    assert sandbox.requests == []


async def test_what_is_no_file_is_refused(suno: SunoSession, tmp_path: Path) -> None:
    """A folder or a pipe is refused at once; a pipe would block for ever."""
    os.mkfifo(tmp_path / "pipe")
    for stem in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(InvalidRequest, match="must be a file"):
            await suno.upload(stem)


async def test_a_missing_file_is_named(suno: SunoSession, tmp_path: Path) -> None:
    """A stem that is not there is Python's own error, with its name."""
    with pytest.raises(FileNotFoundError, match=r"nowhere\.wav"):
        await suno.upload(tmp_path / "nowhere.wav")


@pytest.mark.skipif(ROOT, reason="root reads everything")
async def test_an_unreadable_file_is_named(suno: SunoSession, tmp_path: Path) -> None:
    """A stem that may not be read is Python's own error, with its name."""
    path = tmp_path / "locked.wav"
    path.write_bytes(BODY)
    path.chmod(0)
    with pytest.raises(PermissionError, match=r"locked\.wav"):
        await suno.upload(path)


@pytest.mark.parametrize(
    "fault",
    [
        DropBefore(),
        DropAfter(reset=True),
        EnvelopeError(429),
        EnvelopeError(455),
        EnvelopeError(500),
        HttpError(502),
        Truncated(),
        Html200(),
    ],
)
async def test_an_upload_is_repeated(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path, fault: Any
) -> None:
    """A failed upload costs nothing and is sent again, whole."""
    path = tmp_path / "stem.wav"
    path.write_bytes(BODY)
    sandbox.inject(Call.UPLOAD, fault, times=2)
    assert await _stored(sandbox, await suno.upload(path)) == BODY


async def test_a_stream_is_sent_once(sandbox: Sandbox, suno: SunoSession) -> None:
    """A stream cannot be read again: a network failure is told, not repeated."""
    sandbox.inject(Call.UPLOAD, DropAfter())
    with pytest.raises(ConnectionFailed):
        await suno.upload(_stream(BODY))
    assert len(sandbox.requests) == 1


async def test_a_stream_that_breaks_raises_its_own_error(suno: SunoSession) -> None:
    """What the caller's stream raises reaches the caller, and is no network failure."""

    async def broken() -> AsyncIterator[bytes]:
        yield BODY
        raise ZeroDivisionError("the microphone fell down")

    with pytest.raises(ZeroDivisionError, match="microphone"):
        await suno.upload(broken())


async def test_a_refused_upload_is_told(sandbox: Sandbox, suno: SunoSession) -> None:
    """What the service refuses for good is raised at once."""
    sandbox.inject(Call.UPLOAD, EnvelopeError(401), times=None)
    with pytest.raises(AuthenticationError):
        await suno.upload(BODY)
    assert len(sandbox.requests) == 1


async def test_a_service_that_goes_on_failing_is_told(sandbox: Sandbox, suno: SunoSession) -> None:
    """An upload gives up after the policy's attempts, with the last failure."""
    sandbox.inject(Call.UPLOAD, EnvelopeError(500, "disk on fire"), times=None)
    with pytest.raises(ServerError, match="disk on fire"):
        await suno.upload(BODY)
    assert len(sandbox.requests) == EAGER.attempts


async def test_an_uploaded_stem_can_be_accompanied(suno: SunoSession, sandbox: Sandbox) -> None:
    """The URL of an upload is one that a request takes."""
    url = await suno.upload(BODY)
    task = await suno.submit(song(upload_url=url))
    assert sandbox.tasks[task.task_id].request["uploadUrl"] == url


async def test_observers_hear_of_uploads(sandbox: Sandbox, tmp_path: Path) -> None:
    """An upload tells that it begins, its URL, its size if that is known, and how long it took."""
    told: list[Observation] = []
    path = tmp_path / "stem.wav"
    path.write_bytes(BODY)
    async with session_for(sandbox, observers=[told.append]) as suno:
        urls = [await suno.upload(stem) for stem in (path, BODY, _stream(BODY))]
    uploaded = [one for one in told if isinstance(one, Uploaded)]
    assert [one.url for one in uploaded] == urls
    assert [one.size_bytes for one in uploaded] == [len(BODY), len(BODY), None]
    assert all(one.seconds > 0 for one in uploaded)
    assert [one.path for one in uploaded] == [path, None, None]
    begun = [told.index(Uploading(each)) for each in (path, None)]
    assert begun == [told.index(each) - 1 for each in uploaded[:2]]
