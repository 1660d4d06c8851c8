"""One paid call: sent once, judged by evidence, settled whoever waits for it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from datetime import datetime, timedelta
from inspect import isawaitable
from typing import Protocol

from attrs import frozen

from suno_async.clock import Clock
from suno_async.errors import (
    ConnectionFailed,
    SessionClosed,
    SubmissionUncertain,
    SunoError,
    UnexpectedError,
)
from suno_async.limits import AccountLimits
from suno_async.models import AddInstrumentalRequest, CallbackNotice
from suno_async.owner import Owner
from suno_async.retry import RetryPolicy, SharedPause
from suno_async.submission.reports import Reports
from suno_async.transport import OneTimeBody, Transport
from suno_async.verdict import Verdict, judge_submission
from suno_async.wire import Answer, find_task_id, read_envelope, refusal

# spec: the submission
PATH = "/api/v1/generate/add-instrumental"

# how long a submission that is under way may still take when the session is left
LAST_WAIT_S = 0.4

# how many tasks one submission's callbacks may name
_MOST_TASKS = 8

OnSubmitted = Callable[[str, AddInstrumentalRequest, datetime], Awaitable[object] | None]


class Gate(Protocol):
    """Whoever submits many requests, and may want to stop."""

    def permit(self) -> None:
        """Raise what keeps a request from being sent; asked right before each sending."""
        ...

    def note(self, verdict: Verdict, error: SunoError | None) -> None:
        """Take note of what is proved of one sending."""
        ...


class AlwaysOpen:
    """The gate of a single submission."""

    def permit(self) -> None:
        """Let it through."""

    def note(self, verdict: Verdict, error: SunoError | None) -> None:
        """Stop nobody."""


class Expectation(Protocol):
    """A submission's callback URL, and what has come to it."""

    @property
    def url(self) -> str:
        """The URL."""
        ...

    def follow(self, wake: Callable[[CallbackNotice], object]) -> None:
        """Call `wake` for every callback that comes to the URL."""
        ...

    def keep(self) -> None:
        """Keep the URL good although nobody may hold the expectation any more."""
        ...

    def forget(self) -> None:
        """Give up the URL of a submission that certainly made no task."""
        ...


class Receiver(Protocol):
    """Makes callback URLs and hands over what comes to them."""

    def expect(self, listen: Callable[[CallbackNotice], object]) -> Expectation:
        """Make a callback URL; `listen` is told of everything that comes to it."""
        ...


@frozen
class Submitted:
    """What became of a submission that is known to have made a task.

    Attributes:
        task_id: The task.
        submitted_at: When it was sent (aware, UTC).
        expectation: Its callback URL, when a receiver is there.
        hook_error: What `on_submitted` raised, the task id noted; the task lives.
    """

    task_id: str
    submitted_at: datetime
    expectation: Expectation | None
    hook_error: Exception | None = None


@frozen
class Ending:
    """How one sending ended.

    Attributes:
        verdict: What is proved.
        error: Why there is no task; with a task, what `on_submitted` raised.
        task_id: The task of an accepted submission.
    """

    verdict: Verdict
    error: Exception | None = None
    task_id: str | None = None


class Turn:
    """A slot and a place in the window, which are given back once.

    Args:
        limits: Where they were taken.
    """

    def __init__(self, limits: AccountLimits) -> None:
        self._limits = limits
        self._ended = False

    def end(self, *, arrived: bool) -> None:
        """Give them back; again, it does nothing."""
        if not self._ended:
            self._ended = True
            self._limits.window.leave(arrived=arrived)
            self._limits.slots.give()


@frozen
class Surroundings:
    """What a paid call needs of its session.

    Attributes:
        transport: Carries the call.
        pause: The account's pause after a 429.
        policy: How stubborn to be.
        clock: Where time comes from.
        owner: Tells that the session is being left.
        reports: Tells of everything.
        receiver: Makes callback URLs; None without one.
        reconcile_for: How long to wait for a callback that proves an uncertain submission.
        on_submitted: Awaited with each new task's id before its caller gets it.
    """

    transport: Transport
    pause: SharedPause
    policy: RetryPolicy
    clock: Clock
    owner: Owner
    reports: Reports
    receiver: Receiver | None
    reconcile_for: timedelta
    on_submitted: OnSubmitted | None


class PaidCall:
    """One submission, however often it is tried; each attempt runs in a task of its own.

    Args:
        request: What is asked.
        gate: Who may want to stop.
        around: What it needs of its session.

    Attributes:
        content: The JSON to send.
        expectation: Its callback URL, when a receiver is there.
        awaited: Whether its caller still waits.
    """

    def __init__(self, request: AddInstrumentalRequest, gate: Gate, around: Surroundings) -> None:
        self.request = request
        self.content: bytes = b""
        self.expectation: Expectation | None = None
        self.awaited: bool = True
        self._gate = gate
        self._around = around
        self._context = copy_context()
        self._attempt = 0
        self._body: OneTimeBody | None = None
        self._sent_at: datetime | None = None
        self._outcome: asyncio.Future[Ending] | None = None
        self._task_id: str | None = None
        self._known: set[str] = set()
        self._called_back: list[str] = []
        self._settled = False
        self._cancelled = False
        self._reconciling: asyncio.Future[None] | None = None
        self._error: SubmissionUncertain | None = None

    @property
    def sent(self) -> bool:
        """Whether the present attempt's body may have reached the service."""
        return self._body is not None and self._body.sent

    @property
    def sent_at(self) -> datetime:
        """When the body was handed out last (aware, UTC)."""
        return self._sent_at or self._around.clock.now()

    @property
    def under_way(self) -> bool:
        """Whether an attempt has begun and not ended."""
        return self._outcome is not None and not self._outcome.done()

    # --- whoever waits for it ---------------------------------------------------------------------

    def begin(self, turn: Turn) -> "asyncio.Task[None]":
        """Start an attempt; its accounts are settled although it may never run."""
        loop = asyncio.get_running_loop()
        self._attempt += 1
        self._body = None
        self._outcome = loop.create_future()
        sending = loop.create_task(self._send(turn))
        sending.add_done_callback(lambda ended: self._over(ended, turn))
        return sending

    async def ended(self, sending: "asyncio.Task[None]") -> Ending:
        """Wait for an attempt; if its caller is cancelled, what is sent goes on without it."""
        assert self._outcome is not None  # noqa: S101 - it has begun
        try:
            await asyncio.wait([self._outcome])
        except asyncio.CancelledError:
            self._abandon(sending)
            raise
        return self._outcome.result()

    def _abandon(self, sending: "asyncio.Task[None]") -> None:
        self.awaited = False
        if self._outcome is not None and self._outcome.done():
            ending = self._outcome.result()
            if ending.task_id is not None:
                self._around.reports.unclaimed(self.request, ending.task_id)
            else:
                self.tell_refused(ending, None)
        elif self.sent:
            self._around.reports.abandoned(self.request)
        else:
            self.keep_back(sending)

    def keep_back(self, sending: "asyncio.Task[None]") -> None:
        """Keep what is not sent from being sent."""
        if self._body is not None:
            self._body.revoke()
        sending.cancel()

    def tell_refused(self, ending: Ending, retry_in_s: float | None) -> None:
        """Tell of an attempt that certainly created no task."""
        error = ending.error
        if ending.verdict in {Verdict.ACCEPTED, Verdict.UNCERTAIN}:
            return
        if isinstance(error, SunoError) and not isinstance(error, SessionClosed):
            self._around.reports.refused(
                self.request, error, ending.verdict, self._attempt, retry_in_s, awaited=self.awaited
            )

    def release(self) -> None:
        """Give the callback URL up if no task can call it; tell of tasks that did already."""
        if self.under_way:
            return
        for task_id in self._untold():
            self._found_late(task_id)
        if not self._settled and self.expectation is not None:
            self.expectation.forget()

    # --- one attempt ------------------------------------------------------------------------------

    async def _send(self, turn: Turn) -> None:
        """Send once; judge what came of it, and settle it."""
        if self._called_back:  # the attempt before has made a task after all
            turn.end(arrived=False)
            await self._accept(self._called_back[0], by_callback=True)
            return
        self._body = body = OneTimeBody(self.content, self._handed_out)
        answer: Answer | None = None
        failure: SunoError | None = None
        try:
            answer = await self._around.transport.post_once(PATH, body)
        except SunoError as error:
            failure = error
        except asyncio.CancelledError:
            if not body.sent:
                raise
            self._cancelled = True
            failure = ConnectionFailed("the session was left before the answer came")
        finally:
            turn.end(arrived=body.sent)
        await self._judge(answer, failure)

    def _handed_out(self) -> None:
        """Take note that from here on the request may cost money."""
        self._sent_at = self._around.clock.now()
        if self.expectation is not None:
            self.expectation.keep()
        self._around.reports.sent(self.request, self._attempt)

    async def _judge(self, answer: Answer | None, failure: SunoError | None) -> None:
        verdict, error, task_id = self._proved(answer, failure)
        self._settled = verdict in {Verdict.ACCEPTED, Verdict.UNCERTAIN}
        self._gate.note(verdict, error)
        if error is not None:
            self._around.pause.note(error)
        if task_id is not None:
            self._around.pause.reset()
            await self._accept(task_id)
        elif self._called_back:
            await self._accept(self._called_back[0], by_callback=True)
        elif verdict is Verdict.UNCERTAIN:
            await self._settle_uncertain(error)
        else:
            self._finish(Ending(verdict, error))

    def _proved(
        self, answer: Answer | None, failure: SunoError | None
    ) -> tuple[Verdict, SunoError | None, str | None]:
        """Look at the evidence: what was handed out, and what came back."""
        if answer is None:
            verdict = judge_submission(sent=self.sent)
            if verdict is Verdict.NOT_SENT and isinstance(failure, UnexpectedError):
                failure.reason = f"nothing was sent: {failure.reason}"
            return verdict, failure, None
        envelope, task_id = read_envelope(answer), find_task_id(answer)
        verdict = judge_submission(
            sent=self.sent,
            http_status=answer.http_status,
            code=envelope.code,
            message=envelope.message,
            task_id=task_id,
            repeat_server_errors=self._around.policy.repeat_server_errors,
        )
        if verdict is Verdict.ACCEPTED:
            return verdict, None, task_id
        error = refusal(answer, envelope)
        if verdict is Verdict.NOT_SENT:  # something answered in the service's place
            error, cause = ConnectionFailed(str(error), request_sent=False), error
            error.__cause__ = cause
        return verdict, error, None

    async def _settle_uncertain(self, cause: SunoError | None) -> None:
        error = self._uncertain(str(cause), cause)
        if await self._is_reconciled(error):
            await self._accept(self._called_back[0], by_callback=True)
        else:
            self._finish(Ending(Verdict.UNCERTAIN, error))

    def _uncertain(self, reason: str, cause: SunoError | None) -> SubmissionUncertain:
        error = SubmissionUncertain(self.request.title, reason, self._sent_at)
        error.__cause__ = cause
        self._error, self._settled = error, True
        self._around.reports.uncertain(self.request, error, cause, self._attempt)
        return error

    async def _is_reconciled(self, error: SubmissionUncertain) -> bool:
        """Wait for a callback to the submission's own URL: it proves that the task exists."""
        clock, owner = self._around.clock, self._around.owner
        if self.expectation is None or owner.closed or self._cancelled:
            return False
        self._reconciling = proved = asyncio.get_running_loop().create_future()
        began_s = clock.monotonic()
        deadline_s = began_s + self._around.reconcile_for.total_seconds()
        timer = clock.call_at(deadline_s, lambda: _fulfil(proved))
        try:
            await owner.until(proved)
        except (SessionClosed, asyncio.CancelledError):  # a callback of this very moment counts
            if not owner.closed:
                raise
        finally:
            timer.cancel()
            self._reconciling = None
        error.waited = timedelta(seconds=clock.monotonic() - began_s)
        return bool(self._called_back)

    async def _accept(self, task_id: str, *, by_callback: bool = False) -> None:
        """Tell of a task, whoever waits for it; then let the caller have it."""
        self._take(task_id, by_callback=by_callback)
        error = await self._announce(task_id)
        self._finish(Ending(Verdict.ACCEPTED, error, task_id))
        for other in self._untold():
            self._found_late(other)

    def _take(self, task_id: str, *, by_callback: bool) -> None:
        self._settled, self._task_id = True, task_id
        self._tell_task(task_id, by_callback=by_callback, awaited=self.awaited)

    def _tell_task(self, task_id: str, *, by_callback: bool, awaited: bool) -> None:
        self._known.add(task_id)
        self._around.reports.task(
            self.request, task_id, self.sent_at, awaited=awaited, by_callback=by_callback
        )
        if by_callback:
            self._gate.note(Verdict.ACCEPTED, None)

    async def _announce(self, task_id: str) -> Exception | None:
        """Await the caller's hook; return what it raises, the task lives whatever that is."""
        hook, reports = self._around.on_submitted, self._around.reports
        if hook is None:
            return None
        try:
            done = hook(task_id, self.request, self.sent_at)
            if isawaitable(done):
                await done
        except asyncio.CancelledError as error:
            if self._around.owner.closed:
                reports.hook_cut_off(task_id)
                return None
            raised: Exception = UnexpectedError("CancelledError: on_submitted raised it")
            raised.__cause__ = error
        except Exception as error:  # noqa: BLE001 - the caller of submit gets it
            raised = error
        else:
            return None
        raised.add_note(f"task {task_id} was submitted, and goes on")
        if not self.awaited:
            reports.hook_failed(task_id, raised)
        return raised

    # --- its end ----------------------------------------------------------------------------------

    def _finish(self, ending: Ending) -> None:
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_result(ending)
            if not self.awaited:
                self.tell_refused(ending, None)

    def _over(self, sending: "asyncio.Task[None]", turn: Turn) -> None:
        """Settle what a task that ended has left, also one that never ran."""
        turn.end(arrived=self.sent)
        reason = "the session was left before the answer came"
        if not sending.cancelled() and (surprise := sending.exception()) is not None:
            self._around.reports.broke(surprise)
            reason = f"{type(surprise).__name__}: {surprise}"
        self.cut_off(reason)
        if not self.awaited:
            self.release()

    def cut_off(self, reason: str) -> None:
        """Settle an attempt without an outcome by what is known: a task, a callback, a sending."""
        if not self.under_way:
            return
        if self._task_id is None and self._called_back:
            self._take(self._called_back[0], by_callback=True)
        if self._task_id is not None:
            self._finish(Ending(Verdict.ACCEPTED, None, self._task_id))
        elif self.sent:
            error = self._error or self._uncertain(reason, ConnectionFailed(reason))
            self._finish(Ending(Verdict.UNCERTAIN, error))
        else:
            self._finish(Ending(Verdict.NOT_SENT, SessionClosed()))

    # --- callbacks --------------------------------------------------------------------------------

    def called_back(self, notice: CallbackNotice) -> None:
        """Take note of a callback to the submission's own URL: it names a task."""
        task_id = notice.task_id
        if task_id in self._known or task_id in self._called_back:
            return
        if len(self._called_back) < _MOST_TASKS:
            self._called_back.append(task_id)
        if self._reconciling is not None:
            _fulfil(self._reconciling)
        elif self._settled and not self.under_way:
            self._found_late(task_id)

    def _untold(self) -> list[str]:
        return [task_id for task_id in self._called_back if task_id not in self._known]

    def _found_late(self, task_id: str) -> None:
        """Tell of a task that nobody waits for any more, or that is a submission's second one."""
        self._settled = True
        if self._error is not None and self._error.task_id is None:
            self._error.task_id = task_id
        self._tell_task(task_id, by_callback=True, awaited=False)
        owner = self._around.owner
        if self._around.on_submitted is not None and not owner.closed:
            self._context.run(owner.spawn, self._announce_late(task_id))

    async def _announce_late(self, task_id: str) -> None:
        error = await self._announce(task_id)
        if error is not None and self.awaited:
            self._around.reports.hook_failed(task_id, error)


def _fulfil(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
