"""Clocks that are put on, and names that nobody knows."""

import socket
from datetime import UTC, datetime, timedelta

from aiohttp.abc import AbstractResolver, ResolveResult
from attrs import define

from suno_async import SystemClock, VirtualClock


@define
class Skew:
    """How far a machine's clock has been put on, or back."""

    by: timedelta = timedelta(0)


class SkewedClock(SystemClock):
    """The machine's clock, which somebody puts on."""

    def __init__(self, skew: Skew) -> None:
        self._skew = skew

    def now(self) -> datetime:
        """Tell the time as the machine has it."""
        return super().now() + self._skew.by


class SkewedVirtualClock(VirtualClock):
    """A virtual clock, which somebody puts on."""

    def __init__(self, skew: Skew) -> None:
        super().__init__(datetime.now(UTC))
        self._skew = skew

    def now(self) -> datetime:
        """Tell the time as the machine has it."""
        return super().now() + self._skew.by


class Names(AbstractResolver):
    """Knows every name, or none.

    Attributes:
        known: Whether it knows them.
    """

    def __init__(self) -> None:
        self.known = True

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Look a name up.

        Raises:
            OSError: It is not known.
        """
        if not self.known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            {
                "hostname": host,
                "host": "127.0.0.1",
                "port": port,
                "family": socket.AF_INET,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
        ]

    async def close(self) -> None:
        """Close nothing."""
