"""The command in a process of its own, as a person starts it."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from attrs import define, field, frozen

import suno_async
from suno_async.sandbox import Sandbox

from .preloaded import Call, Forked, Server

_CALL = "from suno_async.cli import main; main()"
_LIMIT_S = 60.0


@frozen
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str


@define(eq=False)
class Running:
    """A command that runs."""

    process: asyncio.subprocess.Process | Forked
    seen: str = ""

    async def until(self, text: str) -> str:
        """Wait until it has printed a line with this text; return the line."""
        assert self.process.stdout is not None
        async with asyncio.timeout(_LIMIT_S):
            while line := (await self.process.stdout.readline()).decode():
                self.seen += line
                if text in line:
                    return line
        raise AssertionError(f"{text!r} was never printed, but: {self.seen}")

    async def end(self) -> Ended:
        """Wait until it ends."""
        async with asyncio.timeout(_LIMIT_S):
            out, err = await self.process.communicate()
        ended = Ended(self.process.returncode or 0, self.seen + out.decode(), err.decode())
        assert "Traceback" not in ended.out + ended.err
        return ended


@frozen
class Command:
    """Starts the command in a folder.

    Args:
        folder: Where it runs.
        sandbox: The service.
        server: Starts it without loading its libraries again.
    """

    folder: Path
    sandbox: Sandbox
    server: Server
    _started: list[asyncio.subprocess.Process | Forked] = field(
        factory=list[asyncio.subprocess.Process | Forked], init=False, eq=False
    )

    @property
    def service(self) -> tuple[str, ...]:
        """The options that lead to the sandbox, and let it be looked at often."""
        return "--base-url", self.sandbox.base_url, "--interval", "0.34"

    @property
    def environment(self) -> dict[str, str]:
        """What it finds around it: nothing of the machine's own configuration."""
        own = {"APIKLEY_API_KEY": self.sandbox.api_key, "APIKLEY_BASE_URL": ""}
        return {**os.environ, **own, "XDG_CONFIG_HOME": str(self.folder / "config")}

    async def start(
        self,
        *words: str,
        key: str | None = None,
        before: Callable[[], object] | None = None,
        env: Mapping[str, str] | None = None,
        call: str | None = None,
    ) -> Running:
        """Start it with the sandbox's key, or another one.

        With `before`, which runs in the new process, or a `call` of Python that leads to the
        command, an interpreter of its own is started for it.
        """
        root = str(Path(suno_async.__file__).parent.parent)
        given = {"APIKLEY_API_KEY": key} if key is not None else {}
        environment = {**self.environment, "PYTHONPATH": root, **given, **(env or {})}
        process: asyncio.subprocess.Process | Forked
        if before is None and call is None:
            process = await self.server.start_read(Call(self.folder, environment, words))
        else:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", call or _CALL, *words),
                cwd=self.folder,
                env=environment,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                preexec_fn=before,
            )
        self._started.append(process)
        return Running(process)

    async def end_all(self) -> None:
        """End what a test that failed has left running."""
        for process in self._started:
            if process.returncode is None:
                process.kill()
                await process.communicate()

    async def run(
        self,
        *words: str,
        key: str | None = None,
        before: Callable[[], object] | None = None,
        env: Mapping[str, str] | None = None,
        call: str | None = None,
    ) -> Ended:
        """Run it to its end."""
        running = await self.start(*words, key=key, before=before, env=env, call=call)
        return await running.end()


def printed_words(*arguments: str) -> set[str]:
    """Run an interpreter that finds this package, and tell the words that it prints."""
    ended = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(Path(suno_async.__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(ended.stdout.split())
