"""What holds for any tasks, any times, any answers, and any callbacks: the real watcher, simulated.

The answers come from a transport without a network, in virtual time, so that hypothesis can try
thousands of histories. The same promises are tested over sockets in `test_watcher.py`.
"""

import asyncio
from functools import partial
from itertools import pairwise

from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from suno_async import (
    CallbackNotice,
    FixedInterval,
    HazardPaced,
    RetryPolicy,
    Stage,
    StageEvent,
    VirtualClock,
)
from suno_async.cadence import EVERY_STAGE, Cadence, Weights
from suno_async.callbacks import Expectation
from suno_async.owner import Owner
from suno_async.retry import SharedPause
from suno_async.transport import Transport
from suno_async.watcher import Watch, Watcher
from suno_async.wire import Answer

STATUSES = ("PENDING", "TEXT_SUCCESS", "FIRST_SUCCESS", "SUCCESS")
AUDIO = '[{"audioUrl": "https://h/a"}, {"audioUrl": "https://h/b"}]'
BAD_ANSWERS = (
    Answer(502, b"<html>"),
    Answer(200, b'{"code": 500, "msg": "x"}'),
    Answer(200, b'{"code": 200, "data": {"status": "NEW"}}'),
    Answer(200, b"{"),
    Answer(200, b'{"code": 200, "data": null}'),
)


@define
class Story:
    """One task: when its stages come, how answers go wrong, and which callbacks are sent."""

    ends_s: tuple[float, float, float]
    latency_s: float
    bad: list[int | None]
    hints: list[tuple[float, Stage | None]]
    polls_s: list[float] = field(factory=list[float])

    def status(self, age_s: float) -> str:
        """Tell the true status at an age."""
        return STATUSES[sum(end_s <= age_s for end_s in self.ends_s)]


class StoryTeller(Transport):
    """Answers polls from the stories; a wrong answer now and then, a stale one too."""

    def __init__(self, clock: VirtualClock, stories: list[Story]) -> None:
        self.clock = clock
        self.stories = stories

    async def get(self, path: str) -> Answer:
        """Answer after the task's latency, with what was true when the question came."""
        story = self.stories[int(path.rpartition("=")[2])]
        asked_s = self.clock.monotonic()
        story.polls_s.append(asked_s)
        if story.latency_s:
            await self.clock.sleep(story.latency_s)
        turn = len(story.polls_s) - 1
        fault = story.bad[turn] if turn < len(story.bad) else None
        if fault is None:
            status = story.status(asked_s)
        elif fault < len(BAD_ANSWERS):
            return BAD_ANSWERS[fault]
        else:
            status = STATUSES[0]  # a replica that lags
        tracks = AUDIO if status == "SUCCESS" else "[]"
        data = f'{{"status": "{status}", "response": {{"sunoData": {tracks}}}}}'
        return Answer(200, f'{{"code": 200, "data": {data}}}'.encode())


@define(eq=False)
class Listener:
    """Notes the events of a task and when they came."""

    clock: VirtualClock
    weights: Weights = EVERY_STAGE
    events: list[StageEvent] = field(factory=list[StageEvent])
    at_s: list[float] = field(factory=list[float])
    done: asyncio.Event = field(factory=asyncio.Event)

    def notify(self, watch: Watch) -> None:
        """Take what is new."""
        for event in watch.events[len(self.events) :]:
            self.events.append(event)
            self.at_s.append(self.clock.monotonic())
        if watch.done:
            assert watch.ending is None
            self.done.set()


async def watch_all(
    stories: list[Story], cadence: Cadence, polls_per_second: float | None
) -> list[Listener]:
    """Let the watcher follow all stories to their ends."""
    clock = VirtualClock()
    policy = RetryPolicy()
    owner = Owner()
    watcher = Watcher(
        transport=StoryTeller(clock, stories),
        cadence=cadence,
        pause=SharedPause(clock, policy),
        policy=policy,
        clock=clock,
        owner=owner,
        polls_per_second=polls_per_second,
    )
    listeners = [Listener(clock) for _ in stories]
    watches = []
    for position, (story, listener) in enumerate(zip(stories, listeners, strict=True)):
        watch = watcher.watch(str(position), clock.now(), model="V5", fresh=True)
        watches.append(watch)
        watcher.subscribe(watch, listener)
        if story.hints:
            expectation = Expectation(str(position), f"http://127.0.0.1/{position}")
            watcher.follow(watch, expectation)
            for at_s, stage in story.hints:
                notice = CallbackNotice(stage or "error", str(position))
                clock.call_at(at_s, partial(expectation.deliver, notice))

    async def finish() -> None:
        for listener in listeners:
            await listener.done.wait()

    await clock.run(asyncio.wait_for(finish(), None), settle_passes=6)
    await watcher.aclose()
    await owner.aclose()
    return listeners


gaps_s = st.floats(0, 300) | st.integers(0, 5).map(float)
hints = st.lists(st.tuples(st.floats(0, 600), st.none() | st.sampled_from(Stage)), max_size=25)
stories = st.builds(
    lambda a, b, c, latency_s, bad, hints: Story((a, a + b, a + b + c), latency_s, bad, hints),
    gaps_s,
    gaps_s,
    gaps_s,
    st.sampled_from((0.0, 0.05, 0.4, 3.0)),
    st.lists(st.none() | st.integers(0, len(BAD_ANSWERS)), max_size=12),
    hints,
)
cadences = st.sampled_from((HazardPaced, FixedInterval, lambda: FixedInterval(0.1)))


@settings(deadline=None, max_examples=60)
@given(st.lists(stories, min_size=1, max_size=6), cadences, st.none() | st.floats(1, 20))
def test_promises_of_watching(
    told: list[Story], make_cadence: type[Cadence], polls_per_second: float | None
) -> None:
    """Invariants 2, 3, 5 and 6: once each, in order, never early, politely, and to the end."""
    listeners = asyncio.run(watch_all(told, make_cadence(), polls_per_second))
    for story, listener in zip(told, listeners, strict=True):
        assert [event.stage for event in listener.events] == list(Stage)
        assert all(
            at_s >= end_s for at_s, end_s in zip(listener.at_s, story.ends_s, strict=True)
        ), "an event came before its stage"
        assert all(story.polls_s[0] <= at_s for at_s in listener.at_s), (
            "an event came before its poll"
        )
        fourth = zip(story.polls_s, story.polls_s[3:], strict=False)
        assert all(later - earlier > 1.0 for earlier, later in fourth), "asked 4 times a second"
    if polls_per_second is not None:
        asked_s = sorted(at_s for story in told for at_s in story.polls_s)
        spacing_s = 1 / polls_per_second
        assert all(b - a >= spacing_s - 1e-9 for a, b in pairwise(asked_s)), "over the budget"
