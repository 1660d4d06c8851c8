"""Fields that want to be more than text, in a real browser."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from suno_async.cli.page import RowStatus, RowView, Run, StageTime, StemView, TrackView

from .browser import PHONE, Viewer, until
from .runs import MADE_AT, audio, put

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = (
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    "\"><svg onload=window.hacked=1>' onmouseover='window.hacked=1",
    "<!--<script>",
    "]]></style></title></textarea><script>window.hacked=1</script>",
    "javascript:window.hacked=1",
    "{{ 7 * 7 }} {% raw %} ${7 * 7} `${window.hacked = 1}`",
    "\u202egpj.exe\u2066\u2067\u200f",
    "\u2028\u2029\0\x1b[2J\x07\ufeff\ud800",
    "&lt;b&gt; &amp; \\u003c",
    "__proto__",
    "A" * 10_000,
)
# as the browser has it: what JSON says, with line ends as they are
NAMES = (
    "#1 50% what? & more.wav",
    "javascript:window.hacked=1.wav",
    "a\"b<c>'d`.wav",
    "name with \u202e \u2028 \n\t\\ ☃ é.wav",
    "...wav",
    "%2e%2e%2f.wav",
    "//host.example/x.wav",
    "C:\\x.wav",
)


def hostile_row(folder: Path, position: int, text: str) -> RowView:
    """Make a row that has the text in every field."""
    return RowView(
        position,
        text,
        RowStatus.UNCERTAIN,
        line=position,
        tags=text,
        negative_tags=text,
        model=text,
        task_id=text,
        stages=(StageTime(text, float("nan")), StageTime(text, 1e300)),
        reason=text,
        stem=StemView(text, duration_s=float("inf")),
        tracks=(
            TrackView(text, text, cover=text, title=text, tags=text, model_name=text),
            TrackView("B", put(folder, f"{position}.wav", audio().b), title=text),
        ),
        extra=((text, text), ("__proto__", text)),
    )


async def content(page: "Page") -> dict[str, object]:
    """Count what only the page's own makers may put there."""
    return dict(
        await page.evaluate(
            """() => ({
              hacked: window.hacked ?? null,
              scripts: document.scripts.length,
              frames: document.querySelectorAll("iframe, object, embed, base").length,
              handlers: Array.from(document.querySelectorAll("*")).filter((element) =>
                Array.from(element.attributes).some(({ name }) => name.startsWith("on"))).length,
              schemes: Array.from(document.querySelectorAll("[href], [src]"))
                .map((element) => new URL(element.href || element.src).protocol)
                .filter((scheme) => !["file:", "data:"].includes(scheme)),
            })"""
        )
    )


async def test_every_field_stays_text(viewer: Viewer) -> None:
    """Nothing runs, nothing is asked for, and the texts are there as they were."""
    # files of these names are not there
    viewer.expected = ("ERR_FILE_NOT_FOUND", "ERR_ACCESS_DENIED", "ERR_INVALID_URL")
    rows = tuple(hostile_row(viewer.folder, at, text) for at, text in enumerate(HOSTILE, 1))
    run = Run(HOSTILE[0], rows, MADE_AT, key=HOSTILE[2])
    page = await viewer.open(run)
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    await page.evaluate(
        "document.querySelectorAll('details').forEach((details) => { details.open = true; })"
    )
    for number in range(1, len(rows) + 1):
        await page.locator(f"#row-{number}").scroll_into_view_if_needed()
        await page.locator(f"#row-{number} [data-mark=keep]").last.click()
    await until(page, "document.querySelectorAll('dl:empty').length === 0")
    await until(page, "rows.at(-1).lanes.at(-1).wave !== null")

    assert await content(page) == {
        "hacked": None,
        "scripts": 2,
        "frames": 0,
        "handlers": 0,
        "schemes": [],
    }
    assert dialogs == []
    assert await page.title() == HOSTILE[0]
    assert await page.locator("h1").text_content() == HOSTILE[0]
    for number, text in enumerate(HOSTILE, 1):
        row = page.locator(f"#row-{number}")
        assert await row.locator("h2 bdi").text_content() == text
        assert await row.locator("p.tags").text_content() == text
        assert await row.locator(".reason").text_content() == text
        shown = await row.locator("dd").all_text_contents()
        # a template's text appears once for each field that has it
        assert shown.count(text) >= 10


async def test_a_long_text_widens_nothing_on_a_phone(viewer: Viewer) -> None:
    """Whatever the row says, one column is enough."""
    viewer.expected = ("ERR_FILE_NOT_FOUND", "ERR_ACCESS_DENIED", "ERR_INVALID_URL")
    rows = tuple(hostile_row(viewer.folder, at, text) for at, text in enumerate(HOSTILE, 1))
    page = await viewer.open(Run("T" * 10_000, rows, MADE_AT), viewport=PHONE)
    await page.evaluate(
        "document.querySelectorAll('details').forEach((details) => { details.open = true; })"
    )
    widest = 0
    for number in range(1, len(rows) + 1):
        await page.locator(f"#row-{number}").scroll_into_view_if_needed()
        widest = max(widest, await page.evaluate("document.documentElement.scrollWidth"))
    assert widest <= PHONE["width"]


@pytest.mark.parametrize("name", NAMES)
async def test_a_file_of_any_name_is_that_file(viewer: Viewer, name: str) -> None:
    """It plays, or is not there; no name is an address of something else."""
    folder = viewer.folder
    file = name if "/" in name else put(folder, name, audio().b)
    row = RowView(1, "t", RowStatus.COMPLETE, tracks=(TrackView("A", file),))
    page = await viewer.open(Run("Names", (row,), MADE_AT, going_on=False))
    button = page.get_by_role("button", name="Play Track A")
    if "/" in name:
        assert await button.is_disabled()
        return
    await button.click()
    await until(page, "player.playing")
    assert viewer.requests[-1].startswith(folder.as_uri() + "/")


async def test_a_stem_on_the_web_is_a_link_and_not_loaded(viewer: Viewer) -> None:
    """Its host is named; the page goes nowhere by itself."""
    stem = StemView("https://stems.example/a%20b.wav?x=1")
    row = RowView(1, "t", RowStatus.COMPLETE, stem=stem)
    page = await viewer.open(Run("Web", (row,), MADE_AT, going_on=False))
    link = page.get_by_role("link", name="listen on the web")
    assert await link.get_attribute("href") == stem.source
    assert await link.get_attribute("rel") == "noreferrer noopener"
    assert await page.get_by_role("button", name="Play Stem").is_disabled()
    assert await page.locator(".host").text_content() == "stems.example"
