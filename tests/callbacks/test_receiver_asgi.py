"""A receiver as an ASGI application: mounted at any depth, by itself, and asked oddly."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from suno_async import CallbackReceiver

from .hosting import TAKEN, callback, in_fastapi, listener, post, uvicorn_server

Message = dict[str, Any]


async def test_other_routes_are_left_alone() -> None:
    """FastAPI's own paths answer as before."""
    async with in_fastapi() as receiver:
        url = receiver.public_url.replace("/suno", "/hello")
        async with aiohttp.ClientSession() as client, client.get(url) as answer:
            assert await answer.json() == "hello"


async def test_mounted_below_a_mounted_application() -> None:
    """Whatever is in front of it, the token is the last part of the path."""
    opened = listener()
    receiver = CallbackReceiver(f"http://127.0.0.1:{opened.getsockname()[1]}/api/v2/suno")
    inner = Starlette(routes=[Mount("/suno", receiver.asgi)])
    application = FastAPI()
    application.mount("/api/v2", inner)
    expected = receiver.expect()
    async with uvicorn_server(application, opened):
        assert await post(expected.url) == TAKEN
        assert (await post(f"{receiver.public_url}/x"))[0] == 404


async def test_behind_a_proxy_that_takes_the_prefix_away() -> None:
    """`public_url` is the outside; where it is mounted is the inside."""
    opened = listener()
    receiver = CallbackReceiver("https://my.service/outside/suno")
    application = FastAPI()
    application.mount("/inside", receiver.asgi)
    expected = receiver.expect()
    assert expected.url.startswith("https://my.service/outside/suno/")
    async with uvicorn_server(application, opened):
        port = opened.getsockname()[1]
        assert await post(f"http://127.0.0.1:{port}/inside/{expected.token}") == TAKEN


async def test_the_lifespan_of_the_service_goes_on() -> None:
    """A receiver that is mounted leaves start and end to the application."""
    opened = listener()
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        seen.append("start")
        yield
        seen.append("end")

    receiver = CallbackReceiver(f"http://127.0.0.1:{opened.getsockname()[1]}/suno")
    application = FastAPI(lifespan=lifespan)
    application.mount("/suno", receiver.asgi)
    expected = receiver.expect()
    async with uvicorn_server(application, opened):
        assert await post(expected.url) == TAKEN
    assert seen == ["start", "end"]


async def test_uvicorn_may_serve_nothing_else() -> None:
    """As the whole application it answers the server's questions at start and end (lifespan)."""
    opened = listener()
    receiver = CallbackReceiver(f"http://127.0.0.1:{opened.getsockname()[1]}")
    expected = receiver.expect()
    async with uvicorn_server(receiver.asgi, opened):
        assert await post(expected.url) == TAKEN


async def asked(receiver: CallbackReceiver, scope: Message, *messages: Message) -> list[Message]:
    """Speak ASGI to a receiver; return what it sent."""
    sent: list[Message] = []
    left = iter(messages)

    async def receive() -> Message:
        return next(left)

    async def send(message: Any) -> None:
        sent.append(message)

    await receiver.asgi(scope, receive, send)
    return sent


def scope_of(path: str, *headers: tuple[bytes, bytes], **changes: Any) -> Message:
    """Describe a request as an ASGI server does."""
    usual = {"type": "http", "method": "POST", "path": path, "headers": list(headers)}
    return {**usual, "http_version": "1.1", **changes}


async def test_a_disconnect_is_no_end_of_a_body() -> None:
    """What looks whole before `http.disconnect` is not taken for it."""
    receiver = CallbackReceiver("https://my.service/suno")
    expected = receiver.expect()
    begun = {"type": "http.request", "body": callback(), "more_body": True}
    sent = await asked(receiver, scope_of(f"/{expected.token}"), begun, {"type": "http.disconnect"})
    assert sent[0]["status"] == 400
    assert expected.notice is None


async def test_headers_come_in_any_case_and_bytes() -> None:
    """Names are compared without case; odd bytes and odd digits crash nothing."""
    receiver = CallbackReceiver("https://my.service/suno", hmac_key="key")
    expected = receiver.expect()
    odd = [
        (b"Content-Length", b"\xb2"),
        (b"CONTENT-TYPE", b"application/json"),
        (b"X-Webhook-Signature", b"\xff"),
        (b"X-Webhook-Timestamp", b"\xb2"),
    ]
    whole = {"type": "http.request", "body": callback()}
    sent = await asked(receiver, scope_of(f"/{expected.token}", *odd), whole)
    assert sent[0]["status"] == 401


async def test_a_length_with_thousands_of_digits_is_too_large() -> None:
    """Python itself refuses to read such a number."""
    receiver = CallbackReceiver("https://my.service/suno")
    expected = receiver.expect()
    length = (b"content-length", b"9" * 5000)
    assert (await asked(receiver, scope_of(f"/{expected.token}", length)))[0]["status"] == 413


async def test_http_2_has_no_connection_header() -> None:
    """After a refused body HTTP/1 hangs up; in HTTP/2 that header is an error."""
    receiver = CallbackReceiver("https://my.service/suno")
    expected = receiver.expect()
    length = (b"content-length", b"9999999")
    closing = (b"connection", b"close")
    for version, closes in (("1.1", True), ("2", False)):
        scope = scope_of(f"/{expected.token}", length, http_version=version)
        sent = await asked(receiver, scope)
        assert (closing in sent[0]["headers"]) is closes


async def test_a_path_that_is_no_text_is_not_found() -> None:
    """A server may hand over half a pair of surrogates."""
    for secret in (None, "a secret of letters"):
        receiver = CallbackReceiver("https://my.service/suno", secret=secret)
        for path in ("", "/", "/\ud800", "/" + "\ud800" * 56):
            assert (await asked(receiver, scope_of(path)))[0]["status"] == 404


async def test_a_websocket_is_turned_away() -> None:
    """Closed before it is accepted, which servers answer with 403."""
    receiver = CallbackReceiver("https://my.service/suno")
    sent = await asked(receiver, {"type": "websocket", "path": "/x"}, {"type": "websocket.connect"})
    assert sent == [{"type": "websocket.close"}]
