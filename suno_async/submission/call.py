"""One paid call: sent once, judged by evidence, settled whoever waits for it."""

import asyncio
from datetime import datetime, timedelta

from attrs import frozen

from suno_async.body import OneTimeBody
from suno_async.clock import Timer
from suno_async.errors import (
    AuthenticationError,
    ConnectionFailed,
    SessionClosed,
    SubmissionUncertain,
    SunoError,
    UnexpectedError,
    described,
)
from suno_async.key import Masked
from suno_async.limits import AccountLimits
from suno_async.models import AddInstrumentalRequest, CallbackNotice
from suno_async.submission.deadline import Deadline
from suno_async.submission.surroundings import Expectation, Gate, Surroundings
from suno_async.submission.tasks import KnownTasks
from suno_async.verdict import Verdict, judge_submission
from suno_async.wire import Answer, find_task_id, read_envelope, refusal

# spec: the submission
PATH = "/api/v1/generate/add-instrumental"

# how long a submission that is under way may still take when the session is left
LAST_WAIT_S = 0.4

NO_WAIT = (0.0, 0.0, 0.0)

_LEFT = "the session was left before the answer came"
# (something that was handed in, or the event loop that ends)
_CANCELLED = "the submission was cancelled from outside before the answer came"


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
        limits: Where they were taken; None when nothing is to be sent.

    Attributes:
        waited_s: How many seconds were waited for the slot, the place, and the end of a pause.
    """

    def __init__(self, limits: AccountLimits | None) -> None:
        self._limits = limits
        self.waited_s: tuple[float, float, float] = NO_WAIT

    def end(self, *, arrived: bool) -> None:
        """Give them back; again, it does nothing."""
        limits, self._limits = self._limits, None
        if limits is not None:
            limits.slots.give()
            limits.window.leave(arrived=arrived)


class PaidCall:
    """One submission, however often it is tried; each attempt runs in a task of its own.

    Args:
        request: What is asked.
        gate: Who may want to stop.
        around: What it needs of its session.
        deadline: Until when it may be sent.

    Attributes:
        content: The JSON to send.
        expectation: Its callback URL, when a receiver is there.
    """

    def __init__(
        self, request: AddInstrumentalRequest, gate: Gate, around: Surroundings, deadline: Deadline
    ) -> None:
        self.request = request
        self.content: bytes = b""
        self.expectation: Expectation | None = None
        self._gate = gate
        self._around = around
        self._deadline = deadline
        self._tasks = KnownTasks(request, gate, around)
        self._attempt = 0
        self._key: Masked | None = None
        self._rekeyed = False
        self._body: OneTimeBody | None = None
        self._turn: Turn | None = None
        self._begun = False
        self._ending: Ending | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._settled = False
        self._cancelled = False
        self._reconciling: asyncio.Future[None] | None = None

    @property
    def sent(self) -> bool:
        """Whether the present attempt's body may have reached the service."""
        return self._body is not None and self._body.sent

    @property
    def sent_at(self) -> datetime:
        """When the body was handed out last (aware, UTC)."""
        return self._tasks.sent_at or self._around.clock.now()

    @property
    def sent_s(self) -> float:
        """The same on the monotonic clock."""
        sent_s = self._tasks.sent_s
        return sent_s if sent_s is not None else self._around.clock.monotonic()

    @property
    def under_way(self) -> bool:
        """Whether an attempt has begun and not ended."""
        return self._begun and self._ending is None

    @property
    def proved(self) -> bool:
        """Whether a callback named a task that nobody has been told of."""
        return bool(self._tasks.untold)

    # --- whoever waits for it ---------------------------------------------------------------------

    def begin(self, turn: Turn) -> "asyncio.Task[None]":
        """Start an attempt; its accounts are settled although it may never run."""
        loop = asyncio.get_running_loop()
        self._attempt = self._tasks.attempt = self._attempt + 1
        self._body = None
        self._turn = turn
        self._begun, self._ending = True, None
        sending = loop.create_task(self._send(turn))
        timer = self._deadline.set_timer(lambda: self._give_up(sending))
        sending.add_done_callback(lambda ended: self._over(ended, turn, timer))
        return sending

    def _give_up(self, sending: "asyncio.Task[None]") -> None:
        """Keep back what is still not sent when it is too late; a task that is known stays so."""
        if not self.sent and self._tasks.taken is None and self._tasks.named is None:
            self.keep_back(sending)

    async def ended(self, sending: "asyncio.Task[None]") -> Ending:
        """Wait for an attempt; if its caller is cancelled, what is sent goes on without it."""
        while self._ending is None:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            except asyncio.CancelledError:
                self._abandon(sending)
                raise
        return self._ending

    def _abandon(self, sending: "asyncio.Task[None]") -> None:
        self._tasks.awaited = False
        if self._ending is not None:
            if self._ending.task_id is not None:
                self._around.reports.unclaimed(self.request, self._ending.task_id)
            else:
                self.tell_refused(self._ending, None)
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
            self._tasks.report(
                self._around.reports.refused,
                self.request,
                error,
                ending.verdict,
                self._attempt,
                self._tasks.since_sent_s if self.sent else None,
                retry_in_s,
                awaited=self._tasks.awaited,
            )

    def needs_new_key(self, ending: Ending) -> bool:
        """Tell whether an attempt was refused for its key, which proves that it cost nothing.

        It may be made again with another key, once.
        """
        is_refused = ending.verdict is Verdict.REFUSED
        return is_refused and isinstance(ending.error, AuthenticationError) and not self._rekeyed

    async def gets_new_key(self) -> bool:
        """Tell whether there is another key than that of the last attempt."""
        transport = self._around.transport
        self._rekeyed = self._key is not None and await transport.has_another_key(self._key)
        return self._rekeyed

    def release(self) -> None:
        """Give the callback URL up if no task can call it; tell of tasks that did already."""
        if self.under_way:
            return
        for task_id in self._tasks.untold:
            self._find(task_id)
        if not self._settled and self.expectation is not None:
            self.expectation.forget()

    # --- one attempt ------------------------------------------------------------------------------

    async def _send(self, turn: Turn) -> None:
        """Send once; judge what came of it, and settle it."""
        if self._tasks.named is not None:  # the attempt before has made a task after all
            turn.end(arrived=False)
            await self._accept(self._tasks.named, by_callback=True)
            return
        self._body = body = OneTimeBody(self.content, self._handed_out, self._deadline.has_passed)
        answer: Answer | None = None
        failure: SunoError | None = None
        try:
            self._key = key = await self._around.transport.key()
            answer = await self._around.transport.post_once(PATH, body, key)
        except SunoError as error:
            failure = error
        except asyncio.CancelledError:
            if not body.sent:
                raise
            self._cancelled = True
            failure = ConnectionFailed(_LEFT if self._around.owner.closed else _CANCELLED)
        finally:
            body.revoke()  # what is not sent by now never is, whoever still holds it
            turn.end(arrived=body.sent)
        await self._judge(answer, failure)

    def _handed_out(self) -> None:
        """Take note that from here on the request may cost money."""
        self._tasks.sent_at = self._around.clock.now()
        self._tasks.sent_s = self._around.clock.monotonic()
        if self.expectation is not None:
            self.expectation.keep()
        waited_s = self._turn.waited_s if self._turn is not None else NO_WAIT
        self._tasks.report(self._around.reports.sent, self.request, self._attempt, waited_s)

    async def _judge(self, answer: Answer | None, failure: SunoError | None) -> None:
        verdict, error, task_id = self._proved(answer, failure)
        self._settled = verdict in {Verdict.ACCEPTED, Verdict.UNCERTAIN}
        if verdict is not Verdict.UNCERTAIN:
            self._gate.note(verdict, error)
        if error is not None:
            self._around.pause.note(error)
        if task_id is not None:
            self._around.pause.reset()
            await self._accept(task_id)
        elif self._tasks.named is not None:
            await self._accept(self._tasks.named, by_callback=True)
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
            if verdict is Verdict.NOT_SENT and self._is_kept_back:
                return verdict, self._deadline.error(), None
            if verdict is Verdict.NOT_SENT and isinstance(failure, UnexpectedError):
                failure.reason = f"nothing was sent: {failure.reason}"
            return verdict, failure, None
        envelope = read_envelope(answer)
        # what was not sent has no task: the answer is another request's
        task_id = find_task_id(answer) if self.sent else None
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
        if verdict is Verdict.NOT_SENT and self._is_kept_back:
            return verdict, self._deadline.error(), None
        if verdict is Verdict.NOT_SENT:  # something answered in the service's place
            error, cause = ConnectionFailed(str(error), request_sent=False), error
            error.__cause__ = cause
        return verdict, error, None

    async def _settle_uncertain(self, cause: SunoError | None) -> None:
        error = self._uncertain(str(cause), cause)
        task_id: str | None = None
        self._gate.doubt()
        try:
            task_id = await self._reconciled(error)
        finally:
            if task_id is None:
                self._gate.note(Verdict.UNCERTAIN, cause)
            self._gate.settle()
        if task_id is not None:
            await self._accept(task_id, by_callback=True)
        else:
            self._finish(Ending(Verdict.UNCERTAIN, error))

    def _uncertain(self, reason: str, cause: SunoError | None) -> SubmissionUncertain:
        error = SubmissionUncertain(self.request.title, reason, self._tasks.sent_at)
        error.__cause__ = cause
        self._tasks.error, self._settled = error, True
        about = (self.request, error, cause, self._attempt, self._tasks.since_sent_s)
        self._tasks.report(self._around.reports.uncertain, *about)
        return error

    async def _reconciled(self, error: SubmissionUncertain) -> str | None:
        """Wait for a callback to the submission's own URL: it proves that the task exists."""
        clock, owner = self._around.clock, self._around.owner
        if self.expectation is None or owner.closed or self._cancelled:
            return None
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
        return self._tasks.named

    async def _accept(self, task_id: str, *, by_callback: bool = False) -> None:
        """Tell of a task, whoever waits for it; then let the caller have it."""
        self._settled = True
        self._tasks.take(task_id, by_callback=by_callback)
        error = await self._tasks.announce(task_id)
        self._finish(Ending(Verdict.ACCEPTED, error, task_id))
        for other in self._tasks.untold:
            self._find(other)

    def _find(self, task_id: str) -> None:
        self._settled = True
        self._tasks.find(task_id)

    # --- its end ----------------------------------------------------------------------------------

    def _finish(self, ending: Ending) -> None:
        if self.under_way:
            self._ending = ending
            if self._waiter is not None:
                _fulfil(self._waiter)
            if not self._tasks.awaited:
                self.tell_refused(ending, None)

    def _over(self, sending: "asyncio.Task[None]", turn: Turn, timer: Timer | None) -> None:
        """Settle what a task that ended has left, also one that never ran."""
        if timer is not None:
            timer.cancel()
        turn.end(arrived=self.sent)
        reason = _LEFT
        if not sending.cancelled() and (surprise := sending.exception()) is not None:
            self._around.reports.broke(surprise)
            reason = described(surprise)
        self.cut_off(reason)
        if not self._tasks.awaited:
            self.release()

    @property
    def _is_kept_back(self) -> bool:
        return self._body is not None and self._body.late

    def cut_off(self, reason: str = _LEFT) -> None:
        """Settle an attempt without an outcome by what is known: a task, a callback, a sending."""
        if not self.under_way:
            return
        if self._turn is not None:  # what a caller handed in may never let the attempt end
            self._turn.end(arrived=self.sent)
        tasks = self._tasks
        if tasks.taken is None and tasks.named is not None:
            tasks.take(tasks.named, by_callback=True)
        if tasks.taken is not None:
            self._finish(Ending(Verdict.ACCEPTED, None, tasks.taken))
        elif self.sent:
            error = tasks.error or self._uncertain(reason, ConnectionFailed(reason))
            self._finish(Ending(Verdict.UNCERTAIN, error))
        else:
            is_late = self._deadline.has_passed() and not self._around.owner.closed
            why = self._deadline.error() if is_late else SessionClosed()
            self._finish(Ending(Verdict.NOT_SENT, why))

    # --- callbacks --------------------------------------------------------------------------------

    def called_back(self, notice: CallbackNotice) -> None:
        """Take note of a callback to the submission's own URL: it names a task."""
        if not self._tasks.name(notice.task_id):
            return
        if self._reconciling is not None:
            _fulfil(self._reconciling)
        elif self._settled and not self.under_way:
            self._find(notice.task_id)


def _fulfil(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
