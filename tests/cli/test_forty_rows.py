"""Forty rows of which five are bad, each in its own way: what comes of them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from attrs import frozen

from suno_async.sandbox import Sandbox
from tests.page.browser import DESKTOP, PHONE, Viewer, until
from tests.page.conftest import browser
from tests.page.test_render import data_of

from .albums import (
    BAD,
    STEMS,
    audio,
    charged,
    contents,
    frames,
    leftovers,
    manifest_rows,
    mixed_rows,
    table,
    write_album,
)
from .command import Command, Ended
from .preloaded import Server

if TYPE_CHECKING:
    from playwright.async_api import Browser

__all__ = ["browser"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

GOOD = 35


@frozen
class Album:
    """What the command has made of forty rows.

    Attributes:
        folder: Where the manifest is.
        lines: Its rows, by the line where each begins.
        ended: How the command ended.
        service: What was asked of it.
    """

    folder: Path
    lines: dict[int, str]
    ended: Ended
    service: Sandbox

    @property
    def out(self) -> Path:
        """The run's folder."""
        return self.folder / "album"

    @property
    def page(self) -> Path:
        """The page of the run."""
        return self.out / "index.html"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def album(tmp_path_factory: pytest.TempPathFactory, server: Server) -> AsyncIterator[Album]:
    """Run the command once, at a service that finishes every task at once."""
    folder = tmp_path_factory.mktemp("forty")
    lines = write_album(folder, mixed_rows(GOOD))
    words = ("--manifest", "songs.csv", "--out", "album", "--yes")
    async with Sandbox(time_scale=0, submissions_per_window=None, callbacks=False) as sandbox:
        command = Command(folder, sandbox, server)
        ended = await command.run("generate", *command.service, *words)
        yield Album(folder, lines, ended, sandbox)


async def test_each_bad_row_is_reported(album: Album) -> None:
    """Once, with its line; what else is said speaks of the whole manifest."""
    assert len(album.lines) == 40
    said = album.ended.err.splitlines()
    reports = [line for line in said if not line.startswith("songs.csv: ")]
    bad = {line: BAD[row] for line, row in album.lines.items() if row in BAD}
    assert len(reports) == len(bad) == 5
    for report, (line, reason) in zip(reports, bad.items(), strict=True):
        assert report.startswith(f"songs.csv:{line}: {reason}")
    assert album.ended.status == 1


async def test_each_good_row_is_two_files(album: Album) -> None:
    """Each sounds, is as long as its stem, and like no other; the table names it."""
    rows = table(album.out)
    assert len(rows) == 75
    saved = [row for row in rows if row["file"]]
    assert sorted(row["file"] for row in saved) == audio(album.out)
    assert len(saved) == 70
    heard = set[str]()
    for row in saved:
        seconds, digest = frames(album.out / row["file"])
        assert seconds == pytest.approx(STEMS[Path(row["stem"]).name], abs=0.001)
        assert row["title"] in album.lines[int(row["line"])]
        heard.add(digest)
    assert len(heard) == 70
    assert leftovers(album.out) == []


async def test_each_good_row_is_paid_for_once(album: Album) -> None:
    """And each content of a stem uploaded once."""
    assert charged(album.service) == contents(manifest_rows(album.folder))
    uploads = [it for it in album.service.requests if "file-stream-upload" in it.path]
    assert len(uploads) == len(STEMS)


async def test_the_page_has_each_row(album: Album) -> None:
    """In the order of the manifest, with its tracks or its reason."""
    shown = data_of(album.page.read_text(encoding="utf-8"))["rows"]
    assert [row["line"] for row in shown] == list(album.lines)
    for row in shown:
        if album.lines[row["line"]] in BAD:
            assert row["status"] == "failed"
            assert row["reason"].startswith(BAD[album.lines[row["line"]]])
        else:
            assert (row["status"], len(row["tracks"])) == ("complete", 2)


@pytest_asyncio.fixture(loop_scope="module")
async def viewer(browser: "Browser", album: Album) -> AsyncIterator[Viewer]:
    """Opens the page; makes sure that it was content, and asked for nothing elsewhere."""
    viewer = Viewer(album.out, browser)
    yield viewer
    for context in browser.contexts:
        await context.close()
    viewer.check()


# what the players of one row say of their files
DURATIONS = """(id) => {
  const row = rows.find((row) => row.node.id === id);
  return row.lanes.map((lane) => [lane.name, lane.audio?.duration ?? null]);
}"""


async def test_its_players_play_in_a_browser(album: Album, viewer: Viewer) -> None:
    """The stem and both tracks of a row, each as long as it is."""
    page = await viewer.show(album.page)
    assert await page.get_by_role("article").count() == 40
    for number in (1, 20, 40):
        row = next(row for row in table(album.out) if row["row"] == str(number))
        seconds = STEMS[Path(row["stem"]).name]
        article = page.locator(f"#row-{number}")
        await article.get_by_role("button", name="Play Track B").click()
        played = "player.playing || player.audio?.ended"
        await until(page, f"({played}) && player.row.lanes.every((lane) => lane.ready)")
        found: Any = await page.evaluate(DURATIONS, f"row-{number}")
        assert [name for name, _ in found] == ["Stem", "A", "B"]
        for _, duration in found:
            assert duration == pytest.approx(seconds, abs=0.01)


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_its_rows_are_found_in_a_browser(
    album: Album, viewer: Viewer, viewport: dict[str, int]
) -> None:
    """By title; bad ones say why; nothing is wider than the window."""
    page = await viewer.show(album.page, viewport=viewport)
    width = await page.evaluate("document.documentElement.scrollWidth")
    assert width <= viewport["width"]
    row = table(album.out)[20]
    for query, title in ((row["task_id"], row["title"]), ("nowhere.wav", "Nowhere")):
        await page.locator("#query").fill(query)
        await until(page, "document.querySelectorAll('article:not([hidden])').length > 0")
        shown = [
            await article.locator("h2").inner_text()
            for article in await page.get_by_role("article").all()
            if await article.is_visible()
        ]
        assert len(shown) == 1
        assert title in shown[0]
    reason = page.get_by_text("must be a readable file", exact=False)
    assert await reason.first.is_visible()
