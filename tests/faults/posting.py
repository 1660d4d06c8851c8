"""The receiver's side: what senders do wrong, how they are answered, what comes of the task."""

import asyncio
import errno
import json
import socket
import struct
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

from attrs import Factory, define

from suno_async import CallbackNotice, CallbackReceiver, FixedInterval, SunoSession
from suno_async.observe import Accepted, Observation
from suno_async.sandbox import Sandbox
from tests.callbacks.hosting import callback, free_port, head, status_of
from tests.line import end_at_once
from tests.waiting import until
from tests.world import session_for, song

from . import strikes
from .surroundings import Skew, SkewedVirtualClock
from .table import Expected
from .tally import Tally, nothing_left_of
from .types import mistyped, ways_of

HEAD_TIMEOUT_S = 1.0
BODY_TIMEOUT_S = 11.0
_DAYS = timedelta(days=15)
_TLS = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64)


@define(eq=False)
class Sender:
    """Sends callbacks to a receiver, in good ways and in bad ones.

    Attributes:
        receiver: The receiver.
        port: Where it is.
        clock: Its clock.
        skew: How far that was put on.
        url: The callback URL of a task.
        task_id: The task.
        hook: What becomes of a callback that belongs to no task here.
        posts: How many posts were begun.
    """

    receiver: CallbackReceiver
    port: int
    clock: SkewedVirtualClock
    skew: Skew
    url: str = ""
    task_id: str = ""
    hook: Callable[[CallbackNotice], Awaitable[None]] | None = None
    posts: int = 0
    serving: AsyncExitStack = Factory(AsyncExitStack)

    async def serve(self) -> None:
        """Let the receiver listen."""
        served = self.receiver.serve("127.0.0.1", self.port, head_timeout=HEAD_TIMEOUT_S)
        await self.serving.enter_async_context(served)

    async def on_unplaced(self, notice: CallbackNotice) -> None:
        """Take a callback that belongs to no task here."""
        if self.hook is not None:
            await self.hook(notice)

    @property
    def body(self) -> bytes:
        """What the service posts."""
        return callback(task_id=self.task_id)

    async def post(self, body: bytes, *headers: str, length: int | None = None) -> str:
        """Post a body; return the status of the answer."""
        said = len(body) if length is None else length
        return await self.say(head(self.url, f"Content-Length: {said}", *headers) + body)

    async def say(self, words: bytes) -> str:
        """Send some bytes; return the status of the answer, or `none`."""
        async with self.connection() as (reader, writer):
            writer.write(words)
            return await _status(reader)

    @asynccontextmanager
    async def connection(
        self,
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Connect to the receiver."""
        self.posts += 1
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            await end_at_once(writer)

    async def elsewhere(self) -> str:
        """Post what belongs to no task of this process."""
        url, self.url = self.url, f"{self.receiver.public_url}/{_foreign_token(self.receiver)}"
        try:
            return await self.post(self.body)
        finally:
            self.url = url


def _foreign_token(receiver: CallbackReceiver) -> str:
    """Make a token that another process with the same secret could have made."""
    return receiver.expect().token


async def _status(reader: asyncio.StreamReader) -> str:
    try:
        return str(await status_of(reader))
    except (asyncio.IncompleteReadError, OSError):
        return "none"


def _reset(writer: asyncio.StreamWriter) -> None:
    near: socket.socket = writer.get_extra_info("socket")
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


# --- what senders do ------------------------------------------------------------------------------

Sending: TypeAlias = Callable[[Sender], Awaitable[str]]


async def _refused(sender: Sender) -> str:
    await sender.serving.aclose()
    try:
        return await sender.post(sender.body)
    except ConnectionRefusedError:
        return "none"
    finally:
        await sender.serve()


def _resetting(share: float, *, with_head: bool = True) -> Sending:
    async def send(sender: Sender) -> str:
        body = sender.body
        async with sender.connection() as (_, writer):
            if with_head:
                writer.write(head(sender.url, f"Content-Length: {len(body)}"))
            writer.write(body[: int(len(body) * share)])
            await asyncio.sleep(0.01)
            _reset(writer)
        return "none"

    return send


def _ending(share: float) -> Sending:
    async def send(sender: Sender) -> str:
        body = sender.body
        async with sender.connection() as (reader, writer):
            writer.write(head(sender.url, f"Content-Length: {len(body)}"))
            writer.write(body[: int(len(body) * share)])
            writer.write_eof()
            return await _status(reader)

    return send


async def _silent(sender: Sender) -> str:
    return await sender.say(b"")


async def _slow_head(sender: Sender) -> str:
    async with sender.connection() as (reader, writer):
        writer.write(b"POST /suno HTTP/1.1\r\nX-A: ")
        while not reader.at_eof() and not writer.transport.is_closing():
            writer.write(b"a")
            await asyncio.sleep(0.02)
        return await _status(reader)


def _unfinished(share: float, more: int = 0) -> Sending:
    """Leave a body unfinished until the receiver loses patience."""

    async def send(sender: Sender) -> str:
        body = sender.body
        async with sender.connection() as (reader, writer):
            writer.write(head(sender.url, f"Content-Length: {len(body) + more}"))
            writer.write(body[: int(len(body) * share)])
            await until(lambda: sender.clock.next_deadline_s() is not None)
            sender.clock.advance(BODY_TIMEOUT_S)
            return await _status(reader)

    return send


def _huge(*, chunked: bool) -> Sending:
    block = b" " * 1024**2
    framed = b"%x\r\n%s\r\n" % (len(block), block) if chunked else block
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {strikes.GIGABYTE}"

    async def send(sender: Sender) -> str:
        async with sender.connection() as (reader, writer):
            writer.write(head(sender.url, length))

            async def pour() -> None:
                for _ in range(1024):
                    writer.write(framed)
                    await writer.drain()

            pouring = asyncio.ensure_future(pour())
            status = await _status(reader)
            pouring.cancel()
            await asyncio.wait({pouring})
            return status

    return send


async def _mistyped(sender: Sender) -> str:
    statuses = {
        await sender.post(mistyped(json.loads(sender.body), *way)) for way in ways_of(sender.body)
    }
    return " or ".join(sorted(statuses))


def _jumping(by: timedelta) -> Sending:
    async def send(sender: Sender) -> str:
        sender.skew.by += by
        return await sender.post(sender.body)

    return send


async def _disk_full(sender: Sender) -> str:
    async def hook(_: CallbackNotice) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    sender.hook = hook
    return await sender.elsewhere()


async def _cancelled(sender: Sender) -> str:
    begun = asyncio.Event()

    async def hook(_: CallbackNotice) -> None:
        begun.set()
        await asyncio.sleep(3600)

    sender.hook = hook
    sending = asyncio.ensure_future(sender.elsewhere())
    await begun.wait()
    sending.cancel()
    await asyncio.wait({sending})
    sender.hook = None
    return "none"


def _saying(words: bytes) -> Sending:
    return lambda sender: sender.say(words)


def _posting(change: Callable[[bytes], bytes], *headers: str, more: int = 0) -> Sending:
    async def send(sender: Sender) -> str:
        body = change(sender.body)
        return await sender.post(body, *headers, length=len(body) + more)

    return send


async def _lengthless(sender: Sender) -> str:
    return await sender.say(head(sender.url) + sender.body)


async def _page(sender: Sender) -> str:
    page = _payload(strikes.page("200 OK"))
    words = head(sender.url, f"Content-Length: {len(page)}")
    return await sender.say(words.replace(b"application/json", b"text/html") + page)


def _coded(code: object, message: str = "error") -> Sending:
    return lambda sender: sender.post(callback(task_id=sender.task_id, code=code, msg=message))


def _payload(words: bytes) -> bytes:
    return words.partition(b"\r\n\r\n")[2]


def _posting_more(pause_s: float) -> Sending:
    """Send on behind a callback what is none, on the same connection."""

    async def send(sender: Sender) -> str:
        body = sender.body
        async with sender.connection() as (reader, writer):
            writer.write(head(sender.url, f"Content-Length: {len(body)}") + body)
            await asyncio.sleep(pause_s)
            writer.write(b"{}")
            return await _status(reader)

    return send


SENDINGS: dict[str, Sending] = {
    "refused": _refused,
    "no TLS": _saying(_TLS),
    "reset at once": _resetting(0, with_head=False),
    "reset in request": _resetting(0.5),
    "reset unanswered": _resetting(1),
    "end unanswered": _ending(1),
    "end in body": _ending(0.5),
    "silent": _silent,
    "slow head": _slow_head,
    "slow body": _unfinished(0.5),
    "half a body": _posting(lambda body: body[: len(body) // 2]),
    "length too long": _unfinished(1, 10),
    "length too short": _posting(lambda body: body, more=-10),
    "no length": _lengthless,
    "two answers": _posting_more(0),
    "late answer": _posting_more(0.02),
    "page 200": _page,
    "no HTTP": _saying(b"220 mail.example ESMTP\r\n\r\n"),
    "empty": _posting(lambda _: b""),
    "gzip bomb": _posting(lambda _: _payload(strikes.bomb()), "Content-Encoding: gzip"),
    "1 GB": _huge(chunked=False),
    "1 GB in chunks": _huge(chunked=True),
    "deep JSON": _posting(lambda _: _payload(strikes.deep())),
    "wrong types": _mistyped,
    "clock 15 days on": _jumping(_DAYS),
    "clock 15 days back": _jumping(-_DAYS),
    "disk full": _disk_full,
    "cancelled": _cancelled,
    "code 429 of credits": _coded(429, "Insufficient credits"),
    'code "429"': _coded("429"),
    "code as word": _coded("oops"),
}


def _sending(fault: str) -> Sending:
    return SENDINGS.get(fault) or _coded(int(fault.removeprefix("code ")))


# --- one cell -------------------------------------------------------------------------------------


async def posted(expected: Expected, _: Path) -> Tally:
    """Try one cell of a callback, and see that it leaves nothing."""
    tally = Tally(cells=1)
    async with nothing_left_of(tally) as sessions:
        sessions.append(await _on_ground(expected, tally))
    return tally


async def _on_ground(expected: Expected, tally: Tally) -> "weakref.ref[SunoSession]":
    """Send one callback under a fault and a good one; the task's result comes all the same."""
    told: list[Observation] = []
    async with AsyncExitStack() as stack:
        settings: dict[str, Any] = {"time_scale": 0, "callbacks": False}
        sandbox = await stack.enter_async_context(Sandbox(polls_per_second=None, **settings))
        sender = _sender()
        stack.push_async_callback(sender.serving.aclose)
        await sender.serve()
        clock = SkewedVirtualClock(Skew())
        suno = session_for(
            sandbox,
            clock=clock,
            timeout=30,
            receiver=sender.receiver,
            cadence=FixedInterval(timedelta(seconds=30)),
            observers=[told.append],
        )
        async with suno:
            task = await suno.submit(song())
            sender.task_id = task.task_id
            sender.url = str(sandbox.tasks[task.task_id].request["callBackUrl"])
            status = await _sending(expected.fault)(sender)
            due = [name for name, _ in expected.verdicts]
            tally.expect(set(status.split(" or ")) <= set(due), f"{status}, not {due}")
            tally.injected += sender.posts
            again = await sender.post(sender.body)
            tally.expect(again == "200", f"afterwards: {again}")
            async with asyncio.timeout(10):
                result = await clock.run(task.result(), idle=sandbox.idle, settle_passes=50)
            tally.expect(len(result.tracks) == 2, f"the task came to {result}")
        charged = [one.task_id for one in sandbox.ledger]
        known = [one.task_id for one in told if isinstance(one, Accepted)]
        tally.submissions += len(sandbox.submissions)
        tally.charges += len(charged)
        tally.lost += len(set(charged) - set(known))
        tally.doubled += max(len(charged) - 1, 0)
        tally.expect(charged == known, f"charged {charged}, known {known}")
    return weakref.ref(suno)


def _sender() -> Sender:
    port, skew = free_port(), Skew()
    clock = SkewedVirtualClock(skew)
    senders: list[Sender] = []

    async def unplaced(notice: CallbackNotice) -> None:
        await senders[0].on_unplaced(notice)

    receiver = CallbackReceiver(
        f"http://127.0.0.1:{port}/suno",
        secret="0123456789abcdef",
        on_unplaced=unplaced,
        clock=clock,
    )
    senders.append(Sender(receiver, port, clock, skew))
    return senders[0]
