"""Processes of the service, which may be killed, and a load balancer in front of them."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from attrs import define, field

from suno_async.sandbox import Sandbox
from tests.callbacks.hosting import free_port
from tests.world import RawService, tcp_service

ROOT = Path(__file__).parents[3]
# importing all of it takes seconds on a machine that is busy
_START_WITHIN_S = 40.0


def write_example(folder: Path) -> None:
    """Write the README's service into a module of a folder."""
    readme = (ROOT / "README.md").read_text()
    section = readme.partition("\n## Jobs that outlive the process\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"(?ms)^```python\n(.*?)^```", section)
    (code,) = (block for block in blocks if "FastAPI(" in block)
    (folder / "example.py").write_text(code)


def environment(sandbox: Sandbox, database: str, public_url: str) -> dict[str, str]:
    """Give the variables that the service reads."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "APIKLEY_API_KEY": sandbox.api_key,
        "APIKLEY_URL": sandbox.base_url,
        "DATABASE_URL": database,
        "PUBLIC_URL": f"{public_url}/suno",
        "CALLBACK_SECRET": "a secret that all processes have",
    }


@define
class ServiceProcess:
    """A process that serves the example with uvicorn.

    Args:
        folder: Where the example is.
        variables: Its environment.

    Attributes:
        port: Where it listens, also when it was killed and started again.
    """

    folder: Path
    variables: Mapping[str, str]
    port: int = field(factory=free_port)
    _process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start it, and wait until it serves."""
        options = ("--app-dir", str(self.folder), "--port", str(self.port))
        quiet = ("--log-level", "warning", "--timeout-graceful-shutdown", "1")
        with (self.folder / f"{self.port}.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "uvicorn", "example:app", *options, *quiet),
                env=self.variables,
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(_START_WITHIN_S):
            while not await self._answers():
                assert self._process.returncode is None, self.log
                await asyncio.sleep(0.05)

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    @property
    def log(self) -> str:
        """What it has written."""
        return (self.folder / f"{self.port}.log").read_text()

    async def end(self, number: signal.Signals) -> None:
        """Send it a signal, and wait for its end."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
        await self._process.wait()


@asynccontextmanager
async def serving(*processes: ServiceProcess) -> AsyncIterator[None]:
    """Run processes."""
    try:
        await asyncio.gather(*(process.start() for process in processes))
        yield
    finally:
        for process in processes:
            await process.end(signal.SIGKILL)


@asynccontextmanager
async def balancer(ports: Sequence[int]) -> AsyncIterator[RawService]:
    """Hand each connection to the next port at which something listens."""
    turn = 0

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal turn
        turn += 1
        for port in (*ports[turn % len(ports) :], *ports):
            with suppress(OSError):
                inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
                break
        else:
            return
        ways = [
            asyncio.create_task(_pass_on(reader, inner_writer)),
            asyncio.create_task(_pass_on(inner_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            inner_writer.close()

    async with tcp_service(relay) as service:
        yield service


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
