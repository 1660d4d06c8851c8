"""Listening and comparing, in a real browser."""

from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from suno_async.cli.page import RowView, Run, TrackView

from .browser import Viewer, until
from .runs import A_S, B_S, MADE_AT, SECONDS, STEM_S, complete_row, put

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = pytest.mark.asyncio(loop_scope="module")

# what sounds in the first row, and where each of its lanes is
LANES = """() => Object.fromEntries(rows[0].lanes.map((lane) => [lane.name, {
  at: lane.audio?.currentTime ?? null, duration: lane.audio?.duration ?? null,
  sounds: lane.audio !== null && !lane.audio.paused,
  shown: lane.length.textContent, selected: lane.node.classList.contains("selected"),
}]))"""
ALL_READY = "rows[0].lanes.every((lane) => lane.ready)"
SETTLED = f"{ALL_READY} && rows[0].lanes.every((lane) => !lane.audio.seeking)"


def run_of(*rows: RowView) -> Run:
    """Make a run of some rows that is over."""
    return Run("Spring album", rows, MADE_AT, key="listening", going_on=False)


async def lanes(page: "Page") -> dict[str, Any]:
    """Look at the lanes of the first row."""
    return dict(await page.evaluate(LANES))


async def press(page: "Page", *keys: str) -> None:
    """Press keys, one after the other."""
    for key in keys:
        await page.keyboard.press(key)


async def start_at(page: "Page", seconds: float) -> None:
    """Select track A of the first row, which does not play, at a position."""
    await page.locator("#row-1 .position").evaluate(
        "(slider, at) => { slider.value = at; slider.dispatchEvent(new Event('input')); }", seconds
    )
    await until(page, SETTLED)


async def test_players_load_and_report_the_right_durations(viewer: Viewer) -> None:
    """What the browser says of each file is what the page shows, before and after."""
    page = await viewer.open(run_of(complete_row(viewer.folder, 1, "Blue harbour")))
    before = {name: lane["shown"] for name, lane in (await lanes(page)).items()}
    assert before == {"Stem": "0:06", "A": "0:06", "B": "0:04"}

    await page.get_by_role("button", name="Play Track A").click()
    await until(page, ALL_READY)

    found = await lanes(page)
    durations = {name: lane["duration"] for name, lane in found.items()}
    assert durations == pytest.approx({"Stem": STEM_S, "A": A_S, "B": B_S}, abs=0.01)
    assert {name: lane["shown"] for name, lane in found.items()} == before
    await until(page, "player.at > 0.05 && player.playing")
    assert {name for name, lane in (await lanes(page)).items() if lane["sounds"]} == {"A"}


async def test_a_duration_that_nobody_knew_is_learned(viewer: Viewer) -> None:
    """A format without waveform has a plain bar, and its length once it is loaded."""
    row = complete_row(viewer.folder, 1, "Blue harbour")
    file = put(viewer.folder, "track.m4a", (SECONDS / "second.m4a").read_bytes())
    page = await viewer.open(run_of(evolve(row, stem=None, tracks=(TrackView("A", file),))))
    assert (await lanes(page))["A"]["shown"] == "-:--"
    await until(page, "document.querySelector('.lane.plain .played') !== null")

    await page.get_by_role("button", name="Play Track A").click()

    await until(page, ALL_READY)
    assert (await lanes(page))["A"]["shown"] == "0:01"


async def test_switching_keeps_the_position(viewer: Viewer) -> None:
    """While nothing plays, the other lane is exactly where this one was."""
    page = await viewer.open(run_of(complete_row(viewer.folder, 1, "Blue harbour")))
    await start_at(page, 2.5)
    for key, name in (("1", "Stem"), ("3", "B"), ("2", "A"), ("3", "B"), ("1", "Stem")):
        await press(page, key)
        await until(page, SETTLED)
        lane = (await lanes(page))[name]
        assert lane["selected"]
        assert lane["at"] == pytest.approx(2.5, abs=0.001)
        assert not lane["sounds"]
    assert await page.locator("#row-1 .time").text_content() == "0:02"


async def test_switching_while_it_plays_keeps_the_position_and_plays_on(viewer: Viewer) -> None:
    """The other lane takes over where this one was; only one sounds."""
    page = await viewer.open(run_of(complete_row(viewer.folder, 1, "Blue harbour")))
    await page.get_by_role("button", name="Play Track A").click()
    await until(page, f"{ALL_READY} && player.at > 0.1")
    for key, before, after in (("1", "A", "Stem"), ("3", "Stem", "B"), ("2", "B", "A")):
        # at the very moment of the switch, whatever the machine is busy with
        moment = await page.evaluate(
            """([key, before, after]) => {
              const at = (name) => rows[0].lanes.find((lane) => lane.name === name).audio;
              document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
              return { position: player.at, before: at(before).currentTime,
                       after: at(after).currentTime, paused: at(before).paused };
            }""",
            [key, before, after],
        )
        assert moment["position"] > 0
        assert moment["after"] == pytest.approx(moment["position"], abs=0.001)
        assert moment["before"] == pytest.approx(moment["position"], abs=0.1)
        assert moment["paused"]
        await until(page, f"player.playing && player.at > {moment['position']}")
        sounding = [name for name, lane in (await lanes(page)).items() if lane["sounds"]]
        assert sounding == [after]
        await page.evaluate("player.seek(1)")


async def test_a_shorter_lane_does_not_move_the_others(viewer: Viewer) -> None:
    """Track B ends at 4.5 s; back on A, the position is what it was."""
    page = await viewer.open(run_of(complete_row(viewer.folder, 1, "Blue harbour")))
    await start_at(page, 5.25)

    await press(page, "3")
    await until(page, SETTLED)
    assert (await lanes(page))["B"]["at"] == pytest.approx(B_S, abs=0.01)
    await press(page, "2")
    await until(page, SETTLED)

    assert (await lanes(page))["A"]["at"] == pytest.approx(5.25, abs=0.001)


async def test_a_track_that_ended_begins_again(viewer: Viewer) -> None:
    """Play, at the end, is play from the beginning."""
    page = await viewer.open(run_of(complete_row(viewer.folder, 1, "Blue harbour")))
    await start_at(page, 5.95)
    await press(page, "Space")
    await until(page, "player.audio.ended")
    assert await page.get_by_role("button", name="Play Track A").get_attribute("aria-pressed") == (
        "false"
    )
    await press(page, "Space")
    await until(page, "player.playing && player.at > 0 && player.at < 5")


async def test_one_row_plays_at_a_time(viewer: Viewer) -> None:
    """Another row's player stops this one and lets its files go; it remembers its position."""
    rows = [complete_row(viewer.folder, position, "Blue harbour") for position in (1, 2)]
    page = await viewer.open(run_of(*rows))
    await start_at(page, 2.0)

    await page.locator("#row-2").get_by_role("button", name="Play Track B").click()

    await until(page, "player.playing && player.row === rows[1]")
    assert await page.locator("#row-1 audio").count() == 0
    assert await page.locator("#row-1 .time").text_content() == "0:02"
    assert await page.locator("audio").count() == 3


async def test_a_waveform_can_be_clicked(viewer: Viewer) -> None:
    """It plays from there, and all lanes have the same scale of time."""
    page = await viewer.open(run_of(complete_row(viewer.folder, 1, "Blue harbour")))
    area = page.locator("#row-1 [data-lane=B] .wave")
    await until(page, "rows[0].lanes.every((lane) => lane.wave !== null)")
    widths = await page.evaluate("rows[0].lanes.map((lane) => lane.wave.offsetWidth)")
    assert widths[2] / widths[1] == pytest.approx(B_S / A_S, abs=0.01)
    box = await area.bounding_box()
    assert box is not None

    await area.click(position={"x": box["width"] / 2, "y": 5})

    await until(page, "player.playing && player.lane.name === 'B' && player.at >= 2.9")


async def test_the_keyboard_does_it_all(viewer: Viewer) -> None:
    """Space, digits, arrows, K and D, N and P; what has the focus follows."""
    rows = [complete_row(viewer.folder, position, "Blue harbour") for position in (1, 2)]
    page = await viewer.open(run_of(*rows))

    await press(page, "n")
    focused = "document.activeElement.getAttribute('aria-label')"
    row = "document.activeElement.closest('li')?.id"
    assert await page.evaluate(focused) == "Play Track A"
    await press(page, "n")
    assert await page.evaluate(row) == "row-2"
    await press(page, "p")
    assert await page.evaluate(row) == "row-1"

    await press(page, "Space")
    await until(page, "player.playing && player.lane.name === 'A'")
    await press(page, "1")
    await until(page, "player.playing && player.lane.name === 'Stem'")
    assert await page.evaluate(focused) == "Play Stem"
    await press(page, "Space")
    await until(page, "!player.playing && player.lane.name === 'Stem'")
    await page.evaluate("player.seek(0)")
    await press(page, "ArrowRight")
    assert await page.evaluate("player.at") == 5
    await press(page, "ArrowLeft", "2", "k", "3", "d")
    pressed = await page.locator(".marks [aria-pressed=true]").evaluate_all(
        "(found) => found.map((button) => button.getAttribute('aria-label'))"
    )
    assert pressed == ["Keep Track A", "Drop Track B"]


async def test_keys_are_left_to_who_types_and_can_be_switched_off(viewer: Viewer) -> None:
    """In the search box they are letters; the switch holds after a reload."""
    page = await viewer.open(run_of(complete_row(viewer.folder, 1, "Blue harbour")))
    await press(page, "/")
    await page.keyboard.type("1 2k/")
    assert await page.locator("#query").input_value() == "1 2k/"
    assert await page.evaluate("player.row") is None

    await page.locator("#query").fill("")
    await page.locator("#keys summary").click()
    await page.get_by_label("Use the keys below").uncheck()
    await page.reload()
    await press(page, "2", "Space")
    assert await page.evaluate("player.row") is None


async def test_a_file_that_is_missing_says_so(viewer: Viewer) -> None:
    """The other lanes play."""
    row = complete_row(viewer.folder, 1, "Blue harbour")
    run = run_of(row)
    viewer.expected = ("ERR_FILE_NOT_FOUND",)
    page = await viewer.open(run)
    (viewer.folder / row.tracks[0].file).unlink()

    await page.get_by_role("button", name="Play Track A").click()
    await until(page, "rows[0].lanes[1].length.textContent === 'cannot play'")
    await press(page, "3")

    await page.get_by_role("button", name="Play Track B").click()
    await until(page, "player.playing && player.lane.name === 'B'")
