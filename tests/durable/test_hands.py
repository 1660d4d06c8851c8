"""What a worker's session was given may fail at every call: jobs are paid once, and complete."""

from suno_async.durable import JobState
from tests.hands.behaviours import RAISING, Odd
from tests.hands.test_submitting import observing, pacing, storing, tracing

from .using import becomes, office


async def test_hands_that_always_fail(sqlite: str) -> None:
    """An observer, `on_submitted` and a cadence at the same time."""
    odd = Odd(RAISING["raises what cannot be written"])
    settings = {**storing(odd), **pacing(odd)}
    async with office(sqlite, **settings) as house:
        assert house.worker._session is not None
        for observer in observing(odd)["observers"]:
            house.worker._session.add_observer(observer)
        job = await becomes(await house.submit("one"), JobState.COMPLETE)
        assert house.charges(job.request.title) == [job.task_id]


async def test_a_hook_that_hides_the_answer(sqlite: str) -> None:
    """The job is uncertain, and not paid again."""
    hidden = tracing("on_request_end")(Odd(RAISING["raises what cannot be written"], 1, 1))
    async with hidden["client_session"], office(sqlite, **hidden) as house:
        job = await becomes(await house.submit("one"), JobState.UNCERTAIN)
        assert len(house.charges(job.request.title)) == 1
