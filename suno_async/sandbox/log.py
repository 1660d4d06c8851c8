"""What the sandbox has seen: a record of every request, for tests to look at."""

from collections.abc import Mapping
from typing import TypeVar

from attrs import define, frozen

from suno_async.sandbox.faults import Call, Delay, Fault

T = TypeVar("T")

# A sandbox that runs for days must not grow for ever; tests see all of their own.
_KEPT = 500_000


@frozen
class RequestSeen:
    """One request of any kind.

    Args:
        method: The HTTP method.
        path: The path, decoded and without the query.
        authorized: Whether an `Authorization` header came with it.
        at: Seconds on the sandbox's monotonic clock.
        peer_port: The client's port, which names the connection.
    """

    method: str
    path: str
    authorized: bool
    at: float
    peer_port: int | None


@frozen
class Poll:
    """One request of record-info."""

    task_id: str
    at: float


@define(eq=False)
class Submission:
    """One request of the paid call; filled in while it is answered.

    Args:
        at: When it arrived, in seconds on the sandbox's monotonic clock.
        peer_port: The client's port, which names the connection.
        body: What was sent, if the service read it and it was a JSON object.
        code: The code that the service decided on, whether or not the answer arrived; None when
            the request never reached the service.
        task_id: The task that was created, if so.
        fault: The fault that the call met, if any.
        delays: The delays that it met.
        answered_at: When the sandbox was done with it.
    """

    at: float
    peer_port: int | None
    body: Mapping[str, object] | None = None
    code: int | str | None = None
    task_id: str | None = None
    fault: Fault | None = None
    delays: tuple[Delay, ...] = ()
    answered_at: float | None = None


@frozen
class FaultMet:
    """One injected fault that a call met.

    Args:
        call: The kind of call.
        fault: The fault, as it was injected.
        target: Path and query of the request, as they were sent.
        at: When, in seconds on the sandbox's monotonic clock.
    """

    call: Call
    fault: Fault
    target: str
    at: float


def keep(log: list[T], entry: T) -> None:
    """Append to a log; once in a while the oldest are dropped."""
    log.append(entry)
    if len(log) >= 2 * _KEPT:
        del log[:_KEPT]
