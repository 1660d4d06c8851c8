"""The page that `suno-async generate` leaves: while it runs, when it ends, and when it cannot."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from suno_async.sandbox import TaskScript
from tests.page.test_render import data_of

from .command import Command

SONG = ("--title", "One", "--tags", "piano", "--negative-tags", "metal")
MANIFEST = """\
title,tags,negative_tags,stem,style_weight,customer
One,piano,metal,short.wav,0.5,Radio Nord
Two <b>,rock,metal,short.wav,1.5,
Three,jazz,metal,copy.wav,,
"""


def page(command: Command, out: str = "accompaniments") -> Path:
    """Tell where the page is."""
    return command.folder / out / "index.html"


def shown(command: Command) -> Any:
    """Read what the page shows."""
    return data_of(page(command).read_text(encoding="utf-8"))


def exists(command: Command, address: str) -> bool:
    """Tell whether the page's folder has the file of an address."""
    return (page(command).parent / address.replace("%20", " ")).is_file()


async def generate_three(command: Command) -> Any:
    """Run a manifest of two good rows and a bad one; return what the page shows."""
    (command.folder / "songs.csv").write_text(MANIFEST)
    (command.folder / "copy.wav").write_bytes((command.folder / "short.wav").read_bytes())
    ended = await command.run("generate", *command.service, "--manifest", "songs.csv")
    assert ended.status == 1
    assert ended.out.endswith("\nThe page: accompaniments/index.html\n")
    return shown(command)


async def test_the_page_names_every_row(command: Command) -> None:
    """Good rows with what became of them, bad ones with their line and reason."""
    data = await generate_three(command)
    assert [(row["title"], row["line"], row["status"]) for row in data["rows"]] == [
        ("One", 2, "complete"),
        ("Two <b>", 3, "failed"),
        ("Three", 4, "complete"),
    ]
    one, two, _ = data["rows"]
    assert two["reason"].startswith("style_weight must be a number from 0 to 1")
    assert (one["tags"], one["negativeTags"]) == ("piano", "metal")
    assert one["extra"] == [["customer", "Radio Nord"]]
    assert one["taskId"] in command.sandbox.tasks
    assert one["stages"][-1][0] == "complete"
    assert data["news"] is False


async def test_all_that_the_page_plays_is_in_its_folder(command: Command) -> None:
    """Both tracks, their covers, and the stem: once, since both rows have the same."""
    rows = (await generate_three(command))["rows"]
    for row in (rows[0], rows[2]):
        assert [track["letter"] for track in row["tracks"]] == ["A", "B"]
        for track in row["tracks"]:
            assert exists(command, track["address"])
            assert exists(command, track["cover"])
        assert [part["duration"] for part in (row["stem"], *row["tracks"])] == [0.5] * 3
        assert exists(command, row["stem"]["address"])
    assert len(list((page(command).parent / "stems").iterdir())) == 1


async def test_the_page_follows_the_run_and_its_end(command: Command) -> None:
    """It is there before anything ends, and says after Ctrl-C that nothing more comes."""
    command.sandbox.script(TaskScript(()))
    running = await command.start("generate", *command.service, "--stem", "short.wav", *SONG)
    async with asyncio.timeout(60):
        while not (page(command).exists() and shown(command)["rows"][0]["taskId"]):  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.05)
    data = shown(command)
    assert (data["news"], data["rows"][0]["status"]) == (True, "running")
    running.process.send_signal(signal.SIGINT)
    await running.until("stopping")
    running.process.send_signal(signal.SIGINT)
    ended = await running.end()
    assert ended.status == 130
    assert ended.out.endswith("\nThe page: accompaniments/index.html\n")
    after = shown(command)
    assert (after["news"], after["key"]) == (False, data["key"])


async def test_a_page_that_cannot_be_written_stops_nothing(command: Command) -> None:
    """The songs are saved; that there is no page is said once and changes no status."""
    page(command).mkdir(parents=True)
    ended = await command.run("generate", *command.service, "--stem", "short.wav", *SONG)
    assert ended.status == 0
    assert len(list(page(command).parent.glob("*.wav"))) == 2
    assert ended.err.count("the page could not be written: ") == 1
    assert "The page" not in ended.out


async def test_tagged_files_are_found_again(command: Command) -> None:
    """Tags change a file, but not whose it is: it is not fetched a second time."""
    wave = pytest.importorskip("mutagen.wave")
    words = ("generate", *command.service, "--stem", "short.wav", *SONG)
    assert (await command.run(*words)).status == 0
    files = sorted(page(command).parent.glob("*.wav"))
    task_id = next(iter(command.sandbox.tasks))
    assert len(files) == 2
    for path in files:
        tags = wave.WAVE(path).tags
        assert [str(tags[name]) for name in ("TIT2", "TCON", "TXXX:SUNO_TASK_ID")] == [
            *("One", "piano", task_id)
        ]
        assert tags["APIC:"].data.startswith(b"\x89PNG")
    fetched_once = media_requests(command)
    assert len(fetched_once) == 4
    fetched = await command.run("fetch", *command.service, task_id)
    assert fetched.status == 0
    assert sorted(page(command).parent.glob("*.wav")) == files
    assert media_requests(command) == fetched_once


def media_requests(command: Command) -> list[str]:
    """List the tracks and covers that were asked for."""
    paths = [seen.path for seen in command.sandbox.requests]
    return [path for path in paths if path.endswith((".wav", ".mp3", ".png"))]
