"""Whose turn it is to submit, how often to try, and how to stop."""

import asyncio

from suno_async.clock import Clock
from suno_async.errors import ConnectionFailed, ServerError, SunoError
from suno_async.limits import AccountLimits
from suno_async.models import AddInstrumentalRequest
from suno_async.retry import RetryPolicy
from suno_async.submission.call import LAST_WAIT_S, Ending, PaidCall, Turn
from suno_async.submission.deadline import Deadline
from suno_async.submission.surroundings import Gate, Submitted, Surroundings
from suno_async.verdict import Verdict
from suno_async.wire import request_body

# how long what is cut off may take to end
_CUT_OFF_S = 0.1


class Submitter:
    """Sends submissions so that each is paid for once, and no task id is lost.

    A caller waits for its turn in its own coroutine. From the moment a body may be handed out, the
    submission belongs to a task of its own: its caller may be cancelled, and the session may be
    left, yet what it became is told.

    Args:
        around: What paid calls need of their session.
        limits: The account's slots and window.
        callback_url: What requests without one of their own name, when there is no receiver.
    """

    def __init__(self, around: Surroundings, limits: AccountLimits, callback_url: str) -> None:
        self._around = around
        self._limits = limits
        self._callback_url = callback_url
        self._sending: dict[asyncio.Task[None], PaidCall] = {}

    @property
    def sending(self) -> int:
        """How many submissions are on their way, or wait to be reconciled."""
        return len(self._sending)

    @property
    def waiting(self) -> int:
        """How many submissions wait for a slot or a place in the window."""
        return self._limits.slots.waiting + self._limits.window.waiting

    async def submit(
        self, request: AddInstrumentalRequest, gate: Gate, deadline: Deadline
    ) -> Submitted:
        """Submit a request; return its task.

        Raises:
            NotSubmitted: The deadline passed before it was sent.
            SubmissionUncertain: It was sent, and nobody knows what became of it.
            ApiError: The service refused, or went on taking nothing for as long as is patient.
            ConnectionFailed: No connection could be made; nothing was sent.
            SessionClosed: The session was left before it was sent.
            Exception: What the gate raises.
        """
        call = PaidCall(request, gate, self._around, deadline)
        url = self._callback_url
        if self._around.receiver is not None and request.callback_url is None:
            call.expectation = self._around.receiver.expect(call.called_back)
            url = call.expectation.url
        call.content = request_body(request, url)
        try:
            return await self._try(call, gate, deadline)
        except SunoError:
            if not call.proved:
                raise
            # a callback is asked before any error: an attempt has made a task after all
            ending = await self._attempt(call, Turn(None))
            return self._submitted(call, ending)
        finally:
            call.release()

    async def _try(self, call: PaidCall, gate: Gate, deadline: Deadline) -> Submitted:
        """Send until something is proved, or patience, attempts or time are used up."""
        patience = _Patience(self._around.policy, self._around.clock)
        while True:
            async with deadline.bounding():
                turn = await self._turn(gate, patience)
            ending = await self._attempt(call, turn)
            if ending.task_id is not None:
                return self._submitted(call, ending)
            assert ending.error is not None  # noqa: S101 - what is not accepted has a reason
            has_new_key = await self._has_new_key(call, ending, deadline)
            left_s = self._around.pause.left_s
            wait_s = 0.0 if has_new_key else patience.wait_s(ending.verdict, ending.error, left_s)
            call.tell_refused(ending, wait_s)
            if wait_s is None:
                raise ending.error
            deadline.refusal = ending.error
            async with deadline.bounding():
                await self._around.owner.sleep(wait_s)

    async def _has_new_key(self, call: PaidCall, ending: Ending, deadline: Deadline) -> bool:
        """Tell whether an attempt is made again because its key, and only that, was refused."""
        if not call.needs_new_key(ending):
            return False
        deadline.refusal = ending.error
        try:
            async with deadline.bounding():
                return await self._around.owner.run(call.gets_new_key())
        except BaseException:  # cancelled, left, or too late
            call.tell_refused(ending, None)
            raise

    async def _attempt(self, call: PaidCall, turn: Turn) -> Ending:
        """Make an attempt in a task of its own; return how it ended."""
        sending = call.begin(turn)
        self._sending[sending] = call
        sending.add_done_callback(self._sending.pop)
        return await call.ended(sending)

    @staticmethod
    def _submitted(call: PaidCall, ending: Ending) -> Submitted:
        assert ending.task_id is not None  # noqa: S101 - asked before
        return Submitted(ending.task_id, call.sent_at, call.sent_s, call.expectation, ending.error)

    async def _turn(self, gate: Gate, patience: "_Patience") -> Turn:
        """Wait for a slot, for a place in the window, and for the end of a pause."""
        while True:
            turn = await self._next_turn(gate, patience)
            if gate.held() is None:
                return turn
            turn.end(arrived=False)  # others have the place while this one is held

    async def _next_turn(self, gate: Gate, patience: "_Patience") -> Turn:
        limits, owner, clock = self._limits, self._around.owner, self._around.clock
        while (held := gate.held()) is not None:
            await owner.until(held)
        began_s = clock.monotonic()
        await limits.slots.take(owner)
        slot_s = clock.monotonic()
        try:
            await limits.window.enter(owner)
        except BaseException:
            limits.slots.give()
            raise
        window_s = clock.monotonic()
        turn = Turn(limits)
        try:
            await self._around.pause.wait(patience.begin())
            turn.waited_s = (slot_s - began_s, window_s - slot_s, clock.monotonic() - window_s)
            gate.permit()
            owner.check_open()
        except BaseException:
            turn.end(arrived=False)
            raise
        return turn

    def close(self) -> None:
        """Keep back what is not sent."""
        for sending, call in self._sending.items():
            if not call.sent:
                call.keep_back(sending)

    async def aclose(self) -> None:
        """Let what is sent get its answer for a moment, then cut it off."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=LAST_WAIT_S)
        for sending in self._sending:
            sending.cancel()
        if self._sending:
            await asyncio.wait(self._sending, timeout=_CUT_OFF_S)
        for call in self._sending.values():
            call.cut_off()


class _Patience:
    """How much longer a submission that was not taken is tried."""

    def __init__(self, policy: RetryPolicy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self._waits_s = policy.waits_s()
        self._failures = 0
        self._deadline_s: float | None = None

    def begin(self) -> float:
        """Tell until when a pause is waited for; a new one for whoever was never refused."""
        if self._deadline_s is not None:
            return self._deadline_s
        return self._clock.monotonic() + self._policy.patience.total_seconds()

    def wait_s(self, verdict: Verdict, error: Exception, pause_left_s: float) -> float | None:
        """Tell how long to wait before the next attempt, None when there is none."""
        if verdict not in {Verdict.TOOK_NOTHING, Verdict.NOT_SENT}:
            return None
        wait_s = max(next(self._waits_s), pause_left_s)
        if verdict is Verdict.TOOK_NOTHING and not isinstance(error, ServerError):
            self._deadline_s = self.begin()
            return wait_s if self._clock.monotonic() + wait_s <= self._deadline_s else None
        # what failed without a network would fail again
        if verdict is Verdict.TOOK_NOTHING or isinstance(error, ConnectionFailed):
            self._failures += 1
            return wait_s if self._failures < self._policy.attempts else None
        return None
