"""What can go wrong on the way, on demand."""

import enum
from collections.abc import Mapping
from typing import Literal, TypeAlias

from attrs import field, frozen

from suno_async.sandbox.media_faults import MediaFault


class Call(enum.Enum):
    """The calls that faults are injected into."""

    SUBMIT = "submit"
    DETAILS = "details"
    CREDITS = "credits"
    UPLOAD = "upload"
    MEDIA = "media"
    """The audio and the stream of a track, not its cover."""
    SOURCE_MEDIA = "source media"
    """The same on the original host: `sourceAudioUrl` and `sourceStreamAudioUrl`."""


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
        location: Where to; `{url}` in it is the address that was asked for, which makes a loop.
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
class Altered:
    """record-info answers about the task, with some fields of the data as told.

    It makes a stray answer of any kind: a status that goes back or is null, an `errorCode` under
    a status that lingers, `response` without tracks, a record of many megabytes.

    Args:
        data: Fields of the record, over those of the sandbox.
    """

    data: Mapping[str, object]


@frozen
class OtherRecord:
    """record-info answers with the record of another task.

    Args:
        task_id: Which; None takes the first other one of the sandbox, or makes one up.
    """

    task_id: str | None = None


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
    | Altered
    | OtherRecord
    | MediaFault
)
