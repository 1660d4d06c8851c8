"""What a paid call needs of its session, and what it gives back."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Protocol

from attrs import frozen

from suno_async.clock import Clock
from suno_async.errors import SunoError
from suno_async.models import AddInstrumentalRequest, CallbackNotice
from suno_async.owner import Owner
from suno_async.retry import RetryPolicy, SharedPause
from suno_async.submission.reports import Reports
from suno_async.transport import Transport
from suno_async.verdict import Verdict

OnSubmitted = Callable[[str, AddInstrumentalRequest, datetime], Awaitable[object] | None]


class Gate(Protocol):
    """Whoever submits many requests, and may want to stop."""

    def permit(self) -> None:
        """Raise what keeps a request from being sent; asked right before each sending."""
        ...

    def held(self) -> asyncio.Future[None] | None:
        """Give what to wait for before a request may be sent; None when it may now."""
        ...

    def note(self, verdict: Verdict, error: SunoError | None) -> None:
        """Take note of what is proved of one sending; of an uncertain one, when it stays so."""
        ...

    def doubt(self) -> None:
        """Take note of an uncertain sending that a callback may still prove."""
        ...

    def settle(self) -> None:
        """Take note that one of these is not waited for any more."""
        ...


class AlwaysOpen:
    """The gate of a single submission."""

    def permit(self) -> None:
        """Let it through."""

    def held(self) -> asyncio.Future[None] | None:
        """Hold nobody."""

    def note(self, verdict: Verdict, error: SunoError | None) -> None:
        """Stop nobody."""

    def doubt(self) -> None:
        """Hold nobody."""

    def settle(self) -> None:
        """Hold nobody."""


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
        sent_s: The same on the monotonic clock.
        expectation: Its callback URL, when a receiver is there.
        hook_error: What `on_submitted` raised, the task id noted; the task lives.
    """

    task_id: str
    submitted_at: datetime
    sent_s: float
    expectation: Expectation | None
    hook_error: Exception | None = None


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
