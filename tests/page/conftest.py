"""A browser for the tests of a module, a folder and a viewer for each."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest_asyncio

from .browser import Viewer, launched

if TYPE_CHECKING:
    from playwright.async_api import Browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator["Browser"]:
    """A headless Chromium; without one, whoever asks is skipped."""
    async with launched() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def viewer(browser: "Browser", tmp_path: Path) -> AsyncIterator[Viewer]:
    """Opens pages of a fresh folder; checks in the end that none complained or left it."""
    viewer = Viewer(tmp_path / "run #1 50%?", browser)
    viewer.folder.mkdir()
    yield viewer
    for context in browser.contexts:
        await context.close()
    viewer.check()
