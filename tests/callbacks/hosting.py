"""What the tests of callbacks need: receivers in every kind of web service, and bytes for them."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import aiohttp
import uvicorn
from aiohttp import web
from fastapi import FastAPI

from suno_async import CallbackReceiver
from tests.waiting import HANGS_AFTER_S, until

TAKEN = (200, {"code": 200, "msg": "success"})
JSON = "application/json"


def callback(kind: str = "complete", task_id: str = "some-task", **envelope: Any) -> bytes:
    """Write a callback as the specification has it."""
    tracks = [{"id": "e231", "audio_url": "https://cdn.example/e231.mp3", "duration": 198.44}]
    data = {"callbackType": kind, "task_id": task_id, "data": tracks}
    return json.dumps(
        {"code": 200, "msg": "All generated successfully.", "data": data} | envelope
    ).encode()


def changed(token: str, place: int) -> str:
    """Put another character in one place of a token, whatever is there by chance."""
    other = "y" if token[place] == "x" else "x"
    return token[:place] + other + token[place + 1 :]


def listener() -> socket.socket:
    """Open a socket on a free port; the server that takes it over begins to listen."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.bind(("127.0.0.1", 0))
    return opened


def free_port() -> int:
    """Find a port that is free."""
    with listener() as opened:
        return int(opened.getsockname()[1])


@asynccontextmanager
async def aiohttp_server(
    application: web.Application, opened: socket.socket
) -> AsyncIterator[None]:
    """Serve an application with aiohttp.web."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.SockSite(runner, opened).start()
    try:
        yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def uvicorn_server(application: Any, opened: socket.socket) -> AsyncIterator[None]:
    """Serve an ASGI application with uvicorn."""
    config = uvicorn.Config(
        application, log_config=None, access_log=False, lifespan="on", ws="none"
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[opened]))
    await until(lambda: server.started)
    try:
        yield
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def in_aiohttp(**settings: Any) -> AsyncIterator[CallbackReceiver]:
    """Have a receiver in an aiohttp application that has other routes."""

    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    opened = listener()
    receiver = CallbackReceiver(_url(opened, "/suno"), **settings)
    application = web.Application()
    application.router.add_get("/hello", hello)
    application.router.add_get("/suno", hello)
    application.add_routes(receiver.routes())
    async with aiohttp_server(application, opened):
        yield receiver


@asynccontextmanager
async def in_fastapi(**settings: Any) -> AsyncIterator[CallbackReceiver]:
    """Have a receiver in a FastAPI application that has other routes."""
    opened = listener()
    receiver = CallbackReceiver(_url(opened, "/suno"), **settings)
    application = FastAPI()

    @application.get("/hello")
    async def hello() -> str:
        return "hello"

    application.mount("/suno", receiver.asgi)
    async with uvicorn_server(application, opened):
        yield receiver


@asynccontextmanager
async def by_itself(**settings: Any) -> AsyncIterator[CallbackReceiver]:
    """Have a receiver that serves by itself."""
    port = free_port()
    receiver = CallbackReceiver(f"http://127.0.0.1:{port}/suno", **settings)
    async with receiver.serve("127.0.0.1", port):
        yield receiver


def _url(opened: socket.socket, path: str) -> str:
    return f"http://127.0.0.1:{opened.getsockname()[1]}{path}"


Host: TypeAlias = Callable[..., AbstractAsyncContextManager[CallbackReceiver]]
HOSTS: dict[str, Host] = {"aiohttp": in_aiohttp, "fastapi": in_fastapi, "itself": by_itself}


async def post(
    url: str,
    body: Any = None,
    *,
    method: str = "POST",
    content_type: str | None = JSON,
    **headers: str,
) -> tuple[int, Any]:
    """Send one request; return the status and the JSON of the answer, None if it is none."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if content_type is not None:
        sent["Content-Type"] = content_type
    async with (
        aiohttp.ClientSession(skip_auto_headers=["Content-Type"]) as client,
        client.request(method, url, data=callback() if body is None else body, headers=sent) as got,
    ):
        text = await got.read()
        is_json = got.content_type == JSON and text
        return got.status, json.loads(text) if is_json else None


@asynccontextmanager
async def connection(
    url: str,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a connection to a URL's host, to send whatever bytes."""
    host, port = url.split("/")[2].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()


def head(url: str, *headers: str) -> bytes:
    """Write the head of a POST, without its length."""
    host, _, path = url.partition("//")[2].partition("/")
    lines = (f"POST /{path} HTTP/1.1", f"Host: {host}", f"Content-Type: {JSON}", *headers)
    return "\r\n".join((*lines, "", "")).encode("latin-1")


async def status_of(reader: asyncio.StreamReader) -> int:
    """Read the status of the next answer on a connection, and the answer with it."""
    async with asyncio.timeout(HANGS_AFTER_S):
        lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        length = next(line.split(b":")[1] for line in lines if line.startswith(b"content-length:"))
        await reader.readexactly(int(length))
    return int(lines[0].split()[1])
