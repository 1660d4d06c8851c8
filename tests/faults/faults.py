"""The faults: how each begins, how it is lifted, and what it is called in the table."""

import asyncio
import itertools
import json
import socket
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Literal, TypeAlias

from attrs import field, frozen

from tests.line import Exchange, Strike
from tests.waiting import until

from . import strikes
from .ground import Ground
from .types import HEADERS, mistyped, mistyped_head, ways_of

Scheme: TypeAlias = Literal["http", "https"]
Step: TypeAlias = Callable[[Ground], Awaitable[None]]


async def _listen(ground: Ground) -> None:
    """Have the line as it should be."""
    ground.line.strike = None
    ground.stack.close()
    if ground.needs_listening:
        ground.line.refuse()
        await ground.line.listen(ground.tls)
        ground.needs_listening = False
    ground.names.known = True


@frozen
class Fault:
    """What goes wrong.

    Attributes:
        name: Its name in the table.
        begin: Lets it begin.
        lift: Lets everything work again.
        scheme: How the service is reached.
        is_slow: Whether it lasts until a time-out.
        is_huge: Whether memory is to be watched.
        once: Whether each answer is wrong in its own way, and so asked for once.
    """

    name: str
    begin: Step
    lift: Step = _listen
    scheme: Scheme = "http"
    is_slow: bool = field(default=False, kw_only=True)
    is_huge: bool = field(default=False, kw_only=True)
    once: bool = field(default=False, kw_only=True)


def struck(name: str, strike: Strike, *, media: Strike | None = None, **more: Any) -> Fault:
    """Make a fault of a strike.

    Args:
        name: Its name.
        strike: What happens to calls of the API.
        media: What happens to a download instead.
        more: Fields of the fault.
    """

    async def begin(ground: Ground) -> None:
        ground.line.strike = media if media is not None and ground.call == "download" else strike

    return Fault(name, begin, **more)


def told(name: str, words: bytes, *, media: bytes | None = None, **more: Any) -> Fault:
    """Make a fault of an answer in place of the service's."""
    taken = more.pop("taken", True)
    return struck(
        name,
        strikes.said(words, taken=taken),
        media=strikes.said(media) if media is not None else None,
        **more,
    )


# --- no connection --------------------------------------------------------------------------------


async def _refuse(ground: Ground) -> None:
    ground.line.refuse()
    ground.needs_listening = True


async def _forget_the_name(ground: Ground) -> None:
    ground.names.known = False


async def _show_a_strangers_certificate(ground: Ground) -> None:
    ground.line.refuse()
    await ground.line.listen(ground.strangers_tls)
    ground.needs_listening = True


async def _speak_plainly(ground: Ground) -> None:
    ground.line.refuse()
    await ground.line.listen()
    ground.line.strike = _read_and_answer_plainly
    ground.needs_listening = True


async def _read_and_answer_plainly(exchange: Exchange) -> None:
    await exchange.reader.read(1)
    await exchange.say(strikes.page("400 Bad Request"))


async def _cut_the_handshake(ground: Ground) -> None:
    await _speak_plainly(ground)
    ground.line.strike = _read_and_reset


async def _read_and_reset(exchange: Exchange) -> None:
    await exchange.reader.read(1)
    exchange.reset()


async def _be_silent(ground: Ground) -> None:
    await _speak_plainly(ground)
    ground.line.strike = Exchange.gone


async def _let_nobody_in(ground: Ground) -> None:
    """Be as a host that answers no connection: a queue that is full, from which nobody takes."""
    ground.line.refuse()
    ground.needs_listening = True
    queue = ground.stack.enter_context(socket.socket())
    queue.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    queue.bind(("127.0.0.1", ground.line.port))
    queue.listen(0)
    for _ in range(2):
        waiting = ground.stack.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(("127.0.0.1", ground.line.port))


UNCONNECTED = [
    Fault("refused", _refuse),
    Fault("unknown name", _forget_the_name),
    Fault("TLS of a stranger", _show_a_strangers_certificate, scheme="https"),
    Fault("no TLS", _speak_plainly, scheme="https"),
    Fault("TLS cut off", _cut_the_handshake, scheme="https"),
    Fault("TLS silent", _be_silent, scheme="https", is_slow=True),
    Fault("unreachable", _let_nobody_in, is_slow=True),
]

# --- broken, slow, and other answers --------------------------------------------------------------

BROKEN = [
    struck("reset at once", strikes.reset_at_once),
    struck("reset in request", strikes.reset_in_request),
    struck("reset unseen", strikes.reset_unseen),
    struck("reset unanswered", strikes.reset_unanswered),
    struck("reset behind head", strikes.reset_behind_head),
    struck("reset in body", strikes.reset_in_body),
    struck("reset behind body", strikes.reset_behind_body),
    struck("end unanswered", strikes.hang_up_unanswered),
    struck("end in body", strikes.hang_up_in_body),
]

SLOW = [
    struck("silent", strikes.silent, is_slow=True),
    struck("deaf", strikes.deaf, is_slow=True),
    struck("slow head", strikes.slow_head, is_slow=True),
    struck("slow body", strikes.slow_body, is_slow=True),
    struck("informing", strikes.informing, is_slow=True),
]


async def _wait_for_the_last_word(ground: Ground) -> None:
    """See that the client has heard what it did not ask for; one that hangs up has not."""
    await until(lambda: ground.line.idling or not ground.line.connections)
    for _ in range(10):
        await asyncio.sleep(0)
    await _listen(ground)


OTHER = [
    struck("half a body", strikes.altered(strikes.half_in_frame)),
    struck("length too long", strikes.altered(strikes.promising(10))),
    struck("length too short", strikes.altered(strikes.promising(-10))),
    struck("no length", strikes.altered(strikes.lengthless)),
    struck("two answers", strikes.answering_twice),
    struck("late answer", strikes.answering_later, lift=_wait_for_the_last_word),
    struck("early refusal", strikes.refusing_early),
    told("page 200", strikes.page("200 OK")),
    told("page 502", strikes.page("502 Bad Gateway")),
    told("no HTTP", b"220 mail.example ESMTP\r\n"),
    told("empty", strikes.answer(b"")),
    told("gzip bomb", strikes.bomb(), is_huge=True),
    struck("1 GB", strikes.huge(chunked=False), is_huge=True),
    struck("1 GB in chunks", strikes.huge(chunked=True), is_huge=True),
    told("deep JSON", strikes.deep()),
]


async def _mistype(ground: Ground) -> None:
    async def strike(exchange: Exchange) -> None:
        head, body = await exchange.ask()
        if ground.call == "download":
            ground.ways = len(HEADERS)
            head = mistyped_head(head, HEADERS[ground.way % ground.ways])
        else:
            ways = ways_of(body)
            ground.ways = len(ways)
            body = mistyped(json.loads(body), *ways[ground.way % ground.ways])
            head = strikes.with_length(head, len(body))
        ground.way += 1
        await exchange.say(head + body)

    ground.line.strike = strike


async def _point_elsewhere(ground: Ground) -> None:
    location = f"{ground.elsewhere.base_url}/elsewhere"
    ground.line.strike = strikes.said(strikes.redirect(location))


# --- codes ----------------------------------------------------------------------------------------

# PROTOCOL: the codes that refuse; with them the service takes nothing
REFUSING = [400, 401, 402, 404, 405, 409, 413, 422, 429, 430, 451, 455]
# and those behind which tasks were made and charged, or may have been
FAILING = [408, 500, 501, 505, 531]
# of media hosts
GONE = [410, 441]
# in no table; 418 is between those that refuse
UNKNOWN = [418, 0, -1, 4, 201, 425, 444, 460, 499, 600, 777, 10**30]


def _code(code: int, message: str = "error", *, name: str | None = None) -> Fault:
    media = strikes.answer(b"", f"{code} so") if 100 <= code <= 999 else None
    taken = code not in {*REFUSING, *GONE, 418}
    words = strikes.envelope(code, message)
    return told(name or f"code {code}", words, media=media, taken=taken)


CODES = [
    *(_code(code) for code in (*REFUSING, *FAILING, *GONE)),
    _code(429, "Insufficient credits", name="code 429 of credits"),
    told('code "429"', strikes.envelope("429"), taken=False),
    told("code as word", strikes.envelope("oops")),
    *(_code(code) for code in UNKNOWN),
]

# --- what is not on the way -----------------------------------------------------------------------


def _jump(name: str, by: timedelta) -> Fault:
    async def begin(ground: Ground) -> None:
        async def strike(exchange: Exchange) -> None:
            words = b"".join(await exchange.ask())
            ground.skew.by += by
            await exchange.say(words)

        ground.line.strike = strike

    return Fault(name, begin)


async def _have_a_small_disk(_: Ground) -> None:
    """It is small from the beginning."""


async def _grow_the_disk(ground: Ground) -> None:
    assert ground.disk is not None
    ground.disk.grow()


async def _cancel(ground: Ground) -> None:
    async def strike(exchange: Exchange) -> None:
        words = b"".join(await exchange.ask())
        ground.cancel()
        await exchange.say(words)

    ground.line.strike = strike


AROUND = [
    Fault("wrong types", _mistype, once=True),
    Fault("redirect", _point_elsewhere),
    _jump("clock 15 days on", timedelta(days=15)),
    _jump("clock 15 days back", timedelta(days=-15)),
    Fault("disk full", _have_a_small_disk, _grow_the_disk),
    Fault("cancelled", _cancel),
]

FAULTS: dict[str, Fault] = {
    fault.name: fault for fault in itertools.chain(UNCONNECTED, BROKEN, SLOW, OTHER, AROUND, CODES)
}
