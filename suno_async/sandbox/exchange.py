"""The HTTP that all calls share: answers, and the ways in which they go wrong."""

import socket
import struct
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import web

from suno_async.sandbox.activity import Activity
from suno_async.sandbox.answers import envelope
from suno_async.sandbox.dialect import Dialect
from suno_async.sandbox.faults import (
    Delay,
    Drawn,
    DropAfter,
    DropBefore,
    Fault,
    Html200,
    HttpError,
    Redirect,
    Truncated,
)

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
    request: web.BaseRequest, drawn: Drawn, activity: Activity, handler: Handler
) -> web.StreamResponse:
    """Let a call meet its faults: those of the way there, the work, those of the way back."""
    await _wait(drawn.delays, activity, processed=False)
    instead = _gateway(request, drawn.fault)
    if instead is not None:
        return instead
    response = await handler(request)
    await _wait(drawn.delays, activity, processed=True)
    return await _on_the_way_back(request, response, drawn.fault)


async def _wait(delays: tuple[Delay, ...], activity: Activity, *, processed: bool) -> None:
    for delay in delays:
        if delay.processed == processed:
            await activity.sleep(delay.seconds)


def _gateway(request: web.BaseRequest, fault: Fault | None) -> web.Response | None:
    """Answer in place of the service, if the fault is of that kind."""
    match fault:
        case DropBefore(reset=reset):
            return drop(request, reset=reset)
        case HttpError(processed=False):
            return _page(fault)
        case Html200(processed=False):
            return _page(HttpError(200))
        case Redirect():
            return web.Response(status=fault.status, headers={"Location": fault.location})
        case _:
            return None


async def _on_the_way_back(
    request: web.BaseRequest, response: web.StreamResponse, fault: Fault | None
) -> web.StreamResponse:
    match fault:
        case DropAfter(reset=reset):
            return drop(request, reset=reset)
        case HttpError(processed=True):
            return _page(fault)
        case Html200(processed=True):
            return _page(HttpError(200))
        case Truncated() if isinstance(response, web.Response):
            body = response.body if isinstance(response.body, bytes) else b""
            half = body[: len(body) // 2]
            if fault.cut:
                return await send_part(request, half, len(body))
            return answer(half, response.status)
        case _:
            return response


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
