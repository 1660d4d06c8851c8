"""Where the key of each call comes from: given once, or asked for, and again when it is refused."""

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from copy import copy
from math import inf
from typing import Any, cast

from suno_async.clock import Clock
from suno_async.errors import ConnectionFailed, InvalidRequest, SunoError, described
from suno_async.key import Asked, Masked, Scrubber, mask, read_answer, take_frames_off

_log = logging.getLogger(__name__)

# Single 401s lie (seen): after an answer that changed nothing, what keeps the key is left alone for
# so long, however many calls are refused meanwhile.
LEAST_GAP_S = 10.0

# how long leaving waits for what is being asked
_LAST_WAIT_S = 0.1


class KeySource:
    """Knows the key, and asks for another when the service refuses it.

    However many calls need an answer at the same time, one asking serves them all. It is a task of
    its own: whoever is cancelled while waiting for it disturbs nobody.

    Args:
        given: The key, or what is to be asked for it.
        scrub: Is told of every key.
        clock: Where time comes from.
        timeout_s: How long an answer may take.

    Attributes:
        known: The key; None while it was not asked for.
    """

    def __init__(
        self, given: "Masked | Asked", scrub: Scrubber, clock: Clock, timeout_s: float
    ) -> None:
        self._asked = given if isinstance(given, Asked) else None
        self.known: Masked | None = None
        self._scrub = scrub
        self._clock = clock
        self._timeout_s = timeout_s
        self._asking: asyncio.Task[None] | None = None
        self._failure: SunoError | None = None
        self._not_before_s = -inf
        self._closed = False
        if isinstance(given, Masked):
            self._learn(given)

    @property
    def can_change(self) -> bool:
        """Whether there is somebody to ask for another key."""
        return self._asked is not None

    async def current(self) -> Masked:
        """Give the key; it is asked for when it is not known yet.

        Raises:
            ConnectionFailed: What was asked raised something, or did not answer in time.
            InvalidRequest: It gave what cannot be a key.
        """
        if self.known is None:
            await self._ask_once(inf)
        if self.known is None:
            failure = self._failure or ConnectionFailed("no API key: nobody is asked any more")
            raise copy(failure) from failure.__cause__
        return self.known

    async def renewed(self, refused: Masked, within_s: float = inf) -> bool:
        """Tell whether there is another key than the one that was refused; ask if need be.

        Args:
            refused: The key that a call used, and that the service did not take.
            within_s: The longest wait for an answer.
        """
        if self._asked is None:
            return False
        if self.known == refused and self._may_ask:
            await self._ask_once(within_s)
        return self.known != refused

    @property
    def _may_ask(self) -> bool:
        return self._asking is not None or self._clock.monotonic() >= self._not_before_s

    async def _ask_once(self, within_s: float) -> None:
        """Wait for the asking that is under way, or for one that begins now."""
        if self._asked is None or self._closed:
            return
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask(self._asked))
            self._asking.add_done_callback(self._ended)
        timeout_s = within_s if within_s < inf else None
        await asyncio.wait({self._asking}, timeout=timeout_s)

    def _ended(self, asking: "asyncio.Task[None]") -> None:
        self._asking = None

    async def _ask(self, asked: Asked) -> None:
        """Ask, and take note of the key or of what came instead."""
        self._failure = None
        limit = asyncio.timeout(self._timeout_s)
        try:
            async with limit:
                key = await _answer(asked)
        except (Exception, asyncio.CancelledError) as error:
            if self._closed and isinstance(error, asyncio.CancelledError):
                raise
            cause = error
        else:
            self._note(key)
            return
        # out here the failure has no context but the cause that it is given
        late = limit.expired()
        self._fail(ConnectionFailed(self._why(cause, late=late), request_sent=False), cause)

    def _why(self, cause: BaseException, *, late: bool) -> str:
        if late:
            return f"no API key: api_key did not answer within {self._timeout_s:g} s"
        return self._scrub(f"no API key: api_key raised {described(cause)}")

    def _note(self, key: Masked) -> None:
        if key == self.known:
            self._not_before_s = self._clock.monotonic() + LEAST_GAP_S
        else:
            if self.known is not None:
                _log.info("the API key was refused, and there is a new one")
            self._learn(key)

    def _learn(self, key: Masked) -> None:
        self._scrub.add(key)
        self.known = key
        self._not_before_s = -inf

    def _fail(self, failure: SunoError, cause: BaseException) -> None:
        # the frames are those of what keeps the key: their locals show it
        take_frames_off(cause, (BaseException,))
        if isinstance(cause, InvalidRequest):
            failure = cause
        elif not self._scrub.shown_by(cause):
            failure.__cause__ = cause
        self._failure = failure
        self._not_before_s = self._clock.monotonic() + LEAST_GAP_S
        if self.known is not None:
            _log.warning("the API key was refused, and there is no other: %s", failure)

    def close(self) -> None:
        """Ask nobody any more."""
        self._closed = True
        if self._asking is not None:
            self._asking.cancel()

    async def aclose(self) -> None:
        """Close, and wait for a moment until what is being asked has ended."""
        self.close()
        if self._asking is not None:
            await asyncio.wait({self._asking}, timeout=_LAST_WAIT_S)


async def _answer(asked: Asked) -> Masked:
    """Ask: a coroutine function here, any other in a thread of its own, where it may block."""
    ask = cast("Callable[[], Any]", asked.ask)
    if inspect.iscoroutinefunction(ask) or inspect.iscoroutinefunction(type(ask).__call__):
        return read_answer(mask(await ask()))
    given = await _in_thread(ask)
    return read_answer(mask(await given if inspect.isawaitable(given) else given))


async def _in_thread(ask: Callable[[], object]) -> object:
    """Call a function in a daemon thread: one that blocks for ever holds nothing up."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    results: list[object] = []
    raised: list[BaseException] = []
    context = copy_context()

    def run() -> None:
        try:
            given = context.run(ask)
            results.append(given if inspect.isawaitable(given) else mask(given))
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            raised.append(error)
        with suppress(RuntimeError):  # the event loop has ended meanwhile
            loop.call_soon_threadsafe(_fulfil, done)

    threading.Thread(target=run, name="suno_async api_key", daemon=True).start()
    await done
    if results:
        return results[0]
    if isinstance(raised[0], Exception):
        raise raised[0]
    raise RuntimeError("it ended its thread") from raised[0]  # and an exit there ends nothing else


def _fulfil(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
