"""What media hosts do, on demand."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from attrs import field, frozen


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


@frozen
class Served:
    """Say how a file is served; every combination is possible.

    Args:
        headers: Headers over the usual ones, for instance `Content-Type: text/plain`.
        ranges: Whether ranges are known.
        length: Whether the length is told; otherwise the body comes in chunks.
        etag: Whether the entity tag is strong, weak, or missing.
        gzip: Whether the file is sent with `Content-Encoding: gzip`.
        unasked_bytes: Answer a request without a range with a 206 of so many bytes.
        cut_after_bytes: End the connection after so many bytes of the body.
        chunk_bytes: How much is sent at a time; None for everything at once.
        pause_s: Seconds on the sandbox's clock between two chunks.
        endless: Whether zeros follow the file for ever; there is no length then.
    """

    headers: Mapping[str, str] = field(factory=dict[str, str])
    ranges: bool = True
    length: bool = True
    etag: Literal["strong", "weak", "none"] = "strong"
    gzip: bool = False
    unasked_bytes: int | None = None
    cut_after_bytes: int | None = None
    chunk_bytes: int | None = None
    pause_s: float = 0.0
    endless: bool = False


@frozen
class NeedsCookie:
    """Send whoever comes without the host's cookie to the same URL, with the cookie.

    Clients that keep no cookies go round for ever. It leaves alone those that have it.
    """


@frozen
class Unavailable:
    """Answer with a status and no body, while all conditions that are given hold.

    Args:
        status: The HTTP status; with 200 the file is there and empty.
        until_s: For so many seconds (unscaled) after the file was finished.
        from_s: From so many seconds after it was finished on.
        agent: To clients whose `User-Agent` contains this text.
    """

    status: int = 403
    until_s: float | None = None
    from_s: float | None = None
    agent: str | None = None

    def holds(self, age_s: float, agent: str) -> bool:
        """Tell whether it applies to a file of that age, asked for by that client."""
        return (
            (self.until_s is None or age_s < self.until_s)
            and (self.from_s is None or age_s >= self.from_s)
            and (self.agent is None or self.agent in agent)
        )


MediaFault: TypeAlias = CutAfter | IgnoreRange | Throttle | Served | NeedsCookie | Unavailable


def how_served(fault: object) -> Served:
    """Tell what a fault means for the serving of a file; as usual for a fault of another kind."""
    match fault:
        case Served():
            return fault
        case CutAfter(size_bytes=size_bytes):
            return Served(cut_after_bytes=size_bytes)
        case IgnoreRange():
            return Served(ranges=False)
        case Throttle(chunk_bytes=chunk_bytes, pause_s=pause_s):
            return Served(chunk_bytes=chunk_bytes, pause_s=pause_s)
        case _:
            return Served()
