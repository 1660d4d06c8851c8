"""Watch many tasks with one heap: poll when the cadence says so, and tell the readers.

Nothing waits for a task but an entry in the agenda. A single timer is set for the first one; what
is due is polled by a pool of pollers, each in the context of its task, and what a poll shows is
told to the task's readers. Whoever wants a look at once has one in the agenda too, so that looks
at a task never overlap.

When there are fewer polls to spend than wishes (the budget, a pause, no free poller), the agenda
stretches every task's gaps alike.
"""

import asyncio
import logging
import math
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context
from datetime import datetime
from functools import partial
from urllib.parse import quote
from weakref import WeakValueDictionary, ref

from attrs import define

from suno_async.agenda import Agenda
from suno_async.cadence import LEAST_GAP_S, Cadence
from suno_async.clock import Clock, Timer
from suno_async.errors import (
    ApiError,
    NotFound,
    SessionClosed,
    SunoError,
    TaskExpired,
    TaskNotFound,
    UnexpectedError,
)
from suno_async.limits import AccountLimits
from suno_async.look import Look
from suno_async.models import CallbackNotice, TaskDetails
from suno_async.observe import Counts, Ended, Observers, Polled, StageReached
from suno_async.owner import LAST_WAIT_S, Owner
from suno_async.pace import Pace
from suno_async.progress import is_of_another_task, name_task
from suno_async.retry import RetryPolicy, SharedPause
from suno_async.transport import Transport
from suno_async.watch import Contexts, Expectation, Reader, Seen, Watch
from suno_async.wire import Answer, read_details

__all__ = ["PATH", "Expectation", "Reader", "Watch", "Watcher"]

_log = logging.getLogger(__name__)

# docs: the details of a task
PATH = "/api/v1/generate/record-info?taskId="

# a poll that hangs is given up after so long, and after twice as long each time it hangs again
PATIENCE_S = 15.0

# those that hang must leave some for the others
MAX_POLLERS = 500

# when sessions share a budget, whoever had the last turn leaves the next one to the others
_COURTESY = 1e-3


@define(eq=False)
class _Poller:
    """What an asyncio task polls just now."""

    watch: Watch
    looks: "list[asyncio.Future[Seen]] | None" = None


class Watcher:
    """Follows all tasks of a session.

    Args:
        transport: Carries the polls.
        cadence: Decides when to look next.
        pause: The account's pause after a 429.
        policy: How much slower to go after failures.
        clock: Where time comes from.
        owner: Ends what callers wait for when the session is left.
        limits: What the account allows.
        observers: Told of everything.
        counts: Counts the polls.

    Attributes:
        watched: How many tasks that go on have readers.
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
        self._pause = pause
        self._policy = policy
        self._clock = clock
        self._owner = owner
        self._limits = limits
        self._observers = observers
        self._counts = counts
        self._pace = Pace(cadence)
        self._watches: WeakValueDictionary[str, Watch] = WeakValueDictionary()
        self._cooling: OrderedDict[str, float] = OrderedDict()
        self._contexts = Contexts()
        self._agenda: Agenda[Watch] = Agenda(clock.monotonic())
        self._timer: Timer | None = None
        self._timer_s = math.inf
        self._pollers: dict[asyncio.Task[None], _Poller] = {}
        self._own_turn_s = -math.inf
        self._troubled = False
        self._closed = False
        self.watched: int = 0

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

        One that ended with an error is given up for a new one, which asks again. A fresh one
        belongs to the context in which it is made, another one to that of its first reader.
        """
        since = submitted_at or self._clock.now()
        now_s = self._clock.monotonic()
        zero_s = now_s - (self._clock.now() - since).total_seconds()
        known = self._watches.get(task_id)
        if known is not None and known.ending is None:
            if submitted_at is not None and not known.dated:
                known.redate(since, zero_s)
            return known
        watch = Watch(task_id, since, zero_s, submitted_at is not None, model=model, fresh=fresh)
        if fresh:
            watch.context = self._contexts.capture()
        if (next_ask_s := self._may_ask_s(task_id, known)) > now_s:
            watch.next_ask_s = next_ask_s
        self._watches[task_id] = watch
        return watch

    def _may_ask_s(self, task_id: str, known: Watch | None) -> float:
        return self._cooling.get(task_id, -math.inf) if known is None else known.next_ask_s

    def _cool(self, watch: Watch, now_s: float) -> None:
        """Remember when a task may be asked again, even if nobody remembers the task."""
        while self._cooling and next(iter(self._cooling.values())) <= now_s:
            self._cooling.popitem(last=False)
        if watch.next_ask_s > now_s:
            self._cooling[watch.task_id] = watch.next_ask_s
            self._cooling.move_to_end(watch.task_id)

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
        if watch.done:
            watch.readers = (*watch.readers, reader)
            return
        if self._closed:
            raise SessionClosed(watch.task_id)
        if watch.context is None:
            watch.context = self._contexts.capture()
        self.watched += not watch.readers
        watch.readers = (*watch.readers, reader)
        if not watch.polling:
            now_s = self._clock.monotonic()
            self._agenda.put_sooner(watch, self._pace.first_gap_s(watch, now_s), now_s)
            self._set_timer()

    def unsubscribe(self, watch: Watch, reader: Reader) -> None:
        """Stop telling the reader; without readers the task is not polled."""
        had_readers = bool(watch.readers)
        watch.readers = tuple(other for other in watch.readers if other is not reader)
        if had_readers and not watch.readers and not watch.done:
            self.watched -= 1
            self._rest(watch)

    def _rest(self, watch: Watch) -> None:
        """Take a watch out of the agenda if nobody waits for a look."""
        if not watch.wanted:
            self._agenda.remove(watch)
            self._cool(watch, self._clock.monotonic())

    def follow(self, watch: Watch, expectation: Expectation) -> None:
        """Let the callbacks to a URL wake the watch, also those that came already."""
        watch.be_followed(expectation)
        follower = ref(watch)  # the URL is good as long as the watch lives, not the reverse

        def wake(notice: CallbackNotice) -> None:
            if (awake := follower()) is not None:
                self._wake(awake, notice)

        expectation.follow(wake)

    def _wake(self, watch: Watch, notice: CallbackNotice) -> None:
        """Look at a task as soon as its limit allows, unless the callback tells nothing new."""
        now_s = self._clock.monotonic()
        announced = watch.hint(notice, now_s)
        if announced is None or self._closed:
            return
        for _ in range(announced):
            self._pace.trust.learn(announced=True, now_s=now_s)
        if watch.wanted and not watch.polling:
            self._look_soon(watch, now_s)
            self._set_timer()

    def _look_soon(self, watch: Watch, now_s: float) -> None:
        gap_s = max(watch.next_ask_s - now_s, 0.0)
        self._agenda.put_sooner(watch, gap_s, now_s, LEAST_GAP_S)

    # --- when to poll -----------------------------------------------------------------------------

    def _set_timer(self) -> None:
        """Set the one timer for the first entry that may be polled, unless it may be at once."""
        if self._closed or len(self._pollers) >= MAX_POLLERS:
            return  # a poller that ends comes back here
        now_s = self._clock.monotonic()
        next_s = self._agenda.next_due_s(now_s)
        if next_s is None:
            return
        due_s = max(next_s, self._pause.until_s, self._next_turn_s())
        if due_s <= now_s:
            self._dispatch()
        elif due_s < self._timer_s:
            self._stop_timer()
            self._timer_s = due_s
            self._timer = self._clock.call_at(due_s, self._dispatch)

    def _next_turn_s(self) -> float:
        limits = self._limits
        courtesy_s = limits.poll_spacing_s * _COURTESY
        is_own = limits.next_poll_s == self._own_turn_s
        return limits.next_poll_s + courtesy_s if is_own else limits.next_poll_s

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._timer_s = math.inf

    def _dispatch(self) -> None:
        """Hand what is due to pollers."""
        self._stop_timer()
        while len(self._pollers) < MAX_POLLERS and (watch := self._take_due()) is not None:
            self._start(watch)
        self._set_timer()

    def _start(self, watch: Watch) -> None:
        """Have a watch polled, in a copy of its own context."""
        doing = _Poller(watch)
        context = watch.context.copy() if watch.context is not None else None
        poller = asyncio.create_task(self._work(doing), context=context)
        self._pollers[poller] = doing
        poller.add_done_callback(self._ended)

    def _ended(self, poller: asyncio.Task[None]) -> None:
        """Settle what a poller left, however it ended: it may never have begun."""
        doing = self._pollers.pop(poller)
        watch = doing.watch
        if watch.polling:
            watch.polling = False
            watch.looks = [*(doing.looks or ()), *(watch.looks or ())] or None
            now_s, gap_s = self._clock.monotonic(), LEAST_GAP_S
            if not poller.cancelled() and (error := poller.exception()) is not None:
                watch.misses += 1
                gap_s = self._policy.wait_s(watch.misses)
                _log.error("a poll of task %s broke", watch.task_id, exc_info=error)
            if watch.wanted and not self._closed:
                self._agenda.put_sooner(watch, gap_s, now_s)
            else:
                self._cool(watch, now_s)
        self._set_timer()

    def _take_due(self) -> Watch | None:
        """Take the next watch that may be polled now, or None."""
        now_s = self._clock.monotonic()
        limits = self._limits
        if now_s < self._pause.until_s or now_s < limits.next_poll_s:
            return None
        while (watch := self._agenda.take(now_s)) is not None:
            if now_s < watch.next_ask_s:
                self._agenda.put(watch, watch.next_ask_s - now_s, now_s)
            elif watch.hints is not None and (spared_s := self._pace.spared_s(watch, now_s)) > 0.0:
                self._agenda.put(watch, spared_s, now_s)
            else:
                watch.polling = True
                if limits.poll_spacing_s:
                    self._own_turn_s = limits.next_poll_s = now_s + limits.poll_spacing_s
                return watch
        return None

    # --- polling ----------------------------------------------------------------------------------

    async def _work(self, doing: _Poller) -> None:
        """Poll a watch, and go on with what is due in the same context."""
        context: Context | None = doing.watch.context
        while True:
            await self._poll(doing)
            watch = self._take_due()
            if watch is None:
                break
            if watch.context is not context:
                self._start(watch)
                break
            doing.watch = watch
            self._set_timer()

    async def _poll(self, doing: _Poller) -> None:
        watch = doing.watch
        began_s = self._clock.monotonic()
        doing.looks, watch.looks = watch.looks, None
        seen: Answer | SunoError
        if began_s >= watch.expires_s:
            self._expire(doing, began_s)
            return
        if watch.hints is not None:
            watch.hints.new = False
        self._counts.polls += 1
        try:
            seen = await self._transport.get(
                PATH + _quoted(watch.task_id), PATIENCE_S * 2.0 ** min(watch.misses, 8)
            )
        except SunoError as error:
            seen = error
        except Exception as error:  # noqa: BLE001 - a surprise is told, and looked at again
            seen = _surprise(error)
        self._settle(doing, seen, began_s)

    def _expire(self, doing: _Poller, now_s: float) -> None:
        """End a watch whose time is over; nothing is asked."""
        watch = doing.watch
        before = watch.reached, watch.done
        watch.expire()
        watch.polling = False
        self._tell(watch, *before)
        for look in doing.looks or ():
            _show(look, TaskExpired(watch.task_id, watch.expires_at))
        self._go_on(watch, LEAST_GAP_S, now_s)

    def _settle(self, doing: _Poller, seen: Answer | SunoError, began_s: float) -> None:
        """Take note of what a poll showed, tell it, and decide on the next."""
        watch = doing.watch
        now_s = self._clock.monotonic()
        watch.next_ask_s = now_s + LEAST_GAP_S  # counted from the answer, it holds there too
        least_gap_s = LEAST_GAP_S
        if isinstance(seen, Answer):
            digest = hash(seen.body)
            if digest == watch.digest and doing.looks is None and watch.doubts is None:
                watch.saw_the_same(now_s)
                if self._observers:
                    self._observers.tell(Polled(watch.task_id, now_s - began_s))
                self._went_well(watch)
            else:
                least_gap_s = self._take(doing, _details(watch, seen), digest, began_s, seen)
        else:
            least_gap_s = self._take(doing, seen, None, began_s)
        watch.polling = False
        self._go_on(watch, least_gap_s, now_s)

    def _go_on(self, watch: Watch, least_gap_s: float, now_s: float) -> None:
        """Put the next look into the agenda, if there is to be one."""
        if watch.looks or (watch.hints is not None and watch.hints.new and watch.wanted):
            self._look_soon(watch, now_s)
        elif watch.readers and not watch.done:
            gap_s = self._pace.gap_s(watch, now_s)
            self._agenda.put(watch, max(least_gap_s, gap_s), now_s)
        else:
            self._cool(watch, now_s)

    def _went_well(self, watch: Watch) -> None:
        watch.misses = 0
        self._pause.reset()
        if self._troubled:
            self._troubled = False
            _log.info("the service answers polls again")

    def _take(
        self,
        doing: _Poller,
        shown: TaskDetails | SunoError,
        digest: int | None,
        began_s: float,
        answer: Answer | None = None,
    ) -> float:
        """Take note of a look that was not as the last; return the least gap before the next."""
        watch, now_s, at = doing.watch, self._clock.monotonic(), self._clock.now()
        before = watch.reached, watch.done
        error = shown if isinstance(shown, SunoError) else None
        if self._observers:
            self._observers.tell(Polled(watch.task_id, now_s - began_s, error))
        least_gap_s = LEAST_GAP_S
        if isinstance(shown, SunoError):
            least_gap_s = self._miss(watch, shown, now_s, at)
        else:
            self._went_well(watch)
            scrub = answer.scrub if answer is not None else str
            passages = watch.saw(shown, now_s, at, scrub)
            watch.digest = digest if watch.doubts is None else None
            if self._pace.learn(watch, passages, now_s):
                self._look_at_spared(now_s)
            if is_of_another_task(shown, watch.task_id):
                shown = TaskNotFound(watch.task_id)
        self._tell(watch, *before)
        for look in doing.looks or ():
            _show(look, shown)
        return least_gap_s

    def _miss(self, watch: Watch, error: SunoError, now_s: float, at: datetime) -> float:
        """Take note of a failed look; return the least gap before the next."""
        self._pause.note(error)
        if isinstance(error, ApiError):
            self._counts.refusals[error.code] += 1
        if not watch.missed(error, now_s, at):
            return LEAST_GAP_S
        watch.misses += 1
        self._counts.retries += 1
        if not self._troubled:
            self._troubled = True
            about = {"task_id": watch.task_id, "code": getattr(error, "code", None)}
            _log.warning("polling goes on, slower: %s (task %s)", error, watch.task_id, extra=about)
        return self._policy.wait_s(watch.misses)

    def _look_at_spared(self, now_s: float) -> None:
        """Stop waiting for callbacks, which have stopped."""
        for watch in list(self._watches.values()):
            if watch.hints is not None and watch.ticket and not watch.done:
                gap_s = self._pace.first_gap_s(watch, now_s, slack=False)
                self._agenda.put_sooner(watch, gap_s, now_s)
        self._set_timer()

    def _tell(self, watch: Watch, reached: int, was_done: bool) -> None:
        """Tell observers and readers what is new."""
        ends = watch.done and not was_done
        if watch.reached == reached and not ends:
            return
        if ends:
            self.watched -= bool(watch.readers)
            self._agenda.remove(watch)
            watch.doubts = watch.context = None
        if self._observers:
            for event in watch.events[reached:]:
                self._observers.tell(StageReached(event))
            if ends:
                self._observers.tell(Ended(watch.task_id, watch.details, watch.ending))
        for reader in watch.readers:
            reader.notify(watch)

    # --- a look at once ---------------------------------------------------------------------------

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
        # an old handle and a new one have one pace
        watch = self._watches.get(watch.task_id, watch)
        try:
            return await Look(watch, self._policy, self._pause, self._owner, self._clock).made(
                self._seen_next
            )
        except SunoError as error:
            name_task(error, watch.task_id)
            raise

    async def _seen_next(self, watch: Watch, deadline_s: float) -> Seen:
        """Have a look made that begins from now on; None when it has no turn in time."""
        self._owner.check_open()
        if watch.context is None:
            watch.context = self._contexts.capture()
        seen: asyncio.Future[Seen] = asyncio.get_running_loop().create_future()
        watch.looks = [*(watch.looks or ()), seen]
        if not watch.polling:
            self._look_soon(watch, self._clock.monotonic())
            self._set_timer()
        timer = self._clock.call_at(deadline_s, partial(_show, seen, None))
        try:
            return await self._owner.until(seen)
        finally:
            timer.cancel()
            if watch.looks is not None and seen in watch.looks:
                watch.looks.remove(seen)
                watch.looks = watch.looks or None
            if not watch.polling:
                self._rest(watch)

    # --- leaving ----------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Stop polling and send the readers home; the tasks go on at the service."""
        self._closed = True
        self._stop_timer()
        self._agenda.clear()
        pollers = list(self._pollers)
        for poller in pollers:
            poller.cancel()
        for watch in list(self._watches.values()):
            if watch.readers and not watch.done:
                watch.ending = SessionClosed(watch.task_id)
                self._tell(watch, watch.reached, False)
        if pollers:
            await asyncio.wait(pollers, timeout=LAST_WAIT_S)


def _show(look: "asyncio.Future[Seen]", seen: Seen) -> None:
    if not look.done():
        look.set_result(seen)


def _quoted(task_id: str) -> str:
    """Quote an id for a URL; the service's own are letters, digits and dashes."""
    if task_id.isascii() and task_id.replace("-", "").isalnum():
        return task_id
    return quote(task_id, safe="")


def _details(watch: Watch, answer: Answer) -> TaskDetails | SunoError:
    """Read an answer, whatever it is."""
    try:
        details = read_details(answer, watch.task_id)
    except SunoError as error:
        return error
    except Exception as error:  # noqa: BLE001 - a surprise is told, and looked at again
        return _surprise(error)
    if details is None:
        return NotFound(404, "there is no record of the task", answer.http_status)
    return details


def _surprise(error: Exception) -> UnexpectedError:
    _log.error("a look broke", exc_info=error)
    surprise = UnexpectedError(f"{type(error).__name__}: {error}")
    surprise.__cause__ = error
    return surprise
