"""A host of media that does everything that such hosts have been seen to do, file by file.

Each file has its own ways, drawn from a seed; `Case.arrives` says whether its download has to end
as the file or as an error. Nothing here shares code with the library.
"""

import asyncio
import gzip
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

from attrs import define, field, frozen

# signed URLs: what is in the query must come back exactly so
SIGNED = "sig=x%2Fy%3D%27z%7E+{}&Key=A|b"
PRIVATE = ("10.0.0.1", "192.168.1.1", "172.16.0.9", "169.254.169.254", "[fd00::1]", "100.64.0.1")


@frozen
class Asked:
    """One request."""

    target: str
    headers: dict[str, str]

    @property
    def begin(self) -> int:
        """The first byte that is asked for."""
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", ""))
        return int(found[1]) if found else 0


@define
class Case:
    """One file and its ways.

    Attributes:
        number: Which file it is.
        way: The name of what its host does.
        body: Its bytes.
        url: Where it is said to be.
        source_url: Where it is said to come from, or None.
        chance: Draws what is random about it.
        asked: How often it was asked for.
    """

    number: int
    way: str
    body: bytes
    url: str
    source_url: str | None
    chance: random.Random
    asked: int = 0

    @property
    def arrives(self) -> bool:
        """Whether its download has to end as the file."""
        return self.way not in HOPELESS

    @property
    def etag(self) -> str:
        """What names its bytes."""
        return f'"{self.number}"'


Answer: TypeAlias = tuple[bytes, bytes]


def _answer(status: int, body: bytes = b"", /, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named.setdefault("Content-Length", str(len(body)))
    lines = [f"{name}: {value}" for name, value in named.items() if value != "-"]
    head = "\r\n".join([f"HTTP/1.1 {status} X", "Connection: close", *lines, "", ""])
    return head.encode(), body


def _whole(case: Case, asked: Asked, **headers: str) -> Answer:
    """Serve the file or the rest of it, as a host should."""
    headers = {"ETag": case.etag, "Content_Type": "audio/mpeg", **headers}
    begin = asked.begin if asked.headers.get("if-range") == case.etag else 0
    if not begin:
        return _answer(200, case.body, **headers)
    size = len(case.body)
    if begin >= size:
        return _answer(416, b"", **headers, Content_Range=f"bytes */{size}")
    rest = f"bytes {begin}-{size - 1}/{size}"
    return _answer(206, case.body[begin:], **headers, Content_Range=rest)


def _cut(answer: Answer, case: Case) -> Answer:
    """Break off somewhere, far enough to count as progress."""
    head, body = answer
    return head, body[: case.chance.randint(17_000, 60_000)]


def _first(times: int, fault: Answer, case: Case, asked: Asked) -> Answer:
    return fault if case.asked <= times else _whole(case, asked)


def _with_cookie(case: Case, asked: Asked) -> Answer:
    if "hop=1" not in asked.target:
        return _answer(302, Location=f"{asked.target}&hop=1", Set_Cookie="CDN-Policy=a/b~c; Path=/")
    if asked.headers.get("cookie") != "CDN-Policy=a/b~c":
        return _answer(403)
    return _whole(case, asked)


def _hops(case: Case, asked: Asked) -> Answer:
    hops = asked.target.count("&hop")
    return _answer(307, Location=f"{asked.target}&hop") if hops < 10 else _whole(case, asked)


def _elsewhere(case: Case, asked: Asked) -> Answer:
    return _answer(302, Location=f"http://{case.chance.choice(PRIVATE)}/latest/meta-data")


def _lying_range(case: Case, asked: Asked) -> Answer:
    """Break off, then go on in the wrong place, then behave."""
    if case.asked == 1:
        return _cut(_whole(case, asked), case)
    if asked.begin:
        size = len(case.body)
        lie = f"bytes 0-{size - 1}/{'9' * 5000}"
        return _answer(206, case.body[asked.begin :], ETag=case.etag, Content_Range=lie)
    return _whole(case, asked)


def _gzip(case: Case, asked: Asked) -> Answer:
    packed = gzip.compress(case.body, 1)
    answer = _answer(200, packed, ETag=case.etag, Content_Encoding="gzip")
    return _cut(answer, case) if case.asked == 1 else answer


_PAGE = b"<!DOCTYPE html><title>Just a moment...</title>"
_BOMB = gzip.compress(b"ID3\x04" + bytes(40_000_000))

Way: TypeAlias = Callable[[Case, Asked], Answer]
WAYS: dict[str, Way] = {
    "plain": _whole,
    "plain text": lambda c, a: _whole(c, a, Content_Type="text/plain"),
    "octets": lambda c, a: _whole(c, a, Content_Type="binary/octet-stream"),
    "weak tag": lambda c, a: _whole(c, a, ETag=f"W/{c.etag}"),
    "no tag": lambda c, a: _whole(c, a, ETag="-"),
    "odd tag": lambda c, a: _whole(c, a, ETag='"\u00fc"'),
    "no length": lambda c, a: _answer(200, c.body, Content_Length="-"),
    "cut twice": lambda c, a: _cut(_whole(c, a), c) if c.asked < 3 else _whole(c, a),
    "cut, no ranges": lambda c, a: (
        _cut(_answer(200, c.body), c) if c.asked < 3 else _answer(200, c.body)
    ),
    "lying range": _lying_range,
    "unasked part": lambda c, a: _first(
        2, _answer(206, c.body[:50], Content_Range="bytes 0-49/*"), c, a
    ),
    "gzip": _gzip,
    "gzip in name only": lambda c, a: _whole(c, a, Content_Encoding="gzip"),
    "young, 403": lambda c, a: _first(3, _answer(403), c, a),
    "young, 404": lambda c, a: _first(5, _answer(404), c, a),
    "young, empty": lambda c, a: _first(2, _answer(200), c, a),
    "cookie": _with_cookie,
    "ten hops": _hops,
    "503 twice": lambda c, a: _first(2, _answer(503), c, a),
    "429 and wait": lambda c, a: _first(2, _answer(429, Retry_After="1"), c, a),
    "page once": lambda c, a: _first(1, _answer(200, _PAGE, Content_Type="audio/mpeg"), c, a),
    "dead beside its source": lambda c, a: (
        _whole(c, a) if "source" in a.target else _answer(c.chance.choice([404, 410, 441, 500]))
    ),
    # what can only end as an error
    "gone": lambda c, a: _answer(c.chance.choice([410, 441])),
    "never there": lambda c, a: _answer(404),
    "page": lambda c, a: _answer(200, _PAGE, Content_Type="audio/mpeg"),
    "envelope": lambda c, a: _answer(200, b'{"code": 404, "msg": "no"}'),
    "429 for a day": lambda c, a: _answer(429, Retry_After="86400"),
    "hops for ever": lambda c, a: _answer(302, Location=f"{a.target}&hop"),
    "private redirect": _elsewhere,
    "private": _whole,
    "no host": _whole,
    "endless": lambda c, a: _answer(200, c.body * 60, Content_Length="-"),
    "much from little": lambda c, a: _answer(200, _BOMB, Content_Encoding="gzip"),
    "trickle": lambda c, a: _answer(200, c.body[:40], Content_Length="9999"),
    "always cut": lambda c, a: (_answer(200, c.body)[0], c.body[:1000]),
}
HOPELESS = frozenset(list(WAYS)[list(WAYS).index("gone") :])


@define
class Cdn:
    """The host.

    Attributes:
        port: Where it listens.
        cases: The files, by number.
        strange: Requests that were not for a file, or not exactly for its URL.
        agents: Who asked.
    """

    port: int = 0
    cases: dict[int, Case] = field(factory=dict)
    strange: list[str] = field(factory=list)
    agents: Counter[str] = field(factory=Counter)

    def make(self, count: int, seed: int) -> list[Case]:
        """Make so many files, each way about as often."""
        chance = random.Random(seed)
        ways = [list(WAYS)[number % len(WAYS)] for number in range(count)]
        chance.shuffle(ways)
        return [self._make(number, way, chance) for number, way in enumerate(ways)]

    def _make(self, number: int, way: str, chance: random.Random) -> Case:
        body = b"ID3\x04" + chance.randbytes(chance.randint(70_000, 200_000))
        host = f"127.0.0.1:{self.port}"
        if way == "private":
            host = chance.choice(PRIVATE)
        elif way == "no host":
            host = chance.choice(["cdn..example.com", f"{'a' * 64}.example.com", "127.1", "%41"])
        url = f"http://{host}/f%2F{number}.mp3?{SIGNED.format(number)}"
        has_source = way == "dead beside its source"
        source = url.replace("/f%2F", "/source%2F") if has_source else None
        case = Case(number, way, body, url, source, random.Random(chance.random()))
        self.cases[number] = case
        return case

    def answer(self, asked: Asked) -> tuple[Case | None, Answer]:
        """Answer a request."""
        found = re.match(r"/(?:f|source)%2F(\d+)\.mp3\?(.*)", asked.target)
        agent = asked.headers.get("user-agent", "")
        self.agents[agent] += 1
        if found is None or "python" in agent.lower() or "authorization" in asked.headers:
            self.strange.append(asked.target)
            return None, _answer(403)
        case = self.cases[int(found[1])]
        if not found[2].startswith(SIGNED.format(case.number)):
            self.strange.append(asked.target)
            return case, _answer(403)
        case.asked += 1
        return case, WAYS[case.way](case, asked)


@asynccontextmanager
async def serve() -> AsyncIterator[Cdn]:
    """Run the host."""
    cdn = Cdn()
    serving: set[asyncio.Task[None]] = set()

    async def follow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError):  # the client went away
                case, (head, body) = cdn.answer(await _read(reader))
                writer.write(head + body)
                await writer.drain()
                if case is not None and case.way == "trickle":
                    await _trickle(writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(follow(reader, writer))
        serving.add(task)
        task.add_done_callback(serving.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, backlog=1000)
    cdn.port = server.sockets[0].getsockname()[1]
    try:
        yield cdn
    finally:
        await asyncio.sleep(0.01)  # connections that are just being made
        server.close()
        for task in list(serving):
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


async def _trickle(writer: asyncio.StreamWriter) -> None:
    for _ in range(1000):
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *lines = head.rstrip("\r\n").split("\r\n")
    pairs = (one.partition(": ") for one in lines)
    return Asked(line.split(" ")[1], {name.lower(): value for name, _, value in pairs})
