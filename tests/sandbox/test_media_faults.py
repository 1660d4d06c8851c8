"""What media hosts do: addresses, cookies, first moments, and odd ways to serve a file."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping

import aiohttp
import pytest
from yarl import URL

from suno_async.clock import VirtualClock
from suno_async.sandbox import (
    Call,
    Dialect,
    Fault,
    HttpError,
    NeedsCookie,
    Redirect,
    Sandbox,
    Served,
    Timings,
    Unavailable,
)
from tests.waiting import until

from .caller import Caller, calling

LENGTH = 44 + 2 * 6 * 22_050


async def _finished(caller: Caller) -> str:
    task_id = await caller.submit()
    caller.clock.advance(130)
    return str((await caller.tracks(task_id))[0]["audioUrl"])


async def _get(caller: Caller, url: str, **headers: str) -> tuple[int, bytes, Mapping[str, str]]:
    """Ask for a URL byte for byte, without following where it leads."""
    asked = URL(url, encoded=True)
    async with caller.http.get(asked, headers=headers, allow_redirects=False) as response:
        return response.status, await response.read(), response.headers


@pytest.fixture
async def signed() -> AsyncIterator[Caller]:
    """A sandbox whose files have signed addresses, also those on the original host."""
    dialect = Dialect(signed_urls=True, source_urls=True)
    async with calling(dialect=dialect, timings=Timings(sigma=0.0)) as entered:
        yield entered


async def test_a_signed_url_works_byte_for_byte_only(signed: Caller) -> None:
    """As it was given it serves; written anew in any way that means the same it is a 403."""
    url = await _finished(signed)
    assert {"%2F", "%27", "%7e", "~", "'"} <= {part for part in _PARTS if part in url}
    assert (await _get(signed, url))[0] == 200
    others = [
        str(URL(url)),
        url.replace("%27", "'"),
        url.replace("%2F", "%2f"),
        url.replace("%7e", "~"),
        url.replace("'!", "%27!"),
        url.partition("?")[0],
        url + "&x=1",
    ]
    assert [(await _get(signed, other))[0] for other in others] == [403] * len(others)


_PARTS = ("%2F", "%27", "%7e", "~", "'")


async def test_every_file_of_a_track_is_signed(signed: Caller) -> None:
    """Audio, stream and cover, here and on the original host, each with its own signature."""
    task_id = await signed.submit()
    signed.clock.advance(130)
    track = (await signed.tracks(task_id))[0]
    urls = [str(value) for name, value in track.items() if name.lower().endswith("url")]
    assert len(set(urls)) == 6
    assert [(await _get(signed, url))[0] for url in urls] == [200] * 6
    signatures = {url.partition("Signature=")[2] for url in urls}
    assert len(signatures) == 6


async def test_a_signed_track_can_be_a_stem(signed: Caller) -> None:
    """The sandbox reads its own signed addresses, too."""
    task_id = await signed.submit(uploadUrl=await _finished(signed))
    assert signed.sandbox.tasks[task_id].stem.duration_s == 6.0


async def test_a_dead_audio_url_beside_a_living_source() -> None:
    """The original host has the same audio at an address of its own, and its own faults."""
    async with calling(dialect=Dialect(source_urls=True), time_scale=0) as caller:
        track = (await caller.tracks(await caller.submit()))[0]
        whole = (await caller.fetch(track["audioUrl"]))[1]
        caller.sandbox.inject(Call.MEDIA, HttpError(404), times=None)
        assert (await caller.fetch(track["audioUrl"]))[0] == 404
        assert (await caller.fetch(track["streamAudioUrl"]))[0] == 404
        assert (await caller.fetch(track["sourceAudioUrl"]))[:2] == (200, whole)
        assert (await caller.fetch(track["sourceStreamAudioUrl"]))[0] == 200
        caller.sandbox.inject(Call.SOURCE_MEDIA, HttpError(503))
        assert (await caller.fetch(track["sourceAudioUrl"]))[0] == 503


async def test_a_fault_can_be_about_one_track(caller: Caller) -> None:
    """The other track does not meet it."""
    task_id = await caller.submit()
    caller.clock.advance(130)
    one, two = await caller.tracks(task_id)
    caller.sandbox.inject(Call.MEDIA, HttpError(404), about=two["id"])
    urls = (one["audioUrl"], two["audioUrl"], two["audioUrl"])
    assert [(await caller.fetch(url))[0] for url in urls] == [200, 404, 200]


async def test_a_redirect_needs_the_cookie_that_it_sets(signed: Caller) -> None:
    """Without the cookie it leads back to the same address, byte for byte; with it, it serves."""
    url = await _finished(signed)
    signed.sandbox.inject(Call.MEDIA, NeedsCookie(), times=None)
    status, _, headers = await _get(signed, url)
    assert (status, signed.sandbox.base_url + headers["Location"]) == (302, url)
    cookie = headers["Set-Cookie"].partition(";")[0]
    assert (await _get(signed, url, Cookie=cookie))[0] == 200
    assert (await _get(signed, url))[0] == 302


async def test_browsers_of_a_named_host_pass_the_cookie_gate() -> None:
    """A cookie jar that keeps cookies gets through; one that does not goes round for ever."""
    async with (
        Sandbox(host="localhost", time_scale=0) as sandbox,
        aiohttp.ClientSession() as jar,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as none,
    ):
        caller = Caller(sandbox, VirtualClock(), jar)
        url = (await caller.tracks(await caller.submit()))[0]["audioUrl"]
        sandbox.inject(Call.MEDIA, NeedsCookie(), times=None)
        assert (await caller.fetch(url))[0] == 200
        with pytest.raises(aiohttp.TooManyRedirects):
            await none.get(url)


@pytest.mark.parametrize("location", ["ftp://example.com/a", "/cdn/a%2fb'~?c=%27"])
async def test_a_redirect_leads_anywhere(caller: Caller, location: str) -> None:
    """`Location` is sent as it was told."""
    url = await _finished(caller)
    caller.sandbox.inject(Call.MEDIA, Redirect(location, 302))
    assert (await _get(caller, url))[2]["Location"] == location


async def test_a_redirect_can_be_a_loop(caller: Caller) -> None:
    """`{url}` is the address that was asked for."""
    url = await _finished(caller)
    caller.sandbox.inject(Call.MEDIA, Redirect("{url}", 302), times=None)
    with pytest.raises(aiohttp.TooManyRedirects):
        await caller.fetch(url)


@pytest.mark.parametrize("status", [403, 404, 200])
async def test_a_file_is_not_there_in_the_first_moments(caller: Caller, status: int) -> None:
    """For ten seconds after it was finished it is refused, missing, or empty."""
    url = await _finished(caller)  # the first track was finished at 65 s
    caller.sandbox.inject(Call.MEDIA, Unavailable(status, until_s=75), times=None)
    assert (await _get(caller, url))[:2] == (status, b"")
    caller.clock.advance(10)
    assert len((await _get(caller, url))[1]) == LENGTH


@pytest.mark.parametrize("status", [410, 441])
async def test_a_file_expires(caller: Caller, status: int) -> None:
    """From some age on its address is no good any more."""
    url = await _finished(caller)
    caller.sandbox.inject(Call.MEDIA, Unavailable(status, from_s=3600), times=None)
    assert (await _get(caller, url))[0] == 200
    caller.clock.advance(3600)
    assert (await _get(caller, url))[0] == status


async def test_a_host_may_dislike_a_user_agent(caller: Caller) -> None:
    """Python's own name is refused, another is served."""
    url = await _finished(caller)
    caller.sandbox.inject(Call.MEDIA, Unavailable(403, agent="Python"), times=None)
    assert (await _get(caller, url))[0] == 403
    assert (await _get(caller, url, **{"User-Agent": "mine/1"}))[0] == 200


async def test_what_does_not_apply_leaves_room_for_the_next(caller: Caller) -> None:
    """Gates stand one behind the other: cookie, first moments, and then an odd way to serve."""
    url = await _finished(caller)
    for fault in (NeedsCookie(), Unavailable(404, until_s=75), Served(etag="none")):
        caller.sandbox.inject(Call.MEDIA, fault, times=None)
    cookie = {"Cookie": "cdn-gate=1"}
    assert (await _get(caller, url))[0] == 302
    assert (await _get(caller, url, **cookie))[0] == 404
    caller.clock.advance(10)
    status, _, headers = await _get(caller, url, **cookie)
    assert (status, "ETag" in headers) == (200, False)


@pytest.mark.parametrize(
    ("fault", "gone"),
    [
        (Served(length=False), "Content-Length"),
        (Served(ranges=False), "Accept-Ranges"),
        (Served(etag="none"), "ETag"),
    ],
)
async def test_headers_may_be_missing(caller: Caller, fault: Fault, gone: str) -> None:
    """No length, no ranges, or no tag, and the file is whole all the same."""
    url = await _finished(caller)
    whole, usual = (await _get(caller, url))[1:]
    assert gone in usual
    caller.sandbox.inject(Call.MEDIA, fault)
    status, body, headers = await _get(caller, url)
    assert (status, body, gone in headers) == (200, whole, False)


async def test_a_weak_tag_allows_no_range(caller: Caller) -> None:
    """A weak tag says nothing about bytes: with `If-Range` the whole file comes."""
    url = await _finished(caller)
    caller.sandbox.inject(Call.MEDIA, Served(etag="weak"), times=None)
    tag = (await _get(caller, url))[2]["ETag"]
    assert tag.startswith('W/"')
    assert (await _get(caller, url, **{"Range": "bytes=5-", "If-Range": tag}))[0] == 200
    assert (await _get(caller, url, Range="bytes=5-"))[0] == 206


@pytest.mark.parametrize("kind", ["text/plain", "binary/octet-stream"])
async def test_audio_may_be_called_something_else(caller: Caller, kind: str) -> None:
    """Headers are those that were told."""
    url = await _finished(caller)
    caller.sandbox.inject(Call.MEDIA, Served(headers={"Content-Type": kind}))
    assert (await _get(caller, url))[2]["Content-Type"] == kind


async def test_audio_may_be_packed(caller: Caller) -> None:
    """Length and ranges are those of the packed file."""
    url = await _finished(caller)
    whole = (await _get(caller, url))[1]
    caller.sandbox.inject(Call.MEDIA, Served(gzip=True), times=None)
    async with aiohttp.ClientSession(auto_decompress=False) as http:
        plain = Caller(caller.sandbox, caller.clock, http)
        _, packed, headers = await _get(plain, url)
        assert headers["Content-Encoding"] == "gzip"
        assert int(headers["Content-Length"]) == len(packed)
        assert zlib.decompress(packed, wbits=31) == whole
        status, rest, _ = await _get(plain, url, Range="bytes=10-")
        assert (status, rest) == (206, packed[10:])
    assert (await _get(caller, url))[1] == whole


async def test_a_part_comes_unasked(caller: Caller) -> None:
    """A 206 without a range in the request, with any `Content-Range`."""
    url = await _finished(caller)
    whole = (await _get(caller, url))[1]
    caller.sandbox.inject(Call.MEDIA, Served(unasked_bytes=50))
    lying = {"Content-Range": "bytes 0-49/*"}
    caller.sandbox.inject(Call.MEDIA, Served(lying, unasked_bytes=50))
    answers = [await _get(caller, url) for _ in range(2)]
    assert [(status, body) for status, body, _ in answers] == [(206, whole[:50])] * 2
    assert [headers["Content-Range"] for _, _, headers in answers] == [
        f"bytes 0-49/{LENGTH}",
        "bytes 0-49/*",
    ]


@pytest.mark.parametrize("length", [True, False])
async def test_a_body_breaks_off(caller: Caller, length: bool) -> None:
    """After so many bytes the connection ends, whether or not a length was told."""
    url = await _finished(caller)
    fault = Served(length=length, ranges=False, cut_after_bytes=100, chunk_bytes=60)
    caller.sandbox.inject(Call.MEDIA, fault)
    got = bytearray()
    async with caller.http.get(url) as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await _read_into(got, response)
    assert len(got) == 100


async def _read_into(got: bytearray, response: aiohttp.ClientResponse) -> None:
    async for chunk in response.content.iter_any():
        got += chunk


async def test_a_byte_comes_each_half_second(caller: Caller) -> None:
    """The pauses are on the sandbox's clock."""
    url = await _finished(caller)
    caller.sandbox.inject(Call.MEDIA, Served(chunk_bytes=1, pause_s=0.5))
    got = bytearray()
    async with caller.http.get(url) as response:
        reading = asyncio.create_task(_read_into(got, response))
        for count in range(3):
            await until(lambda: caller.clock.next_deadline_s() is not None)
            assert len(got) <= count + 1
            caller.clock.advance(0.5)
        await until(lambda: len(got) == 4)
        reading.cancel()
        await asyncio.wait({reading})


@pytest.mark.parametrize("gzip", [False, True])
async def test_a_body_never_ends(caller: Caller, gzip: bool) -> None:
    """After the file come zeros, as long as anybody reads; packed, they are few bytes."""
    url = await _finished(caller)
    whole = (await _get(caller, url))[1]
    caller.sandbox.inject(Call.MEDIA, Served(endless=True, gzip=gzip))
    got = bytearray()
    async with caller.http.get(url) as response:
        assert response.content_length is None
        while len(got) < 2_000_000:
            got += await response.content.read(65_536)
    assert got.startswith(whole)
    assert not any(got[LENGTH:])
    await until(caller.sandbox.idle)


async def test_a_limit_may_come_with_a_long_pause(caller: Caller) -> None:
    """A media host says when to come back, as gateways do."""
    url = await _finished(caller)
    fault = HttpError(429, headers={"Retry-After": "86400"})
    caller.sandbox.inject(Call.MEDIA, fault)
    status, _, headers = await _get(caller, url)
    assert (status, headers["Retry-After"]) == (429, "86400")
