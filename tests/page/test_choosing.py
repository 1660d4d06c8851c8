"""Finding, marking, and reloading, in a real browser."""

import csv
import io
from typing import TYPE_CHECKING

import pytest
from attrs import evolve

from suno_async.cli.page import RowStatus, RowView, Run, StageTime, TrackView, write_page

from .browser import Viewer, until
from .runs import MADE_AT, mixed_run

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = pytest.mark.asyncio(loop_scope="module")

REFUSED = """
for (const name of ["localStorage", "sessionStorage"]) {
  Object.defineProperty(window, name, {
    get() { throw new DOMException("refused", "SecurityError"); },
  });
}
"""


async def visible(page: "Page") -> list[int]:
    """List the rows that are shown, in their order."""
    return list(
        await page.evaluate(
            "Array.from(document.querySelectorAll('li.row:not([hidden])'), "
            "(node) => shown.get(node).source.position)"
        )
    )


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("amber", [2]),
        ("ELAN", [3]),
        ("451", [3]),
        ("radio nord", [1, 2]),
        ("piano warm", [1]),
        ("charged", [6]),
        ("no such thing", []),
        ("  ", [1, 2, 3, 4, 5, 6]),
    ],
)
async def test_search_finds_rows_by_all_they_show(
    viewer: Viewer, text: str, rows: list[int]
) -> None:
    """Every word must be there, whatever its case and accents; the number found is said."""
    page = await viewer.open(mixed_run(viewer.folder))
    await page.get_by_label("Search").fill(text)
    assert await visible(page) == rows
    count = "6 rows" if len(rows) == 6 else f"{len(rows)} of 6 rows"
    assert await page.locator("#found").text_content() == count


async def test_rows_are_chosen_by_status_and_mark(viewer: Viewer) -> None:
    """Both work together with the search."""
    page = await viewer.open(mixed_run(viewer.folder))
    show = page.get_by_label("Show")
    for value, rows in (("complete", [1, 2]), ("troubled", [3, 6]), ("going", [4, 5])):
        await show.select_option(value)
        assert await visible(page) == rows
    await page.get_by_label("Search").fill("Snow")
    assert await visible(page) == [5]
    await page.get_by_label("Search").fill("")
    await show.select_option("all")

    await page.locator("#row-2").get_by_role("button", name="Keep Track B").click()
    await show.select_option("keep")
    assert await visible(page) == [2]
    await show.select_option("unmarked")
    assert await visible(page) == [1, 2]


def sortable() -> Run:
    """Make a run whose orders differ."""
    values = (
        ("b 10", RowStatus.COMPLETE, 3.0, 40.0, "V5"),
        ("B 9", RowStatus.FAILED, None, None, "V4"),
        ("á", RowStatus.RUNNING, None, 9.0, "V5"),
        ("C", RowStatus.COMPLETE, 200.0, 41.5, "V4"),
    )
    return Run(
        "Sorted",
        tuple(
            RowView(
                position,
                title,
                status,
                model=model,
                stages=(StageTime("text", after_s),) if after_s else (),
                tracks=(TrackView("A", f"{position}.wav", duration_s=length, waveform=()),)
                if length
                else (),
            )
            for position, (title, status, length, after_s, model) in enumerate(values, 1)
        ),
        MADE_AT,
        going_on=False,
    )


async def test_rows_are_sorted(viewer: Viewer) -> None:
    """Numbers count as numbers, accents do not; equals keep the manifest's order."""
    page = await viewer.open(sortable())
    for value, rows in (
        ("title", [3, 2, 1, 4]),
        ("status", [2, 3, 1, 4]),
        ("duration", [4, 1, 2, 3]),
        ("taken", [4, 1, 3, 2]),
        ("model", [2, 4, 1, 3]),
        ("position", [1, 2, 3, 4]),
    ):
        await page.get_by_label("Sort by").select_option(value)
        assert await visible(page) == rows, value


async def test_what_was_searched_and_sorted_survives_a_reload(viewer: Viewer) -> None:
    """A page that was rebuilt looks as the one before."""
    page = await viewer.open(mixed_run(viewer.folder))
    await page.get_by_label("Sort by").select_option("title")
    await page.get_by_label("Search").fill("e")
    before = await visible(page)
    await page.reload()
    assert await visible(page) == before
    assert await page.get_by_label("Search").input_value() == "e"


async def exported(page: "Page") -> list[list[str]]:
    """Export the marks and read the file."""
    async with page.expect_download() as expected:
        await page.get_by_role("button", name="Export marks").click()
    download = await expected.value
    assert download.suggested_filename == "marks.csv"
    path = await download.path()
    text = path.read_bytes().decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline="")))


async def test_marks_are_kept_and_exported(viewer: Viewer) -> None:
    """A mark is set, changed and taken back; a reload keeps it; the table has every track."""
    page = await viewer.open(mixed_run(viewer.folder))
    first, second = page.locator("#row-1"), page.locator("#row-2")
    await first.get_by_role("button", name="Keep Track A").click()
    await first.get_by_role("button", name="Keep Track B").click()
    await first.get_by_role("button", name="Drop Track B").click()
    await second.get_by_role("button", name="Keep Track A").click()
    await second.get_by_role("button", name="Keep Track A").click()

    await page.reload()

    pressed = first.get_by_role("button", pressed=True)
    assert await pressed.evaluate_all("(all) => all.map((button) => button.ariaLabel)") == [
        "Keep Track A",
        "Drop Track B",
    ]
    table = await exported(page)
    assert table[0] == ["row", "line", "task_id", "title", "track", "file", "mark"]
    assert [[line[0], line[3], *line[4:]] for line in table[1:]] == [
        ["1", "Blue harbour", "A", "01 Blue harbour - A.wav", "keep"],
        ["1", "Blue harbour", "B", "01 Blue harbour - B.wav", "drop"],
        ["2", "Amber road", "A", "02 Amber road - A.wav", ""],
        ["2", "Amber road", "B", "02 Amber road - B.wav", ""],
    ]


async def test_another_runs_marks_are_others(viewer: Viewer) -> None:
    """All pages on a disk share one storage: a run's key keeps them apart."""
    run = mixed_run(viewer.folder)
    page = await viewer.open(run)
    await page.locator("#row-1").get_by_role("button", name="Keep Track A").click()
    write_page(evolve(run, key="run-2"), viewer.folder)
    await page.reload()
    assert await page.get_by_role("button", pressed=True).count() == 0


FORMULAS = (
    "=HYPERLINK(1)",
    "+1",
    "-1",
    "@SUM(1)",
    "  =1",
    "\uff1d1",
    '="a","b"',
    "plain; text",
    'a "quote", a comma\nand a line',
    "\t=1",
    "a;=1;b; -2",
)


async def test_no_cell_of_the_export_is_a_formula(viewer: Viewer) -> None:
    """What a spreadsheet would calculate is made text; all else comes back as it was."""
    rows = tuple(
        RowView(
            number,
            title,
            RowStatus.COMPLETE,
            task_id=title,
            tracks=(TrackView("A", f"{number}.wav", waveform=()),),
        )
        for number, title in enumerate(FORMULAS, 1)
    )
    page = await viewer.open(Run("Formulas", rows, MADE_AT, going_on=False))
    titles = [line[3] for line in (await exported(page))[1:]]
    assert titles[:7] == [f"'{title}" for title in FORMULAS[:7]]
    assert titles[7:9] == list(FORMULAS[7:9])
    assert titles[9:] == ["'\t'=1", "a;'=1;b; '-2"]


async def test_a_browser_that_keeps_nothing_says_so(viewer: Viewer) -> None:
    """All works but keeping, also the export."""
    page = await viewer.open(mixed_run(viewer.folder), script=REFUSED)
    assert await page.locator("#notice").is_hidden()
    await page.locator("#row-1").get_by_role("button", name="Keep Track A").click()
    assert "does not keep your marks" in (await page.locator("#notice").text_content() or "")
    assert (await exported(page))[1][-1] == "keep"


async def test_a_page_with_news_to_come_reloads_by_itself(viewer: Viewer) -> None:
    """It says how many rows are finished, and when that was so; idle, it looks for more."""
    run = mixed_run(viewer.folder)
    page = await viewer.open(run)
    assert await page.locator("#standing").text_content() == "4 of 6 rows finished"
    assert await page.locator("#made").get_attribute("datetime") == MADE_AT.isoformat()
    assert await page.evaluate("timers") == [["lookForNews", 15_000]]
    assert not await page.evaluate("touched = Date.now() + 60000, lookForNews()")

    write_page(evolve(run, title="Later"), viewer.folder)
    async with page.expect_navigation():
        await page.evaluate("touched = 0, setTimeout(lookForNews, 0), null")

    assert await page.title() == "Later"


@pytest.mark.parametrize(
    "doing",
    [
        "byId('query').value = 'x'",
        "document.querySelector('#row-1 details').open = true",
        "document.querySelector('#row-2 .play').focus()",
        "byId('auto').checked = false",
        "getSelection().selectAllChildren(document.querySelector('h2'))",
        "player.toggle(rows[0], rows[0].lanes[1])",
    ],
    ids=["a search", "open details", "a focus", "switched off", "selected text", "playing"],
)
async def test_who_is_busy_is_not_disturbed(viewer: Viewer, doing: str) -> None:
    """The link to reload is there all the same."""
    run = mixed_run(viewer.folder)
    page = await viewer.open(run)
    await page.evaluate(f"() => {{ {doing}; }}")
    if "player" in doing:
        await until(page, "player.playing")

    assert not await page.evaluate("touched = 0, lookForNews()")

    write_page(evolve(run, title="Later"), viewer.folder)
    async with page.expect_navigation():
        await page.get_by_role("link", name="Reload").click()
    assert await page.title() == "Later"


async def test_marks_that_are_not_kept_are_not_lost_by_reloading(viewer: Viewer) -> None:
    """A browser that keeps nothing is not reloaded once there are marks."""
    page = await viewer.open(mixed_run(viewer.folder), script=REFUSED)
    await page.locator("#row-1").get_by_role("button", name="Keep Track A").click()
    assert not await page.evaluate("document.activeElement.blur(), touched = 0, lookForNews()")


async def test_a_run_that_is_over_is_left_in_peace(viewer: Viewer) -> None:
    """Nothing comes any more, so nothing is looked for."""
    run = evolve(mixed_run(viewer.folder), going_on=False)
    page = await viewer.open(run)
    assert await page.locator("#by-itself").is_hidden()
    assert await page.evaluate("timers") == []
