"""A receiver among the routes of an aiohttp application, and serving by itself."""

from typing import Any

import aiohttp
import pytest
from aiohttp import web

from suno_async import CallbackReceiver, InvalidRequest

from .hosting import TAKEN, aiohttp_server, by_itself, free_port, in_aiohttp, listener, post


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


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("public_url", {"public_url": "my.service/suno"}),
        ("public_url", {"public_url": "https://my.service/suno?token="}),
        ("public_url", {"public_url": "https://my.service/suno#x"}),
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
