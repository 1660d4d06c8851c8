"""`suno-async watch`: the stages of tasks, and nothing on disk."""

import json
import signal
from pathlib import Path

import pytest

from suno_async import SunoSession
from suno_async.sandbox import Sandbox, TaskScript
from tests.world import song

from .command import Command

STAGES = ["text", "first", "complete"]


async def submitted(sandbox: Sandbox, *scripts: TaskScript) -> list[str]:
    """Submit a task for each script; return their ids."""
    sandbox.script(*scripts)
    async with SunoSession(sandbox.api_key, base_url=sandbox.base_url) as session:
        return [(await session.submit(song())).task_id for _ in scripts]


def left(folder: Path) -> set[str]:
    """Name what is in a folder."""
    return {path.name for path in folder.iterdir()}


async def test_every_stage_is_a_line_with_its_urls(command: Command) -> None:
    """Two tasks, one named twice: three lines each, and nothing saved."""
    before = left(command.folder)
    first, second = await submitted(command.sandbox, TaskScript(), TaskScript())
    ended = await command.run("watch", *command.service, first, second, first)
    lines = [line.split() for line in ended.out.splitlines()]
    assert (ended.status, ended.err) == (0, "")
    for task_id in (first, second):
        mine = [line for line in lines if line[0] == task_id]
        assert [line[1] for line in mine] == STAGES
        assert len(mine[-1]) == 4
        assert all(url.startswith("http") for url in mine[-1][2:])
    assert left(command.folder) == before


async def test_json_is_one_event_a_line(command: Command) -> None:
    """A stage has its tracks; a failure has its kind and its sentence."""
    failing = TaskScript(stages=[("GENERATE_AUDIO_FAILED", 0)], error_message="no\x1bway")
    good, bad = await submitted(command.sandbox, TaskScript(), failing)
    ended = await command.run("watch", "--json", *command.service, good, bad)
    events = list(map(json.loads, ended.out.splitlines()))
    stages = [event for event in events if event["task_id"] == good]
    failures = [event for event in events if event["event"] == "failed"]
    assert ended.status == 1
    assert [event["stage"] for event in stages] == STAGES
    assert all(track["audio_url"] for track in stages[-1]["tracks"])
    assert [(each["task_id"], each["error"]) for each in failures] == [(bad, "GenerationFailed")]
    assert "\x1b" not in ended.out + ended.err
    assert ended.err.startswith("suno-async: ")
    assert bad in ended.err


async def test_a_task_that_is_gone_is_one_sentence(command: Command) -> None:
    """The service has deleted it; the others are followed all the same."""
    old = ("--submitted-at", "2020-01-01")
    ended = await command.run("watch", *command.service, *old, "gone", "a\x1bb")
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.count("\n") == 2
    assert "gone" in ended.err
    assert "\x1b" not in ended.err


async def test_the_time_out_says_how_to_go_on(command: Command) -> None:
    """The tasks go on at the service."""
    (endless,) = await submitted(command.sandbox, TaskScript(stages=()))
    ended = await command.run("watch", *command.service, "--timeout", "0.5", endless)
    assert (ended.status, ended.out) == (1, "")
    address = command.sandbox.base_url
    assert ended.err == (
        "suno-async: not all ended within 0.5 s\n"
        "1 task goes on at the service. Go on watching with:\n"
        f"  suno-async watch --base-url {address} {endless}\n"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_it_and_says_how_to_go_on(
    command: Command, number: signal.Signals
) -> None:
    """Only what has not ended is named again; the status is 128 and the signal's number."""
    scripts = TaskScript(), TaskScript(stages=[("TEXT_SUCCESS", 0)])
    complete, endless = await submitted(command.sandbox, *scripts)
    running = await command.start(
        "watch", *command.service, complete, endless, before=lambda: allow(number)
    )
    await running.until(f"{complete} complete")
    running.process.send_signal(number)
    ended = await running.end()
    assert ended.err == (
        "suno-async: interrupted\n"
        "1 task goes on at the service. Go on watching with:\n"
        f"  suno-async watch --base-url {command.sandbox.base_url} {endless}\n"
    )
    assert ended.status == 128 + number


async def test_a_signal_that_was_ignored_stays_ignored(command: Command) -> None:
    """`nohup` keeps a closed terminal from ending it."""
    (endless,) = await submitted(command.sandbox, TaskScript(stages=[("TEXT_SUCCESS", 0)]))

    def as_nohup_does() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    running = await command.start("watch", *command.service, endless, before=as_nohup_does)
    await running.until(f"{endless} text")
    running.process.send_signal(signal.SIGHUP)
    running.process.send_signal(signal.SIGTERM)
    assert (await running.end()).status == 128 + signal.SIGTERM


async def test_a_wrong_key_is_one_sentence(command: Command) -> None:
    """Nothing is watched with it."""
    ended = await command.run("watch", *command.service, "some-task", "another", key="wrong")
    assert (ended.status, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert ended.err.startswith("suno-async: the service refused the API key (")


def allow(number: signal.Signals) -> None:
    """Let a signal end the new process, whatever the tests were started with."""
    signal.signal(number, signal.SIG_DFL if number != signal.SIGINT else signal.default_int_handler)


async def test_a_reader_that_goes_away_ends_it_quietly(command: Command) -> None:
    """`| head -1` is no failure that needs words."""
    (task_id,) = await submitted(command.sandbox, TaskScript())
    pipe = "import os; r, w = os.pipe(); os.dup2(w, 1); os.close(r); os.close(w);"
    call = f"{pipe} from suno_async.cli import main; main()"
    ended = await command.run("watch", *command.service, task_id, call=call)
    assert (ended.status, ended.err) == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--submitted-at", "soon"], "--submitted-at must be a time such as 2026-01-31T12:00:00Z"),
        (["--interval", "nan"], "--interval must be a number of seconds, not nan"),
        (["--interval", "1e300"], "--interval must be a number of seconds, not 1e+300"),
        (["--base-url", "http://a..b"], "base_url must be"),
    ],
)
async def test_a_bad_option_is_one_sentence(command: Command, words: list[str], said: str) -> None:
    """It is refused before anything is asked."""
    ended = await command.run("watch", *command.service, *words, "some-task")
    assert ended.status == 1
    assert ended.err.startswith(f"suno-async: {said}")
    assert ended.err.count("\n") == 1
