"""A batch of the command that is struck again and again: how it is run, and what it comes to."""

import asyncio
import os
import random
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import aiohttp
from attrs import define, field, frozen

from suno_async.sandbox import Sandbox
from tests.cli.albums import (
    MANIFEST,
    audio,
    charged,
    contents,
    frames,
    leftovers,
    manifest_rows,
    table,
)
from tests.line import Line

_CALL = "from suno_async.cli import main; main()"
_LIMIT_S = 180.0
_MEDIA = re.compile(r"/cdn/(?:source/)?(?P<track>[0-9a-f]+)\.(?P<ending>wav|png)")


class Process(Protocol):
    """A command that runs, as `asyncio.subprocess.Process` is one."""

    @property
    def returncode(self) -> int | None:
        """Its status, or minus the signal's number; None while it runs."""

    def send_signal(self, signal: int, /) -> None:
        """Send it a signal."""

    def kill(self) -> None:
        """End it at once."""

    async def wait(self) -> int:
        """Wait until it has ended; return its status."""
        ...


@frozen
class Start:
    """What the command is started with.

    Attributes:
        folder: Where it runs.
        words: Its options.
        environment: Its variables.
        out: Where its output goes, a descriptor.
        err: Where its errors go.
    """

    folder: Path
    words: tuple[str, ...]
    environment: dict[str, str]
    out: int
    err: int


async def start(it: Start) -> Process:
    """Start the command in an interpreter of its own."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _CALL, *it.words),
        cwd=it.folder,
        env=it.environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=it.out,
        stderr=it.err,
    )


@define(eq=False)
class Seen:
    """What was on disk at some moment, and how many requests the service had answered."""

    files: frozenset[str]
    requests: int


@define(eq=False)
class Batch:
    """Runs the command on one manifest, always the same way.

    Attributes:
        folder: Where the manifest is; the run's folder is `album` in it.
        sandbox: The service.
        line: The way to it.
        words: Further options.
        most: How often its network is cut at the most.
        starter: What starts the command.
        runs: How often the command was started.
        strikes: How often it was struck while it ran.
        statuses: How the commands ended that were struck.
        problems: What is wrong.
    """

    folder: Path
    sandbox: Sandbox
    line: Line
    words: tuple[str, ...] = ()
    most: int = 1
    starter: Callable[[Start], Awaitable[Process]] = start
    runs: int = 0
    strikes: int = 0
    statuses: list[int] = field(factory=list[int])
    problems: list[str] = field(factory=list[str])
    _requests_before: int = 0
    _process: Process | None = None
    _seen: list[Seen] = field(factory=list[Seen])

    @property
    def out(self) -> Path:
        """The run's folder."""
        return self.folder / "album"

    async def start(self, *words: str, stdout: int | None = None) -> Process:
        """Start the command; what it says goes to files unless there is a descriptor."""
        self.runs += 1
        self._requests_before = len(self.sandbox.requests)
        given = ("--manifest", MANIFEST, "--out", "album", "--yes", "--interval", "0.34")
        with (
            (self.folder / "out.txt").open("ab") as out,
            (self.folder / f"err {self.runs}.txt").open("wb") as err,
        ):
            variables = {
                **os.environ,
                "APIKLEY_API_KEY": self.sandbox.api_key,
                "PYTHONPATH": str(Path(__file__).parent.parent),
                "XDG_CONFIG_HOME": str(self.folder),
            }
            options = (*given, *words, *self.words, "--base-url", self.line.base_url)
            self._process = await self.starter(
                Start(
                    self.folder,
                    ("--log", "log.txt", "generate", *options),
                    variables,
                    out.fileno() if stdout is None else stdout,
                    err.fileno(),
                )
            )
        return self._process

    async def aclose(self) -> None:
        """End the command that runs, if one does."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def works(self) -> bool:
        """Tell whether the command that was started last has asked the service for something."""
        return len(self.sandbox.requests) > self._requests_before

    async def ended(self, process: Process, *expected: int) -> int:
        """Wait until a command has ended, and look at what it left."""
        async with asyncio.timeout(_LIMIT_S):
            status = await process.wait()
        # 1 when rows are bad or uncertain
        if status not in {0, 1, *expected}:
            self.problems.append(f"run {self.runs} ended with {status}")
        if "Traceback" in (self.folder / f"err {self.runs}.txt").read_text(errors="replace"):
            self.problems.append(f"run {self.runs} ended with a traceback")
        self._look()
        return status

    async def after(self, process: Process, struck: bool, *expected: int) -> None:
        """Wait until a command has ended that was struck, or just not any more."""
        status = await self.ended(process, *(expected if struck else ()))
        if struck:
            self.strikes += 1
            self.statuses.append(status)

    def _look(self) -> None:
        found = {path.relative_to(self.out).as_posix() for path in self.out.rglob("*.*")}
        files = frozenset(it for it in found if it.endswith((".wav", ".png")))
        self._seen.append(Seen(files, len(self.sandbox.requests)))

    async def run(self, *words: str) -> int:
        """Run the command to its end; return its status."""
        return await self.ended(await self.start(*words))

    async def decide(self) -> tuple[int, int]:
        """Decide about uncertain rows as a person would who sees the account's history.

        Returns:
            How many rows had a task there, which was adopted, and how many had none and were
            submitted again.
        """
        uncertain = self.uncertain()
        adopted = [f"--adopt={row}={task}" for row, task in uncertain.items() if task]
        if adopted:
            await self.run(*adopted)
        if len(adopted) < len(uncertain):
            await self.run("--retry-uncertain")
        return len(adopted), len(uncertain) - len(adopted)

    def uncertain(self) -> dict[int, str | None]:
        """List the rows that nobody knows about, each with its task if the account has one."""
        rows = [row for row in table(self.out) if row["state"] == "uncertain"]
        owned = {row["task_id"] for row in table(self.out)}
        tasks = [(key, it) for key, it in self.sandbox.tasks.items() if key not in owned]
        found: dict[int, str | None] = {}
        for row in rows:
            asked = (row["title"], row["tags"])
            fits = [key for key, it in tasks if (it.request["title"], it.request["tags"]) == asked]
            free = [key for key in fits if key not in found.values()]
            found[int(row["row"])] = free[0] if free else None
        return found

    # --- what it came to

    def doubled(self) -> int:
        """Count what was paid for more often than it was asked for."""
        return (charged(self.sandbox) - contents(manifest_rows(self.folder))).total()

    def lost(self) -> int:
        """Count the tasks that were paid for and are not on disk whole."""
        rows = table(self.out)
        files = {task: [r["file"] for r in rows if r["task_id"] == task] for task in self._paid()}
        return sum(len(list(filter(None, names))) != 2 for names in files.values())

    def _paid(self) -> set[str]:
        return {entry.task_id for entry in self.sandbox.ledger if entry.kind == "charge"}

    def fetched_again(self) -> list[str]:
        """Name the files that were asked for although an earlier command had left them whole."""
        tracks = {row["file"].removesuffix(".wav"): row["track_id"] for row in table(self.out)}
        paths = [(it.path, _MEDIA.fullmatch(it.path)) for it in self.sandbox.requests]
        again: list[str] = []
        for seen in self._seen:
            asked = {
                f"{match['track']}.{match['ending']}"
                for _, match in paths[seen.requests :]
                if match is not None
            }
            for name in seen.files:
                stem, ending = name.removeprefix("covers/").rsplit(".", 1)
                if f"{tracks.get(stem)}.{ending}" in asked:
                    again.append(name)
        return sorted(set(again))

    async def broken(self) -> list[str]:
        """Name the files that do not sound as the track that the table names sounds."""
        wrong: list[str] = []
        async with aiohttp.ClientSession() as session:
            for row in table(self.out):
                if not row["file"]:
                    continue
                url = f"{self.sandbox.base_url}/cdn/{row['track_id']}.wav"
                async with session.get(url) as answer:
                    (self.folder / "heard.wav").write_bytes(await answer.read())
                if frames(self.folder / "heard.wav") != frames(self.out / row["file"]):
                    wrong.append(row["file"])
        return wrong

    async def check(self, files: int) -> dict[str, int]:
        """Count what there is, and note what is wrong with it."""
        again = self.fetched_again()
        broken = await self.broken()
        named = sorted(row["file"] for row in table(self.out) if row["file"])
        left = leftovers(self.out)
        wrong = {
            "paid twice": self.doubled(),
            "lost": self.lost(),
            "fetched again": again,
            "broken": broken,
            "left over": left,
            "not in the table": sorted(set(audio(self.out)) ^ set(named)),
            "twice in the table": len(named) - len(set(named)),
            "files missing": files - len(named),
        }
        self.problems += [f"{what}: {which}" for what, which in wrong.items() if which]
        return {
            "rows": contents(manifest_rows(self.folder)).total(),
            "submissions": len(self.sandbox.submissions),
            "refused_429": sum(it.code == 429 for it in self.sandbox.submissions),
            "charges": charged(self.sandbox).total(),
            "doubled": self.doubled(),
            "lost": self.lost(),
            "files": len(named),
            "files_fetched_again": len(again),
            "files_broken": len(broken),
            "left_over": len(left),
        }


# --- what strikes it --------------------------------------------------------------------------

# waits until it is to be struck
Moment = Callable[[], Awaitable[None]]
Strike = Callable[[Batch, Moment, random.Random], Awaitable[bool]]


async def _lives(process: Process, moment: Moment) -> bool:
    """Wait for the moment, or the command's end; tell whether it still runs."""
    ending = asyncio.ensure_future(process.wait())
    waiting = asyncio.ensure_future(moment())
    await asyncio.wait({ending, waiting}, return_when=asyncio.FIRST_COMPLETED)
    lives = not ending.done()
    for task in (ending, waiting):
        task.cancel()
    await asyncio.wait({ending, waiting})
    return lives


async def killed(batch: Batch, moment: Moment, _: random.Random) -> bool:
    """Kill the command; tell whether it still ran."""
    return await _signalled(batch, signal.SIGKILL, moment, -signal.SIGKILL)


async def hung_up(batch: Batch, moment: Moment, _: random.Random) -> bool:
    """Close its terminal, as the kernel tells it."""
    # before Python runs, nothing takes the signal
    both = (128 + signal.SIGHUP, -signal.SIGHUP)
    return await _signalled(batch, signal.SIGHUP, moment, *both)


async def _signalled(batch: Batch, number: signal.Signals, moment: Moment, *expected: int) -> bool:
    process = await batch.start()
    if struck := await _lives(process, moment):
        process.send_signal(number)
    await batch.after(process, struck, *expected)
    return struck


async def unread(batch: Batch, moment: Moment, _: random.Random) -> bool:
    """Close the pipe that it writes to."""
    reader, writer = os.pipe()
    process = await batch.start(stdout=writer)
    os.close(writer)
    struck = await _lives(process, moment)
    os.close(reader)
    await batch.after(process, struck, 128 + signal.SIGPIPE)
    return struck


async def cut_off(batch: Batch, moment: Moment, rng: random.Random) -> bool:
    """Cut its network for some seconds, half the time as a submission is answered.

    The command is to live through it; it is cut off again until it ends.
    """
    process = await batch.start()
    before = batch.line.cuts
    while batch.line.cuts < batch.most and await _lives(process, moment):
        seconds = rng.uniform(0.3, 3.0)
        cut = batch.line.cut_at_next_answer if rng.random() < 0.5 else batch.line.cut
        cut(seconds)
    cuts = batch.line.cuts - before
    await batch.after(process, cuts > 0)
    batch.strikes += max(cuts - 1, 0)
    return cuts > 0


STRIKES: dict[str, Strike] = {
    "kill -9": killed,
    "SIGHUP": hung_up,
    "closed pipe": unread,
    "cut network": cut_off,
}
