"""Ten thousand callbacks of every bad kind, against a session that has work to do."""

import asyncio
import gc
import random
from collections import Counter

from suno_async import CallbackNotice, CallbackReceiver
from suno_async.sandbox import CallbackScript, Sandbox, TaskScript
from tests.following import STAGES, busiest, collect, names, poll_times
from tests.world import session_for, song

from .hosting import callback, connection, free_port, head, status_of

STORM = 10_000
CONNECTIONS = 8
AT_A_TIME = 25


class Storm:
    """Posts to a receiver whatever is not right, over a few connections that are kept alive.

    Args:
        receiver: Where to.
        urls: The callback URLs of tasks that are watched.
        task_ids: Their tasks.
    """

    def __init__(self, receiver: CallbackReceiver, urls: list[str], task_ids: list[str]) -> None:
        self._base = receiver.public_url
        self._targets = list(zip(urls, task_ids, strict=True))
        self._random = random.Random(0)
        self.answers: Counter[tuple[str, int]] = Counter()

    def _one(self) -> tuple[str, bytes]:
        """Make up a request, and tell its kind."""
        url, task_id = self._random.choice(self._targets)
        kind = self._random.choice(
            ["guessed"] * 4 + ["forged"] * 4 + ["repeated", "malformed", "reordered", "oversized"]
        )
        if kind == "guessed":
            url = f"{self._base}/{self._random.getrandbits(144):036x}"
        stage = self._random.choice(["text", "first", "complete", "COMPLETE", "error", "new"])
        body = callback(stage, task_id)
        if kind == "malformed":
            body = body[: self._random.randrange(len(body))]
        elif kind == "oversized":  # said to be, so that it is answered before it is sent
            return kind, head(url, "Content-Length: 5000000", "Connection: close")
        return kind, head(url, f"Content-Length: {len(body)}") + body

    async def blow(self) -> None:
        """Send all of it, and count the answers."""
        await asyncio.gather(*(self._connection() for _ in range(CONNECTIONS)))

    async def _connection(self) -> None:
        left = STORM // CONNECTIONS
        while left > 0:
            async with connection(self._base) as (reader, writer):
                while left > 0:
                    kinds = []
                    for _ in range(min(AT_A_TIME, left)):
                        kind, request = self._one()
                        writer.write(request)
                        kinds.append(kind)
                        if kind == "oversized":
                            break
                    for kind in kinds:
                        self.answers[kind, await status_of(reader)] += 1
                    left -= len(kinds)
                    if kinds[-1] == "oversized":
                        break


async def test_a_storm_changes_nothing() -> None:
    """Invariant 6: no wrong event, no crash, no growth, three polls a second, 404 for strangers."""
    port = free_port()
    receiver = CallbackReceiver(f"http://127.0.0.1:{port}/suno")
    stuck = [TaskScript(stages=()) for _ in range(30)]
    slow = [
        TaskScript(
            stages=[("TEXT_SUCCESS", 0.5), ("FIRST_SUCCESS", 1.0), ("SUCCESS", 1.5)],
            callbacks=CallbackScript(late_s=0.1 * (number % 3), reverse=number % 2 == 0),
        )
        for number in range(30)
    ]
    async with (
        Sandbox(submissions_per_window=None) as sandbox,
        receiver.serve("127.0.0.1", port),
        session_for(sandbox, receiver=receiver, submissions_per_window=(1000, 0.001)) as suno,
    ):
        sandbox.script(*stuck, *slow)
        tasks = [await suno.submit(song()) for _ in range(60)]
        urls = [str((sent.body or {})["callBackUrl"]) for sent in sandbox.submissions]
        reading = [asyncio.create_task(collect(task)) for task in tasks]
        storm = Storm(receiver, urls, [task.task_id for task in tasks])
        await storm.blow()
        assert repr(receiver).endswith(", 60 tokens>")
        tokens = {url.rpartition("/")[2] for url in urls}
        notices = [
            kept
            for kept in gc.get_objects()
            if isinstance(kept, CallbackNotice) and kept.token in tokens
        ]
        assert len(notices) <= 60  # the first of each task, without its tracks
        assert not any(kept.raw or kept.tracks for kept in notices)

        read = await asyncio.gather(*reading[30:])
        assert [names(events) for events in read] == [STAGES] * 30
        for task, events in zip(tasks[30:], read, strict=True):
            told = [sandbox.tasks[task.task_id].moment(number).after_s for number in (1, 2, 3)]
            seen = [(event.observed_at - task.submitted_at).total_seconds() for event in events]
            assert all(at >= reached - 0.05 for at, reached in zip(seen, told, strict=True))
        assert not any(each.done() for each in reading[:30])
        for each in reading[:30]:
            each.cancel()

        known: dict[str, set[int]] = {}
        for kind, status in storm.answers:
            known.setdefault(kind, set()).add(status)
        assert storm.answers.total() == STORM
        assert known["guessed"] == {404}
        assert known["forged"] == known["repeated"] == known["reordered"] == {200}
        assert known["malformed"] == {400}
        assert known["oversized"] == {413}
        assert max(busiest(poll_times(sandbox, task.task_id), 1.0) for task in tasks) <= 3
        assert {poll.task_id for poll in sandbox.polls} <= {task.task_id for task in tasks}
