"""A run goes on: the same command again, `resume`, and what is decided about its rows."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from suno_async.sandbox import Call, DropAfter, HttpError, TaskScript
from tests.page.test_render import data_of

from .command import Command, Ended

ROWS = [f"Song {number},piano,metal,short.wav" for number in range(1, 5)]


def write_manifest(command: Command, rows: list[str], name: str = "songs.csv") -> None:
    """Write a manifest of songs."""
    lines = ["title,tags,negative_tags,stem", *rows]
    (command.folder / name).write_text("\n".join(lines) + "\n")


async def generate(command: Command, *words: str) -> Ended:
    """Run the manifest."""
    return await command.run("generate", *command.service, "--manifest", "songs.csv", *words)


async def resume(command: Command, *words: str, folder: str = "accompaniments") -> Ended:
    """Go on with the run, at the service that the folder knows."""
    return await command.run("resume", folder, "--interval", "0.34", *words)


def out(command: Command) -> Path:
    """Tell where the tracks are."""
    return command.folder / "accompaniments"


def files(command: Command) -> list[str]:
    """Name the audio files, in order."""
    return sorted(path.name for path in out(command).glob("*.wav"))


def media(command: Command) -> list[str]:
    """List what was asked of the media host."""
    paths = [seen.path for seen in command.sandbox.requests]
    return [path for path in paths if path.endswith((".wav", ".png"))]


def charges(command: Command) -> int:
    """Count what was paid for."""
    return sum(entry.kind == "charge" for entry in command.sandbox.ledger)


def named(*numbers: int) -> list[str]:
    """Name both files of songs, by their numbers."""
    return [f"{number:02} Song {number} - {letter}.wav" for number in numbers for letter in "AB"]


async def test_the_same_command_again_does_nothing(command: Command) -> None:
    """Neither a payment nor a download; also without the manifest, and without the service."""
    write_manifest(command, ROWS)
    assert (await generate(command)).status == 0
    assert files(command) == named(1, 2, 3, 4)
    before = media(command)
    assert len(before) == 16  # eight tracks, each with a cover

    again = await generate(command)
    assert (again.status, again.err) == (0, "")
    assert "4 there already" in again.out
    await command.sandbox.stop()
    (command.folder / "songs.csv").unlink()
    resumed = await resume(command)
    assert (resumed.status, resumed.err) == (0, "")
    await command.sandbox.start()
    assert media(command) == before
    assert charges(command) == 4
    assert files(command) == named(1, 2, 3, 4)


async def test_a_run_that_cannot_begin_spoils_nothing(command: Command) -> None:
    """Table and page still have what earlier runs have saved, with its covers."""
    write_manifest(command, ROWS[:2])
    assert (await generate(command)).status == 0
    before = (out(command) / "tracks.csv").read_text()
    write_manifest(command, ROWS)
    ended = await command.run(
        "generate", *command.service, "--manifest", "songs.csv", key="a-wrong-key"
    )
    assert ended.status == 1
    assert (out(command) / "tracks.csv").read_text().startswith(before)
    rows = data_of((out(command) / "index.html").read_text())["rows"]
    assert [len(row["tracks"]) for row in rows] == [2, 2, 0, 0]
    assert all(track["cover"] for row in rows for track in row["tracks"])
    assert (await generate(command)).status == 0
    assert charges(command) == 4


async def test_rows_that_are_added_or_changed_are_new(command: Command) -> None:
    """The others are not paid for again; what was changed is said."""
    write_manifest(command, ROWS[:3])
    assert (await generate(command)).status == 0
    write_manifest(command, [ROWS[0], "Song 5,jazz,metal,short.wav", ROWS[2], ROWS[3]])
    ended = await generate(command)
    said = "songs.csv:3 has changed: it is a new row, number 5; row 2 (Song 2) is complete"
    assert (ended.status, ended.err) == (0, f"{said}\n")
    assert files(command) == named(1, 2, 3, 4, 5)
    assert charges(command) == 5
    write_manifest(command, ROWS)
    assert (await generate(command)).status == 0
    assert charges(command) == 5


async def test_a_stem_that_is_gone_is_still_known(command: Command) -> None:
    """The run has its own copy: rows are the same, and a job that waits can be sent."""
    (command.folder / "voice.wav").write_bytes((command.folder / "short.wav").read_bytes())
    command.sandbox.inject(Call.SUBMIT, HttpError(401), times=None)  # nothing is taken
    write_manifest(command, ["Song 1,piano,metal,voice.wav"])
    assert (await generate(command)).status == 1
    command.sandbox.clear_faults()
    (command.folder / "voice.wav").unlink()
    ended = await generate(command)
    assert (ended.status, ended.err) == (0, "")
    assert files(command) == named(1)
    assert charges(command) == 1


async def test_a_folder_that_was_moved_goes_on(command: Command) -> None:
    """Its stems and files are found where they are now."""
    write_manifest(command, ROWS[:2])
    command.sandbox.credits = 10
    assert (await generate(command, "--max-in-flight", "1")).status == 1
    command.sandbox.credits = 100
    (command.folder / "moved").mkdir()
    shutil.move(out(command), command.folder / "moved" / "album")
    (command.folder / "short.wav").unlink()
    ended = await resume(command, folder="moved/album")
    assert (ended.status, ended.err) == (0, "")
    album = command.folder / "moved" / "album"
    assert sorted(path.name for path in album.glob("*.wav")) == named(1, 2)
    assert charges(command) == 2


async def uncertain_run(command: Command) -> tuple[Ended, str, int]:
    """Let the answer to one of three songs be lost; give its task and its row too."""
    write_manifest(command, ROWS[:3])
    command.sandbox.inject(Call.SUBMIT, DropAfter())
    ended = await generate(command, "--max-in-flight", "1")
    assert ended.status == 1
    assert charges(command) == 3
    assert len(files(command)) == 4
    task_id, task = next(iter(command.sandbox.tasks.items()))
    return ended, task_id, int(str(task.request["title"]).split()[-1])


async def test_an_uncertain_row_stays_one(command: Command) -> None:
    """It is never submitted again by itself, and named each time with what can be decided."""
    first, _, row = await uncertain_run(command)
    for ended in (first, await generate(command), await resume(command)):
        assert ended.status == 1
        assert f"Nobody knows whether these rows were paid for: {row}." in ended.err
        assert f"--adopt {row}=TASK_ID" in ended.err
        assert "--retry-uncertain" in ended.err
        assert "may have been charged" in ended.err
    assert charges(command) == 3


async def test_an_uncertain_row_gets_its_task(command: Command) -> None:
    """As the account's history shows it: its tracks are saved, and nothing is paid for."""
    _, lost, row = await uncertain_run(command)
    ended = await resume(command, "--adopt", f"{row}={lost}")
    assert (ended.status, ended.err) == (0, "")
    assert files(command) == named(1, 2, 3)
    assert charges(command) == 3
    other = row % 3 + 1
    twice = await resume(command, "--adopt", f"{other}={lost}")
    assert twice.status == 1
    said = f"--adopt {other}={lost}: row {other} is complete, and needs no other task"
    assert twice.err == f"suno-async: {said}\n"


async def test_an_uncertain_row_is_submitted_again(command: Command) -> None:
    """Only when somebody says so."""
    await uncertain_run(command)
    ended = await resume(command, "--retry-uncertain")
    assert (ended.status, ended.err) == (0, "")
    assert files(command) == named(1, 2, 3)
    assert charges(command) == 4


async def test_an_uncertain_row_is_abandoned(command: Command) -> None:
    """It is not asked about any more, and was not made: that stays a failure."""
    await uncertain_run(command)
    for words in (["--abandon"], []):
        ended = await resume(command, *words)
        assert ended.status == 1
        assert ended.err.count("abandoned") == 1
        assert "Nobody knows" not in ended.err
    assert charges(command) == 3


async def test_a_row_whose_task_failed_is_paid_for_again_only_on_demand(command: Command) -> None:
    """The service may have refunded it; the command cannot know."""
    write_manifest(command, ROWS[:1])
    command.sandbox.script(TaskScript((("GENERATE_AUDIO_FAILED", 0.1),)))
    assert (await generate(command)).status == 1
    assert (await generate(command)).status == 1
    assert charges(command) == 1
    ended = await generate(command, "--retry-failed")
    assert (ended.status, charges(command)) == (0, 2)


async def test_a_file_that_somebody_deleted_is_not_fetched_again(command: Command) -> None:
    """It may have been dropped on purpose; `fetch` gets it all the same."""
    write_manifest(command, ROWS[:1])
    assert (await generate(command)).status == 0
    (out(command) / named(1)[1]).unlink()
    before = media(command)
    ended = await generate(command)
    assert (ended.status, files(command)) == (0, named(1)[:1])
    assert media(command) == before
    task_id = next(iter(command.sandbox.tasks))
    fetched = await command.run("fetch", *command.service, task_id)
    assert fetched.status == 0
    assert len(files(command)) == 2
    audio = [path for path in media(command)[len(before) :] if path.endswith(".wav")]
    assert len(audio) == 1


async def test_many_songs_have_to_be_agreed_to(command: Command) -> None:
    """In a pipe nobody can be asked: it refuses before anything is submitted."""
    write_manifest(command, ROWS)
    ended = await generate(command, "--confirm-above", "3", "--price", "10")
    assert ended.status == 1
    assert ended.err == (
        "suno-async: 4 songs to pay for, about 40 credits at 10 each, of 1,000,000 credits in the "
        "account: that is more than --confirm-above 3, and nobody can be asked; --yes agrees "
        "beforehand. Nothing was submitted\n"
    )
    assert command.sandbox.submissions == []
    agreed = await generate(command, "--confirm-above", "3", "--yes")
    assert (agreed.status, charges(command)) == (0, 4)
    again = await generate(command, "--confirm-above", "3")
    assert (again.status, charges(command)) == (0, 4)


async def test_a_dry_run_shows_what_would_be_done(command: Command) -> None:
    """Every row, each stem that is to be fetched, the balance and the cost; nothing is left."""
    rows = [*ROWS[:2], "Song 3,,metal,short.wav"]
    write_manifest(command, rows)
    url = f"{command.sandbox.base_url}/nothing.wav"
    (command.folder / "more.json").write_text(
        json.dumps([{"title": "Far", "tags": "t", "negative_tags": "", "upload_url": url}])
    )
    ended = await generate(command, "--dry-run", "--price", "10")
    assert ended.status == 1
    assert ended.err == "songs.csv:4: tags is required\n"
    cost = "2 songs to pay for, about 20 credits at 10 each, of 1,000,000 credits in the account"
    assert ended.out.splitlines() == [
        "   1  submit    Song 1 | piano | short.wav",
        "   2  submit    Song 2 | piano | short.wav",
        "   3  refused   Song 3 | songs.csv:4: tags is required",
        f"{cost}. Nothing was submitted",
    ]
    assert not out(command).exists()
    words = ("generate", *command.service, "--manifest", "more.json", "--dry-run")
    far = await command.run(*words)
    assert (far.status, far.err) == (
        0,
        f"{url}: its host answers 404; the service may see it otherwise\n",
    )
    assert command.sandbox.submissions == []


async def test_the_price_is_learned_in_the_folder(command: Command) -> None:
    """What the first songs have cost is said of the next."""
    write_manifest(command, ROWS[:2])
    assert (await generate(command)).status == 0
    write_manifest(command, ROWS)
    ended = await generate(command, "--dry-run")
    assert "2 songs to pay for, about 20 credits at 10 each, of 999,980 credits" in ended.out
    assert "   1  saved" in ended.out
    assert "The page" not in ended.out
    told = [
        json.loads(line)
        for line in (await generate(command, "--dry-run", "--json")).out.splitlines()
    ]
    assert [row.get("would") for row in told] == ["saved", "saved", "submit", "submit", None]
    assert told[-1] == {"songs": 2, "price": 10.0, "credits": 999_980.0}


async def test_programs_read_one_object_a_line(command: Command) -> None:
    """Everything that happens, and nothing else on stdout."""
    write_manifest(command, ROWS[:2])
    ended = await generate(command, "--json")
    told = [json.loads(line) for line in ended.out.splitlines()]
    assert (told[0]["event"], told[-1]["event"]) == ("start", "end")
    saved = {one["row"]: one["files"] for one in told if one["event"] == "saved"}
    assert sorted(saved) == [1, 2]
    assert all((command.folder / path).is_file() for paths in saved.values() for path in paths)
    assert told[-1]["counts"]["saved"] == 2
    again = await generate(command, "--json")
    assert json.loads(again.out.splitlines()[-1])["counts"]["saved"] == 2


async def test_a_wrong_adoption_is_wrong_usage(command: Command) -> None:
    """It ends before anything is read."""
    ended = await resume(command, "--adopt", "seven")
    assert ended.status == 2
    assert "--adopt must be ROW=TASK_ID" in " ".join(ended.err.replace("│", " ").split())


async def test_a_dry_run_needs_the_key(command: Command) -> None:
    """It is asked for what a run would be asked for."""
    write_manifest(command, ROWS)
    words = ("generate", *command.service, "--manifest", "songs.csv", "--dry-run")
    ended = await command.run(*words, key="wrong")
    assert ended.status == 1
    assert "the service refused the API key" in ended.err


async def test_two_commands_never_work_in_one_folder(command: Command) -> None:
    """The second says so, whichever it is; the first is not disturbed."""
    command.sandbox.script(TaskScript(()))
    write_manifest(command, ROWS[:1])
    words = ("generate", *command.service, "--manifest", "songs.csv")
    running = await command.start(*words)
    await running.until("submitted as task")
    for ended in (await generate(command), await resume(command)):
        assert ended.status == 1
        assert ended.err == "suno-async: another suno-async works in accompaniments: let it end\n"
    running.process.kill()
    await running.process.wait()
    assert charges(command) == 1


async def test_a_folder_belongs_to_its_service_while_songs_go_on(command: Command) -> None:
    """Its tasks are not known elsewhere; nothing is asked of the other service."""
    await uncertain_run(command)
    seen = len(command.sandbox.requests)
    words = ("generate", "--manifest", "songs.csv", "--base-url", "http://127.0.0.1:9")
    ended = await command.run(*words)
    assert ended.status == 1
    assert "has songs that go on at another service, with --base-url" in ended.err
    assert len(command.sandbox.requests) == seen


async def test_files_are_named_as_the_template_says(command: Command) -> None:
    """Also when the run goes on; a bad template costs nothing."""
    write_manifest(command, ROWS[:2])
    bad = await generate(command, "--name", "{title}")
    assert bad.status == 1
    assert "--name '{title}'" in bad.err
    assert not command.sandbox.submissions
    command.sandbox.credits = 10
    named_so = ("--name", "{title} ({number}{letter})", "--max-in-flight", "1")
    assert (await generate(command, *named_so)).status == 1
    command.sandbox.credits = 10
    assert (await resume(command)).status == 0
    assert files(command) == [
        f"Song {number} ({number}{letter}).wav" for number in (1, 2) for letter in "AB"
    ]


async def test_the_table_maps_rows_to_files(command: Command) -> None:
    """One line a file, and one for the row that has none."""
    write_manifest(command, [*ROWS[:1], "Song 2,,metal,short.wav"])
    assert (await generate(command)).status == 1
    with (out(command) / "tracks.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["row"], row["line"], row["state"], row["file"]) for row in rows] == [
        ("1", "2", "saved", named(1)[0]),
        ("1", "2", "saved", named(1)[1]),
        ("2", "3", "failed", ""),
    ]
    assert rows[0]["task_id"] == next(iter(command.sandbox.tasks))


async def test_there_is_nothing_to_resume(command: Command) -> None:
    """A folder without a run is said to be one, and not made."""
    ended = await resume(command, folder="nowhere")
    assert ended.status == 1
    assert ended.err == (
        "suno-async: there is no run in nowhere: suno-async generate --out nowhere begins one\n"
    )
    assert not (command.folder / "nowhere").exists()


@pytest.mark.parametrize("name", ["run.db", ".run.lock"])
async def test_a_folder_that_cannot_be_used_is_one_sentence(command: Command, name: str) -> None:
    """Whatever is in the way, nothing is submitted."""
    write_manifest(command, ROWS[:1])
    (out(command) / name).mkdir(parents=True)
    ended = await generate(command)
    assert ended.status == 1
    assert ended.err.startswith("suno-async: ")
    assert ended.err.count("\n") == 1
    assert command.sandbox.submissions == []
