"""What can go wrong on the way, on demand."""

import enum
import random
from collections.abc import Mapping
from typing import Literal, TypeAlias

from attrs import define, field, frozen


class Call(enum.Enum):
    """The calls that faults are injected into."""

    SUBMIT = "submit"
    DETAILS = "details"
    CREDITS = "credits"
    UPLOAD = "upload"
    MEDIA = "media"
    """The audio and the stream of a track, not its cover."""


@frozen
class DropBefore:
    """The connection ends before the service has seen the request: nothing happens there.

    Args:
        reset: Whether the client sees a reset (RST) in place of an orderly end.
    """

    reset: bool = False


@frozen
class DropAfter:
    """The service does its work, then the connection ends without an answer.

    Args:
        reset: Whether the client sees a reset (RST) in place of an orderly end.
    """

    reset: bool = False


@frozen
class Delay:
    """The call takes longer; any other fault of the same call applies as well.

    Args:
        seconds: How long, on the sandbox's clock.
        processed: Whether the work is done first and only the answer is late.
    """

    seconds: float
    processed: bool = False


@frozen
class HttpError:
    """A gateway answers in place of the service.

    Args:
        status: The HTTP status.
        headers: Further headers, for instance `Retry-After`.
        html: Whether the body is a page; otherwise it is empty.
        processed: Whether the service did its work nevertheless.
    """

    status: int = 502
    headers: Mapping[str, str] = field(factory=dict[str, str])
    html: bool = True
    processed: bool = False


@frozen
class EnvelopeError:
    """The service refuses: an envelope with this code. It does nothing else.

    Args:
        code: The envelope's code, in the form in which it is sent.
        msg: The envelope's text.
        http_status: The HTTP status; the service itself says 200 whatever the code.
        retry_after: The value of a `Retry-After` header.
    """

    code: int | str
    msg: str = "error"
    http_status: int = 200
    retry_after: str | None = None


@frozen
class Truncated:
    """The service does its work and half of its JSON arrives.

    Args:
        cut: Whether `Content-Length` promised the whole and the connection ends early; otherwise
            the answer is complete as HTTP goes.
    """

    cut: bool = False


@frozen
class Html200:
    """A page with status 200 in place of JSON.

    Args:
        processed: Whether the service did its work nevertheless.
    """

    processed: bool = False


@frozen
class Redirect:
    """An answer that points elsewhere; nothing is done.

    Args:
        location: Where to.
        status: 301, 302, 303, 307 or 308.
    """

    location: str
    status: int = 307


@frozen
class Reply:
    """Exactly this answer, byte for byte, in place of the one that was due.

    Args:
        status: The HTTP status; any number.
        body: Bytes or text as they are, any other value as JSON. The text `{task_id}` in it
            becomes the id of the task that the call made (with `processed`) or asked for.
        headers: The headers, however untrue, long or odd. `Content-Type: application/json` is
            added for a JSON value, and `Content-Length` for a body that is not chunked, unless
            they are given.
        processed: Whether the service did its work nevertheless.
        frame: How the body is framed: `whole`; `short` when `Content-Length` promises more than
            comes; `chunked-cut` when the final chunk is missing. After the latter two the
            connection ends.
    """

    status: int = 200
    body: object = b""
    headers: Mapping[str, str] = field(factory=dict[str, str])
    processed: bool = False
    frame: Literal["whole", "short", "chunked-cut"] = "whole"


@frozen
class Stale:
    """A lagging replica answers record-info with the status before the present one."""


@frozen
class NullRecord:
    """record-info answers that there is no such record.

    Args:
        form: `422` or `404` as the code, or `empty` for code 200 with null data.
    """

    form: Literal["422", "404", "empty"] = "422"


@frozen
class CutAfter:
    """A body ends early although `Content-Length` said more.

    Args:
        size_bytes: How much of the body is sent.
    """

    size_bytes: int


@frozen
class IgnoreRange:
    """A media host that knows no ranges: status 200 and everything from the start."""


@frozen
class Throttle:
    """A slow media host.

    Args:
        chunk_bytes: How much is sent at a time.
        pause_s: Seconds on the sandbox's clock between two chunks.
    """

    chunk_bytes: int = 16_384
    pause_s: float = 0.01


Fault: TypeAlias = (
    DropBefore
    | DropAfter
    | Delay
    | HttpError
    | EnvelopeError
    | Truncated
    | Html200
    | Redirect
    | Reply
    | Stale
    | NullRecord
    | CutAfter
    | IgnoreRange
    | Throttle
)


@define
class _Injected:
    fault: Fault
    times_left: int | None
    rate: float


@frozen
class Drawn:
    """The faults that one call meets.

    Args:
        delays: All delays, in the order of their injection.
        fault: The one other fault, if any.
    """

    delays: tuple[Delay, ...] = ()
    fault: Fault | None = None


class FaultBoard:
    """Hold the injected faults and deal them out to calls.

    Args:
        rng: Decides about faults with a rate below 1.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._injected: dict[Call, list[_Injected]] = {call: [] for call in Call}

    def inject(self, call: Call, fault: Fault, *, times: int | None, rate: float) -> None:
        """Add a fault behind those that are already waiting."""
        self._injected[call].append(_Injected(fault, times, rate))

    def clear(self) -> None:
        """Forget all faults."""
        for waiting in self._injected.values():
            waiting.clear()

    def draw(self, call: Call) -> Drawn:
        """Take what the next call meets: every delay, and the first other fault."""
        waiting = self._injected[call]
        if not waiting:
            return Drawn()
        delays: list[Delay] = []
        fault: Fault | None = None
        for entry in waiting:
            is_delay = isinstance(entry.fault, Delay)
            if (fault is not None and not is_delay) or not self._strikes(entry):
                continue
            if isinstance(entry.fault, Delay):
                delays.append(entry.fault)
            else:
                fault = entry.fault
        self._injected[call] = [entry for entry in waiting if entry.times_left != 0]
        return Drawn(tuple(delays), fault)

    def _strikes(self, entry: _Injected) -> bool:
        if entry.rate < 1.0 and self._rng.random() >= entry.rate:
            return False
        if entry.times_left is not None:
            entry.times_left -= 1
        return True
