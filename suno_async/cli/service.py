"""The real service, or what stands in for it, and the way to it."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from attrs import frozen

from suno_async import (
    AuthenticationError,
    ConnectionFailed,
    FixedInterval,
    SunoError,
    SunoSession,
)
from suno_async.cli.board import Board

_log = logging.getLogger(__name__)


@frozen
class Service:
    """Where the service is and how often it is looked at.

    Args:
        base_url: Its address, when it is not the usual one.
        interval_s: Seconds between looks at a task; None leaves it to the library.
    """

    base_url: str | None = None
    interval_s: float | None = None

    @asynccontextmanager
    async def session(self, board: Board) -> AsyncIterator[SunoSession]:
        """Open a session, and make sure that the service takes the key before anything is paid.

        The key comes from the environment.

        Args:
            board: Told of everything that happens.

        Raises:
            InvalidRequest: There is no key, or the URL is none.
            AuthenticationError: The service does not take the key.
            ConnectionFailed: The service cannot be reached.
        """
        options: dict[str, Any] = {"observers": [board.observe]}
        if self.base_url is not None:
            options["base_url"] = self.base_url
        if self.interval_s is not None:
            options["cadence"] = FixedInterval(self.interval_s)
        async with SunoSession(**options) as session:
            await _check_account(session)
            yield session


async def _check_account(session: SunoSession) -> None:
    try:
        balance = await session.credits()
    except (AuthenticationError, ConnectionFailed):
        raise
    except SunoError as error:
        _log.info("the balance is not known: %s", error)
    else:
        _log.info("the balance is %s credits", balance)
