"""Many requests: submit as many as fit, and yield each outcome as it is there."""

import asyncio
import itertools
import logging
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Callable,
    Coroutine,
    Iterable,
    Sized,
)
from typing import Any, Protocol

from attrs import define

from suno_async.cadence import ONLY_COMPLETE, Weights
from suno_async.errors import (
    InsufficientCredits,
    NotSubmitted,
    SessionClosed,
    SunoError,
    UnexpectedError,
    described,
    one_line,
)
from suno_async.limits import Places
from suno_async.models import AddInstrumentalRequest, Stage, TaskDetails
from suno_async.outcomes import BatchProgress, Outcome
from suno_async.owner import LAST_WAIT_S, Owner
from suno_async.submission import Gate
from suno_async.verdict import Verdict
from suno_async.watcher import Watch, Watcher

_log = logging.getLogger(__name__)

Requests = Iterable[AddInstrumentalRequest] | AsyncIterable[AddInstrumentalRequest]
OnProgress = Callable[[BatchProgress], object]


class Submit(Protocol):
    """How a batch submits."""

    async def __call__(
        self, request: AddInstrumentalRequest, gate: Gate
    ) -> tuple[Watch, Exception | None]:
        """Submit, and return the watch of the new task, and what the caller's hook raised."""
        ...


@define(eq=False)
class _Run:
    """A request on its way to its outcome; it reads its task itself."""

    position: int
    request: AddInstrumentalRequest
    changes: "asyncio.Queue[_Run | None]"
    leave: Callable[[], None]
    watch: Watch | None = None
    error: SunoError | None = None
    # how many of the task's changes on_progress was told of: its id, then its stages
    told: int = 0
    left: bool = False
    settled: bool = False

    @property
    def weights(self) -> Weights:
        return ONLY_COMPLETE

    def notify(self, watch: Watch | None = None) -> None:
        """Have the consumer look at this run; one that is done leaves its room."""
        if self.done and not self.left:
            self.left = True
            self.leave()
        self.changes.put_nowait(self)

    @property
    def done(self) -> bool:
        return self.error is not None or (self.watch is not None and self.watch.done)

    def outcome(self) -> Outcome:
        watch = self.watch
        if watch is None:
            task_id = getattr(self.error, "task_id", None)  # a callback may have told it since
            return Outcome(self.position, self.request, task_id, error=self.error)
        error = self.error or watch.ending
        return Outcome(self.position, self.request, watch.task_id, _last_details(watch), error)


def _last_details(watch: Watch) -> TaskDetails | None:
    if watch.details is not None:
        return watch.details
    return watch.events[-1].details if watch.events else None


class _Stop:
    """Decides when a batch must not buy any more.

    Args:
        after_uncertain: After how many uncertain submissions in a row; None for never.
    """

    def __init__(self, after_uncertain: int | None) -> None:
        self._after = after_uncertain
        self._in_row = 0
        self._doubted = 0
        self._held: list[asyncio.Future[None]] = []
        self._uncertain: SunoError | None = None
        self._broke: InsufficientCredits | None = None

    def permit(self) -> None:
        """Raise NotSubmitted when the batch is to stop."""
        if self._broke is not None:
            raise NotSubmitted("credits") from self._broke
        if self._after is not None and self._in_row >= self._after:
            raise NotSubmitted("uncertainty") from self._uncertain

    def held(self) -> "asyncio.Future[None] | None":
        """Hold while as many as that are uncertain or may still be proved by callbacks."""
        if self._after is None or not self._doubted or self._in_row + self._doubted < self._after:
            return None
        held: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._held.append(held)
        return held

    def doubt(self) -> None:
        """Take note of an uncertain sending that a callback may still prove."""
        self._doubted += 1

    def settle(self) -> None:
        """Take note that one of these is not waited for any more."""
        self._doubted -= 1
        held, self._held = self._held, []
        for each in held:
            if not each.done():
                each.set_result(None)

    def note(self, verdict: Verdict, error: SunoError | None) -> None:
        """Take note of what is proved of one sending."""
        if verdict is Verdict.UNCERTAIN:
            self._in_row += 1
            self._uncertain = error
        elif verdict is not Verdict.NOT_SENT:  # the service answers
            self._in_row = 0
        if isinstance(error, InsufficientCredits) and verdict is Verdict.REFUSED:
            self._broke = self._broke or error


class Batch:
    """One call of `generate_many`.

    At most one request is pulled that has no room in flight yet, and none while `backlog` outcomes
    are still to be taken: a slow consumer or an endless iterable never piles anything up, and a
    source or a consumer that waits for room itself gets it.

    Args:
        requests: Where the requests come from.
        submit: How to submit one.
        watcher: Follows the tasks.
        owner: Starts what runs beside.
        room: How many may be in flight, here and elsewhere.
        backlog: How many may be pulled whose outcomes have not been taken.
        stop_after_uncertain: After how many uncertain submissions in a row to stop submitting.
        on_progress: Told of everything that happens, in the consumer's context.
    """

    def __init__(
        self,
        requests: Requests,
        *,
        submit: Submit,
        watcher: Watcher,
        owner: Owner,
        room: Places,
        backlog: int,
        stop_after_uncertain: int | None,
        on_progress: OnProgress | None,
    ) -> None:
        self._requests = requests
        self._submit = submit
        self._watcher = watcher
        self._owner = owner
        self._room = room
        self._backlog = Places(backlog)
        self._gate = _Stop(stop_after_uncertain)
        self._on_progress = on_progress
        self._total = len(requests) if isinstance(requests, Sized) else None
        self._changes: asyncio.Queue[_Run | None] = asyncio.Queue()
        self._running: set[_Run] = set()
        self._work: set[asyncio.Task[Any]] = set()
        self._held = 0
        self._open = 0
        self._stopped = False
        self._pump_error: BaseException | None = None
        self._submitted = self._succeeded = self._failed = 0

    async def outcomes(self) -> AsyncGenerator[Outcome, None]:
        """Yield an outcome for each request, in the order in which they end."""
        pump = self._owner.spawn(self._pump(), self._pump_given_up)
        self._work.add(pump)
        pump.add_done_callback(self._pumped)
        pulling = True
        try:
            while pulling or self._open:
                run = await self._changes.get()
                if run is None:
                    pulling = False
                    continue
                self._report(run)
                if run.done and self._settle(run):
                    yield run.outcome()
        finally:
            self._stop()
            if self._work:
                # what the caller's source does in its own time is not waited for
                await asyncio.wait(self._work, timeout=LAST_WAIT_S)
        if self._pump_error is not None:
            raise self._pump_error

    # --- beside the consumer ----------------------------------------------------------------------

    async def _pump(self) -> None:
        """Pull requests, and begin with each as soon as there is room."""
        source = _pulling(self._requests)
        try:
            for position in itertools.count():
                await self._backlog.take(self._owner)
                request = await anext(source)
                if self._stopped:  # a source may swallow that it was cancelled
                    return
                await self._room.take(self._owner)
                self._begin(_Run(position, request, self._changes, self._give_room))
        except StopAsyncIteration:
            return
        finally:
            await source.aclose()

    def _pumped(self, pump: "asyncio.Task[None]") -> None:
        """Tell the consumer that no request comes any more, whatever became of the pump."""
        self._work.discard(pump)
        if pump.cancelled():
            self._pump_error = self._cancelled("the source of requests")
        else:
            self._pump_error = pump.exception()
        self._changes.put_nowait(None)

    def _pump_given_up(self) -> None:
        """Tell the consumer so when the source goes on although the session was left."""
        self._pump_error = SessionClosed()
        self._changes.put_nowait(None)

    def _cancelled(self, who: str) -> SunoError:
        """Tell why something was cancelled: by leaving, or by itself."""
        if self._stopped or self._owner.closed:
            return SessionClosed()
        return UnexpectedError(f"CancelledError: {who} raised it")

    def _begin(self, run: _Run) -> None:
        """Start a request that has room; both are accounted for from outside."""
        self._held += 1
        try:
            task = self._owner.accompany(self._submit_one(run))
        except SessionClosed:
            self._give_room()
            raise
        self._open += 1
        self._work.add(task)
        task.add_done_callback(lambda ended: self._ran(run, ended))

    def _give_room(self) -> None:
        self._room.give()
        self._held -= 1

    async def _submit_one(self, run: _Run) -> tuple[Watch, Exception | None]:
        self._gate.permit()
        return await self._submit(run.request, self._gate)

    def _ran(self, run: _Run, task: "asyncio.Task[tuple[Watch, Exception | None]]") -> None:
        """Take note of how a submission ended; from then on the watcher tells how it goes on."""
        self._work.discard(task)
        if task.cancelled():
            run.error = self._cancelled("something that was handed in")
        elif (error := task.exception()) is not None:
            run.error = _sunoerror(error, run)
        else:
            run.watch, hook_error = task.result()
            self._follow(run, run.watch, hook_error)
        if self._stopped:
            run.left = True  # all rooms were given back together
        else:
            run.notify()

    def _follow(self, run: _Run, watch: Watch, hook_error: Exception | None) -> None:
        if self._stopped:
            _say_left(watch)
            return
        self._submitted += 1
        if hook_error is not None:
            run.error = _sunoerror(hook_error, run)
            return
        try:
            self._watcher.subscribe(watch, run)
        except SessionClosed as error:
            run.error = error
        else:
            self._running.add(run)

    # --- in the consumer's context ----------------------------------------------------------------

    def _settle(self, run: _Run) -> bool:
        """Close a run that is done, once."""
        if run.settled:
            return False
        run.settled = True
        if run.watch is not None:
            self._running.discard(run)
            self._watcher.unsubscribe(run.watch, run)
        self._open -= 1
        self._backlog.give()
        if run.outcome().ok:
            self._succeeded += 1
        else:
            self._failed += 1
        self._progress(run, None)
        return True

    def _report(self, run: _Run) -> None:
        """Tell of what is new: that the task has its id, and the stages that it reached."""
        if run.watch is None or run.settled:
            return
        news = [None, *(event.stage for event in run.watch.events)][run.told :]
        run.told += len(news)
        for stage in news:
            self._progress(run, stage)

    def _progress(self, run: _Run, stage: Stage | None) -> None:
        if self._on_progress is None:
            return
        told = self._on_progress(
            BatchProgress(
                position=run.position,
                request=run.request,
                task_id=run.watch.task_id if run.watch else None,
                submitted_at=run.watch.submitted_at if run.watch else None,
                stage=stage,
                total=self._total,
                submitted=self._submitted,
                running=len(self._running),
                succeeded=self._succeeded,
                failed=self._failed,
            )
        )
        if isinstance(told, Coroutine):  # a lambda round a coroutine function: nothing awaits it
            told.close()
            raise TypeError("on_progress is a plain function, and is never awaited")

    def _stop(self) -> None:
        """Stop pulling and submitting; what is paid for goes on at the service.

        All accounts are settled here at once: nothing that is awaited later can keep them open.
        """
        self._stopped = True
        for task in self._work:
            task.cancel()
        for run in self._running:
            run.left = True
            if run.watch is not None:
                self._watcher.unsubscribe(run.watch, run)
                _say_left(run.watch)
        self._running.clear()
        self._room.give(self._held)
        self._held = 0


def _say_left(watch: Watch) -> None:
    about = {"task_id": watch.task_id}
    _log.info("left the batch: task %s goes on", one_line(watch.task_id), extra=about)


def _sunoerror(error: BaseException, run: _Run) -> SunoError:
    """Make a surprise the error of its outcome alone."""
    if isinstance(error, SunoError):
        return error
    about = described(error)
    surprise = UnexpectedError("; ".join((about, *getattr(error, "__notes__", ()))))
    surprise.__cause__ = error
    _log.error("submitting request %d of the batch broke", run.position, exc_info=error)
    return surprise


async def _pulling(requests: Requests) -> AsyncGenerator[AddInstrumentalRequest, None]:
    """Pull from any kind of source, and close it at the end."""
    source: Any
    if isinstance(requests, AsyncIterable):
        source = aiter(requests)
        try:
            async for request in source:
                yield request
        finally:
            if close := getattr(source, "aclose", None):
                await close()
    else:
        source = iter(requests)
        try:
            for request in source:
                yield request
        finally:
            if close := getattr(source, "close", None):
                close()
