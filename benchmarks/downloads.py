"""Downloads from a host that does everything wrong, onto disks that hang and that are full.

Every download has to end as its file, byte for byte, or as a clear error; nothing may be left
beside the files, and no address but the host's own may be connected to.
"""

import argparse
import asyncio
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from attrs import define, field

from benchmarks import cdn, report
from suno_async import RetryPolicy, SunoError, SystemClock, Track
from suno_async.media import Media
from suno_async.media.disk import Disk
from suno_async.retry import SharedPause
from suno_async.transport import Transport

T = TypeVar("T")

DOWNLOADS = 2000
IN_FLIGHT = 100
# a whole file of the host is smaller, one of its endless ones larger
MAX_BYTES = 2_000_000
SILENCE_S = 0.4
FULL_DISK = "400k"


class Hurried(SystemClock):
    """The machine's clock, on which every wait is a thousandth of itself."""

    async def sleep(self, seconds: float) -> None:
        """Sleep on the running event loop, for a short while."""
        await asyncio.sleep(seconds / 1000)


class HungDisk(Disk):
    """A disk on which every twentieth piece of work hangs until the end."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.hung = 0
        self._chance = random.Random(seed)
        self._gate = threading.Event()

    def perform(self, work: Callable[[], T]) -> T:
        """Do some work, perhaps much later."""
        named = isinstance(work, partial) and work.func.__name__ in {"write", "sync"}
        if named and self._chance.random() < 0.05 and self.hung < 40:
            self.hung += 1
            self._gate.wait()
        return work()

    def let_go(self) -> None:
        """Let everything go on that hangs."""
        self._gate.set()


@define
class Tally:
    """How the downloads ended.

    Attributes:
        ended: How many ended in which way.
        wrong: What ended in a way in which it must not.
        ways: How many of each way of the host ended as it had to.
    """

    ended: Counter[str] = field(factory=Counter)
    wrong: list[str] = field(factory=list)
    ways: Counter[str] = field(factory=Counter)

    def count(self, case: cdn.Case, end: Path | BaseException, *, may_fail: bool = False) -> None:
        """Count how a download ended."""
        if isinstance(end, Path):
            fits = case.arrives and end.read_bytes() == case.body
            self.ended["file"] += 1
        else:
            fits = isinstance(end, SunoError | OSError) and (may_fail or not case.arrives)
            self.ended[type(end).__name__] += 1
        if fits:
            self.ways[case.way] += 1
        else:
            self.wrong.append(f"{case.way}: {end!r}"[:300])


def _media(**settings: Any) -> Media:
    clock = Hurried()
    policy = RetryPolicy(attempts=4, base=timedelta(milliseconds=10), cap=timedelta(seconds=1))
    return Media(
        transport=cast("Transport", None),  # nothing is uploaded
        base_url="http://127.0.0.1",
        pause=cast("SharedPause", None),
        policy=policy,
        clock=clock,
        timeout_s=SILENCE_S,
        max_bytes=MAX_BYTES,
        **settings,
    )


def _track(case: cdn.Case) -> Track:
    return Track(
        id=f"track-{case.number:06}",
        title=f"Song {case.number % 7}",
        audio_url=case.url,
        source_audio_url=case.source_url,
    )


async def _all(
    media: Media, cases: Sequence[cdn.Case], folder: Path, tally: Tally, *, may_fail: bool = False
) -> None:
    """Download everything, so many at a time, as if it had become complete just now."""
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def one(case: cdn.Case) -> None:
        async with slots:
            track = _track(case)
            if case.way.startswith("young"):
                media.complete([track])
            end: Path | BaseException
            try:
                end = await media.download(track, folder)
            except Exception as error:  # noqa: BLE001 - it is counted, the wrong ones too
                end = error
            tally.count(case, end, may_fail=may_fail)

    async with asyncio.TaskGroup() as group:
        for case in cases:
            group.create_task(one(case))


async def _on_a_hung_disk(cases: Sequence[cdn.Case], folder: Path, tally: Tally) -> dict[str, Any]:
    """Download until enough hangs, then leave; see what the threads do afterwards."""
    disk = HungDisk(1)
    try:
        async with _media(disk=disk) as media:
            rest = asyncio.create_task(_all(media, cases, folder, tally))
            await asyncio.wait({rest}, timeout=1.5)
            began_s = time.perf_counter()
            rest.cancel()
            with suppress(asyncio.CancelledError):
                await rest
        left_s = time.perf_counter() - began_s
    finally:
        disk.let_go()
    await asyncio.to_thread(_join_threads)
    halves = await asyncio.to_thread(_halves_in, folder, {case.body for case in cases})
    async with _media() as media:  # what was interrupted is resumed, and nothing is left
        await _all(media, cases, folder, tally)
    return {"hung": disk.hung, "left_in_s": left_s, "half_files": halves}


def _join_threads() -> None:
    for thread in threading.enumerate():
        if thread.name == "suno-async disk":
            thread.join(10)


def _halves_in(folder: Path, whole: set[bytes]) -> list[str]:
    return [path.name for path in folder.glob("*.mp3") if path.read_bytes() not in whole]


@contextmanager
def full_disk(folder: Path) -> Iterator[Path | None]:
    """Mount a small disk in a folder; None where that cannot be done."""
    folder.mkdir()
    mount = shutil.which("mount")
    words = [str(mount), "-t", "tmpfs", "-o", f"size={FULL_DISK}", "none", str(folder)]
    if mount is None or subprocess.run(words, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run([str(shutil.which("umount")), str(folder)], check=True)


def left_in(folder: Path) -> list[str]:
    """List what is neither a file that is whole nor can be resumed."""
    names = {path.name for path in folder.iterdir()}
    hidden = {name for name in names if name.startswith(".")}
    resumable = {name for name in hidden if {_twin(name, ".part"), _twin(name, ".tag")} <= hidden}
    return sorted(hidden - resumable)


def _twin(name: str, suffix: str) -> str:
    return f"{name.rpartition('.')[0]}{suffix}"


class Connections:
    """Every address that this process connects to, as the interpreter itself reports it."""

    def __init__(self) -> None:
        self._seen: set[Any] | None = None
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and self._seen is not None:
            self._seen.add(arguments[1])

    @contextmanager
    def watched(self) -> Iterator[set[Any]]:
        """Collect the addresses meanwhile."""
        self._seen = seen = set[Any]()
        try:
            yield seen
        finally:
            self._seen = None


async def run(
    count: int, seed: int, folder: Path, connections: Connections | None = None
) -> dict[str, Any]:
    """Download so many files, nine tenths onto a good disk; tell how it went."""
    watched = (connections or Connections()).watched()
    tally, bad, full = Tally(), Tally(), Tally()
    began_s = time.perf_counter()
    for name in ("good", "hung"):
        (folder / name).mkdir()
    with watched as seen, full_disk(folder / "full") as small:
        async with cdn.serve() as host:
            cases = host.make(count, seed)
            tenth = count // 20
            async with _media() as media:
                await _all(media, cases[2 * tenth :], folder / "good", tally)
            took_s = time.perf_counter() - began_s
            hung = await _on_a_hung_disk(cases[:tenth], folder / "hung", bad)
            if small is not None:
                async with _media() as media:
                    await _all(media, cases[tenth : 2 * tenth], small, full, may_fail=True)
            left = [name for one in ("good", "hung", "full") for name in left_in(folder / one)]
    return {
        "downloads": count,
        "ended": dict(tally.ended + bad.ended + full.ended),
        "wrong": tally.wrong + bad.wrong + full.wrong,
        "left": left,
        "connected": sorted({str(address[0]) for address in seen if isinstance(address, tuple)}),
        "strange": host.strange,
        "agents": dict(host.agents),
        "good_disk_s": took_s,
        "hung_disk": hung,
        "full_disk": dict(full.ended) if small is not None else "no small disk can be mounted",
        "ways": {way: tally.ways[way] + bad.ways[way] + full.ways[way] for way in cdn.WAYS},
    }


def _counted(ended: dict[str, int] | str) -> str:
    if isinstance(ended, str):
        return ended
    return ", ".join(f"{count} {name}" for name, count in Counter(ended).most_common())


def main(argv: list[str]) -> None:
    """Download; print, and write the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks downloads", description=__doc__)
    parser.add_argument("--downloads", type=int, default=DOWNLOADS)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(run(options.downloads, options.seed, Path(folder)))
    report.table(
        f"{options.downloads} downloads from a host of {len(cdn.WAYS)} ways",
        ("ended as", "downloads"),
        Counter[str](figures["ended"]).most_common(),
    )
    hung = figures["hung_disk"]
    report.table(
        "what must not be",
        ("what", "how much"),
        [
            ("neither the file nor a clear error", len(figures["wrong"])),
            ("left on disk, and of no use", len(figures["left"])),
            ("addresses connected to", ", ".join(figures["connected"])),
            ("URLs not asked for byte for byte", len(figures["strange"])),
            ("half files after a hung disk", len(hung["half_files"])),
        ],
    )
    report.table(
        "disks",
        ("what", "how much"),
        [
            ("seconds on the good disk", f"{figures['good_disk_s']:.1f}"),
            ("pieces of work that hung", hung["hung"]),
            ("seconds to leave meanwhile", f"{hung['left_in_s']:.2f}"),
            ("on the full disk", _counted(figures["full_disk"])),
        ],
    )
    for problem in figures["wrong"]:
        print(problem)
    report.save("downloads", figures)
