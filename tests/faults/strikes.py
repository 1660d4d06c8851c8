"""What can happen to one connection between a client and the service, over real sockets."""

import asyncio
import json
import socket
import zlib
from collections.abc import Callable

from tests.line import Exchange, Strike

GIGABYTE = 1024**3
# as many pieces as nobody waits for
ENDLESS = 1_000
_BLOCK = b" " * 1024**2
_UNASKED = b'HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{"code":200,"data":-7}'
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

# --- the connection breaks ------------------------------------------------------------------------


async def reset_at_once(exchange: Exchange) -> None:
    """Reset as soon as it is there."""
    exchange.reset()


async def reset_in_request(exchange: Exchange) -> None:
    """Reset when half of the request's body has come."""
    await exchange.request(0.5)
    exchange.reset()


async def reset_unseen(exchange: Exchange) -> None:
    """Reset when the whole request has come, which the service never sees."""
    await exchange.request()
    exchange.reset()


async def reset_unanswered(exchange: Exchange) -> None:
    """Reset when the service has done its work."""
    await exchange.ask()
    exchange.reset()


async def reset_behind_head(exchange: Exchange) -> None:
    """Reset behind the head of the answer."""
    head, _ = await exchange.ask()
    await exchange.say(head)
    exchange.reset()


async def reset_in_body(exchange: Exchange) -> None:
    """Reset in the middle of the answer's body."""
    head, body = await exchange.ask()
    await exchange.say(head, body[: len(body) // 2])
    exchange.reset()


async def reset_behind_body(exchange: Exchange) -> None:
    """Reset when the whole answer was sent."""
    await exchange.say(*await exchange.ask())
    exchange.reset()


async def hang_up_unanswered(exchange: Exchange) -> None:
    """End the connection in good order, without a byte of an answer."""
    await exchange.ask()


async def answering_twice(exchange: Exchange) -> None:
    """Answer, and say another answer at once that nobody has asked for."""
    head, body = await exchange.ask()
    await exchange.say(head + body + _UNASKED)
    await exchange.idle()


async def answering_later(exchange: Exchange) -> None:
    """Answer, and say another answer a moment later, when the connection is idle."""
    head, body = await exchange.ask()
    await exchange.say(head + body)
    await asyncio.sleep(0.02)
    await exchange.say(_UNASKED)
    await exchange.idle()


async def hang_up_in_body(exchange: Exchange) -> None:
    """End the connection in good order in the middle of the answer's body."""
    head, body = await exchange.ask()
    await exchange.say(head, body[: len(body) // 2])


# --- it takes for ever ----------------------------------------------------------------------------


async def silent(exchange: Exchange) -> None:
    """Let the service do its work, and say nothing."""
    await exchange.ask()
    await exchange.gone()


async def deaf(exchange: Exchange) -> None:
    """Read no more than the head of the request, however much is sent."""
    await exchange.head()
    near: socket.socket = exchange.writer.get_extra_info("socket")
    while _is_up(near):  # noqa: ASYNC110 - nobody tells the deaf
        await asyncio.sleep(0.02)


def _is_up(near: socket.socket) -> bool:
    # linux: the first byte is the state of the connection, which neither side has ended
    return near.fileno() >= 0 and near.getsockopt(socket.SOL_TCP, socket.TCP_INFO, 1) == b"\x01"


async def refusing_early(exchange: Exchange) -> None:
    """Refuse what is too large as soon as its head has come; the rest is read, and forgotten."""
    await exchange.head()
    await exchange.say(answer(b"", "413 Payload Too Large", "Connection: close"))
    await exchange.idle()


async def slow_head(exchange: Exchange) -> None:
    """Send an endless head, a byte at a time."""
    await exchange.ask()
    await _drip(exchange, b"HTTP/1.1 200 OK\r\nX-A: ", *ENDLESS * [b"a"])


async def slow_body(exchange: Exchange) -> None:
    """Send the body a byte at a time."""
    head, body = await exchange.ask()
    begun = min(64, len(body) // 2)
    await _drip(exchange, head + body[:begun], *(body[n : n + 1] for n in range(begun, len(body))))


async def informing(exchange: Exchange) -> None:
    """Say now and then that the work goes on (HTTP 102), and nothing else."""
    await exchange.ask()
    await _drip(exchange, b"", *ENDLESS * [b"HTTP/1.1 102 Processing\r\n\r\n"])


async def _drip(exchange: Exchange, first: bytes, *pieces: bytes) -> None:
    await exchange.say(first)
    for piece in pieces:
        if exchange.reader.at_eof():
            return
        await exchange.say(piece)
        await asyncio.sleep(0.25)


# --- the answer is another one --------------------------------------------------------------------


def with_length(head: bytes, length: int | None) -> bytes:
    """Say another length in a head, or none."""
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    if length is not None:
        lines.insert(1, b"Content-Length: %d" % length)
    return b"\r\n".join(lines)


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """Write a whole answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def said(words: bytes, *, taken: bool = True) -> Strike:
    """Make a strike that answers something else.

    Args:
        words: The bytes of the answer; the connection then ends in good order.
        taken: Whether the service does its work before.
    """

    async def strike(exchange: Exchange) -> None:
        await (exchange.ask() if taken else exchange.request())
        await exchange.say(words)

    return strike


def altered(change: Callable[[bytes, bytes], bytes]) -> Strike:
    """Make a strike that changes the service's own answer: head and body in, bytes out."""

    async def strike(exchange: Exchange) -> None:
        await exchange.say(change(*await exchange.ask()))

    return strike


def half_in_frame(head: bytes, body: bytes) -> bytes:
    """Send half of the body, and call it the whole."""
    half = body[: len(body) // 2]
    return with_length(head, len(half)) + half


def promising(more: int) -> Callable[[bytes, bytes], bytes]:
    """Make a change that promises more bytes than come, or fewer."""
    return lambda head, body: with_length(head, len(body) + more) + body


def lengthless(head: bytes, body: bytes) -> bytes:
    """Tell no length: the body ends with the connection."""
    return with_length(head, None) + body


def page(status: str) -> bytes:
    """Write a page of a gateway."""
    text = f"<html><head><title>{status}</title></head><body>{status}</body></html>"
    return answer(text.encode(), status, "Content-Type: text/html; charset=utf-8")


def envelope(code: object, message: str = "error") -> bytes:
    """Write an envelope of the service with a code."""
    body = json.dumps({"code": code, "msg": message, "data": None}).encode()
    return answer(body, "200 OK", "Content-Type: application/json")


def redirect(location: str) -> bytes:
    """Write an answer that points elsewhere."""
    return answer(b"", "307 Temporary Redirect", f"Location: {location}")


def deep() -> bytes:
    """Write JSON of 100,000 lists, one in the other."""
    body = b'{"code":200,"msg":"success","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    return answer(body)


def bomb() -> bytes:
    """Write a body of a megabyte that unpacks to a gigabyte."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    first = packer.compress(_BLOCK) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(_BLOCK) + packer.flush(zlib.Z_FULL_FLUSH)
    return answer(first + again * 1023, "200 OK", "Content-Encoding: gzip")


def huge(*, chunked: bool) -> Strike:
    """Make a strike that answers with a gigabyte, as long as it is taken."""
    if chunked:
        head = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
        block = b"%x\r\n%s\r\n" % (len(_BLOCK), _BLOCK)
    else:
        head, block = _OK + b"Content-Length: %d\r\n\r\n" % GIGABYTE, _BLOCK

    async def strike(exchange: Exchange) -> None:
        await exchange.ask()
        await exchange.say(head)
        for _ in range(1024):
            await exchange.say(block)

    return strike
