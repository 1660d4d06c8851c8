"""A caller's client session keeps connections alive; what comes over an idle one is no answer."""

import asyncio

import aiohttp

from suno_async.sandbox import Sandbox
from tests.line import Exchange, line_to
from tests.world import song

from .surroundings import session


async def test_an_answer_to_nobody_is_not_the_next_submissions() -> None:
    """Invariant 2: the next submission gets its own id, and not once more that of the last."""
    twice = asyncio.Event()

    async def answer_twice(exchange: Exchange) -> None:
        answer = b"".join(await exchange.ask())
        await exchange.say(answer)
        if not twice.is_set():
            await asyncio.sleep(0.02)  # the connection is idle by then
            await exchange.say(answer)
            twice.set()
        await answer_twice(Exchange(exchange.line, exchange.reader, exchange.writer))

    async with (
        Sandbox(time_scale=0, submissions_per_window=None) as sandbox,
        line_to(sandbox.base_url) as line,
        aiohttp.ClientSession() as theirs,
        session(sandbox, base_url=line.base_url, client_session=theirs) as suno,
    ):
        line.strike = answer_twice
        one = await suno.submit(song(title="one"))
        await twice.wait()
        await asyncio.sleep(0.01)
        two = await suno.submit(song(title="two"))
        paid = {task_id: task.request["title"] for task_id, task in sandbox.tasks.items()}
    assert paid == {one.task_id: "one", two.task_id: "two"}
    assert len(sandbox.ledger) == 2
