"""The command is killed, hung up, unread and cut off in the middle of a batch, and goes on.

Short versions, at moments that the service knows, of `python -m benchmarks command`.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from benchmarks.command_batch import Batch, Moment, Start, cut_off, hung_up, killed, unread
from suno_async.sandbox import Sandbox, Timings
from tests.line import line_to

from .albums import audio, good_rows, write_album
from .preloaded import Call, Forked, Server

ROWS = 6
EQUAL = 1


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A service that takes long enough for things to happen in between."""
    timings = Timings(0.1, 0.3, 0.5)
    async with Sandbox(timings=timings, submissions_per_window=None, callbacks=False) as sandbox:
        yield sandbox


@pytest.fixture
async def batch(tmp_path: Path, sandbox: Sandbox, server: Server) -> AsyncIterator[Batch]:
    """A batch of a few rows, of which two ask for the same, one at a time."""

    async def start(it: Start) -> Forked:
        return server.start(Call(it.folder, it.environment, it.words), {1: it.out, 2: it.err})

    write_album(tmp_path, good_rows(ROWS, EQUAL))
    async with line_to(sandbox.base_url) as line:
        batch = Batch(tmp_path, sandbox, line, words=("--max-in-flight", "1"), starter=start)
        yield batch
        await batch.aclose()


def when(condition: Callable[[], bool]) -> Moment:
    """Wait for something."""

    async def moment() -> None:
        while not condition():  # noqa: ASYNC110 - the sandbox sets no event
            await asyncio.sleep(0.01)

    return moment


def submitted(batch: Batch) -> Moment:
    """Wait for one more submission."""
    before = len(batch.sandbox.submissions)
    return when(lambda: len(batch.sandbox.submissions) > before)


def saved(batch: Batch) -> Moment:
    """Wait for one more file that is there whole."""
    before = len(audio(batch.out))
    return when(lambda: len(audio(batch.out)) > before)


async def whole(batch: Batch) -> None:
    """Run a batch to its end, deciding what is uncertain, and look at what it made."""
    await batch.run()
    await batch.decide()
    assert await batch.run() == 0
    figures = await batch.check(2 * ROWS)
    assert batch.problems == []
    assert figures["charges"] == figures["rows"] == ROWS


async def test_a_batch_goes_on_after_all_that_ends_it(batch: Batch) -> None:
    """Killed twice, hung up, unread, cut off: nothing is paid twice, lost, or fetched again."""
    rng = random.Random(0)
    assert await killed(batch, submitted(batch), rng)
    assert await killed(batch, saved(batch), rng)
    assert await hung_up(batch, submitted(batch), rng)
    assert await unread(batch, submitted(batch), rng)
    assert await cut_off(batch, submitted(batch), rng)
    # the last one lives through it
    assert batch.statuses[:4] == [-9, -9, 129, 141]
    await whole(batch)


async def test_an_answer_that_is_lost_is_uncertain_and_adopted(batch: Batch) -> None:
    """The service has taken the submission, and its answer went with the network."""
    batch.line.cut_at_next_answer(0.5)
    assert await batch.run() == 1
    assert len(batch.uncertain()) == 1
    assert None not in batch.uncertain().values()
    await whole(batch)
    assert batch.line.swallowed == 1
