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
from contextlib import aclosing
from typing import Any, Protocol

from attrs import define

from suno_async.cadence import ONLY_COMPLETE, Weights
from suno_async.errors import (
    InsufficientCredits,
    NotSubmitted,
    SessionClosed,
    SunoError,
    UnexpectedError,
)
from suno_async.models import AddInstrumentalRequest, BatchProgress, Outcome, Stage, TaskDetails
from suno_async.owner import Owner
from suno_async.watcher import Watch, Watcher

_log = logging.getLogger(__name__)

Requests = Iterable[AddInstrumentalRequest] | AsyncIterable[AddInstrumentalRequest]
OnProgress = Callable[[BatchProgress], object]


class Submit(Protocol):
    """How a batch submits."""

    async def __call__(self, request: AddInstrumentalRequest, permit: Callable[[], None]) -> Watch:
        """Submit, and return the watch of the new task."""
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
            return Outcome(self.position, self.request, error=self.error)
        error = self.error or watch.ending
        return Outcome(self.position, self.request, watch.task_id, _last_details(watch), error)


def _last_details(watch: Watch) -> TaskDetails | None:
    if watch.details is not None:
        return watch.details
    return watch.events[-1].details if watch.events else None


class Batch:
    """One call of `generate_many`.

    A request is pulled only when there is room for it in flight, and while fewer than `backlog`
    outcomes are still to be taken: a slow consumer or an endless iterable never piles anything up,
    and a consumer that waits for room itself, between two outcomes, gets it.

    Args:
        requests: Where the requests come from.
        submit: How to submit one.
        watcher: Follows the tasks.
        owner: Starts what runs beside.
        room: How many may be in flight, here and elsewhere.
        backlog: How many may be pulled whose outcomes have not been taken.
        on_progress: Told of everything that happens, in the consumer's context.
    """

    def __init__(
        self,
        requests: Requests,
        *,
        submit: Submit,
        watcher: Watcher,
        owner: Owner,
        room: asyncio.Semaphore,
        backlog: int,
        on_progress: OnProgress | None,
    ) -> None:
        self._requests = requests
        self._submit = submit
        self._watcher = watcher
        self._owner = owner
        self._room = room
        self._backlog = asyncio.Semaphore(backlog)
        self._on_progress = on_progress
        self._total = len(requests) if isinstance(requests, Sized) else None
        self._changes: asyncio.Queue[_Run | None] = asyncio.Queue()
        self._running: set[_Run] = set()
        self._work: set[asyncio.Task[None]] = set()
        self._held = 0
        self._open = 0
        self._broke: InsufficientCredits | None = None
        self._pump_error: BaseException | None = None
        self._submitted = self._succeeded = self._failed = 0

    async def outcomes(self) -> AsyncGenerator[Outcome, None]:
        """Yield an outcome for each request, in the order in which they end."""
        self._begin(self._pump())
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
            await self._stop()
        if self._pump_error is not None:
            raise self._pump_error

    # --- beside the consumer ----------------------------------------------------------------------

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._owner.spawn(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _pump(self) -> None:
        """Pull requests and submit them while there is room."""
        try:
            async with aclosing(_pulling(self._requests)) as pull:
                for position in itertools.count():
                    await self._backlog.acquire()
                    await self._take_room()
                    run = _Run(position, await anext(pull), self._changes, self._give_room)
                    self._open += 1
                    self._begin(self._run(run))
        except StopAsyncIteration:
            self._give_room()
        except asyncio.CancelledError:
            self._pump_error = SessionClosed()
            raise
        except Exception as error:  # noqa: BLE001 - the caller's iterable failed: raised at the end
            self._give_room()
            self._pump_error = error
        finally:
            self._changes.put_nowait(None)

    async def _take_room(self) -> None:
        await self._room.acquire()
        self._held += 1

    def _give_room(self) -> None:
        self._room.release()
        self._held -= 1

    async def _run(self, run: _Run) -> None:
        """Submit one request; from then on the watcher tells how it goes on."""
        try:
            await self._start(run)
        except InsufficientCredits as error:
            self._broke = self._broke or error
            run.error = error
        except SunoError as error:
            run.error = error
        except asyncio.CancelledError:
            run.error = SessionClosed()
            raise
        except Exception as error:  # noqa: BLE001 - it becomes the outcome
            run.error = UnexpectedError(f"{type(error).__name__}: {error}")
            run.error.__cause__ = error
            _log.exception("submitting request %d of the batch broke", run.position)
        finally:
            run.notify()

    async def _start(self, run: _Run) -> None:
        self._permit()
        run.watch = await self._submit(run.request, self._permit)
        self._submitted += 1
        self._running.add(run)
        self._watcher.subscribe(run.watch, run)

    def _permit(self) -> None:
        if (error := self._broke) is not None:
            raise NotSubmitted(error.code, error.message, error.http_status) from error

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
        self._backlog.release()
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
        self._on_progress(
            BatchProgress(
                position=run.position,
                task_id=run.watch.task_id if run.watch else None,
                stage=stage,
                total=self._total,
                submitted=self._submitted,
                running=len(self._running),
                succeeded=self._succeeded,
                failed=self._failed,
            )
        )

    async def _stop(self) -> None:
        """Stop pulling and submitting; what is paid for goes on at the service."""
        work = list(self._work)
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        for run in self._running:
            if run.watch is not None:
                self._watcher.unsubscribe(run.watch, run)
                _log.info("left the batch: task %s goes on", run.watch.task_id)
        self._running.clear()
        while self._held:
            self._give_room()


async def _pulling(requests: Requests) -> AsyncGenerator[AddInstrumentalRequest, None]:
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield request
    else:
        for request in requests:
            yield request
