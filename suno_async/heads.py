"""What a web server of aiohttp's does not end by itself: half a head, and answers to nobody."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.typedefs import Handler

# how long an answer under way may take to end when the receiver is left
LAST_WAIT_S = 0.4


class Heads:
    """Closes connections that do not send the head of their first request in time.

    For the heads after it, aiohttp's limit of idle connections holds, which older versions do not
    begin before the first request.

    Args:
        timeout_s: How long a connection has, in seconds.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._timers: dict[web.RequestHandler, asyncio.TimerHandle] = {}

    def noting(self, route: "web.RouteDef") -> "web.RouteDef":
        """Make a route note that a head has come; aiohttp would keep a middleware for ever."""
        from aiohttp import web

        handle = cast("Handler", route.handler)

        async def noted(request: web.Request) -> web.StreamResponse:
            if timer := self._timers.pop(request.protocol, None):
                timer.cancel()
            return await handle(request)

        return web.route(route.method, route.path, noted)

    @asynccontextmanager
    async def listening(self, server: "web.Server", host: str, port: int) -> AsyncIterator[None]:
        """Listen inside the block.

        Raises:
            OSError: The port is taken.
        """
        loop = asyncio.get_running_loop()

        def connected() -> "web.RequestHandler":
            connection = server()
            self._timers[connection] = loop.call_later(self._timeout_s, self._give_up, connection)
            return connection

        # asyncio gives way once more when it listens already: cancelled then, it would go on
        listening = await loop.create_server(connected, host, port, start_serving=False)
        try:
            await listening.start_serving()
            yield
        finally:
            listening.close()
            for timer in self._timers.values():
                timer.cancel()

    def _give_up(self, connection: "web.RequestHandler") -> None:
        del self._timers[connection]
        connection.force_close()


class Answers:
    """Ends the answers under way whose callers have hung up, which aiohttp's server forgets."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[object]] = set()

    def noting(self, route: "web.RouteDef") -> "web.RouteDef":
        """Make a route note who answers."""
        from aiohttp import web

        handle = cast("Handler", route.handler)

        async def noted(request: web.Request) -> web.StreamResponse:
            task = cast("asyncio.Task[object]", asyncio.current_task())
            self._under_way.add(task)
            try:
                return await handle(request)
            finally:
                self._under_way.discard(task)

        return web.route(route.method, route.path, noted)

    async def end(self) -> None:
        """Cancel them, and wait for them, but not for long."""
        under_way = set(self._under_way)
        for task in under_way:
            task.cancel()
        if under_way:
            await asyncio.wait(under_way, timeout=LAST_WAIT_S)
