"""Who reads the page otherwise: axe-core's rules, landmarks, names; and how soon it is there."""

from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

import pytest
from attrs import evolve

from suno_async.cli.page import Run

from .browser import DESKTOP, PHONE, Viewer, until
from .runs import MADE_AT, complete_row, mixed_run

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = pytest.mark.asyncio(loop_scope="module")

RUN_AXE = """axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) =>
  violations.map(({ id, impact, nodes }) => [id, impact, nodes.map((node) => node.html)]))"""


async def violations(page: "Page") -> list[Any]:
    """Let axe-core look at a page, whose own policy must be set aside for that."""
    pytest.importorskip("axe_playwright_python", reason="axe-playwright-python brings axe-core")
    axe = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    await page.evaluate(axe)
    return list(await page.evaluate(RUN_AXE))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_axe_finds_nothing(viewer: Viewer, viewport: dict[str, int], scheme: str) -> None:
    """With marks, an open row, a selected track and all statuses in view."""
    page = await viewer.open(
        mixed_run(viewer.folder), viewport=viewport, color_scheme=scheme, bypass_csp=True
    )
    await page.add_style_tag(content=".row { content-visibility: visible !important; }")
    await page.locator("#keys summary").click()
    await page.locator("#row-1 summary").click()
    await page.get_by_role("button", name="Keep Track A").first.click()
    await page.get_by_role("button", name="Drop Track B").first.click()
    await page.locator("#row-1 .position").focus()
    await page.keyboard.press("3")
    await until(page, "player.lane.name === 'B'")
    # colours that are on their way to others have no contrast yet
    await until(page, "document.getAnimations().length === 0")
    assert await violations(page) == []


async def test_axe_finds_nothing_in_a_page_without_rows(viewer: Viewer) -> None:
    """An empty run has a page, too."""
    page = await viewer.open(Run("Empty", (), MADE_AT), bypass_csp=True)
    assert await violations(page) == []
    assert await page.locator("#standing").text_content() == "0 of 0 rows finished"


async def test_landmarks_and_names(viewer: Viewer) -> None:
    """A screen reader finds the parts of the page, each row by its title, each button by name."""
    page = await viewer.open(mixed_run(viewer.folder))
    roles: tuple[Literal["banner", "main", "search"], ...] = ("banner", "main", "search")
    for role in roles:
        assert await page.get_by_role(role).count() == 1, role
    assert await page.get_by_role("heading", level=1).text_content() == "Spring album"
    assert await page.get_by_role("heading", level=2).count() == 6
    assert await page.get_by_role("listitem").count() == 6
    row = page.get_by_role("article", name="1 Blue harbour")
    names = await row.get_by_role("button").evaluate_all("(all) => all.map((b) => b.ariaLabel)")
    assert names == [
        "Play Stem",
        "Play Track A",
        "Keep Track A",
        "Drop Track A",
        "Play Track B",
        "Keep Track B",
        "Drop Track B",
    ]
    slider = row.get_by_role("slider", name="Position")
    assert await slider.get_attribute("aria-valuetext") == "0:00 of 0:06"
    await slider.press("End")
    assert await slider.get_attribute("aria-valuetext") == "0:06 of 0:06"
    await row.get_by_role("button", name="Keep Track A").click()
    assert await page.locator("#said").text_content() == "Track A: keep"
    assert await page.locator("#said").get_attribute("role") == "status"


async def test_what_has_the_focus_can_be_seen(viewer: Viewer) -> None:
    """By keyboard, everything that can be reached has an outline."""
    page = await viewer.open(mixed_run(viewer.folder))
    seen = set()
    for _ in range(25):
        await page.keyboard.press("Tab")
        name, outline = await page.evaluate(
            "(({ activeElement: it }) => [it.tagName, getComputedStyle(it).outlineStyle])(document)"
        )
        seen.add(name)
        assert outline != "none", name
    assert {"A", "INPUT", "SELECT", "BUTTON", "SUMMARY"} <= seen


async def test_five_hundred_rows_open_quickly(
    viewer: Viewer, record_property: Callable[[str, object], None]
) -> None:
    """No audio is asked for, and few covers; the rows can be searched and sorted at once."""
    row = complete_row(viewer.folder, 1, "Blue harbour")
    rows = tuple(evolve(row, position=number, title=f"Song {number}") for number in range(1, 501))
    page = await viewer.open(Run("Many", rows, MADE_AT))
    assert await page.locator("li.row").count() == 500
    took_ms = await page.evaluate(
        "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
    )
    assert await page.locator("audio").count() == 0
    assert not [url for url in viewer.requests if url.endswith(".wav")]
    assert await page.evaluate("document.querySelectorAll('.shape').length") < 300
    search_ms = await page.evaluate(
        "(() => { const began = performance.now(); byId('query').value = 'song 77'; find();"
        " document.body.offsetHeight; return performance.now() - began; })()"
    )
    record_property("open_ms", round(took_ms))
    record_property("search_ms", round(search_ms))
    # a quick machine takes a sixtieth of this
    assert took_ms < 30_000
    assert search_ms < 15_000
    # what is displayed as a list item is counted again for each that is hidden: seconds
    display = await page.evaluate(
        "getComputedStyle(document.querySelector('li.row:not([hidden])')).display"
    )
    assert display == "block"
