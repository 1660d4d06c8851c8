"""The body of a paid call: it can be handed out once, and knows whether it was."""

from collections.abc import Callable

import aiohttp
from aiohttp.abc import AbstractStreamWriter


class OneTimeBody(aiohttp.BytesPayload):
    """The JSON body of a paid call, which is handed to one connection at the most.

    So the body itself knows whether the service can have seen it, whatever exception is raised
    by whom, and nobody can send it a second time: no retry of aiohttp's, of a middleware's, or of
    a caller's own client session. Nor is it handed out too late: a process that was stopped, or an
    event loop that was blocked, goes on where it was.

    Args:
        content: The JSON.
        on_handed_out: Called once, right before a byte may go out.
        is_late: Tells whether it must not be sent any more; asked right before a byte may go out.

    Attributes:
        sent: Whether a byte may have gone out. Somebody who reads the content, such as a
            middleware that signs it, could send a copy: that counts too.
        late: Whether it was kept back because it was too late.
        connection: What it was handed to.
    """

    def __init__(
        self,
        content: bytes,
        on_handed_out: Callable[[], None],
        is_late: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(content, content_type="application/json")
        self._on_handed_out = on_handed_out
        self._is_late = is_late
        self._spent = False
        self.sent: bool = False
        self.late: bool = False
        self.connection: object = None

    def revoke(self) -> bool:
        """Keep the body from being sent; tell whether that came in time."""
        self._spent = True
        return not self.sent

    def _hand_out(self, writer: AbstractStreamWriter) -> None:
        self._refuse_if_late()
        if self._spent:
            raise RuntimeError("a submission is sent once at the most")
        connection = getattr(writer, "protocol", None)
        # a kept-alive one of the caller's, on which something came that nobody had asked for
        if getattr(connection, "should_close", False):
            raise ConnectionResetError("the connection is not clean: its answer would be another's")
        self._spent = True
        self.connection = connection
        self._note_sent()

    def _note_sent(self) -> None:
        self._refuse_if_late()
        if self.sent:
            return
        self.sent = True
        self._on_handed_out()
        if self._is_late():  # who is told of it may take its time
            self.sent = False
            self._refuse_if_late()

    def _refuse_if_late(self) -> None:
        if self._is_late():
            self._spent = self.late = True
            raise RuntimeError("it is too late to send this submission")

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Read the content as text."""
        self._note_sent()
        return super().decode(encoding, errors)

    async def as_bytes(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """Read the content."""
        self._note_sent()
        return await super().as_bytes(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Hand the body out, as older aiohttp asks for it."""
        self._hand_out(writer)
        await super().write(writer)

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Hand the body out."""
        self._hand_out(writer)
        await super().write_with_length(writer, content_length)
