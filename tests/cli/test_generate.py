"""`suno-async generate` and `fetch` against a service over sockets."""

import json
import resource
import shlex
from pathlib import Path

from suno_async.sandbox import Call, HttpError, Reply, TaskScript, sing

from .command import Command

SONG = ("--title", "One", "--tags", "piano", "--negative-tags", "metal")


def saved(command: Command, out: str = "accompaniments") -> list[Path]:
    """List the audio files that a command has left."""
    return sorted((command.folder / out).glob("*.wav"))


def next_command(err: str) -> list[str]:
    """Find the command that was printed for going on, without its name."""
    line = next(line for line in err.splitlines() if line.startswith("  suno-async "))
    return shlex.split(line)[1:]


def write_csv(command: Command, *rows: str) -> str:
    """Write a manifest of songs; return its name."""
    lines = ["title,tags,negative_tags,stem,style_weight", *rows]
    (command.folder / "songs.csv").write_text("\n".join(lines) + "\n")
    return "songs.csv"


async def test_options_make_one_song(command: Command) -> None:
    """A stem and a few options give two files for one charge, with every option passed on."""
    more = ("--model", "V5", "--vocal-gender", "f", "--style-weight", "0.29")
    ended = await command.run("generate", *command.service, "--stem", "short.wav", *SONG, *more)
    assert ended.status == 0
    assert len(saved(command)) == 2
    assert len(command.sandbox.ledger) == 1
    request = next(iter(command.sandbox.tasks.values())).request
    asked = {name: request[name] for name in ("title", "model", "vocalGender")}
    assert asked == {"title": "One", "model": "V5", "vocalGender": "f"}
    assert float(str(request["styleWeight"])) == 0.29


async def test_the_log_has_every_task(command: Command) -> None:
    """With `--log`, what the library logs goes to a file and not to the screen."""
    words = ("generate", *command.service, "--stem", "short.wav", *SONG)
    ended = await command.run("--log", "run.log", *words)
    log = (command.folder / "run.log").read_text()
    assert ended.err == ""
    assert f"submitted 'One': task {next(iter(command.sandbox.tasks))}" in log
    assert command.sandbox.api_key not in log


async def test_a_bad_row_is_named_while_the_others_run(command: Command) -> None:
    """File and line of a bad row are on stderr; the rest is made, from a stem uploaded once."""
    manifest = write_csv(
        command,
        "One,piano,metal,short.wav,0.5",
        "Two,rock,metal,short.wav,1.5",
        "Three,jazz,metal,short.wav,",
    )
    ended = await command.run("generate", *command.service, "--manifest", manifest)
    assert ended.status == 1
    rule = "style_weight must be a number from 0 to 1 with at most two decimals, not 1.5"
    assert ended.err == f"songs.csv:3: {rule}\n"
    assert len(saved(command)) == 4
    tasks = command.sandbox.tasks.values()
    assert {str(task.request["title"]) for task in tasks} == {"One", "Three"}
    assert len({str(task.request["uploadUrl"]) for task in tasks}) == 1
    assert sum("stream-upload" in seen.path for seen in command.sandbox.requests) == 1


async def test_five_bad_rows_are_told_with_their_lines(command: Command) -> None:
    """Each is bad in its own way; the others run, and what should be known is said before."""
    (command.folder / "\x1b[2Jcopy.wav").write_bytes((command.folder / "short.wav").read_bytes())
    manifest = (
        "\ufeffTitle;Tags;negativeTags;Stem;Style Weight;BPM\r\n"
        "One;folk\u2028quiet;metal;short.wav;0,5;90\r\n"
        "Two;;metal;short.wav;;\r\n"
        "Three;jazz;metal;none\x1b]0;x\x07.wav;;\r\n"
        "Four;jazz;metal;short.wav;1,5;\r\n"
        '"Fi"ve;jazz;metal;short.wav;;\r\n'
        "Six;jazz;metal;short.wav;;;;7\r\n"
        "One;folk\u2028quiet;metal;\x1b[2Jcopy.wav;.50;91\r\n"
    )
    (command.folder / "songs.csv").write_bytes(manifest.encode())
    ended = await command.run("generate", *command.service, "--manifest", "songs.csv")
    assert ended.status == 1
    assert [line.partition(" ")[0] for line in ended.err.splitlines()] == [
        *["songs.csv:"] * 2,
        *[f"songs.csv:{line}:" for line in (3, 4, 5, 6, 7)],
    ]
    assert "columns that are no fields are kept and not sent: 'BPM'" in ended.err
    assert "lines 2, 8 ask for the same: each is made, and paid for" in ended.err
    assert not {"\x1b", "\x07", "\u2028"} & set(ended.out + ended.err)
    assert len(saved(command)) == 4
    assert len(command.sandbox.ledger) == 2
    assert sum("stream-upload" in seen.path for seen in command.sandbox.requests) == 1


async def test_a_wrong_key_is_one_sentence(command: Command) -> None:
    """Nothing is submitted with a key that the service refuses, which is not shown either."""
    words = ("generate", *command.service, "--stem", "short.wav", *SONG)
    ended = await command.run(*words, key="not-the-key")
    assert ended.status == 1
    assert ended.err.count("\n") == 1
    assert "check the environment variable APIKLEY_API_KEY" in ended.err
    assert "not-the-key" not in ended.out + ended.err
    assert command.sandbox.submissions == []


async def test_an_unreachable_service_is_one_sentence(command: Command) -> None:
    """Nobody listens: the sentence names the address."""
    words = ("generate", *command.service, "--stem", "short.wav", *SONG)
    await command.sandbox.stop()
    ended = await command.run(*words)
    assert ended.status == 1
    assert ended.err.count("\n") == 1
    assert ended.err.startswith("suno-async: cannot reach the service")
    assert command.sandbox.base_url.removeprefix("http://") in ended.err


async def test_a_full_disk_loses_nothing(command: Command) -> None:
    """What has no room is named with the command that gets it later; the others are saved."""
    manifest = write_csv(command, "Long,piano,metal,short.wav,", "Short,rock,metal,short.wav,")
    # more than there is room for, and than the folder's own files need
    long = Reply(200, sing(0.1) + bytes(8_000_000), {"Content-Type": "audio/wav"})
    command.sandbox.inject(Call.MEDIA, long, times=2)

    def leave_little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (6_000_000, 6_000_000))

    words = ("generate", *command.service, "--manifest", manifest, "--max-in-flight", "1")
    ended = await command.run(*words, before=leave_little_room)
    assert ended.status == 1
    assert len(saved(command)) == 2  # of whichever was not the first
    assert ": the download failed: no room left on the disk" in ended.err

    again = await command.run(*next_command(ended.err), "--interval", "0.34")
    assert again.status == 0
    assert len(saved(command)) == 4
    assert len(command.sandbox.ledger) == 2


async def test_a_folder_that_cannot_be_written_costs_nothing(command: Command) -> None:
    """The folder is tried before anything is sent."""
    (command.folder / "taken").write_text("a file")
    words = ("generate", *command.service, "--stem", "short.wav", *SONG)
    ended = await command.run(*words, "--out", "taken")
    assert ended.status == 1
    assert ended.err == "suno-async: cannot write into taken: File exists\n"
    assert command.sandbox.requests == []


async def test_running_out_of_credits_submits_nothing_more(command: Command) -> None:
    """What could be paid is saved; with new credits, the same goes on and pays for the rest."""
    command.sandbox.credits = 10
    rows = [f"Song {number},piano,metal,short.wav," for number in range(4)]
    words = ("generate", *command.service, "--manifest", write_csv(command, *rows))
    ended = await command.run(*words, "--max-in-flight", "1")
    assert ended.status == 1
    assert len(saved(command)) == 2
    assert 1 <= ended.err.count("out of credits") <= 3
    assert "3 songs are not finished. Go on with:" in ended.err
    assert len(command.sandbox.ledger) == 1

    command.sandbox.credits = 30
    again = await command.run(*next_command(ended.err), "--interval", "0.34")
    assert (again.status, again.err) == (0, "")
    assert len(saved(command)) == 8
    assert len(command.sandbox.ledger) == 4


async def test_a_task_that_fails_for_good_is_not_offered_again(command: Command) -> None:
    """The task's id is named with the reason; there is nothing to fetch."""
    command.sandbox.script(TaskScript((("SENSITIVE_WORD_ERROR", 1.0),)))
    words = ("generate", *command.service, "--stem", "short.wav", *SONG)
    ended = await command.run(*words)
    assert ended.status == 1
    assert next(iter(command.sandbox.tasks)) in ended.err
    assert "SENSITIVE_WORD_ERROR" in ended.err
    assert "Go on with" not in ended.err
    assert len(command.sandbox.ledger) == 1
    again = await command.run("resume", *command.service)
    assert (again.status, len(command.sandbox.ledger)) == (1, 1)
    anew = await command.run("resume", *command.service, "--retry-failed")
    assert (anew.status, len(command.sandbox.ledger)) == (0, 2)


async def test_an_uncertain_submission_is_said_to_be_one(command: Command) -> None:
    """A gateway's error after the request: it may have been charged, and is not repeated."""
    command.sandbox.inject(Call.SUBMIT, HttpError(502, processed=True))
    ended = await command.run("generate", *command.service, "--stem", "short.wav", *SONG)
    assert ended.status == 1
    assert "may have been charged" in ended.err
    assert "Nobody knows whether these rows were paid for: 1." in ended.err
    assert next_command(ended.err) == [
        *("resume", "accompaniments", "--adopt", "1=TASK_ID", "its", "task", "is", "there")
    ]
    assert len(command.sandbox.ledger) == 1


async def test_fetch_names_an_unknown_task_and_saves_the_others(command: Command) -> None:
    """One id that is wrong spoils no other; each is fetched once."""
    generated = await command.run(
        "generate", *command.service, "--stem", "short.wav", *SONG, "--out", "first"
    )
    task_id = next(iter(command.sandbox.tasks))
    old = ("--submitted-at", "2020-01-01")
    ended = await command.run("fetch", *command.service, "--out", "second", task_id, task_id)
    expired = await command.run("fetch", *command.service, *old, "no-such-task")
    assert (generated.status, ended.status, expired.status) == (0, 0, 1)
    assert [path.name for path in saved(command, "second")] == ["One 1.wav", "One 2.wav"]
    assert expired.err.startswith("task no-such-task expired")


async def test_a_json_manifest_takes_its_defaults_from_options(command: Command) -> None:
    """One stem and many styles: what a row does not give comes from the options."""
    rows = [{"title": "A", "tags": "jazz"}, {"title": "B", "tags": "rock", "stem": "long.wav"}]
    (command.folder / "songs.json").write_text(json.dumps(rows))
    defaults = ("--stem", "short.wav", "--negative-tags", "metal")
    words = ("generate", *command.service, "--manifest", "songs.json", *defaults)
    ended = await command.run(*words)
    assert ended.status == 0
    sizes = {path.name[3]: path.stat().st_size for path in saved(command)}
    assert sizes["A"] < sizes["B"]


async def test_what_was_finished_before_a_failure_is_saved(command: Command) -> None:
    """Invariant 2: a track that was finished of a task that then failed is paid for, and kept."""
    stages = [("FIRST_SUCCESS", 0.1, 1), ("GENERATE_AUDIO_FAILED", 0.2, 1)]
    command.sandbox.script(TaskScript(stages=stages))
    words = ("generate", *command.service, "--stem", "short.wav", *SONG)
    ended = await command.run(*words)
    assert ended.status == 1
    assert len(saved(command)) == 1
    assert "1 finished before that and saved" in ended.err


async def test_a_title_that_speaks_of_a_task_is_no_id(command: Command) -> None:
    """Invariant 2: ids come as values, so that a title is never taken for one."""
    command.sandbox.script(TaskScript(()))
    title = ("--title", "The task of love", *SONG[2:])
    running = await command.start("generate", *command.service, "--stem", "short.wav", *title)
    line = await running.until("submitted as task")
    assert line.split()[-1] == next(iter(command.sandbox.tasks))
    running.process.kill()
    await running.process.wait()
