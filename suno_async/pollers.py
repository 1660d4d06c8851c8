"""Polls what is due: one agenda and one timer for all tasks, and a pool of pollers.

When there are fewer polls to spend than wishes (the budget, a pause, no free poller), the agenda
stretches every task's gaps alike.
"""

import asyncio
import logging
import math
from collections import OrderedDict
from contextvars import Context
from urllib.parse import quote

from attrs import define

from suno_async.agenda import Agenda
from suno_async.answers import Answers, Looks, show, surprise
from suno_async.cadence import LEAST_GAP_S
from suno_async.clock import Clock, Timer
from suno_async.errors import SunoError, UnexpectedError, described, one_line
from suno_async.limits import AccountLimits
from suno_async.observe import Counts
from suno_async.owner import LAST_WAIT_S
from suno_async.pace import Pace
from suno_async.retry import RetryPolicy, SharedPause
from suno_async.transport import Transport
from suno_async.watch import Watch
from suno_async.wire import Answer

_log = logging.getLogger("suno_async.watcher")

# docs: the details of a task
PATH = "/api/v1/generate/record-info?taskId="

# a poll that hangs is given up after so long, and after twice as long each time it hangs again
PATIENCE_S = 15.0

# so many polls are under way at a time, and those that hang beside them
USUAL_POLLERS = 100
MAX_POLLERS = 500

# a poll that takes longer than this hangs, for all that is known; so often they are counted
HANGS_S = 0.5

# when sessions share a budget, whoever had the last turn leaves the next one to the others
_COURTESY = 1e-3


@define(eq=False)
class _Poller:
    """What an asyncio task polls just now, and who waits for this very look."""

    watch: Watch
    began_s: float
    looks: Looks = None


class Pollers:
    """Polls watches when they are due, each in the context of its task.

    Args:
        transport: Carries the polls.
        pace: Decides when they are due.
        answers: Takes note of what they show.
        pause: The account's pause after a 429.
        policy: How much slower to go when a poll breaks.
        clock: Where time comes from.
        limits: What the account allows.
        counts: Counts the polls.
    """

    def __init__(
        self,
        transport: Transport,
        pace: Pace,
        answers: Answers,
        pause: SharedPause,
        policy: RetryPolicy,
        clock: Clock,
        limits: AccountLimits,
        counts: Counts,
    ) -> None:
        self._transport = transport
        self._pace = pace
        self._answers = answers
        self._pause = pause
        self._policy = policy
        self._clock = clock
        self._limits = limits
        self._counts = counts
        self._agenda: Agenda[Watch] = Agenda(clock.monotonic())
        self._cooling: OrderedDict[str, float] = OrderedDict()
        self._timer: Timer | None = None
        self._timer_s = math.inf
        self._pollers: dict[asyncio.Task[None], _Poller] = {}
        self._room = USUAL_POLLERS
        self._recount: asyncio.TimerHandle | None = None
        self._own_turn_s = -math.inf
        self._closed = False

    def __len__(self) -> int:
        return len(self._agenda) + len(self._cooling) + len(self._pollers)

    # --- what is to be polled ---------------------------------------------------------------------

    def put(self, watch: Watch, gap_s: float) -> None:
        """Have a watch polled in so many seconds, unless it will be sooner."""
        if not watch.polling:
            self._agenda.put_sooner(watch, gap_s, self._clock.monotonic())
            self._set_timer()

    def hurry(self, watch: Watch) -> None:
        """Have a watch polled as soon as its limit allows; after a poll that is under way."""
        if not watch.polling:
            self._look_soon(watch, self._clock.monotonic())
            self._set_timer()

    def _look_soon(self, watch: Watch, now_s: float) -> None:
        gap_s = max(watch.next_ask_s - now_s, 0.0)
        self._agenda.put_sooner(watch, gap_s, now_s, LEAST_GAP_S)

    def rest(self, watch: Watch) -> None:
        """Stop polling a watch if nobody waits for a look."""
        if not watch.wanted and not watch.polling:
            self._agenda.remove(watch)
            self._cool(watch, self._clock.monotonic())

    def may_ask_s(self, task_id: str) -> float:
        """Tell when a task may be asked whose watch nobody remembers."""
        return self._cooling.get(task_id, -math.inf)

    def _cool(self, watch: Watch, now_s: float) -> None:
        """Remember when a task may be asked again, even if nobody remembers the task."""
        while self._cooling and next(iter(self._cooling.values())) <= now_s:
            self._cooling.popitem(last=False)
        if watch.next_ask_s > now_s:
            self._cooling[watch.task_id] = watch.next_ask_s
            self._cooling.move_to_end(watch.task_id)

    # --- when to poll -----------------------------------------------------------------------------

    def _set_timer(self) -> None:
        """Set the one timer for the first entry that may be polled, unless it may be at once."""
        if self._closed:
            return
        if len(self._pollers) >= self._room:
            self._count_again()
            return  # a poller that ends comes back here too
        now_s = self._clock.monotonic()
        next_s = self._agenda.next_due_s(now_s)
        if next_s is None:
            return
        due_s = max(next_s, self._pause.looks_until_s, self._next_turn_s())
        if due_s <= now_s:
            self._dispatch()
        elif due_s < self._timer_s:
            self._stop_timer()
            self._timer_s = due_s
            self._timer = self._clock.call_at(due_s, self._dispatch)

    def _count_again(self) -> None:
        """See soon how many polls hang, and make room for as many others.

        They hang in the event loop's time, whatever clock the tasks run on.
        """
        if self._recount is None and len(self._pollers) < MAX_POLLERS:
            self._recount = asyncio.get_running_loop().call_later(HANGS_S, self._make_room)

    def _make_room(self) -> None:
        self._recount = None
        latest_s = asyncio.get_running_loop().time() - HANGS_S
        hang = sum(poller.began_s <= latest_s for poller in self._pollers.values())
        self._room = min(USUAL_POLLERS + hang, MAX_POLLERS)
        self._set_timer()

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
        while len(self._pollers) < self._room and (watch := self._take_due()) is not None:
            self._start(watch)
        self._set_timer()

    def _start(self, watch: Watch) -> None:
        """Have a watch polled, in a copy of its own context."""
        doing = _Poller(watch, asyncio.get_running_loop().time())
        context = watch.context.copy() if watch.context is not None else None
        poller = asyncio.create_task(self._work(doing), context=context)
        self._pollers[poller] = doing
        poller.add_done_callback(self._ended)

    def _ended(self, poller: asyncio.Task[None]) -> None:
        """Settle what a poller left, however it ended: it may never have begun."""
        doing = self._pollers.pop(poller)
        if doing.watch.polling:
            doing.watch.polling = False
            self._cut_off(doing, poller)
        self._set_timer()

    def _cut_off(self, doing: _Poller, poller: asyncio.Task[None]) -> None:
        """Have a watch polled again whose poll did not come to its end, ever more slowly."""
        watch, now_s = doing.watch, self._clock.monotonic()
        if poller.cancelled():
            error: BaseException | None = asyncio.CancelledError("something cancelled the poll")
        elif (error := poller.exception()) is not None:
            _log.error("a poll of task %s broke", one_line(watch.task_id), exc_info=error)
        if error is not None and not self._closed:
            show(doing.looks, UnexpectedError(described(error)))
        watch.misses += 1
        if watch.wanted and not self._closed:
            gap_s = max(LEAST_GAP_S, self._policy.wait_s(watch.misses))
            self._agenda.put_sooner(watch, gap_s, now_s)
        else:
            self._cool(watch, now_s)

    def _take_due(self) -> Watch | None:
        """Take the next watch that may be polled now, or None."""
        now_s = self._clock.monotonic()
        limits = self._limits
        if now_s < self._pause.looks_until_s or now_s < limits.next_poll_s:
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
        loop = asyncio.get_running_loop()
        while True:
            await self._poll(doing)
            watch = self._take_due()
            if watch is None:
                break
            if watch.context is not context:
                self._start(watch)
                break
            doing.watch, doing.began_s = watch, loop.time()
            self._set_timer()

    async def _poll(self, doing: _Poller) -> None:
        watch = doing.watch
        began_s = self._clock.monotonic()
        doing.looks, watch.looks = watch.looks, None
        seen: Answer | SunoError
        if began_s >= watch.expires_s:
            self._answers.expire(watch, doing.looks)
            self._go_on(watch, LEAST_GAP_S, began_s)
            watch.polling = False
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
            seen = surprise(error)
        now_s = self._clock.monotonic()
        watch.next_ask_s = now_s + LEAST_GAP_S  # counted from the answer, it holds there too
        least_gap_s = self._answers.take(watch, seen, began_s, now_s, doing.looks)
        self._go_on(watch, least_gap_s, now_s)
        watch.polling = False  # whoever breaks before this is put into the agenda again

    def _go_on(self, watch: Watch, least_gap_s: float, now_s: float) -> None:
        """Put the next look into the agenda, if there is to be one."""
        if watch.looks is not None or (
            watch.hints is not None and watch.hints.new and watch.wanted
        ):
            self._look_soon(watch, now_s)
        elif watch.readers and not watch.done:
            gap_s = self._pace.gap_s(watch, now_s)
            self._agenda.put(watch, max(least_gap_s, gap_s), now_s)
        else:
            self._cool(watch, now_s)

    # --- leaving ----------------------------------------------------------------------------------

    def close(self) -> None:
        """Begin no poll any more, and cancel those that are under way."""
        self._closed = True
        self._stop_timer()
        if self._recount is not None:
            self._recount.cancel()
        self._agenda.clear()
        for poller in self._pollers:
            poller.cancel()

    async def aclose(self) -> None:
        """Close, and wait for a moment until everything has ended."""
        self.close()
        if self._pollers:
            await asyncio.wait(self._pollers, timeout=LAST_WAIT_S)


def _quoted(task_id: str) -> str:
    """Quote an id for a URL; the service's own are letters, digits and dashes."""
    if task_id.isascii() and task_id.replace("-", "").isalnum():
        return task_id
    return quote(task_id, safe="")
