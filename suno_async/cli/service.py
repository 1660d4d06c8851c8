"""The real service, or what stands in for it, and the way to it."""

import asyncio
import ipaddress
import logging
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol
from urllib.parse import urlsplit

from attrs import frozen

from suno_async import (
    AuthenticationError,
    ConnectionFailed,
    FixedInterval,
    SunoError,
    SunoSession,
)
from suno_async.cli.board import Board
from suno_async.cli.failures import Complaint
from suno_async.key import API_KEY_VARIABLE, Masked

# what a folder keeps for the address of a service that ends with its command
DEMO = "(demo)"
_LAST_BALANCE_S = 5.0
_log = logging.getLogger(__name__)


class SongService(Protocol):
    """Makes songs."""

    @property
    def base_url(self) -> str | None:
        """Its address, when it is not the usual one."""
        ...

    @property
    def interval_s(self) -> float | None:
        """How many seconds are between looks at a task; None leaves it to the library."""
        ...

    def session(
        self, board: Board, *, max_in_flight: int | None = None, check: bool = True
    ) -> AbstractAsyncContextManager[SunoSession]:
        """Open a session, as `Service.session` does."""
        ...


@frozen
class Service:
    """Where the service is and how often it is looked at.

    Args:
        base_url: Its address, when it is not the usual one.
        interval_s: Seconds between looks at a task; None leaves it to the library.
        api_key: The key; None takes it from the environment.
    """

    base_url: str | None = None
    interval_s: float | None = None
    api_key: Masked | None = None

    def unopened(self, **options: Any) -> SunoSession:
        """Make a session that is still to be entered.

        Args:
            options: Further arguments of the session.

        Raises:
            InvalidRequest: There is no key, or the URL is none.
            Complaint: The interval is none.
        """
        if self.base_url is not None:
            options["base_url"] = self.base_url
        if self.interval_s is not None:
            options["cadence"] = _cadence(self.interval_s)
        return SunoSession(self.api_key, **options)

    @asynccontextmanager
    async def session(
        self, board: Board, *, max_in_flight: int | None = None, check: bool = True
    ) -> AsyncIterator[SunoSession]:
        """Open a session, and make sure that the service takes the key before anything is paid.

        The key comes from the environment.

        Args:
            board: Told the account's balance.
            max_in_flight: How many tasks run at a time; None takes the library's limit.
            check: Whether the service is needed at all.

        Raises:
            InvalidRequest: There is no key, or the URL is none.
            AuthenticationError: The service does not take the key.
            ConnectionFailed: The service cannot be reached.
        """
        limit = {} if max_in_flight is None else {"max_in_flight": max_in_flight}
        async with self.unopened(**limit) as session:
            if check:
                board.balance_before = await _balance(session)
            yield session


def _cadence(interval_s: float) -> FixedInterval:
    try:
        return FixedInterval(interval_s)
    except (ValueError, OverflowError) as error:
        raise Complaint(f"--interval must be a number of seconds, not {interval_s:g}") from error


def key_is_in_environment() -> bool:
    """Tell whether the environment gives a key, which counts before that of a file."""
    return bool(os.environ.get(API_KEY_VARIABLE, "").strip())


def is_this_machine(url: str) -> bool:
    """Tell whether a URL leads to this machine."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def may_get_key(stored: str | None) -> bool:
    """Tell whether the key may go to the address that a folder has, if nobody else names it."""
    return stored is None or stored == DEMO or is_this_machine(stored)


async def _balance(session: SunoSession) -> float | None:
    try:
        return await session.credits()
    except (AuthenticationError, ConnectionFailed):
        raise
    except SunoError as error:
        _log.info("the balance is not known: %s", error)
        return None


async def last_balance(session: SunoSession) -> float | None:
    """Ask for the balance once more, without waiting long for it."""
    try:
        async with asyncio.timeout(_LAST_BALANCE_S):
            return await session.credits()
    except (SunoError, TimeoutError) as error:
        _log.info("the balance is not known: %s", error)
        return None
