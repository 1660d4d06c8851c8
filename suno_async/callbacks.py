"""Receive the service's callbacks: hints that wake the watcher, and proof that a task exists.

Nothing in a callback proves who sent it, so its URL does: each submission has a URL of its own
that ends in an unguessable token. And even then a callback is only a hint: what is believed comes
from record-info.
"""

import asyncio
import hashlib
import hmac
import logging
import secrets
from collections import OrderedDict
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    MutableMapping,
)
from contextlib import asynccontextmanager
from inspect import isawaitable
from math import inf
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from attrs import evolve

from suno_async.clock import Clock, SystemClock
from suno_async.errors import CallbackRejected, InvalidRequest
from suno_async.expectations import Expectation, Listener
from suno_async.heads import Answers, Heads
from suno_async.models import CallbackNotice
from suno_async.posted import CutShort, Posted, Reply, TooLarge, reply
from suno_async.uri import uri_of
from suno_async.webhook import parse_callback

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["CallbackReceiver", "Expectation"]

_log = logging.getLogger(__name__)

LARGEST_BODY_BYTES = 1024 * 1024
# upstream: a receiver has 15 s to answer
LONGEST_WAIT_S = 10.0

# how many URLs stay good whose submissions nobody holds any more
MOST_KEPT = 10_000

OnUnplaced = Callable[[CallbackNotice], object]
_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class CallbackReceiver:
    """Receives callbacks, for one session or several.

    Mount it in the web service that you have: `app.add_routes(receiver.routes())` with aiohttp,
    `app.mount("/suno", receiver.asgi)` with FastAPI, Starlette and other ASGI frameworks; or let
    it serve by itself with `async with receiver.serve(host, port)`. Then hand it to
    `SunoSession(receiver=receiver)`.

    It answers 200 to a callback with a known token, and to HEAD and GET, with which senders try a
    URL; 404 to an unknown token, 405 to other methods, 413 to more than 1 MiB, also unpacked, 415
    to what is neither called JSON nor plain text, 400 to what cannot be read, 408 to a body that
    takes longer than 10 s, and with `hmac_key` 401 to what is not signed. It belongs to the event
    loop of its session: a web service that runs elsewhere hands over with `on_unplaced` and
    `deliver`.

    Args:
        public_url: Where the service reaches it from outside, made a URI; each submission's token
            is put behind it, as in `https://my.service/suno/TOKEN`.
        secret: With it, tokens are HMACs that any process with the same secret can verify: the
            receiver may then run in another process than the session. 16 characters or more.
        hmac_key: The key with which an upstream provider signs callbacks; unsigned ones are then
            refused. See `parse_callback` for what such a signature does not cover.
        on_unplaced: Called with each callback whose token is right but belongs to no task here
            (with `secret` alone), and awaited if it is a coroutine function: hand the callback to
            the process that has the session, and there to `deliver`. When it raises or takes
            longer than 10 s, the service is asked to repeat. `add_unplaced` adds others.
        clock: Where time comes from.

    Raises:
        InvalidRequest: `public_url` is no URL, `secret` is too short, or `hmac_key` is empty.
    """

    def __init__(
        self,
        public_url: str,
        *,
        secret: str | None = None,
        hmac_key: str | bytes | None = None,
        on_unplaced: OnUnplaced | None = None,
        clock: Clock | None = None,
    ) -> None:
        uri = uri_of("public_url", public_url)
        if "?" in uri or "#" in uri:
            raise InvalidRequest("public_url", public_url, "must end with its path")
        if secret is not None and len(secret) < 16:
            raise InvalidRequest("secret", "(hidden)", "must have 16 characters or more")
        if hmac_key is not None and not hmac_key:
            raise InvalidRequest("hmac_key", "(hidden)", "must not be empty")
        self.public_url: str = uri.rstrip("/")
        self._secret = secret.encode() if secret is not None else None
        self._hmac_key = hmac_key
        self._unplaced: tuple[OnUnplaced, ...] = () if on_unplaced is None else (on_unplaced,)
        self._clock = clock or SystemClock()
        # found by a digest, so that the time of a look-up tells nothing about the tokens
        self._expected: WeakValueDictionary[bytes, Expectation] = WeakValueDictionary()
        # the URLs of all that was sent, the oldest first: a callback may come for any of them,
        # however late, and whoever waits for it
        self._kept: OrderedDict[bytes, Expectation] = OrderedDict()

    def __repr__(self) -> str:
        return f"<CallbackReceiver at {self.public_url}, {len(self._expected)} tokens>"

    # --- tokens -----------------------------------------------------------------------------------

    def expect(self, listen: Listener | None = None, *, token: str | None = None) -> Expectation:
        """Make the callback URL of a new submission, or of an earlier one again.

        It is good as long as the result is held by somebody, or kept.

        Args:
            listen: Told of everything that comes to it from now on.
            token: That of an earlier submission, made by a receiver with the same `secret` in this
                or another process; it needs a `secret`. While its expectation still lives here,
                that one is returned: all who hold it are told of its callbacks.

        Raises:
            InvalidRequest: The token is none of a receiver with the same `secret`.
        """
        if token is None:
            return self._expect(self._new_token(), listen)
        if self._secret is None:
            raise InvalidRequest("token", "(hidden)", "must not be given without a `secret`")
        if not isinstance(cast("object", token), str) or not self._is_known(token):
            rule = "must be one of a receiver with the same `secret`"
            raise InvalidRequest("token", "(hidden)", rule)
        known = self._expected.get(_digest(token))
        if known is None:
            return self._expect(token, listen)
        if listen is not None:
            known.listen(listen)
        return known

    def _expect(self, token: str, listen: Listener | None) -> Expectation:
        self._expected[_digest(token)] = expectation = Expectation(token, self, listen)
        return expectation

    def _new_token(self) -> str:
        nonce = secrets.token_urlsafe(18)
        return nonce if self._secret is None else nonce + _mac(self._secret, nonce)

    def keep(self, expectation: Expectation) -> None:
        """Hold the URL of a submission that was sent; the oldest are given up beyond a bound."""
        self._kept[_digest(expectation.token)] = expectation
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)

    def forget(self, expectation: Expectation) -> None:
        """Give up the URL of a submission that certainly made no task."""
        digest = _digest(expectation.token)
        self._expected.pop(digest, None)
        self._kept.pop(digest, None)

    def deliver(self, notice: CallbackNotice) -> bool:
        """Give a callback that another process received to the task here that it belongs to.

        Args:
            notice: As the other process's `on_unplaced` got it, perhaps through `to_json`.

        Returns:
            Whether its token belongs to a task of this process.
        """
        expectation = self._expected.get(_digest(notice.token or ""))
        if expectation is None:
            return False
        expectation.deliver(notice)
        return True

    def add_unplaced(self, handler: OnUnplaced) -> None:
        """Call a handler too with each callback whose token is right but belongs to no task here.

        All are called at a time, and awaited, each whatever the others do; when one raises, or
        takes longer than 10 s, the service is asked to repeat: to all of them. One that is there
        already is not added again.

        Raises:
            InvalidRequest: It cannot be called.
        """
        if not callable(handler):
            raise InvalidRequest("handler", handler, "must be a function of a callback")
        if handler not in self._unplaced:
            self._unplaced = (*self._unplaced, handler)

    def remove_unplaced(self, handler: OnUnplaced) -> None:
        """Call a handler no more, `on_unplaced` too; an unknown one does nothing."""
        self._unplaced = tuple(other for other in self._unplaced if other != handler)

    def _is_known(self, token: str) -> bool:
        if self._secret is not None:
            nonce, mac = token[:24], token[24:]
            return hmac.compare_digest(_mac(self._secret, nonce).encode(), _bytes(mac))
        return _digest(token) in self._expected

    # --- one request ------------------------------------------------------------------------------

    async def _take(self, posted: Posted) -> Reply:
        """Decide what a request deserves; the cheapest checks come first."""
        if not self._is_known(posted.token):
            return reply(404, "unknown callback URL")
        if posted.method in {"GET", "HEAD"}:  # seen: senders try a URL first
            return reply(200, "success")
        if posted.method != "POST":
            return reply(405, "a callback is a POST")
        if not posted.may_be_json:
            return reply(415, "a callback is application/json")
        try:
            async with self._patience():
                body = await posted.read(LARGEST_BODY_BYTES)
        except TooLarge:
            return reply(413, "a callback is not that large")
        except CutShort:
            return reply(400, "the body ended early or is packed badly")
        except TimeoutError:
            return reply(408, "the body did not come")
        return await self._place(posted, body)

    @asynccontextmanager
    async def _patience(self) -> AsyncIterator[None]:
        """Raise TimeoutError when the block takes too long on the receiver's clock."""
        async with asyncio.timeout(None) as limit:
            loop = asyncio.get_running_loop()
            timer = self._clock.call_at(
                self._clock.monotonic() + LONGEST_WAIT_S, lambda: limit.reschedule(loop.time())
            )
            try:
                yield
            finally:
                timer.cancel()

    async def _place(self, posted: Posted, body: bytes) -> Reply:
        try:
            parsed = parse_callback(
                body, posted.headers, hmac_key=self._hmac_key, now=self._clock.now()
            )
        except CallbackRejected as error:
            _log.info("refused a callback: %s", error)
            return reply(401 if error.unsigned else 400, error.reason)
        notice = evolve(parsed, token=posted.token)
        if not self.deliver(notice):
            _log.info("a callback for task %r belongs to no task here", notice.task_id)
            if self._unplaced and not await self._handed_over(notice):
                return reply(500, "try again")
        # spec: what a receiver answers
        return reply(200, "success")

    async def _handed_over(self, notice: CallbackNotice) -> bool:
        """Hand a callback to all who want those without a place; tell whether all of them took it.

        They have their time together: one that hangs leaves the others theirs.
        """
        ended: list[BaseException | None] = []
        try:
            async with self._patience():
                handing = (_hand(handler, notice) for handler in self._unplaced)
                ended += await asyncio.gather(*handing, return_exceptions=True)
        except TimeoutError as error:
            ended.append(error)
        failures = [failure for failure in ended if failure is not None]
        for failure in failures:
            _log.error("on_unplaced failed for task %r", notice.task_id, exc_info=failure)
        return not failures

    # --- where it is mounted ----------------------------------------------------------------------

    def routes(self, path: str | None = None) -> "list[web.RouteDef]":
        """Give the routes for an aiohttp application.

        Args:
            path: Where requests for `public_url` arrive in the application, when a proxy or
                `add_subapp` takes a part of the path away; None takes the path of `public_url`.
        """
        from aiohttp import web  # only where it is served: it is half of aiohttp's import

        path = urlsplit(self.public_url).path if path is None else path
        route = f"{path.rstrip('/')}/{{token}}"
        return [web.route("*", each, self._handle) for each in (route, f"{route}/")]

    async def _handle(self, request: "web.Request") -> "web.Response":
        headers = {name.lower(): value for name, value in request.headers.items()}
        token = request.match_info["token"]
        return _response(await self._take(Posted(request.method, token, headers, _body(request))))

    @property
    def asgi(self) -> Callable[[_Scope, _Receive, _Send], Awaitable[None]]:
        """The receiver as an ASGI application; the last part of the path is the token."""

        async def application(scope: _Scope, receive: _Receive, send: _Send) -> None:
            await self._asgi(scope, receive, send)

        return application  # not the method, which uvicorn takes for one of ASGI 2

    async def _asgi(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})
            return
        if scope["type"] != "http":
            raise ValueError(f"callbacks come over HTTP, not {scope['type']}")
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        token = str(scope["path"]).removesuffix("/").rpartition("/")[2]
        reply = await self._take(Posted(scope["method"], token, headers, _chunks(receive)))
        answered = {**reply.headers, "content-length": str(len(reply.body))}
        if reply.hangs_up and str(scope.get("http_version", "1.1")).startswith("1"):
            answered["connection"] = "close"
        await send(
            {
                "type": "http.response.start",
                "status": reply.status,
                "headers": [(name.encode(), value.encode()) for name, value in answered.items()],
            }
        )
        await send({"type": "http.response.body", "body": reply.body})

    @asynccontextmanager
    async def serve(
        self, host: str, port: int, *, path: str | None = None, head_timeout: float = 10.0
    ) -> AsyncIterator[None]:
        """Serve the callbacks inside the block, for those without a web service.

        Args:
            host: The address to listen on, such as `0.0.0.0`.
            port: The port to which requests for `public_url` come.
            path: Where they arrive when a proxy takes a part of the path away, such as `/`; None
                takes the path of `public_url`.
            head_timeout: Seconds in which a connection has to send a request's head, or is closed.

        Raises:
            InvalidRequest: `head_timeout` is not above 0.
            OSError: The port is taken.
        """
        from aiohttp import web

        if not 0 < head_timeout < inf:
            raise InvalidRequest("head_timeout", head_timeout, "must be seconds above 0")
        heads, answers = Heads(head_timeout), Answers()
        application = web.Application()
        application.add_routes(heads.noting(answers.noting(one)) for one in self.routes(path))
        application.add_routes([heads.noting(web.route("*", "/{rest:.*}", _nowhere))])
        runner = web.AppRunner(
            application,
            access_log=None,
            shutdown_timeout=0.1,
            auto_decompress=False,
            keepalive_timeout=head_timeout,  # the first head of a connection is watched here
        )
        await runner.setup()
        try:
            server = cast("web.Server", runner.server)  # which setup has made
            async with heads.listening(server, host, port):
                yield
        finally:
            await runner.cleanup()
            await answers.end()


async def _hand(handler: OnUnplaced, notice: CallbackNotice) -> None:
    done = handler(notice)
    if isawaitable(done):
        await done


async def _nowhere(_: "web.Request") -> "web.Response":
    return _response(reply(404, "unknown callback URL"))


def _response(given: Reply) -> "web.Response":
    from aiohttp import web

    response = web.Response(status=given.status, body=given.body, headers=given.headers)
    if given.hangs_up:
        response.force_close()
    return response


def _bytes(text: str) -> bytes:
    """Encode what came from outside: headers and paths may hold half a pair of surrogates."""
    return text.encode(errors="replace")


def _mac(secret: bytes, nonce: str) -> str:
    return hmac.new(secret, _bytes(nonce), hashlib.sha256).hexdigest()[:32]


def _digest(token: str) -> bytes:
    return hashlib.sha256(_bytes(token)).digest()


async def _body(request: "web.Request") -> AsyncGenerator[bytes, None]:
    from aiohttp import web

    try:
        async for chunk in request.content.iter_chunked(64 * 1024):
            yield chunk
    except (OSError, web.RequestPayloadError) as error:
        raise CutShort from error


async def _chunks(receive: _Receive) -> AsyncGenerator[bytes, None]:
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise CutShort
        yield message.get("body", b"")
        if not message.get("more_body"):
            return


async def _live(receive: _Receive, send: _Send) -> None:
    """Answer an ASGI server's questions at start and end, when it serves nothing else."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
