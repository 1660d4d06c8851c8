"""A service on this machine, and a folder with stems."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from suno_async.sandbox import Sandbox, sing

from .command import Command
from .preloaded import Server


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """The service, hundreds of times faster."""
    async with Sandbox(time_scale=0.002, callbacks=False) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def stems() -> dict[str, bytes]:
    """A short and a long stem, by file name."""
    return {"short.wav": sing(0.5), "long.wav": sing(6)}


@pytest.fixture
def folder(tmp_path: Path, stems: dict[str, bytes]) -> Path:
    """A folder with the stems."""
    for name, stem in stems.items():
        (tmp_path / name).write_bytes(stem)
    return tmp_path


@pytest.fixture(scope="session")
def server() -> Server:
    """What starts commands."""
    return Server()


@pytest.fixture
async def command(folder: Path, sandbox: Sandbox, server: Server) -> AsyncIterator[Command]:
    """The command, in the folder and with the sandbox as service; none is left running."""
    command = Command(folder, sandbox, server)
    yield command
    await command.end_all()
