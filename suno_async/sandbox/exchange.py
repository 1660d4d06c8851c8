"""The HTTP that all calls share: answers, and the ways in which they go wrong."""

import socket
import struct
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import web

from suno_async.sandbox.activity import Activity
from suno_async.sandbox.answers import envelope
from suno_async.sandbox.bodies import read_off
from suno_async.sandbox.dialect import Dialect
from suno_async.sandbox.faultboard import Drawn
from suno_async.sandbox.faults import (
    Delay,
    DropAfter,
    DropBefore,
    EnvelopeError,
    Fault,
    Html200,
    HttpError,
    Redirect,
    Reply,
    Truncated,
)
from suno_async.sandbox.replies import reply

Handler: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_PAGE = "<html><head><title>{0}</title></head><body><h1>{0}</h1><hr>gateway</body></html>"


def answer(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Answer with JSON."""
    return web.Response(
        body=body, status=status, headers=headers, content_type="application/json", charset="utf-8"
    )


def refuse(code: int | str, msg: str, dialect: Dialect, status: int = 200) -> web.Response:
    """Answer with an envelope that says no; the HTTP status is 200 unless told."""
    return answer(envelope(code, msg, None, dialect), status)


def refuse_as(fault: EnvelopeError, dialect: Dialect) -> web.Response:
    """Refuse with the envelope that a fault describes."""
    response = refuse(fault.code, fault.msg, dialect, fault.http_status)
    if fault.retry_after is not None:
        response.headers["Retry-After"] = fault.retry_after
    return response


def not_found() -> web.Response:
    """Answer like a file host that has no such file."""
    return web.Response(text="Not Found", status=404)


def peer_port(request: web.BaseRequest) -> int | None:
    """Tell the client's port, which names the connection; None when it is gone."""
    if request.transport is None:
        return None
    peer: object = request.transport.get_extra_info("peername")
    return int(peer[1]) if isinstance(peer, tuple) else None


def drop(request: web.BaseRequest, *, reset: bool) -> web.Response:
    """End the connection without an answer."""
    if request.transport is not None:
        sock: socket.socket | None = request.transport.get_extra_info("socket")
        if reset and sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return web.Response()


async def under_faults(
    request: web.BaseRequest,
    drawn: Drawn,
    activity: Activity,
    handler: Handler,
    task_id: Callable[[], str | None] = lambda: None,
) -> web.StreamResponse:
    """Let a call meet its faults: those of the way there, the work, those of the way back.

    Args:
        request: The call.
        drawn: Its faults.
        activity: Counts what is being done.
        handler: Does the work.
        task_id: Tells which task the call is about, once the work is done.
    """
    await _wait(drawn.delays, activity, processed=False)
    response = None if _stops_at_the_gateway(drawn.fault) else await handler(request)
    await _wait(drawn.delays, activity, processed=True)
    if isinstance(drawn.fault, Reply) and drawn.fault.frame != "whole":
        # A connection that is closed with unread bytes is reset, and takes the answer with it.
        await read_off(request)
    response = await _on_the_way_back(request, response or web.Response(), drawn.fault, task_id)
    if request.content.exception() is not None:
        # What comes behind an unreadable body can not be read either, and the web server, which
        # would try, would fail once more and say so.
        request.content.feed_eof()
        response.force_close()
    return response


async def _wait(delays: tuple[Delay, ...], activity: Activity, *, processed: bool) -> None:
    for delay in delays:
        if delay.processed == processed:
            await activity.sleep(delay.seconds)


def _stops_at_the_gateway(fault: Fault | None) -> bool:
    """Tell whether the service never sees the call."""
    match fault:
        case DropBefore() | Redirect():
            return True
        case HttpError(processed=processed) | Html200(processed=processed):
            return not processed
        case Reply(processed=processed):
            return not processed
        case _:
            return False


async def _on_the_way_back(
    request: web.BaseRequest,
    response: web.StreamResponse,
    fault: Fault | None,
    task_id: Callable[[], str | None],
) -> web.StreamResponse:
    match fault:
        case DropBefore(reset=reset) | DropAfter(reset=reset):
            return drop(request, reset=reset)
        case HttpError():
            return _page(fault)
        case Html200():
            return _page(HttpError(200))
        case Redirect():
            location = fault.location.replace("{url}", request.raw_path)
            return web.Response(status=fault.status, headers={"Location": location})
        case Reply():
            return reply(fault, task_id())
        case Truncated() if isinstance(response, web.Response):
            return await _truncated(request, response, fault)
        case _:
            return response


async def _truncated(
    request: web.BaseRequest, response: web.Response, fault: Truncated
) -> web.StreamResponse:
    body = response.body if isinstance(response.body, bytes) else b""
    half = body[: len(body) // 2]
    if fault.cut:
        return await send_part(request, half, len(body))
    return answer(half, response.status)


def _page(error: HttpError) -> web.Response:
    text = _PAGE.format(f"{error.status} by the gateway") if error.html else ""
    headers = {"Content-Type": "text/html; charset=utf-8", **error.headers}
    return web.Response(text=text, status=error.status, headers=headers)


async def send_part(
    request: web.BaseRequest,
    part: bytes,
    promised_bytes: int,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> web.StreamResponse:
    """Promise a length, send less, and end the connection."""
    response = web.StreamResponse(
        status=status, headers=headers or {"Content-Type": "application/json"}
    )
    response.content_length = promised_bytes
    response.force_close()
    await response.prepare(request)
    if part:
        await response.write(part)
    if request.transport is not None:
        request.transport.close()
    return response
