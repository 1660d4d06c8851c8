"""The web server of the sandbox: it can be unplugged and plugged in again, at the same port."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable

from aiohttp import web

from suno_async.sandbox.exchange import Handler

# How long requests that are being answered may go on once the sandbox stops.
_GRACE_S = 0.05
_BACKLOG = 1024


class Listener:
    """Accept connections.

    Args:
        handler: Answers requests.
        host: The address to listen on.
        port: The port; 0 for any free one, which is then kept.
    """

    def __init__(self, handler: Handler, host: str, port: int) -> None:
        self.port: int = port
        self._handler = handler
        self._host = host
        self._runner: web.ServerRunner | None = None
        self._server: web.Server | None = None
        self._socket: socket.socket | None = None

    @property
    def base_url(self) -> str:
        """The address, without a slash at the end."""
        shown = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{shown}:{self.port}"

    async def start(self) -> None:
        """Listen; nothing happens if it does.

        Raises:
            OSError: The port is taken.
        """
        if self._runner is not None:
            return
        listening = _listen(self._host, self.port)
        server = web.Server(self._handler, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=_GRACE_S)
        await runner.setup()
        await web.SockSite(runner, listening).start()
        self._server, self._runner, self._socket = server, runner, listening
        self.port = int(listening.getsockname()[1])

    async def stop(self, abandon: Callable[[], Awaitable[None]]) -> None:
        """Stop listening and end all connections.

        Args:
            abandon: Ends the answers that go on without a connection.
        """
        runner, self._runner = self._runner, None
        if runner is None:
            return
        await self._stop_accepting()
        await self.drop_connections()
        await abandon()
        await runner.cleanup()
        self._server = self._socket = None

    async def _stop_accepting(self) -> None:
        """Turn newcomers away before the socket closes.

        Python 3.11 leaks a connection that is being accepted in the moment of closing.
        """
        if self._socket is not None:
            with contextlib.suppress(NotImplementedError):
                asyncio.get_running_loop().remove_reader(self._socket)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def drop_connections(self) -> None:
        """End all open connections at once; new ones are accepted."""
        if self._server is not None:
            for connection in self._server.connections:
                if connection.transport is not None:
                    connection.transport.abort()
        await asyncio.sleep(0)


def _listen(host: str, port: int) -> socket.socket:
    """Open a listening socket.

    `socket.create_server` leaves the protocol open, and asyncio then leaves Nagle's delay on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"can not listen on {host}:{port}: {error.strerror}") from error
    listener.listen(_BACKLOG)
    return listener
