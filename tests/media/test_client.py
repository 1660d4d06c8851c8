"""Hosts are asked for exactly what was given, and followed within bounds, without the key."""

import asyncio
import gzip
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from attrs import define, field

from suno_async import ConnectionFailed, InvalidRequest, ProtocolError, SunoError, SunoSession
from suno_async.media.client import joined
from suno_async.media.failures import Fatal
from suno_async.observe import Downloaded, Observation
from suno_async.sandbox import Sandbox
from tests.world import RawService, close_hidden, session_for, tcp_service

from .hosts import BODY, everything_in, media_for, track_at

EXACT = [
    "/a%2Fb.mp3?sig=x%2Fy%3D%27z%7E",
    "/a%2fb.mp3?sig=%e2%82%ac",
    "/a/../b/./c.mp3",
    "//a//b.mp3",
    "/a.mp3?",
    "/a.mp3?a=1&a=2&&b",
    "/a.mp3?q=a+b%20c",
    "/a|b^{c}'\"<>`.mp3?[x]=\\",
    "/%zz%",
    "/a.mp3?x=/?:@!$'()*,;",
    "/",
]


@define
class Wire:
    """A host that shows the requests it gets, byte for byte."""

    service: RawService
    heads: list[str] = field(factory=list)

    @property
    def url(self) -> str:
        """Where it is."""
        return self.service.base_url

    @property
    def targets(self) -> list[str]:
        """What was asked for, as it stood in the request lines."""
        return [head.split(" ")[1] for head in self.heads]

    def header(self, name: str) -> list[str | None]:
        """A header of every request."""
        found = [re.search(rf"(?im)^{name}: (.*?)\r$", head) for head in self.heads]
        return [match and match[1] for match in found]


def ok(body: bytes = BODY, *headers: str) -> bytes:
    """Write an answer that holds a file."""
    return answer(200, *headers, f"Content-Length: {len(body)}") + body


def answer(status: int, *headers: str) -> bytes:
    """Write the head of an answer."""
    lines = [f"HTTP/1.1 {status} X", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")


@asynccontextmanager
async def wire(answers: Callable[[str], bytes] = lambda _: ok()) -> AsyncIterator[Wire]:
    """Run a host whose answer depends on what is asked for."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        host.heads.append(head)
        writer.write(answers(head.split(" ")[1]))
        await writer.drain()

    async with tcp_service(serve) as service:
        host = Wire(service)
        yield host


@pytest.mark.parametrize("target", EXACT)
@pytest.mark.parametrize("theirs", [False, True], ids=["own session", "caller's session"])
async def test_a_url_is_asked_for_byte_for_byte(
    sandbox: Sandbox, tmp_path: Path, target: str, theirs: bool
) -> None:
    """A signature is over the URL as it was given: nothing in it is written in another way."""
    async with wire() as host, aiohttp.ClientSession() as client:
        async with session_for(sandbox, client_session=client if theirs else None) as suno:
            await suno.download(track_at(host.url + target), tmp_path)
        assert host.targets == [target]


@pytest.mark.parametrize("target", EXACT)
@pytest.mark.parametrize("there", ["http://HOST", "//HOST", ""])
async def test_a_redirect_is_followed_byte_for_byte(
    suno: SunoSession, tmp_path: Path, target: str, there: str
) -> None:
    """What a `Location` says is asked for as it is, whether it names the host or not."""
    if not there and target.startswith("//"):
        pytest.skip("that would name a host")

    def serve(asked: str) -> bytes:
        place = there.replace("HOST", host.url[7:])
        return answer(302, f"Location: {place}{target}") if asked == "/start" else ok()

    async with wire(serve) as host:
        await suno.download(track_at(f"{host.url}/start"), tmp_path)
        assert host.targets == ["/start", target]


async def test_only_what_a_request_line_cannot_carry_is_encoded(
    suno: SunoSession, tmp_path: Path
) -> None:
    """Letters beyond ASCII are percent-encoded, the rest stays; a `Location` may hold any bytes."""

    def serve(target: str) -> bytes:
        raw = b"\xff ".decode("utf-8", "surrogateescape")
        return ok() if target != "/%D0%B0%2F" else answer(302, f"Location: ü{raw}b%2f")

    async with wire(serve) as host:
        await suno.download(track_at(f"{host.url}/\u0430%2F"), tmp_path)
        assert host.targets == ["/%D0%B0%2F", "/%C3%BC%FF%20b%2f"]


async def test_a_redirect_gets_the_cookie_that_it_set(suno: SunoSession, tmp_path: Path) -> None:
    """Hosts that hand out a cookie with the redirect get it back, and nobody else does."""

    def serve(target: str) -> bytes:
        if target == "/a":
            return answer(302, "Set-Cookie: Policy=a/b~c=; Path=/", "Location: /b")
        return answer(307, f"Location: {other.url}/c") if target == "/b" else ok()

    async with wire() as other, wire(serve) as host:
        there = host.url.replace("127.0.0.1", "localhost")
        await suno.download(track_at(f"{there}/a"), tmp_path)
        assert host.header("Cookie") == [None, "Policy=a/b~c="]
        assert other.header("Cookie") == [None]


async def test_redirects_are_counted(suno: SunoSession, tmp_path: Path) -> None:
    """Ten redirects are followed; one more is an error that says so, and is not tried again."""

    def serve(target: str) -> bytes:
        left = int(target[1:])
        return answer(301, f"Location: /{left - 1}") if left else ok()

    async with wire(serve) as host:
        await suno.download(track_at(f"{host.url}/10"), tmp_path)
        host.heads.clear()
        with pytest.raises(ProtocolError, match="redirects more than 10 times"):
            await suno.download(track_at(f"{host.url}/99", id="2"), tmp_path)
        assert len(host.heads) == 11


PLACES = ["ftp://a/b", "file:///etc/passwd", "http://cdn..example.com/", "http://[", "http://a:b/"]


@pytest.mark.parametrize("place", [None, "http:///a", "http:", *PLACES])
async def test_a_redirect_that_nobody_can_follow_is_refused(
    suno: SunoSession, tmp_path: Path, place: str | None
) -> None:
    """Invariant 9: a redirect to nowhere, or to what is no web address, is an error at once."""
    headers = [] if place is None else [f"Location: {place}"]
    async with wire(lambda _: answer(302, *headers)) as host:
        with pytest.raises(SunoError):
            await suno.download(track_at(f"{host.url}/a"), tmp_path)
        assert len(host.heads) == 1
    assert everything_in(tmp_path) == []


async def test_hosts_are_told_who_asks(sandbox: Sandbox, tmp_path: Path) -> None:
    """Hosts refuse Python's usual User-Agent: ours is our own, or the caller's."""
    async with wire() as host:
        async with media_for() as media:
            await media.download(track_at(f"{host.url}/a"), tmp_path)
        async with media_for(user_agent="mine/1") as media:
            await media.download(track_at(f"{host.url}/b", id="2"), tmp_path)
        theirs = aiohttp.ClientSession(headers={"User-Agent": "theirs/1"})
        async with theirs, media_for(client_session=theirs) as media:
            await media.download(track_at(f"{host.url}/c", id="3"), tmp_path)
        assert host.header("User-Agent") == ["suno-async", "mine/1", "theirs/1"]
        assert host.header("Authorization") == [None] * 3


@pytest.mark.parametrize(
    "url",
    [
        "http://cdn..example.com/a.mp3",
        f"http://{'a' * 64}.example/a.mp3",
        "http://cdn.example.com:99999/a.mp3",
        "http://127.0.0.1:0/a.mp3",
        "http://[::1/a.mp3",
        "http://xn--a.example/a.mp3",
        "http://\u2100.example/a.mp3",
        f"http://{'ü' * 300}.example/a.mp3",
        "http://%41/a.mp3",
        "http://.../a.mp3",
        "http://-/a.mp3",
    ],
)
@pytest.mark.parametrize("theirs", [False, True], ids=["own session", "caller's session"])
async def test_a_url_that_nobody_can_ask_for_fails_alone(
    sandbox: Sandbox, tmp_path: Path, url: str, theirs: bool
) -> None:
    """Invariant 9: whatever is wrong with a URL, it is a SunoError of that download."""
    async with aiohttp.ClientSession() as client, wire() as host:
        settings: dict[str, Any] = {"client_session": client} if theirs else {}
        async with media_for(**settings) as media:
            good, bad = await asyncio.gather(
                media.download(track_at(f"{host.url}/a"), tmp_path),
                media.download(track_at(url, id="2"), tmp_path),
                return_exceptions=True,
            )
    assert isinstance(good, Path)
    assert isinstance(bad, SunoError)
    assert everything_in(tmp_path) == [good.name]


HEADERS = [
    'ETag: "\udcff\udcfe"',
    f'ETag: "{"e" * 5000}"',
    f"Content-Range: bytes 0-9/{'9' * 5000}",
    "Content-Encoding: br",
    "Content-Encoding: gzip, gzip",
    "Content-Encoding: \udcff",
    "Content-Type: \udcff\udcfe/;;;=",
    "Retry-After: \udcff",
    f"Retry-After: {'9' * 5000}",
    "Last-Modified: \udcff",
    "Set-Cookie: \udcff=\udcfe; Path=\udcff",
    f"Set-Cookie: a={'b' * 5000}",
    "Location: \udcff",
]


@pytest.mark.parametrize("status", [200, 206, 302, 416, 429, 503])
@pytest.mark.parametrize("header", HEADERS, ids=range(len(HEADERS)))
async def test_no_header_does_harm(tmp_path: Path, status: int, header: str) -> None:
    """Invariant 9: with any header, the file is the same or there is an error of ours."""

    def serve(target: str) -> bytes:
        if target != "/a":
            return ok()
        return answer(status, header, f"Content-Length: {len(BODY)}") + BODY

    async with wire(serve) as host, media_for() as media:
        try:
            path = await media.download(track_at(f"{host.url}/a"), tmp_path)
        except SunoError:
            assert everything_in(tmp_path) == []
        else:
            assert path.read_bytes() == BODY
            assert everything_in(tmp_path) == [path.name]


@pytest.mark.parametrize("error", [ValueError("v"), KeyError("k"), RecursionError(), OSError("o")])
async def test_a_callers_hook_that_fails_fails_one_download(
    tmp_path: Path, error: Exception
) -> None:
    """Invariant 9: what a hook of the caller's session raises is an error of ours, chained."""

    async def fails(_: object, __: object, told: object) -> None:
        close_hidden(told)
        raise error

    hooks = aiohttp.TraceConfig()
    hooks.on_request_end.append(fails)
    client = aiohttp.ClientSession(trace_configs=[hooks])
    async with wire() as host, client, media_for(client_session=client) as media:
        with pytest.raises(SunoError) as caught:
            await media.download(track_at(f"{host.url}/a"), tmp_path)
    assert caught.value.__cause__ is error
    assert everything_in(tmp_path) == []


async def test_https_is_never_left() -> None:
    """A redirect from https to http would show a signed URL to everybody on the way."""
    for location in ("http://a/b", "HTTP://a/b", "http:b"):
        with pytest.raises(Fatal):
            joined("https://a/b", location)
    for location in ("https://c/d", "//c/d", "/d", "d"):
        assert joined("https://a/b", location).startswith("https://")


@pytest.mark.parametrize("size", [1000, 1_000_000])
@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip"])
async def test_an_encoding_is_undone(
    suno: SunoSession, tmp_path: Path, size: int, members: int, coding: str
) -> None:
    """Audio that comes in gzip is written as it was; its length is that of what came."""
    plain = BODY[:size] * members
    packed = b"".join(gzip.compress(BODY[:size]) for _ in range(members))
    async with wire(lambda _: ok(packed, f"Content-Encoding: {coding}", 'ETag: "1"')) as host:
        path = await suno.download(track_at(f"{host.url}/a"), tmp_path)
    assert path.read_bytes() == plain


@pytest.mark.parametrize("coding", ["gzip", "br", "aws-chunked", "identity"])
async def test_an_encoding_that_is_none_is_ignored(
    suno: SunoSession, tmp_path: Path, coding: str
) -> None:
    """A host that only says that it encoded the audio has done nothing to it."""
    async with wire(lambda _: ok(BODY, f"Content-Encoding: {coding}")) as host:
        path = await suno.download(track_at(f"{host.url}/a"), tmp_path)
    assert path.read_bytes() == BODY


@pytest.mark.parametrize(
    ("packed", "error"),
    [
        (gzip.compress(BODY)[:-9], ConnectionFailed),
        (gzip.compress(BODY) + b"rest of a page", ProtocolError),
        (b"\x1f\x8b" + b"x" * 100, ProtocolError),
        (gzip.compress(b"<html>no</html>"), ProtocolError),
    ],
    ids=["cut", "more behind it", "not gzip", "a page"],
)
async def test_a_broken_encoding_is_no_audio(
    suno: SunoSession, tmp_path: Path, packed: bytes, error: type[SunoError]
) -> None:
    """Invariant 9: what cannot be decoded to its end never becomes a file."""
    async with wire(lambda _: ok(packed, "Content-Encoding: gzip", 'ETag: "1"')) as host:
        with pytest.raises(error):
            await suno.download(track_at(f"{host.url}/a"), tmp_path)
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize("user_agent", ["", " ", "a\r\nb: c", "\u00fc", 7])
def test_a_user_agent_must_fit_a_header(user_agent: Any) -> None:
    """What a header cannot hold is refused by name."""
    with pytest.raises(InvalidRequest, match="user_agent must be"):
        SunoSession("key", user_agent=user_agent)


@pytest.mark.parametrize("most", [0, -1, True, 1.5])
def test_the_largest_download_is_a_count(most: Any) -> None:
    """Anything else is refused by name."""
    with pytest.raises(InvalidRequest, match="max_download_bytes must be"):
        SunoSession("key", max_download_bytes=most)


async def test_a_session_hands_on_what_it_was_told(sandbox: Sandbox, tmp_path: Path) -> None:
    """`user_agent`, `max_download_bytes` and `observers` of a session hold for its downloads."""
    told: list[Observation] = []
    async with wire() as host:
        async with session_for(sandbox, user_agent="mine/1", observers=[told.append]) as suno:
            path = await suno.download(track_at(f"{host.url}/a"), tmp_path)
        async with session_for(sandbox, max_download_bytes=1000) as suno:
            with pytest.raises(ProtocolError, match="larger than 1000 bytes"):
                await suno.download(track_at(f"{host.url}/b", id="2"), tmp_path)
        assert host.header("User-Agent") == ["mine/1", "suno-async"]
    assert [one.path for one in told if isinstance(one, Downloaded)] == [path]
