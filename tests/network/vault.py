"""What keeps the key and gives it out, and a service that takes the new one alone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from suno_async import RetryPolicy, SunoSession
from suno_async.sandbox import Sandbox
from tests.world import session_for, song

from .hosts import QUICK

OLD, NEW = "sk-old-Geheim-0123456789", "sk-new-Geheim-0123456789"
ONCE: dict[str, Any] = {**QUICK, "retry": RetryPolicy(attempts=1)}

CALLS: dict[str, Callable[[SunoSession], Awaitable[object]]] = {
    "submit": lambda suno: suno.submit(song()),
    "credits": lambda suno: suno.credits(),
    "upload": lambda suno: suno.upload(b"RIFF"),
}


class Vault:
    """Keeps keys, and gives out the next one each time it is asked; the last one for ever.

    Attributes:
        asked: How often it was asked.
    """

    def __init__(self, *keys: str) -> None:
        self._keys = list(keys)
        self.asked: int = 0

    def _next(self) -> str:
        self.asked += 1
        return self._keys.pop(0) if len(self._keys) > 1 else self._keys[0]

    def plain(self) -> str:
        """Give a key."""
        return self._next()

    async def later(self) -> str:
        """Give a key after a while."""
        await asyncio.sleep(0.01)
        return self._next()

    async def __call__(self) -> str:
        """Give a key."""
        return self._next()


@asynccontextmanager
async def asking(sandbox: Sandbox, ask: Any, **settings: Any) -> AsyncIterator[SunoSession]:
    """Open a session that asks for its key."""
    async with session_for(sandbox, api_key=ask, **{**QUICK, **settings}) as suno:
        yield suno
