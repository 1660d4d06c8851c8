"""The account: what was charged, what was given back, and what is left."""

import heapq
from collections.abc import Callable
from typing import Literal

from attrs import frozen


@frozen
class Charge:
    """One movement of the account.

    Args:
        task_id: The task that was paid for.
        amount: Credits; always positive, `kind` tells the direction.
        balance: Credits after the movement.
        at: Seconds on the sandbox's monotonic clock.
        kind: `charge` or `refund`.
    """

    task_id: str
    amount: float
    balance: float
    at: float
    kind: Literal["charge", "refund"] = "charge"


class Ledger:
    """Keep the balance; refunds that lie in the future are booked once their time has come.

    Args:
        balance: Credits at the start.
        monotonic: The clock, in seconds.
    """

    def __init__(self, balance: float, monotonic: Callable[[], float]) -> None:
        self._balance = balance
        self._monotonic = monotonic
        self._entries: list[Charge] = []
        self._due: list[tuple[float, str, float]] = []

    @property
    def entries(self) -> list[Charge]:
        """All movements up to now, oldest first."""
        self._settle()
        return self._entries

    @property
    def balance(self) -> float:
        """Credits now."""
        self._settle()
        return self._balance

    @balance.setter
    def balance(self, credits_now: float) -> None:
        self._settle()
        self._balance = credits_now

    def charge(self, task_id: str, amount: float) -> None:
        """Take credits for a task."""
        self._settle()
        self._balance -= amount
        self._entries.append(Charge(task_id, amount, self._balance, self._monotonic()))

    def refund_at(self, at_s: float, task_id: str, amount: float) -> None:
        """Give credits back at some monotonic time."""
        heapq.heappush(self._due, (at_s, task_id, amount))

    def _settle(self) -> None:
        now_s = self._monotonic()
        while self._due and self._due[0][0] <= now_s:
            at_s, task_id, amount = heapq.heappop(self._due)
            self._balance += amount
            self._entries.append(Charge(task_id, amount, self._balance, at_s, "refund"))
