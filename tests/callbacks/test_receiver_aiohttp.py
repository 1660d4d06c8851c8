"""A receiver among the routes of an aiohttp application, and serving by itself."""

import asyncio
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from suno_async import CallbackReceiver, InvalidRequest
from tests.waiting import HANGS_AFTER_S

from .hosting import (
    TAKEN,
    aiohttp_server,
    by_itself,
    callback,
    connection,
    free_port,
    head,
    in_aiohttp,
    listener,
    post,
    status_of,
)


async def test_other_routes_are_left_alone() -> None:
    """The application's own paths answer as before, one right above the tokens too."""
    async with in_aiohttp() as receiver, aiohttp.ClientSession() as client:
        for path in ("/hello", "/suno"):
            async with client.get(receiver.public_url.removesuffix("/suno") + path) as answer:
                assert await answer.text() == "hello"


async def test_a_path_with_parts_and_a_slash_at_its_end() -> None:
    """The routes are at the whole path of `public_url`."""
    opened = listener()
    url = f"http://127.0.0.1:{opened.getsockname()[1]}/api/v2/suno-calls/"
    receiver = CallbackReceiver(url)
    application = web.Application()
    application.add_routes(receiver.routes())
    expected = receiver.expect()
    assert expected.url == url + expected.token
    async with aiohttp_server(application, opened):
        assert await post(expected.url) == TAKEN


async def test_what_is_sent_to_the_service_is_a_uri() -> None:
    """`public_url` becomes one; a proxy or `path` leads to where aiohttp can route it."""
    port = free_port()
    receiver = CallbackReceiver("https://мой.рф/обратно/")
    expected = receiver.expect()
    host, path = "https://xn--i1afg.xn--p1ai", "/%D0%BE%D0%B1%D1%80%D0%B0%D1%82%D0%BD%D0%BE"
    assert expected.url == f"{host}{path}/{expected.token}"
    async with receiver.serve("127.0.0.1", port, path="/back"):
        assert await post(f"http://127.0.0.1:{port}/back/{expected.token}") == TAKEN


async def test_no_path_at_all() -> None:
    """Tokens may be right behind the host."""
    port = free_port()
    receiver = CallbackReceiver(f"http://127.0.0.1:{port}")
    expected = receiver.expect()
    async with receiver.serve("127.0.0.1", port):
        assert await post(expected.url) == TAKEN


async def test_a_proxy_may_take_a_part_of_the_path_away() -> None:
    """`routes(path)` says where requests arrive, here in a sub-application."""
    opened = listener()
    receiver = CallbackReceiver(f"http://127.0.0.1:{opened.getsockname()[1]}/api/suno")
    inner, outer = web.Application(), web.Application()
    inner.add_routes(receiver.routes("/suno"))
    outer.add_subapp("/api", inner)
    expected = receiver.expect()
    async with aiohttp_server(outer, opened):
        assert await post(expected.url) == TAKEN


async def test_two_receivers_share_an_application() -> None:
    """Each knows its own tokens only."""
    opened = listener()
    base = f"http://127.0.0.1:{opened.getsockname()[1]}"
    one, two = CallbackReceiver(f"{base}/one"), CallbackReceiver(f"{base}/two")
    application = web.Application()
    application.add_routes([*one.routes(), *two.routes()])
    expected = one.expect()
    async with aiohttp_server(application, opened):
        assert await post(expected.url) == TAKEN
        assert (await post(f"{base}/two/{expected.token}"))[0] == 404


async def test_serving_ends_with_the_block() -> None:
    """After it the port is free again; while it is taken, that is said."""
    async with by_itself() as receiver:
        port = int(receiver.public_url.split(":")[2].partition("/")[0])
        with pytest.raises(OSError):
            async with receiver.serve("127.0.0.1", port):
                pass
    expected = receiver.expect()
    async with receiver.serve("127.0.0.1", port):
        assert await post(expected.url) == TAKEN


@pytest.mark.parametrize("path", ["/", "", "/inside", "/inside/"])
async def test_serving_behind_a_proxy_that_takes_the_prefix_away(path: str) -> None:
    """`serve(path=…)` says where requests arrive, when that is not the path of `public_url`."""
    port = free_port()
    receiver = CallbackReceiver("https://my.service/outside/suno")
    expected = receiver.expect()
    async with receiver.serve("127.0.0.1", port, path=path):
        inside = f"http://127.0.0.1:{port}{path.rstrip('/')}"
        assert await post(f"{inside}/{expected.token}") == TAKEN
        assert (await post(f"{inside}/outside/suno/{expected.token}"))[0] == 404


HALVES = (b"", b"POST /suno/x HTTP/1.1\r\nHost: h\r\nX-Half: ", b"P", b"\r\n")


@pytest.mark.parametrize("half", HALVES, ids=repr)
async def test_half_a_head_holds_no_descriptor(half: bytes) -> None:
    """The connection is closed when the head takes too long, also when bytes go on dripping."""
    port = free_port()
    receiver = CallbackReceiver(f"http://127.0.0.1:{port}/suno")
    async with (
        receiver.serve("127.0.0.1", port, head_timeout=0.2),
        connection(receiver.public_url) as (reader, writer),
        asyncio.timeout(HANGS_AFTER_S),
    ):
        writer.write(half)
        while not reader.at_eof():
            with suppress(OSError, TimeoutError):
                writer.write(b"x" if half else b"")
                await asyncio.wait_for(reader.read(1000), 0.05)


async def test_half_a_head_after_a_callback_holds_none_either() -> None:
    """A connection that was of use once has no more time than another."""
    port = free_port()
    receiver = CallbackReceiver(f"http://127.0.0.1:{port}/suno")
    expected = receiver.expect()
    async with (
        receiver.serve("127.0.0.1", port, head_timeout=2),
        connection(receiver.public_url) as (reader, writer),
    ):
        body = callback()
        whole = head(expected.url, f"Content-Length: {len(body)}") + body
        writer.write(whole + whole[:50])
        async with asyncio.timeout(HANGS_AFTER_S):
            assert (await reader.read()).count(b"HTTP/1.1 200") == 1


async def test_a_connection_that_sent_its_head_is_left_alone() -> None:
    """Its body has 10 s of its own."""
    port = free_port()
    receiver = CallbackReceiver(f"http://127.0.0.1:{port}/suno")
    expected = receiver.expect()
    async with (
        receiver.serve("127.0.0.1", port, head_timeout=2),
        connection(receiver.public_url) as (reader, writer),
    ):
        body = callback()
        writer.write(head(expected.url, f"Content-Length: {len(body)}"))
        await asyncio.sleep(2.2)
        writer.write(body)
        assert await status_of(reader) == 200


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
async def test_a_time_for_heads_is_checked(seconds: float) -> None:
    """`InvalidRequest`, before anything listens."""
    receiver = CallbackReceiver("http://127.0.0.1/suno")
    with pytest.raises(InvalidRequest, match="head_timeout"):
        async with receiver.serve("127.0.0.1", free_port(), head_timeout=seconds):
            pass


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("public_url", {"public_url": "my.service/suno"}),
        ("public_url", {"public_url": "https://my.service/suno?token="}),
        ("public_url", {"public_url": "https://my.service/suno#x"}),
        ("public_url", {"public_url": "https://my.service/suno?"}),
        ("public_url", {"public_url": "https://my..service/suno"}),
        ("secret", {"secret": "fifteen letters"}),
        ("hmac_key", {"hmac_key": ""}),
        ("hmac_key", {"hmac_key": b""}),
    ],
)
def test_settings_are_checked(field: str, arguments: dict[str, Any]) -> None:
    """`InvalidRequest` names the field, and never a secret."""
    settings: dict[str, Any] = {"public_url": "https://my.service/suno", **arguments}
    with pytest.raises(InvalidRequest) as caught:
        CallbackReceiver(**settings)
    assert caught.value.field == field
    assert "fifteen" not in str(caught.value)
