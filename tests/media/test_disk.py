"""Disks that hang or are full, and folders that somebody has prepared."""

import asyncio
import errno
import fcntl
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from suno_async import SunoSession
from suno_async.media.disk import MOST_THREADS, Disk, Lane
from suno_async.media.formats import AUDIO
from suno_async.media.names import key_of
from suno_async.media.partfile import PartFile
from suno_async.sandbox import Sandbox
from tests.waiting import HANGS_AFTER_S, until
from tests.world import session_for

from .hosts import (
    BODY,
    HungDisk,
    SmallDisk,
    everything_in,
    finished,
    media_for,
    media_host,
    part_of,
    small_disk,
    track_at,
)


async def _serve(request: web.Request) -> web.StreamResponse:
    begin = int(request.headers.get("Range", "bytes=0-")[6:-1])
    headers = {"ETag": '"1"', "Content-Range": f"bytes {begin}-{len(BODY) - 1}/{len(BODY)}"}
    if not begin:
        del headers["Content-Range"]
    return web.Response(body=BODY[begin:], status=206 if begin else 200, headers=headers)


@asynccontextmanager
async def _hung(hangs: str) -> AsyncIterator[HungDisk]:
    disk = HungDisk(hangs)
    try:
        yield disk
    finally:
        disk.let_go()
        await until(lambda: not _threads())


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "suno-async disk"]


def _now() -> float:
    return asyncio.get_running_loop().time()


# --- a disk that hangs ----------------------------------------------------------------------------


@pytest.mark.parametrize("hangs", ["open", "resume_point", "restart", "write", "sync", "name"])
async def test_leaving_waits_for_no_disk(tmp_path: Path, hangs: str) -> None:
    """Invariant 8: with a disk that hangs, the session is left within a second."""
    async with _hung(hangs) as disk, media_host(_serve) as url:
        began = _now()
        async with media_for(disk=disk) as media:
            download = asyncio.create_task(media.download(track_at(url), tmp_path))
            await until(lambda: disk.hanging)
            began = _now()
            download.cancel()
            await asyncio.wait({download})
        assert _now() - began < 1
        assert download.cancelled()


@pytest.mark.parametrize("hangs", ["open", "restart", "write", "sync"])
async def test_a_hung_disk_gives_no_half_file_its_name(tmp_path: Path, hangs: str) -> None:
    """Invariant 9: what a thread does after the session was left never shows as a file."""
    async with _hung(hangs) as disk, media_host(_serve) as url:
        async with media_for(disk=disk) as media:
            download = asyncio.create_task(media.download(track_at(url), tmp_path))
            await until(lambda: disk.hanging)
            download.cancel()
            await asyncio.wait({download})
        assert not any(name.endswith(".mp3") for name in everything_in(tmp_path))
        disk.let_go()
        await until(lambda: not _threads())
        assert not any(name.endswith(".mp3") for name in everything_in(tmp_path))
        async with media_for() as media:
            path = await media.download(track_at(url), tmp_path)
        assert path.read_bytes() == BODY
        assert everything_in(tmp_path) == [path.name]


@pytest.mark.parametrize("hangs", ["write", "sync", "name"])
async def test_a_file_is_locked_until_the_thread_is_done(tmp_path: Path, hangs: str) -> None:
    """Invariant 9: nobody begins with a part file in which a thread may still write."""
    asked = 0

    async def serve(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return await _serve(request)

    async with _hung(hangs) as disk, media_host(serve) as url:
        async with media_for(disk=disk) as media:
            download = asyncio.create_task(media.download(track_at(url), tmp_path))
            await until(lambda: disk.hanging)
            download.cancel()
            await asyncio.wait({download})
        async with media_for() as media:
            again = asyncio.create_task(media.download(track_at(url), tmp_path))
            await asyncio.sleep(0.3)
            assert not again.done()
            assert asked == 1
            disk.let_go()
            assert (await again).read_bytes() == BODY
    assert everything_in(tmp_path) == ["t 1.mp3"]


async def test_forty_hung_files_stop_no_look_up(sandbox: Sandbox, tmp_path: Path) -> None:
    """Names are looked up, tasks submitted, stems uploaded and other files saved meanwhile."""
    stem = tmp_path / "stem.mp3"
    stem.write_bytes(BODY)
    async with (
        _hung("open") as disk,
        media_host(_serve) as url,
        session_for(sandbox) as suno,
        media_for(disk=disk) as media,
    ):
        hung = [
            asyncio.create_task(media.download(track_at(url, id=str(n)), tmp_path / "hung"))
            for n in range(40)
        ]
        await until(lambda: disk.hanging == 40)
        async with asyncio.timeout(HANGS_AFTER_S):
            await asyncio.get_running_loop().getaddrinfo("localhost", 80)
            track, _ = await finished(sandbox)
            await suno.download(track, tmp_path / "well")
            await suno.upload(stem)
        for download in hung:
            download.cancel()
        await asyncio.wait(hung)


async def test_asyncios_own_threads_are_not_needed(suno: SunoSession, tmp_path: Path) -> None:
    """With all of asyncio's threads busy elsewhere, stems go up and tracks come down."""
    free = threading.Event()
    stem = tmp_path / "stem.wav"
    stem.write_bytes(BODY)
    async with media_host(_serve) as url:
        with ThreadPoolExecutor(1) as pool:
            asyncio.get_running_loop().set_default_executor(pool)
            pool.submit(free.wait)
            try:
                async with asyncio.timeout(HANGS_AFTER_S):
                    await suno.upload(stem)
                    await suno.download(track_at(url), tmp_path)
            finally:
                free.set()


async def test_a_session_leaves_no_thread(suno: SunoSession, tmp_path: Path) -> None:
    """Invariant 8: the threads of a session end with it, and one does while it is idle."""
    async with media_host(_serve) as url:
        async with media_for() as media:
            tracks = [track_at(url, id=str(n)) for n in range(30)]
            await asyncio.gather(*(media.download(track, tmp_path) for track in tracks))
            assert 0 < len(_threads()) <= 30
        await until(lambda: not _threads())


async def test_work_after_the_end_is_done_all_the_same() -> None:
    """What is put into a closed disk gets a thread of its own, so no lock is held for ever."""
    disk = Disk()
    assert await disk.run(lambda: 1) == 1
    disk.close()
    disk.close()
    assert [await disk.run(lambda: 2) for _ in range(3)] == [2, 2, 2]
    await until(lambda: not _threads())


# --- a disk that is full --------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallDisk]:
    """A file system that holds 600 KiB."""
    with small_disk(tmp_path / "small") as disk:
        yield disk


@pytest.mark.parametrize("etag", ['"1"', None])
async def test_a_full_disk_is_told(small: SmallDisk, etag: str | None) -> None:
    """ENOSPC is Python's own error; only what can be resumed stays, and it is, with room."""

    async def serve(request: web.Request) -> web.StreamResponse:
        answer = await _serve(request)
        if not etag:
            answer.headers.pop("ETag")
        return answer

    async with media_host(serve) as url, media_for() as media:
        track = track_at(url)
        with pytest.raises(OSError, match="No space left"):
            await media.download(track, small.folder)
        part = part_of(small.folder, track)
        if not etag:
            assert everything_in(small.folder) == []
            return
        assert everything_in(small.folder) == [part.name, part.with_suffix(".tag").name]
        size = part.stat().st_size
        assert part.read_bytes() == BODY[:size]
        small.grow()
        assert (await media.download(track, small.folder)).read_bytes() == BODY


async def test_a_file_that_cannot_be_marked_does_not_appear(tmp_path: Path) -> None:
    """Where files bear no marks, and none can be written beside it, the failure leaves nothing."""
    with small_disk(tmp_path / "plain", "ramfs") as disk:
        planted = disk.folder / ".t 1.mp3.key"
        planted.mkdir()
        async with media_host(_serve) as url, media_for() as media:
            track = track_at(url)
            with pytest.raises(OSError, match="directory"):
                await media.download(track, disk.folder)
            assert everything_in(disk.folder) == [planted.name]
            planted.rmdir()
            path = await media.download(track, disk.folder)
            assert await media.download(track, disk.folder) == path
        assert path.read_bytes() == BODY


# --- a power cut ----------------------------------------------------------------------------------


async def test_a_file_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the name is there before anybody is told of it: a power cut takes neither away."""
    synced: list[tuple[bool, list[str]]] = []
    fsync = os.fsync

    def noting(descriptor: int) -> None:
        is_folder = Path(f"/proc/self/fd/{descriptor}").resolve() == tmp_path
        names = [name for name in everything_in(tmp_path) if not name.startswith(".")]
        fsync(descriptor)
        synced.append((is_folder, names))

    monkeypatch.setattr(os, "fsync", noting)
    async with media_host(_serve) as url, media_for() as media:
        path = await media.download(track_at(url), tmp_path)
    assert synced == [(False, []), (True, [path.name])]


# --- folders that somebody has prepared -----------------------------------------------------------


@pytest.mark.parametrize("suffix", [".part", ".tag"])
@pytest.mark.parametrize("plant", ["link", "dangling", "hard link", "pipe", "socket"])
async def test_a_planted_file_is_not_written(tmp_path: Path, plant: str, suffix: str) -> None:
    """Invariant 9: whatever is at the part file's name, no file of somebody else's changes."""
    victim, folder = tmp_path / "victim", tmp_path / "out"
    victim.write_bytes(b"precious")
    folder.mkdir()
    async with media_host(_serve) as url, media_for() as media:
        track = track_at(url)
        place = part_of(folder, track).with_suffix(suffix)
        if plant == "link":
            place.symlink_to(victim)
        elif plant == "dangling":
            place.symlink_to(tmp_path / "made by a stranger")
        elif plant == "hard link":
            place.hardlink_to(victim)
        elif plant == "pipe":
            os.mkfifo(place)
        else:
            _bind(place)
        async with asyncio.timeout(HANGS_AFTER_S):
            path = await media.download(track, folder)
    assert path.read_bytes() == BODY
    assert victim.read_bytes() == b"precious"
    assert everything_in(tmp_path) == ["out", "victim"]
    assert everything_in(folder) == [path.name]


@pytest.mark.parametrize("plant", ["file", "link", "dangling", "folder"])
async def test_a_taken_name_is_left_alone(tmp_path: Path, plant: str) -> None:
    """Invariant 9: nothing is overwritten, and no link followed, at the final name."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    folder = tmp_path / "out"
    folder.mkdir()
    for number in (1, 2):
        place = folder / f"t {number}.mp3"
        if plant == "file":
            place.write_bytes(b"precious")
        elif plant == "folder":
            place.mkdir()
        else:
            place.symlink_to(victim if plant == "link" else tmp_path / "nowhere")
    async with media_host(_serve) as url, media_for() as media:
        path = await media.download(track_at(url, id="abcdefgh"), folder)
        assert await media.download(track_at(url, id="abcdefgh"), folder) == path
    assert path.name == "t abcdefgh.mp3"
    assert path.read_bytes() == BODY
    assert victim.read_bytes() == b"precious"
    assert everything_in(tmp_path) == ["out", "victim"]


async def test_a_name_taken_meanwhile_is_left_alone(tmp_path: Path) -> None:
    """Invariant 9: a file that appears while the download runs is not overwritten either."""

    async def serve(request: web.Request) -> web.StreamResponse:
        (tmp_path / "t 1.mp3").write_bytes(b"precious")
        return await _serve(request)

    async with media_host(serve) as url, media_for() as media:
        path = await media.download(track_at(url), tmp_path)
    assert (tmp_path / "t 1.mp3").read_bytes() == b"precious"
    assert path.name == "t 2.mp3"


async def test_all_names_taken_is_told(tmp_path: Path) -> None:
    """When even the track's own name is something else, it is Python's error, with the name."""
    for name in ("t 1.mp3", "t 2.mp3", "t abcdefgh.mp3"):
        (tmp_path / name).mkdir()
    async with media_host(_serve) as url, media_for() as media:
        with pytest.raises(FileExistsError, match=r"t abcdefgh\.mp3"):
            await media.download(track_at(url, id="abcdefgh"), tmp_path)
    assert everything_in(tmp_path) == ["t 1.mp3", "t 2.mp3", "t abcdefgh.mp3"]


def _bind(place: Path) -> None:
    descriptor = os.open(place.parent, os.O_RDONLY)  # the whole path is too long for a socket
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"/proc/self/fd/{descriptor}/{place.name}")
    os.close(descriptor)


KILLED = """
import os, signal, sys
from pathlib import Path
from suno_async.media import partfile

folder, key, method = Path(sys.argv[1]), sys.argv[2], sys.argv[3]

def dies(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

part = partfile.PartFile(folder, key)
assert part.open()
part.restart("http://127.0.0.1/a.mp3", '"1"')
part.write(b"ID3" + bytes(1000))
part.sync()
setattr(partfile.os, method, dies)
part.name(["t 1.mp3"])
"""


@pytest.mark.parametrize("method", ["link", "fsync"])
async def test_a_process_that_dies_leaves_no_tag(tmp_path: Path, method: str) -> None:
    """SIGKILL before or after the file got its name: the tag was removed before."""
    key = key_of(AUDIO, track_at("http://127.0.0.1/a.mp3"), "http://127.0.0.1/a.mp3", None)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", KILLED, str(tmp_path), key, method),
    )
    assert await process.wait() == -signal.SIGKILL
    left = everything_in(tmp_path)
    assert not any(name.endswith(".tag") for name in left)
    assert left == ([f".{key}.part"] if method == "link" else ["t 1.mp3"])
    part = PartFile(tmp_path, key)
    assert part.open()
    assert part.resume_point("http://127.0.0.1/a.mp3").offset == 0
    part.close()


@pytest.mark.parametrize("taken", [False, True])
async def test_a_poor_file_system_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: bool
) -> None:
    """Without second names, attributes and locks, as on a memory stick, files are whole as well."""

    def unsupported(*_: object, **__: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    for name in ("link", "setxattr", "getxattr"):
        monkeypatch.setattr(os, name, unsupported)
    monkeypatch.setattr(fcntl, "flock", unsupported)
    if taken:
        (tmp_path / "t 1.mp3").write_bytes(b"precious")
    name = "t 2.mp3" if taken else "t 1.mp3"
    async with media_host(_serve) as url, media_for() as media:
        path = await media.download(track_at(url), tmp_path)
        assert await media.download(track_at(url), tmp_path) == path
    assert (path.name, path.read_bytes()) == (name, BODY)
    assert everything_in(tmp_path) == sorted({f".{name}.key", name, "t 1.mp3"})


async def test_a_name_taken_meanwhile_is_left_alone_without_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Invariant 9: nothing is overwritten where files have one name only either."""

    def unsupported(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", unsupported)

    async def serve(request: web.Request) -> web.StreamResponse:
        (tmp_path / "t 1.mp3").write_bytes(b"precious")
        return await _serve(request)

    async with media_host(serve) as url, media_for() as media:
        assert (await media.download(track_at(url), tmp_path)).name == "t 2.mp3"
    assert (tmp_path / "t 1.mp3").read_bytes() == b"precious"


async def test_what_has_not_begun_never_does() -> None:
    """Work of one who has given up, for which there was no thread yet, is left out."""
    disk, gate, done = Disk(), threading.Event(), list[str]()
    hung = [asyncio.create_task(disk.run(gate.wait)) for _ in range(MOST_THREADS)]
    lane = Lane(disk)
    waiting = asyncio.create_task(lane.run(done.append, "begun"))
    await asyncio.sleep(0)
    waiting.cancel()
    ending = asyncio.create_task(lane.end(lambda: done.append("ended")))
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*hung, ending)
    disk.close()
    assert done == ["ended"]
    await until(lambda: not _threads())
