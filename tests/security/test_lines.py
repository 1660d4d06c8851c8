"""What the service says is shown, and does nothing to a terminal or a log."""

import asyncio
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import fields

from suno_async import (
    AddInstrumentalRequest,
    ApiError,
    SunoError,
    SunoSession,
    Track,
    WatchTimeout,
    durable,
)
from suno_async.cli.board import Board, Entry, State
from suno_async.cli.failures import FetchRest
from suno_async.sandbox import Call, EnvelopeError, Html200, Reply, Sandbox, TaskScript
from tests.world import EAGER, World, session_for, song

from .hostile import TEXT, acts_on_a_terminal

ACCEPTED = Reply(200, {"code": 200, "msg": "success", "data": {"taskId": TEXT}})


def kinds(root: type[SunoError] = SunoError) -> Iterator[type[SunoError]]:
    """Name every class of the library's errors."""
    yield root
    for kind in root.__subclasses__():
        yield from kinds(kind)


def made(kind: type[SunoError]) -> SunoError:
    """Make an error that has the hostile text wherever there is text."""
    values = {"str": TEXT, "int": 418, "timedelta": timedelta(1), "datetime": datetime.now(UTC)}
    given: dict[str, Any] = {}
    for attribute in fields(kind):
        name = str(getattr(attribute.type, "__name__", attribute.type))
        if attribute.init and attribute.name not in {"tracks", "details"}:
            given[attribute.name] = TEXT if "str" in name else values.get(name, attribute.default)
    return kind(**given)


@pytest.mark.parametrize("kind", [*dict.fromkeys(kinds())], ids=lambda kind: kind.__name__)
def test_an_error_is_one_printable_line(kind: type[SunoError]) -> None:
    """Whatever is in it; its attributes keep what was said."""
    assert durable.JobConflict in kinds()
    error = made(kind)
    assert str(error).isprintable()
    assert repr(error).isprintable()
    for name, value in vars(error).items():
        assert "str" not in str(value.__class__) or value == TEXT or name == "rule"


def test_a_message_can_still_be_read() -> None:
    """What does no harm stays as it was written."""
    assert str(ApiError(418, "Ёлка, naïve “é” 日本 👍")).endswith("Ёлка, naïve “é” 日本 👍")
    assert str(ApiError(418, "a\nb")).endswith(r"a\nb")


class Records(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.kept.append(record)


@pytest.fixture
def _harmless() -> Iterator[None]:
    """Whatever is logged in a test, an attacker's words among it, is a harmless line."""
    root, records = logging.getLogger(), Records()
    level = root.level
    root.addHandler(records)
    root.setLevel(logging.DEBUG)
    yield
    root.removeHandler(records)
    root.setLevel(level)
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s")
    lines = [formatter.format(record) for record in records.kept]
    assert any("forged" in line for line in lines)
    for record, line in zip(records.kept, lines, strict=True):
        assert not acts_on_a_terminal(line)
        if record.name.startswith("suno_async"):
            assert record.getMessage().isprintable()
            assert "\n" not in line or record.exc_info is not None


@pytest.mark.usefixtures("_harmless")
async def test_the_ids_and_failures_of_a_task(world: World) -> None:
    """A task is accepted under a hostile id, its looks fail, and its reader leaves."""
    world.sandbox.inject(Call.SUBMIT, ACCEPTED)
    world.sandbox.inject(Call.DETAILS, EnvelopeError(500, TEXT), times=None)
    async with world.session() as suno:
        task = await world.run(suno.submit(song(title=TEXT.replace("\ud800", ""))))
        assert task.task_id == TEXT.replace("\ud800", "\ufffd")
        with pytest.raises(WatchTimeout):
            await world.run(task.result(timedelta(minutes=10)))


@pytest.mark.usefixtures("_harmless")
async def test_submissions_of_every_ending(sandbox: Sandbox) -> None:
    """Refused, uncertain, repeated, cancelled, and with a hook that fails."""

    async def fails(_: str, __: AddInstrumentalRequest, ___: datetime) -> None:
        raise LookupError("no database")

    policy = EAGER
    for fault in (
        EnvelopeError(402, TEXT),
        EnvelopeError(500, TEXT),
        EnvelopeError(429, TEXT),
        Reply(500, TEXT.encode(errors="replace")),
        Html200(),
        ACCEPTED,
    ):
        sandbox.inject(Call.SUBMIT, fault)
        async with session_for(sandbox, retry=policy, on_submitted=fails) as suno:
            (ended,) = await asyncio.gather(suno.submit(song()), return_exceptions=True)
            assert str(ended).isprintable() or isinstance(ended, LookupError)
            sandbox.inject(Call.SUBMIT, fault)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await suno.submit(song())


@pytest.mark.usefixtures("_harmless")
async def test_a_batch_that_is_left(sandbox: Sandbox) -> None:
    """The tasks that go on are named."""
    sandbox.inject(Call.SUBMIT, ACCEPTED)
    sandbox.script(TaskScript(stages=()))
    async with session_for(sandbox) as suno:
        batch = suno.generate_many([song()])
        waiting = asyncio.ensure_future(anext(batch))
        while not suno.stats().accepted:  # noqa: ASYNC110 - sockets set no event
            await asyncio.sleep(0.001)
        waiting.cancel()
        await asyncio.wait({waiting})
        await batch.aclose()


def test_a_track_shows_no_controls() -> None:
    """Nor does the `repr` of what the service gave."""
    assert repr(Track(id=TEXT, title=TEXT, tags=TEXT, audio_url=TEXT)).isprintable()


def test_a_session_shows_no_controls() -> None:
    """Nor does a session's."""
    assert repr(SunoSession("a-key")).isprintable()


def test_an_id_is_no_option_of_a_command() -> None:
    """Nor anything for a shell, in the command that is printed to go on with."""
    ids = "--base-url=http://evil.test", "$(rm -rf ~)", "a; b"
    board = Board([Entry("x", task_id=task_id, state=State.FAILED) for task_id in ids])
    (_, command) = FetchRest(Path("music"))(board)
    assert command.endswith(" -- --base-url=http://evil.test '$(rm -rf ~)' 'a; b'")
