"""A real browser, in which pages are opened from disk."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field

from suno_async.cli.page import Run, write_page

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

NO_BROWSER = (
    "NO BROWSER, so nothing of the page is tested in one: "
    "apt-get install chromium (or name one in SUNO_TEST_BROWSER); pip install playwright"
)
_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_PATIENCE_S = 30
# the page's timers, of which none runs by itself in a test
TIMERS = "window.timers = []; window.setInterval = (work, ms) => timers.push([work.name, ms]);"
# a machine that is busy for seconds must not miss a sound of six
SLOWLY = """
document.addEventListener("loadedmetadata", ({ target }) => {
  target.defaultPlaybackRate = target.playbackRate = 0.1;
}, true);
"""
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}


def find_browser() -> str | None:
    """Name a Chromium of this machine."""
    named = os.environ.get("SUNO_TEST_BROWSER")
    return named or next(filter(None, map(shutil.which, _NAMES)), None)


@asynccontextmanager
async def launched() -> AsyncIterator["Browser"]:
    """Start a Chromium, or skip the test for want of one."""
    executable = find_browser()
    if executable is None:
        pytest.skip(NO_BROWSER)
    try:
        from playwright.async_api import async_playwright
    except ImportError:
        pytest.skip(NO_BROWSER)
    # Chromium's sandbox needs rights of its own that root in a container does not have
    arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


@define
class Viewer:
    """Opens the pages of a folder, and notes what they ask for and complain of.

    Attributes:
        folder: The run's folder.
        complaints: Errors and warnings of the console, and uncaught ones.
        requests: The addresses that were asked for.
    """

    folder: Path
    browser: "Browser"
    complaints: list[str] = field(factory=list)
    requests: list[str] = field(factory=list)
    expected: tuple[str, ...] = ()

    async def open(
        self,
        run: Run,
        *,
        script: str | None = None,
        viewport: Mapping[str, int] | None = None,
        **options: Any,
    ) -> "Page":
        """Write the page of a run and open it from disk.

        Args:
            run: The run.
            script: Runs in the page before its own. No timer of the page's runs by itself,
                and what is played takes ten times as long.
            viewport: The window's size.
            options: Further options of the browser's context.
        """
        path = write_page(run, self.folder)
        return await self.show(path, script=script, viewport=viewport, **options)

    async def show(
        self,
        path: Path,
        *,
        script: str | None = None,
        viewport: Mapping[str, int] | None = None,
        **options: Any,
    ) -> "Page":
        """Open a page that is on disk, as `open` does."""
        size: Any = viewport or DESKTOP
        context = await self.browser.new_context(viewport=size, **options)
        await context.add_init_script(TIMERS + SLOWLY + (script or ""))
        page = await context.new_page()
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        await page.goto(path.as_uri())
        return page

    def _note(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"} and not any(part in text for part in self.expected):
            self.complaints.append(f"{kind}: {text}")

    def check(self) -> None:
        """Make sure that the pages were content, and asked for nothing outside their folder."""
        assert self.complaints == []
        home = self.folder.as_uri() + "/"
        outside = [url for url in self.requests if not url.startswith((home, "data:", "blob:"))]
        assert outside == []


async def until(page: "Page", expression: str) -> Any:
    """Wait until an expression is true in the page, and return it.

    The page's own policy forbids what Playwright would do here: evaluate a text within it.
    """
    async with asyncio.timeout(_PATIENCE_S):
        while not (value := await page.evaluate(expression)):  # noqa: ASYNC110 - a page sets no event
            await asyncio.sleep(0.02)
    return value
