"""What may come back of a submission, and what it proves."""

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any, Literal

from attrs import frozen

from suno_async import (
    ApiError,
    AuthenticationError,
    ConnectionFailed,
    InsufficientCredits,
    NotFound,
    ProtocolError,
    ServerError,
    SunoError,
    ValidationFailed,
)
from suno_async.sandbox import (
    Call,
    DropAfter,
    DropBefore,
    EnvelopeError,
    Fault,
    Html200,
    HttpError,
    Redirect,
    Reply,
    Sandbox,
    Truncated,
)

ID: dict[str, Any] = {"code": 200, "msg": "success", "data": {"taskId": "{task_id}"}}
PAGE = "<html><h1>Bad Gateway</h1></html>"


@frozen
class Evidence:
    """What comes back of a submission.

    Attributes:
        name: What it is.
        fault: What the sandbox does; None lets it be.
        due: What it proves.
        error: The class of the error, or of the cause of an uncertain one.
        paid: Whether the service took it.
        shows: What the error says.
    """

    name: str
    fault: Fault | None
    due: Literal["accepted", "repeated", "refused", "uncertain"]
    error: type[SunoError] | None = None
    paid: bool = False
    shows: str = ""

    def strike(self, sandbox: Sandbox) -> None:
        """Let the next submission meet it; what is repeated meets it once."""
        if self.fault is not None:
            times = 1 if self.due == "repeated" else None
            sandbox.inject(Call.SUBMIT, self.fault, times=times)


def accepted(name: str, body: object, status: int = 200, **more: Any) -> Evidence:
    """Make an answer that holds the id of the task that the service made."""
    fault = Reply(status, body, processed=True, **more)
    return Evidence(name, fault, "accepted", paid=True)


def _packed(pack: Callable[[bytes], bytes]) -> bytes:
    # the id cannot be put into packed bytes: the sandbox knows its tasks, tests know the first one
    return pack(json.dumps({"code": 200, "data": {"taskId": "a-packed-id"}}).encode())


def _raw_deflate(text: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(text) + packer.flush()


LIES = {"Content-Encoding": "gzip"}
LONG = {f"X-{n}": "x" * 4_000 for n in range(4)}

ACCEPTED = [
    Evidence("as usual", None, "accepted", paid=True),
    accepted("accepted for later", {"code": 202, "data": {"taskId": "{task_id}"}}, 202),
    *(accepted(f"code {code}", {**ID, "code": code}) for code in (0, -1, 201, 202, 409, 429, 500)),
    *(accepted(f"HTTP {code}", ID, code) for code in (201, 302, 401, 404, 429, 500, 502, 599)),
    accepted("no code", {"data": {"taskId": "{task_id}"}}),
    accepted("at the top", {"taskId": "{task_id}"}, 502),
    accepted("deeper", {"code": 200, "data": {"task": {"taskId": "{task_id}"}}}),
    accepted("far behind", {"code": 500, "msg": "x" * 5_000, "data": {"taskId": "{task_id}"}}, 500),
    accepted("promised bytes are missing", ID, frame="short"),
    accepted("the last chunk is missing", ID, frame="chunked-cut"),
    accepted("a failure in a broken frame", {**ID, "code": 500}, 500, frame="short"),
    accepted("one header over 8 KB", ID, headers={"X-Trace": "x" * 9_000}),
    accepted("one header of 200 KB", ID, headers={"X-Trace": "x" * 200_000}),
    accepted("many long headers", ID, headers=LONG),
    accepted("very many headers", ID, headers={f"X-{n}": "x" for n in range(500)}),
    accepted("an encoding that lies", ID, headers=LIES),
    accepted("it lies otherwise", ID, headers={"Content-Encoding": "deflate"}),
    accepted("an encoding nobody has", ID, headers={"Content-Encoding": "br, tea"}),
    accepted("it lies in a broken frame", ID, headers=LIES, frame="chunked-cut"),
    accepted("another type", ID, headers={"Content-Type": "text/html; charset=nonsense"}),
    accepted("cookies", ID, headers={"Set-Cookie": "a=b; Path=/; Max-Age=nonsense"}),
]

PACKED = [
    accepted("gzip", _packed(gzip.compress), headers=LIES),
    accepted("gzip, cut", _packed(gzip.compress)[:-6], headers=LIES),
    accepted("gzip, unsaid", _packed(gzip.compress)),
    accepted("gzip, called deflate", _packed(gzip.compress), headers={"Content-Encoding": "br"}),
    accepted("deflate", _packed(zlib.compress), headers={"Content-Encoding": "deflate"}),
    accepted("raw deflate", _packed(_raw_deflate), headers={"Content-Encoding": "deflate"}),
    accepted("twice named", _packed(gzip.compress), headers={"Content-Encoding": "GZip, identity"}),
]

REPEATED = [
    *(Evidence(f"code {code}", EnvelopeError(code), "repeated") for code in (405, 429, 430, 455)),
    Evidence("as text", EnvelopeError("429", http_status=429), "repeated"),
    Evidence("a page", HttpError(429), "repeated"),
    Evidence("an empty page", HttpError(429, html=False), "repeated"),
    Evidence("a page as JSON", Reply(429, {"error": "slowly"}), "repeated"),
    Evidence(
        "whole JSON in a broken frame", Reply(429, {"code": 429}, frame="chunked-cut"), "repeated"
    ),
]

REFUSED = [
    Evidence("401", EnvelopeError(401), "refused", AuthenticationError),
    Evidence("402", EnvelopeError(402), "refused", InsufficientCredits),
    Evidence("credits", EnvelopeError(429, "not enough credits"), "refused", InsufficientCredits),
    Evidence(
        "422", EnvelopeError(422, "tags: too long"), "refused", ValidationFailed, False, "tags"
    ),
    Evidence("418", EnvelopeError(418), "refused", ApiError),
    Evidence("a page 401", HttpError(401), "refused", AuthenticationError),
    Evidence("a page 404", HttpError(404, html=False), "refused", NotFound),
    Evidence("a page 405", HttpError(405), "refused", ApiError),
    *(
        Evidence(
            name,
            Reply(422, {name: "title: too long"}),
            "refused",
            ValidationFailed,
            False,
            "title: too long",
        )
        for name in ("detail", "error", "message", "title")
    ),
    Evidence(
        "a framework",
        Reply(422, {"detail": [{"loc": ["body", "tags"]}]}),
        "refused",
        ValidationFailed,
        False,
        "tags",
    ),
]

UNCERTAIN = [
    Evidence("dropped before", DropBefore(), "uncertain", ConnectionFailed),
    Evidence("reset before", DropBefore(reset=True), "uncertain", ConnectionFailed),
    Evidence("dropped after", DropAfter(), "uncertain", ConnectionFailed, paid=True),
    Evidence("reset after", DropAfter(reset=True), "uncertain", ConnectionFailed, paid=True),
    Evidence("half", Truncated(), "uncertain", ProtocolError, paid=True),
    Evidence("half, cut", Truncated(cut=True), "uncertain", ConnectionFailed, paid=True),
    Evidence("a page 200", Html200(processed=True), "uncertain", ProtocolError, paid=True),
    Evidence("no id", Reply(200, {"code": 200, "data": {}}), "uncertain", ProtocolError),
    Evidence("a redirect", Redirect("{url}"), "uncertain", ProtocolError),
    *(
        Evidence(f"page {status}", HttpError(status), "uncertain", ProtocolError)
        for status in (408, 500, 502, 503, 504)
    ),
    *(
        Evidence(f"page {status}", HttpError(status), "uncertain", ApiError)
        for status in (424, 444, 460, 499)
    ),
    *(
        Evidence(f"code {code}", EnvelopeError(code), "uncertain", ApiError)
        for code in (-1, 0, 4, 408, 777)
    ),
    Evidence("own 500", EnvelopeError(500, "oops"), "uncertain", ServerError, False, "oops"),
    Evidence(
        "deadline",
        Reply(504, {"code": 4, "message": "too late"}),
        "uncertain",
        ApiError,
        False,
        "too late",
    ),
    Evidence("no upstream", Reply(503, {"code": 14}), "uncertain", ApiError),
    Evidence("zero", Reply(502, {"code": 0}), "uncertain", ApiError),
    Evidence(
        "a title",
        Reply(502, {"title": "No upstream"}),
        "uncertain",
        ProtocolError,
        False,
        "No upstream",
    ),
    Evidence(
        "a page in a broken frame", Reply(404, PAGE, frame="short"), "uncertain", ConnectionFailed
    ),
    Evidence(
        "a header of 3 MB",
        Reply(200, ID, {"X": "x" * 3_000_000}, processed=True),
        "uncertain",
        ConnectionFailed,
        paid=True,
    ),
]

ALL = [*ACCEPTED, *REPEATED, *REFUSED, *UNCERTAIN]
