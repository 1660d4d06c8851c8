"""A service on this machine, and a folder with stems."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from suno_async.sandbox import Sandbox, sing

from .command import Command


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """The service, hundreds of times faster."""
    async with Sandbox(time_scale=0.002, callbacks=False) as sandbox:
        yield sandbox


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a short and a long stem."""
    (tmp_path / "short.wav").write_bytes(sing(0.5))
    (tmp_path / "long.wav").write_bytes(sing(6))
    return tmp_path


@pytest.fixture
def command(folder: Path, sandbox: Sandbox) -> Command:
    """The command, in the folder and with the sandbox as service."""
    return Command(folder, sandbox)
