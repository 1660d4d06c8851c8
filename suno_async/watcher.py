"""Watch many tasks with one heap: poll when the cadence says so, and tell the readers.

Nothing waits for a task but an entry in the agenda. A single timer is set for the first one; what
is due is polled by a small pool of pollers, and what a poll shows is told to the task's readers.

When there are fewer polls to spend than wishes (the budget, a pause, no free poller), the agenda
stretches every task's gaps alike.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Protocol
from urllib.parse import quote
from weakref import WeakValueDictionary, ref

from attrs import define

from suno_async.agenda import Agenda
from suno_async.cadence import LEAST_GAP_S, Cadence, CallbackTrust, Weights
from suno_async.clock import Clock, Timer
from suno_async.errors import (
    ApiError,
    ContentRejected,
    GenerationFailed,
    NotFound,
    SessionClosed,
    SunoError,
    TaskError,
    TaskExpired,
    TaskNotFound,
    UnexpectedError,
)
from suno_async.limits import AccountLimits
from suno_async.models import RETENTION, CallbackNotice, Stage, StageEvent, TaskDetails, TaskStatus
from suno_async.observe import Counts, Observers
from suno_async.owner import Owner
from suno_async.retry import RetryPolicy, SharedPause, persist
from suno_async.transport import Transport
from suno_async.verdict import Sight, judge_look
from suno_async.wire import Answer, read_details

_log = logging.getLogger(__name__)

# docs: the details of a task
PATH = "/api/v1/generate/record-info?taskId="

# seen: the record of a new task may lag behind for a short while
RECORD_LAG = timedelta(minutes=1)

# seen: CALLBACK_EXCEPTION without audio may still finish
CALLBACK_DOUBT_S = 3600.0

# a task is looked at once more this long before it expires, and after that whenever half of what
# is left has passed, so that a late result is not missed
LAST_LOOK_S = 600.0

# up to this age its end need not be thought of
FAR_FROM_END_S = RETENTION.total_seconds() / 2

# a stage that a callback announced was reached at the most so long ago
CALLBACK_DELAY_S = 1.0

MAX_POLLERS = 100

_STAGES = tuple(Stage)


class Expectation(Protocol):
    """A submission's callback URL, which is good as long as this is kept."""

    def follow(self, wake: Callable[[CallbackNotice], object]) -> None:
        """Call `wake` for every callback that comes to the URL."""
        ...


class Reader(Protocol):
    """Somebody who wants to know how a task goes on.

    Attributes:
        weights: How much it waits for each stage.
    """

    @property
    def weights(self) -> Weights:
        """How much it waits for `text`, `first` and `complete`."""
        ...

    def notify(self, watch: "Watch") -> None:
        """Take note that the task reached a stage or ended; must return at once."""
        ...


@define(eq=False)
class Watch:
    """What is known of one task; all who read the task share it.

    Attributes:
        task_id: The task.
        submitted_at: When it was submitted (aware, UTC).
        zero_s: The same on the monotonic clock, in seconds.
        model: Its model, for the cadence.
        fresh: Whether this session submitted it, so that its ages are exact.
        dated: Whether `submitted_at` is a fact and not a guess.
        events: The stages reached so far, in order.
        details: The answer that ended the task, a failure's too.
        ending: Why the watch ended without completion.
    """

    task_id: str
    submitted_at: datetime
    zero_s: float
    model: str
    fresh: bool
    dated: bool
    events: tuple[StageEvent, ...] = ()
    details: TaskDetails | None = None
    ending: SunoError | None = None
    readers: tuple[Reader, ...] = ()
    # of the agenda
    ticket: int = 0
    due_s: float = 0.0
    polling: bool = False
    # when it may be asked again, on the monotonic clock
    next_ask_s: float = -math.inf
    # ages: of the last look that showed the task, and of the stage's beginning
    looked_s: float | None = None
    entered_s: float = 0.0
    doubtful_s: float | None = None
    # of callbacks: what keeps their URL good, how many stages they announced and at which age the
    # last of them, whether one is new
    expectation: Expectation | None = None
    announced: int = 0
    announced_s: float = 0.0
    hinted: bool = False
    digest: int | None = None
    misses: int = 0

    @property
    def expires_at(self) -> datetime:
        """When the service deletes the task."""
        return self.submitted_at + RETENTION

    @property
    def done(self) -> bool:
        """Whether it ended."""
        return self.details is not None or self.ending is not None

    @property
    def reached(self) -> int:
        """How many stages were reached."""
        return len(self.events)


class Watcher:
    """Follows all tasks of a session.

    Args:
        transport: Carries the polls.
        cadence: Decides when to look next.
        pause: The session's pause after a 429.
        policy: How much slower to go after failures.
        clock: Where time comes from.
        owner: Ends what callers wait for when the session is left.
        limits: What the account allows.
        observers: Told of everything.
        counts: Counts the polls.
    """

    def __init__(
        self,
        *,
        transport: Transport,
        cadence: Cadence,
        pause: SharedPause,
        policy: RetryPolicy,
        clock: Clock,
        owner: Owner,
        limits: AccountLimits,
        observers: Observers,
        counts: Counts,
    ) -> None:
        self._transport = transport
        self._cadence = cadence
        self._pause = pause
        self._policy = policy
        self._clock = clock
        self._owner = owner
        self._spacing_s = limits.poll_spacing_s
        self._observers = observers
        self._counts = counts
        self._next_slot_s = -math.inf
        self._watches: WeakValueDictionary[str, Watch] = WeakValueDictionary()
        self._cooling: deque[Watch] = deque()
        self._trust = CallbackTrust()
        self._agenda: Agenda[Watch] = Agenda(clock.monotonic())
        self._timer: Timer | None = None
        self._timer_s = math.inf
        self._pollers: set[asyncio.Task[None]] = set()
        self._troubled = False
        self._closed = False

    @property
    def watched(self) -> int:
        """How many tasks have readers."""
        return sum(bool(watch.readers) for watch in self._watches.values())

    # --- who is watched ---------------------------------------------------------------------------

    def watch(
        self,
        task_id: str,
        submitted_at: datetime | None = None,
        *,
        model: str = "",
        fresh: bool = False,
    ) -> Watch:
        """Get the one watch of a task; nothing is polled before somebody reads it.

        One that ended with an error is given up for a new one, which asks again.
        """
        since = submitted_at or self._clock.now()
        zero_s = self._clock.monotonic() - (self._clock.now() - since).total_seconds()
        known = self._watches.get(task_id)
        if known is not None and known.ending is None:
            if submitted_at is not None and not known.dated:
                known.submitted_at, known.zero_s, known.dated = since, zero_s, True
            return known
        watch = Watch(
            task_id=task_id,
            submitted_at=since,
            zero_s=zero_s,
            model=model,
            fresh=fresh,
            dated=submitted_at is not None,
        )
        if known is not None:
            watch.next_ask_s = known.next_ask_s
        self._watches[task_id] = watch
        return watch

    @contextmanager
    def reading(self, watch: Watch, reader: Reader) -> Iterator[None]:
        """Have the reader told of changes inside the block."""
        self.subscribe(watch, reader)
        try:
            yield
        finally:
            self.unsubscribe(watch, reader)

    def subscribe(self, watch: Watch, reader: Reader) -> None:
        """Tell the reader of changes from now on; the task is polled while it has readers."""
        if self._closed and not watch.done:
            raise SessionClosed(watch.task_id)
        watch.readers = (*watch.readers, reader)
        if watch.done or watch.polling:
            return
        self._agenda.put_sooner(watch, self._first_gap_s(watch), self._clock.monotonic())
        self._set_timer()

    def unsubscribe(self, watch: Watch, reader: Reader) -> None:
        """Stop telling the reader; without readers the task is not polled."""
        watch.readers = tuple(other for other in watch.readers if other is not reader)
        if not watch.readers:
            self._agenda.remove(watch)

    def follow(self, watch: Watch, expectation: Expectation) -> None:
        """Let the callbacks to a URL wake the watch, also those that came already."""
        watch.expectation = expectation
        follower = ref(watch)  # the URL is good as long as the watch lives, not the reverse

        def wake(notice: CallbackNotice) -> None:
            if (awake := follower()) is not None:
                self._wake(awake, notice)

        expectation.follow(wake)

    def _wake(self, watch: Watch, notice: CallbackNotice) -> None:
        """Look at a task as soon as its limit allows, unless the callback tells nothing new."""
        stage = notice.stage
        known = stage is not None and stage.position < watch.reached
        if known or watch.done or self._closed:
            return
        if stage is not None and stage.position >= watch.announced:
            for _ in range(max(watch.announced, watch.reached), stage.position + 1):
                self._trust.learn(announced=True)
            watch.announced, watch.announced_s = stage.position + 1, self._age_s(watch)
        watch.hinted = True
        if watch.readers and not watch.polling:
            self._look_soon(watch)

    def _look_soon(self, watch: Watch) -> None:
        now_s = self._clock.monotonic()
        self._agenda.put_sooner(watch, max(watch.next_ask_s - now_s, 0.0), now_s)
        self._set_timer()

    def _first_gap_s(self, watch: Watch) -> float:
        if watch.hinted:  # a callback came before the reader
            return 0.0
        looked_s = 0.0 if watch.looked_s is None and watch.fresh else watch.looked_s
        if looked_s is None:
            return 0.0
        return max(self._gap_s(watch, looked_s) - (self._age_s(watch) - looked_s), 0.0)

    # --- when to poll -----------------------------------------------------------------------------

    def _age_s(self, watch: Watch) -> float:
        return max(self._clock.monotonic() - watch.zero_s, 0.0)

    def _gap_s(
        self, watch: Watch, age_s: float | None = None, *, wait_for_callbacks: bool = True
    ) -> float:
        """Ask the cadence, and do not sleep over the end of the task's life."""
        age_s = self._age_s(watch) if age_s is None else age_s
        gap_s = self._cadence.gap_s(
            _STAGES[watch.reached],
            watch.entered_s,
            age_s,
            model=watch.model,
            weights=_weights(watch.readers),
        )
        if watch.expectation is not None and wait_for_callbacks:
            gap_s += self._trust.slack_s()
        if age_s + gap_s < FAR_FROM_END_S:
            return gap_s
        left_s = (watch.expires_at - self._clock.now()).total_seconds()
        latest_s = left_s - LAST_LOOK_S if left_s > LAST_LOOK_S else left_s / 2
        return min(gap_s, max(latest_s, LEAST_GAP_S))

    def _set_timer(self) -> None:
        """Set the one timer for the first entry that may be polled."""
        next_s = self._agenda.next_due_s(self._clock.monotonic())
        if next_s is None or len(self._pollers) >= MAX_POLLERS or self._closed:
            return  # a poller that ends comes back here
        due_s = max(next_s, self._pause.until_s, self._next_slot_s)
        if due_s < self._timer_s:
            self._stop_timer()
            self._timer_s = due_s
            self._timer = self._clock.call_at(due_s, self._dispatch)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._timer_s = math.inf

    def _dispatch(self) -> None:
        """Hand what is due to pollers."""
        self._stop_timer()
        while len(self._pollers) < MAX_POLLERS and (watch := self._take_due()) is not None:
            poller = asyncio.create_task(self._work(watch))
            self._pollers.add(poller)
            poller.add_done_callback(self._poller_ended)
        self._set_timer()

    def _poller_ended(self, poller: asyncio.Task[None]) -> None:
        self._pollers.discard(poller)
        self._set_timer()

    def _take_due(self) -> Watch | None:
        """Take the next watch that may be polled now, or None."""
        now_s = self._clock.monotonic()
        if now_s < self._pause.until_s or now_s < self._next_slot_s:
            return None
        while (watch := self._agenda.take(now_s)) is not None:
            if now_s < watch.next_ask_s:
                self._agenda.put(watch, watch.next_ask_s - now_s, now_s)
            elif self._clock.now() >= watch.expires_at:
                self._end(watch, TaskExpired(watch.task_id, watch.expires_at))
            else:
                watch.polling = True
                watch.next_ask_s = now_s + LEAST_GAP_S  # before the poller runs, a look might
                self._next_slot_s = now_s + self._spacing_s
                return watch
        return None

    # --- polling ----------------------------------------------------------------------------------

    async def _work(self, watch: Watch | None) -> None:
        while watch is not None:
            await self._poll(watch)
            watch = self._take_due()
            self._set_timer()

    async def _poll(self, watch: Watch) -> None:
        was_hinted, reached = watch.hinted, watch.reached
        try:
            gap_s = await self._look_once(watch)
        except Exception as error:  # noqa: BLE001 - the readers get it, whatever it is
            _log.exception("the watch of task %s broke", watch.task_id)
            surprise = UnexpectedError(f"{type(error).__name__}: {error} (task {watch.task_id})")
            surprise.__cause__ = error
            self._end(watch, surprise)
            return
        finally:
            watch.polling = False
        if not watch.readers or watch.done:
            return
        if watch.hinted:  # a callback came while the answer was on its way
            self._look_soon(watch)
        else:
            # what a callback said and a replica does not know yet, no other callback will say
            in_vain = was_hinted and watch.reached == reached
            gap_s = max(gap_s, self._gap_s(watch, wait_for_callbacks=not in_vain))
            self._agenda.put(watch, gap_s, self._clock.monotonic())

    async def _look_once(self, watch: Watch) -> float:
        """Poll a task and take note of the answer; return the least gap before the next poll."""
        try:
            self._read(watch, await self._ask(watch))
        except SunoError as error:
            return self._missed(watch, error)
        watch.misses = 0
        if self._troubled:
            self._troubled = False
            self._pause.reset()
            _log.info("the service answers polls again")
        return LEAST_GAP_S

    async def _ask(self, watch: Watch) -> Answer:
        now_s = self._clock.monotonic()
        self._counts.polls += 1
        self._next_slot_s = max(self._next_slot_s, now_s + self._spacing_s)
        watch.next_ask_s = now_s + LEAST_GAP_S
        watch.hinted = False
        try:
            return await self._transport.get(PATH + _quoted(watch.task_id))
        finally:
            # counted from the answer, the gap holds at the service too
            now_s = self._clock.monotonic()
            watch.next_ask_s = now_s + LEAST_GAP_S
            self._keep_cooling(watch, now_s)

    def _keep_cooling(self, watch: Watch, now_s: float) -> None:
        """Remember a watch until it may be asked again, even if nobody else does."""
        self._cooling.append(watch)
        while self._cooling and self._cooling[0].next_ask_s <= now_s:
            self._cooling.popleft()

    def _read(self, watch: Watch, answer: Answer) -> None:
        """Take note of an answer; one that is the same as the last is not even decoded."""
        digest = hash(answer.body)
        if digest != watch.digest:
            details = read_details(answer, watch.task_id)
            if details is None:
                raise NotFound(404, "there is no record of the task", answer.http_status)
            watch.digest = digest
            self._observe(watch, details)
        watch.looked_s = self._age_s(watch)
        if watch.doubtful_s is not None and watch.looked_s - watch.doubtful_s > CALLBACK_DOUBT_S:
            self._end(watch, GenerationFailed(watch.task_id, TaskStatus.CALLBACK_EXCEPTION))

    def _missed(self, watch: Watch, error: SunoError) -> float:
        """Take note of a failed poll: end the watch or go on, slower."""
        self._pause.note(error)
        sight = judge_look(error)
        if sight is Sight.NO_RECORD:
            return self._no_record(watch, error)
        if sight is Sight.FATAL:
            if isinstance(error, ApiError):
                error.task_id = watch.task_id
            self._end(watch, error)
            return math.inf
        watch.misses += 1
        if not self._troubled:
            self._troubled = True
            _log.warning("polling goes on, slower: %s (task %s)", error, watch.task_id)
        return self._policy.wait_s(watch.misses)

    def _no_record(self, watch: Watch, error: SunoError) -> float:
        known = watch.digest is not None  # then it is a replica that lags
        if not known and self._clock.now() >= watch.submitted_at + RECORD_LAG:
            missing = TaskNotFound(watch.task_id)
            missing.__cause__ = error
            self._end(watch, missing)
        return LEAST_GAP_S

    # --- what a poll shows ------------------------------------------------------------------------

    def _observe(self, watch: Watch, details: TaskDetails) -> None:
        """Take note of new details: stages in order and once each, whatever was jumped over."""
        if watch.done:
            return
        stage = details.stage
        if stage is not None and stage.position >= watch.reached:
            self._learn(watch, stage)
            at = self._clock.now()
            for reached in _STAGES[watch.reached : stage.position + 1]:
                event = StageEvent(
                    reached, watch.task_id, details.tracks, details, at, reached is not stage
                )
                watch.events += (event,)
            if stage is Stage.COMPLETE:
                self._end(watch, None, details)
            elif not details.failed:
                self._tell(watch)
        if details.failed:
            self._end(watch, _failure(details), details)
        is_doubtful = details.status == TaskStatus.CALLBACK_EXCEPTION
        if not is_doubtful:
            watch.doubtful_s = None
        elif watch.doubtful_s is None:
            watch.doubtful_s = self._age_s(watch)

    def _learn(self, watch: Watch, stage: Stage) -> None:
        """Tell the cadence in which interval each newly reached stage came."""
        before_s, after_s = watch.looked_s or 0.0, self._age_s(watch)
        if stage.position < watch.announced:
            before_s = max(before_s, watch.announced_s - CALLBACK_DELAY_S)
        for reached in _STAGES[watch.reached : stage.position + 1]:
            if watch.expectation is not None and reached.position >= watch.announced:
                self._trust.learn(announced=False)
            if watch.fresh:
                self._cadence.learn(reached, watch.entered_s, before_s, after_s, model=watch.model)
            watch.entered_s = before_s = (before_s + after_s) / 2

    def _end(
        self, watch: Watch, ending: SunoError | None, details: TaskDetails | None = None
    ) -> None:
        watch.ending, watch.details = ending, details
        self._agenda.remove(watch)
        self._tell(watch)

    @staticmethod
    def _tell(watch: Watch) -> None:
        for reader in watch.readers:
            reader.notify(watch)

    # --- a look outside the cadence ---------------------------------------------------------------

    async def look(self, watch: Watch) -> TaskDetails:
        """Look at a task now, as soon as the limits allow, and tell the readers too.

        Raises:
            TaskExpired: The task is older than 14 days.
            TaskNotFound: The service does not know it.
            ApiError: The service refused, or went on failing.
            ConnectionFailed: No answer came.
            ProtocolError: No readable answer came.
            SessionClosed: The session was left.
        """
        try:
            return await self._owner.run(self._look(watch))
        except SunoError as error:
            if isinstance(error, ApiError | SessionClosed):
                error.task_id = watch.task_id
            elif not isinstance(error, TaskError):
                error.add_note(f"while looking at task {watch.task_id}")
            raise

    async def _look(self, watch: Watch) -> TaskDetails:
        if watch.dated and self._clock.now() >= watch.expires_at:
            raise TaskExpired(watch.task_id, watch.expires_at)

        async def look() -> TaskDetails | None:
            await self._turn(watch)
            return self._seen(watch, await self._ask(watch))

        details = await persist(look, policy=self._policy, clock=self._clock, pause=self._pause)
        return details or self._without_record(watch)

    async def _turn(self, watch: Watch) -> None:
        while True:
            until_s = max(self._pause.until_s, self._next_slot_s, watch.next_ask_s)
            left_s = until_s - self._clock.monotonic()
            if left_s <= 0:
                return
            await self._clock.sleep(left_s)

    def _seen(self, watch: Watch, answer: Answer) -> TaskDetails | None:
        try:
            details = read_details(answer, watch.task_id)
        except ApiError as error:
            if judge_look(error) is not Sight.NO_RECORD:
                raise
            return None
        if details is not None:
            watch.digest = hash(answer.body)
            self._observe(watch, details)
        return details

    def _without_record(self, watch: Watch) -> TaskDetails:
        """Tell what is known of a task without record: it may be new, or a replica may lag."""
        if watch.events:
            return watch.events[-1].details
        is_new = watch.dated and self._clock.now() < watch.submitted_at + RECORD_LAG
        if not is_new:
            raise TaskNotFound(watch.task_id)
        return TaskDetails(watch.task_id, TaskStatus.PENDING)

    async def aclose(self) -> None:
        """Stop polling and send the readers home; the tasks go on at the service."""
        self._closed = True
        self._stop_timer()
        pollers = list(self._pollers)
        for poller in pollers:
            poller.cancel()
        await asyncio.gather(*pollers, return_exceptions=True)
        for watch in list(self._watches.values()):
            if not watch.done and watch.readers:
                self._end(watch, SessionClosed(watch.task_id))
        self._agenda.clear()


def _weights(readers: tuple[Reader, ...]) -> Weights:
    """Find the weights of the reader who is most eager for the first stage."""
    if len(readers) == 1:
        return readers[0].weights
    return max((reader.weights for reader in readers), key=lambda weights: weights[0])


def _quoted(task_id: str) -> str:
    """Quote an id for a URL; the service's own are letters, digits and dashes."""
    if task_id.isascii() and task_id.replace("-", "").isalnum():
        return task_id
    return quote(task_id, safe="")


def _failure(details: TaskDetails) -> GenerationFailed:
    # docs: 400 lyrics copyrighted, 413 the audio matches an existing work, 531 refunded
    rejected = details.status == TaskStatus.SENSITIVE_WORD_ERROR or details.error_code in {400, 413}
    return (ContentRejected if rejected else GenerationFailed)(
        details.task_id,
        details.status,
        details.error_code,
        details.error_message,
        details.error_code == 531,
    )
