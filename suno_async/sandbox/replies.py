"""Answers that are written byte for byte, past the web server's own idea of HTTP."""

import json
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from suno_async.sandbox.faults import Reply

_TASK_ID = b"{task_id}"
# what `short` promises beyond what it sends
_MISSING_BYTES = 16


class RawResponse(web.StreamResponse):
    """Write these bytes to the connection, and nothing else.

    Args:
        status: The HTTP status, for the web server's log.
        head: The status line and the headers.
        body: The framed body; it is left out of the answer to a HEAD.
        ends: Whether the connection ends after it.
    """

    def __init__(self, status: int, head: bytes, body: bytes, *, ends: bool) -> None:
        super().__init__(status=status)
        self._head = head
        self._raw_body = body
        self._ends = ends
        self._kept = False
        self._written = False

    @property
    def keep_alive(self) -> bool:
        """Whether the connection may be used again."""
        return self._kept and super().keep_alive is not False

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write everything, once."""
        transport = request.transport
        if self._written or transport is None:
            return None
        self._written = True
        self._kept = request.keep_alive and not self._ends
        transport.write(self._head + (b"" if request.method == "HEAD" else self._raw_body))
        if self._ends:
            transport.close()
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Write nothing more."""


def reply(fault: Reply, task_id: str | None) -> RawResponse:
    """Make the answer that a fault describes, about a task if there is one."""
    body = _body(fault.body)
    if task_id is not None:
        body = body.replace(_TASK_ID, task_id.encode())
    added = {} if isinstance(fault.body, bytes | str) else {"Content-Type": "application/json"}
    if fault.frame == "chunked-cut":
        added["Transfer-Encoding"] = "chunked"
        framed = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
    else:
        framed = body
        promised = len(body) + (_MISSING_BYTES if fault.frame == "short" else 0)
        added["Content-Length"] = str(promised)
    head = _head(fault.status, added, fault.headers)
    return RawResponse(fault.status, head, framed, ends=fault.frame != "whole")


def _body(body: object) -> bytes:
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode("utf-8", "surrogateescape")
    return json.dumps(body).encode()


def _head(status: int, added: Mapping[str, str], given: Mapping[str, str]) -> bytes:
    names = {name.lower() for name in given}
    headers = {name: value for name, value in added.items() if name.lower() not in names}
    lines = [f"HTTP/1.1 {status} {_phrase(status)}"]
    lines += [f"{name}: {value}" for name, value in (headers | dict(given)).items()]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
