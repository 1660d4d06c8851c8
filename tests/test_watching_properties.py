"""What holds for any tasks, any times, any answers, and any callbacks: the real watcher, simulated.

The answers come from a transport without a network, in virtual time, so that hypothesis can try
thousands of histories. The same promises are tested over sockets in `test_watcher.py`, and those
of single answers in `test_progress.py`.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import pairwise
from math import inf

from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from suno_async import (
    AccountLimits,
    CallbackNotice,
    CallbackReceiver,
    FixedInterval,
    HazardPaced,
    RetryPolicy,
    Stage,
    StageEvent,
    SunoError,
    TaskExpired,
    VirtualClock,
)
from suno_async.cadence import EVERY_STAGE, Cadence, Weights
from suno_async.doubts import DOUBTFUL_LOOKS, LASTING_S, Doubt
from suno_async.expectations import Expectation
from suno_async.observe import Counts, Observers
from suno_async.owner import Owner
from suno_async.retry import SharedPause
from suno_async.transport import Transport
from suno_async.watcher import Watch, Watcher
from suno_async.wire import Answer

from .world import SetClock

STATUSES = ("PENDING", "TEXT_SUCCESS", "FIRST_SUCCESS", "SUCCESS")
AUDIO = '[{"audioUrl": "https://h/a"}, {"audioUrl": "https://h/b"}]'


def _record(status: str, tracks: str = "[]", more: str = "") -> Answer:
    data = f'{{"status": "{status}", "response": {{"sunoData": {tracks}}}{more}}}'
    return Answer(200, f'{{"code": 200, "data": {data}}}'.encode())


# wrong answers, and what they would have to persist as
BAD_ANSWERS: tuple[tuple[Answer, Doubt | None], ...] = (
    (Answer(502, b"<html>"), None),
    (Answer(200, b'{"code": 500, "msg": "x"}'), None),
    (_record("NEW"), None),
    (Answer(200, b"{"), None),
    (Answer(200, b'{"code": 429, "msg": "slow down"}'), None),
    (Answer(200, b'{"code": 200, "data": null}'), Doubt.NO_RECORD),
    (Answer(200, b'{"code": 422, "msg": "recordInfo is null"}'), Doubt.NO_RECORD),
    (Answer(200, b'{"code": 401, "msg": "x"}'), Doubt.REFUSED),
    (Answer(200, b'{"code": 777, "msg": "x"}'), Doubt.REFUSED),
    (_record("SUCCESS", AUDIO, ', "taskId": "another"'), Doubt.ANOTHER_TASK),
    (_record("GENERATE_AUDIO_FAILED", "[]", ', "taskId": "another"'), Doubt.ANOTHER_TASK),
    (_record("PENDING", "[]", ', "errorCode": 531'), Doubt.FAILED),
)


@define
class Story:
    """One task: when its stages come, how answers go wrong, and what is done to it."""

    ends_s: tuple[float, float, float]
    latency_s: float
    bad: list[int | None]
    hints: list[tuple[float, Stage | None]]
    looks_s: list[float]
    visits_s: list[tuple[float, float]]
    polls_s: list[float] = field(factory=list[float])
    answers: list[tuple[float, Doubt | None]] = field(factory=list[tuple[float, Doubt | None]])

    def status(self, age_s: float) -> str:
        """Tell the true status at an age."""
        return STATUSES[sum(end_s <= age_s for end_s in self.ends_s)]


class StoryTeller(Transport):
    """Answers polls from the stories; a wrong answer now and then, a stale one too."""

    def __init__(self, clock: VirtualClock, stories: list[Story]) -> None:
        self.clock = clock
        self.stories = stories

    async def get(self, path: str, within_s: float | None = None) -> Answer:
        """Answer after the task's latency, with what was true when the question came."""
        story = self.stories[int(path.rpartition("=")[2])]
        asked_s = self.clock.monotonic()
        turn = len(story.polls_s)
        story.polls_s.append(asked_s)
        if story.latency_s:
            await self.clock.sleep(story.latency_s)
        fault = story.bad[turn] if turn < len(story.bad) else None
        doubt = None
        if fault is None:
            status = story.status(asked_s)
            answer = _record(status, AUDIO if status == "SUCCESS" else "[]")
        elif fault < len(BAD_ANSWERS):
            answer, doubt = BAD_ANSWERS[fault]
        else:
            answer = _record(STATUSES[0])  # a replica that lags
        story.answers.append((self.clock.monotonic(), doubt))
        return answer


@define(eq=False)
class Listener:
    """Notes the events of a task and when they came."""

    clock: VirtualClock
    weights: Weights = EVERY_STAGE
    events: list[StageEvent] = field(factory=list[StageEvent])
    at_s: list[float] = field(factory=list[float])
    done: asyncio.Event = field(factory=asyncio.Event)
    ending: SunoError | None = None

    def notify(self, watch: Watch) -> None:
        """Take what is new."""
        for event in watch.events[len(self.events) :]:
            self.events.append(event)
            self.at_s.append(self.clock.monotonic())
        if watch.done:
            assert not self.done.is_set(), "it ended twice"
            self.ending = watch.ending
            self.done.set()


@define
class Watching:
    """A watcher, and what is done to the tasks of the stories while it follows them."""

    clock: SetClock
    watcher: Watcher
    receiver: CallbackReceiver = field(factory=partial(CallbackReceiver, "http://127.0.0.1/suno"))
    busy: set[asyncio.Task[object]] = field(factory=set[asyncio.Task[object]])

    def begin(self, position: int, story: Story) -> tuple[Watch, Listener]:
        """Submit a task, and arrange for all that its story brings."""
        watch = self.watcher.watch(str(position), self.clock.now(), model="V5", fresh=True)
        listener = Listener(self.clock)
        self.watcher.subscribe(watch, listener)
        if story.hints:
            expectation = Expectation(str(position), self.receiver)
            self.watcher.follow(watch, expectation)
            for at_s, stage in story.hints:
                notice = CallbackNotice(stage or "error", str(position))
                self.clock.call_at(at_s, partial(expectation.deliver, notice))
        for at_s in story.looks_s:
            self.clock.call_at(at_s, partial(self.look, watch))
        for at_s, stays_s in story.visits_s:
            self.clock.call_at(at_s, partial(self.visit, watch, stays_s))
        return watch, listener

    def look(self, watch: Watch) -> None:
        """Look at once; every third look is cancelled before it was made."""
        look = asyncio.create_task(self._look(watch))
        self.busy.add(look)
        if len(self.busy) % 3 == 0:
            self.clock.call_at(self.clock.monotonic() + 0.1, look.cancel)

    async def _look(self, watch: Watch) -> None:
        with suppress(SunoError):
            await self.watcher.look(watch)

    def visit(self, watch: Watch, stays_s: float) -> None:
        """Read for a while, then leave."""
        visitor = Listener(self.clock)
        if not watch.done:
            self.watcher.subscribe(watch, visitor)
            leave = partial(self.watcher.unsubscribe, watch, visitor)
            self.clock.call_at(self.clock.monotonic() + stays_s, leave)


async def watch_all(
    stories: list[Story],
    cadence: Cadence,
    polls_per_second: float | None,
    jumps: list[tuple[float, float]],
) -> list[Listener]:
    """Let the watcher follow all stories to their ends."""
    clock, policy = SetClock(), RetryPolicy()
    owner, limits = Owner(clock), AccountLimits(polls_per_second=polls_per_second)
    observers = Observers()
    watcher = Watcher(
        transport=StoryTeller(clock, stories),
        cadence=cadence,
        pause=SharedPause(clock, policy, limits, owner.sleep, observers),
        policy=policy,
        clock=clock,
        owner=owner,
        limits=limits,
        observers=observers,
        counts=Counts(),
        on_complete=lambda _: None,
    )
    watching = Watching(clock, watcher)
    begun = [watching.begin(position, story) for position, story in enumerate(stories)]
    for at_s, days in jumps:
        clock.call_at(at_s, partial(clock.jump, timedelta(days=days)))

    async def finish() -> None:
        for _, listener in begun:
            await listener.done.wait()

    await clock.run(asyncio.wait_for(finish(), None), settle_passes=6)
    assert watcher.watched == 0
    owner.close()
    await watcher.aclose()
    await owner.aclose()
    await asyncio.gather(*watching.busy, return_exceptions=True)
    return [listener for _, listener in begun]


gaps_s = st.floats(0, 300) | st.integers(0, 5).map(float)
times_s = st.floats(0, 600)
hints = st.lists(st.tuples(times_s, st.none() | st.sampled_from(Stage)), max_size=25)
stories = st.builds(
    lambda a, b, c, *others: Story((a, a + b, a + b + c), *others),
    gaps_s,
    gaps_s,
    gaps_s,
    st.sampled_from((0.0, 0.05, 0.4, 3.0)),
    st.lists(st.none() | st.integers(0, len(BAD_ANSWERS)), max_size=12),
    hints,
    st.lists(times_s, max_size=4),
    st.lists(st.tuples(times_s, st.floats(0, 100)), max_size=4),
)
cadences = st.sampled_from((HazardPaced, FixedInterval, lambda: FixedInterval(0.1)))
jumps = st.lists(st.tuples(times_s, st.floats(-30, 30)), max_size=3)


@settings(deadline=None, max_examples=60)
@given(st.lists(stories, min_size=1, max_size=6), cadences, st.none() | st.floats(1, 20), jumps)
def test_promises_of_watching(
    told: list[Story],
    make_cadence: Callable[[], Cadence],
    polls_per_second: float | None,
    jumps: list[tuple[float, float]],
) -> None:
    """Invariants 2, 3, 5 and 6: once each, in order, never early, politely, and to the end."""
    listeners = asyncio.run(watch_all(told, make_cadence(), polls_per_second, jumps))
    for story, listener in zip(told, listeners, strict=True):
        check_events(story, listener)
        check_pace(story)
    if polls_per_second is not None:
        asked_s = sorted(at_s for story in told for at_s in story.polls_s)
        spacing_s = 1 / polls_per_second
        assert all(b - a >= spacing_s - 1e-9 for a, b in pairwise(asked_s)), "over the budget"


@settings(deadline=None, max_examples=3)
@given(stories, jumps)
def test_a_task_that_never_ends_expires(story: Story, jumps: list[tuple[float, float]]) -> None:
    """Invariant 4: after 14 days on the monotonic clock, and at a price that can be paid."""
    story.ends_s = inf, inf, inf
    (listener,) = asyncio.run(watch_all([story], HazardPaced(), None, jumps))
    check_pace(story)
    if isinstance(listener.ending, TaskExpired):
        assert 14 * 86_400 <= listener.clock.monotonic() < 14 * 86_400 + 60
        assert len(story.polls_s) < 1100
    else:
        check_proof(story)


def check_events(story: Story, listener: Listener) -> None:
    """See that events are true, and that an error has persisted."""
    assert [event.stage for event in listener.events] == list(Stage)[: len(listener.events)]
    ends_s = zip(listener.at_s, story.ends_s, strict=False)
    assert all(at_s >= end_s for at_s, end_s in ends_s), "an event came before its stage"
    assert all(story.polls_s[0] <= at_s for at_s in listener.at_s), "before its poll"
    if listener.ending is None:
        assert len(listener.events) == len(Stage)
    else:
        check_proof(story)


def check_proof(story: Story) -> None:
    """See that the doubt which ended a watch had stood for its time and its looks."""
    polls = iter(reversed(story.answers))
    ended_s, doubt = next(each for each in polls if each[1] is not None)
    stood = [ended_s]
    for at_s, other in polls:
        if other is doubt:
            stood.append(at_s)
    assert doubt is not None
    assert len(stood) >= DOUBTFUL_LOOKS
    assert ended_s - stood[-1] >= LASTING_S[doubt]


def check_pace(story: Story) -> None:
    """See that no second holds more than three looks, by whoever they were made."""
    fourth = zip(story.polls_s, story.polls_s[3:], strict=False)
    assert all(later - earlier > 1.0 for earlier, later in fourth), "asked 4 times a second"
    answered = [at_s for at_s, _ in story.answers]
    overlaps = zip(answered, story.polls_s[1:], strict=False)
    assert all(answer_s <= asked_s for answer_s, asked_s in overlaps), "two looks at a time"
