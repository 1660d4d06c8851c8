"""Watch many tasks with one heap: poll when the cadence says so, and tell the readers.

Nothing waits for a task but an entry in the agenda. What is due is polled by a pool of pollers,
and what a poll shows is told to the task's readers. Whoever wants a look at once has one in the
agenda too, so that looks at a task never overlap.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from weakref import WeakValueDictionary, ref

from suno_async.answers import Answers, OnComplete, show
from suno_async.cadence import Cadence
from suno_async.clock import Clock
from suno_async.errors import SessionClosed, SunoError
from suno_async.limits import AccountLimits
from suno_async.look import Look
from suno_async.models import CallbackNotice, TaskDetails
from suno_async.observe import Counts, Left, Observers, Watched
from suno_async.owner import Owner
from suno_async.pace import Pace
from suno_async.pollers import PATH, Pollers
from suno_async.progress import name_task
from suno_async.retry import RetryPolicy, SharedPause
from suno_async.transport import Transport
from suno_async.watch import Contexts, Expectation, Reader, Seen, Watch, in_context

__all__ = ["PATH", "Expectation", "Reader", "Watch", "Watcher"]


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
        on_complete: Told of the tracks of each task that becomes complete.
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
        on_complete: OnComplete,
    ) -> None:
        self._pause = pause
        self._policy = policy
        self._clock = clock
        self._owner = owner
        self._observers = observers
        self._pace = Pace(cadence, self._look_at_spared)
        self._answers = Answers(self._pace, pause, policy, clock, observers, counts, on_complete)
        self._pollers = Pollers(
            transport, self._pace, self._answers, pause, policy, clock, limits, counts
        )
        self._watches: WeakValueDictionary[str, Watch] = WeakValueDictionary()
        self._contexts = Contexts()
        self._closed = False

    @property
    def watched(self) -> int:
        """How many tasks that go on have readers."""
        return self._answers.watched

    # --- who is watched ---------------------------------------------------------------------------

    def watch(
        self,
        task_id: str,
        submitted_at: datetime | None = None,
        *,
        model: str = "",
        fresh: bool = False,
        sent_s: float | None = None,
    ) -> Watch:
        """Get the one watch of a task; nothing is polled before somebody reads it.

        One that ended with an error is given up for a new one, which asks again. A fresh one
        belongs to the context in which it is made, another one to that of its first reader.

        Args:
            task_id: The task.
            submitted_at: When it was submitted (aware); None when that is not known.
            model: Its model, for the cadence.
            fresh: Whether this session submitted it.
            sent_s: When it was submitted, on the monotonic clock, if that is known: the wall clock
                may have been set since.
        """
        since = submitted_at or self._clock.now()
        now_s = self._clock.monotonic()
        zero_s = now_s - (self._clock.now() - since).total_seconds() if sent_s is None else sent_s
        known = self._watches.get(task_id)
        if known is not None and known.ending is None:
            if submitted_at is not None and not known.dated:
                known.redate(since, zero_s)
            return known
        watch = Watch(task_id, since, zero_s, submitted_at is not None, model=model, fresh=fresh)
        if fresh:
            watch.context = self._contexts.capture()
        next_ask_s = self._pollers.may_ask_s(task_id) if known is None else known.next_ask_s
        if next_ask_s > now_s:
            watch.next_ask_s = next_ask_s
        self._watches[task_id] = watch
        return watch

    @contextmanager
    def reading(self, watch: Watch, reader: Reader) -> Iterator[None]:
        """Have the reader told of changes inside the block."""
        try:
            self.subscribe(watch, reader)
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
        begins = not watch.readers
        self._answers.watched += begins
        watch.readers = (*watch.readers, reader)
        if begins and self._observers:
            since = watch.submitted_at if watch.dated else None
            told = Watched(watch.task_id, since, watch.model, watch.fresh)
            in_context(watch).run(self._observers.tell, told)
        self._pollers.put(watch, self._pace.first_gap_s(watch, self._clock.monotonic()))

    def unsubscribe(self, watch: Watch, reader: Reader) -> None:
        """Stop telling the reader; without readers the task is not polled."""
        had_readers = bool(watch.readers)
        watch.readers = tuple(other for other in watch.readers if other is not reader)
        if had_readers and not watch.readers and not watch.done:
            self._answers.watched -= 1
            if self._observers:
                in_context(watch).run(self._observers.tell, Left(watch.task_id))
            self._pollers.rest(watch)

    def follow(self, watch: Watch, expectation: Expectation) -> None:
        """Let the callbacks to a URL wake the watch, also those that came already."""
        if watch.hints is not None and watch.hints.keeps is expectation:
            return
        watch.be_followed(expectation)
        follower = ref(watch)  # the URL is good as long as the watch lives, not the reverse

        def wake(notice: CallbackNotice) -> bool:
            if (awake := follower()) is not None:
                self._wake(awake, notice)
            return awake is not None

        expectation.follow(wake)

    def _wake(self, watch: Watch, notice: CallbackNotice) -> None:
        """Look at a task as soon as its limit allows, unless the callback tells nothing new."""
        now_s = self._clock.monotonic()
        announced = watch.hint(notice, now_s)
        if announced is None or self._closed:
            return
        for _ in range(announced):
            self._pace.trust.learn(announced=True, now_s=now_s)
        if watch.wanted:
            self._pollers.hurry(watch)

    def _look_at_spared(self) -> None:
        """Stop waiting for callbacks, which have stopped."""
        now_s = self._clock.monotonic()
        for watch in list(self._watches.values()):
            if watch.hints is not None and watch.ticket and not watch.done:
                self._pollers.put(watch, self._pace.first_gap_s(watch, now_s, slack=False))

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
        self._pollers.hurry(watch)
        timer = self._clock.call_at(deadline_s, partial(show, [seen], None))
        try:
            return await self._owner.until(seen)
        finally:
            timer.cancel()
            if watch.looks is not None and seen in watch.looks:
                watch.looks.remove(seen)
                watch.looks = watch.looks or None
            self._pollers.rest(watch)

    # --- leaving ----------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Stop polling and send the readers home; the tasks go on at the service."""
        self._closed = True
        self._pollers.close()
        for watch in list(self._watches.values()):
            if watch.readers and not watch.done:
                in_context(watch).run(self._answers.end, watch, SessionClosed(watch.task_id))
        await self._pollers.aclose()
