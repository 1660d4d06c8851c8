"""What one history is made of, apart from its steps."""

import random
from datetime import timedelta
from typing import Literal

from attrs import frozen

from suno_async import FixedInterval, HazardPaced
from suno_async.cadence import Cadence

# the length of the window of submissions
WINDOW_S = 10.0


@frozen
class Choices:
    """What one history is made of.

    Attributes:
        window: How many submissions a window of 10 s may hold.
        concurrent: How many submissions may be on their way.
        max_in_flight: How many tasks run at a time.
        receiver: Whether the sessions have a receiver.
        reconcile_s: How long callbacks are waited for.
        hook: What `on_submitted` does.
        cadence: How tasks are looked at; `slow` is every six hours.
        eager: Whether failed calls are repeated at once.
        polls_per_second: The budget of polls.
        record_lag_s: How long records lag.
        skip_rate: How many stages are jumped over.
        failure_rate: How many tasks fail.
        mixed: Whether every task speaks another dialect.
        timeout_s: How long a call may take.
    """

    window: int = 20
    concurrent: int = 8
    max_in_flight: int = 3
    receiver: bool = True
    reconcile_s: float = 300.0
    hook: Literal["none", "quick", "slow", "fails"] = "quick"
    cadence: Literal["hazard", "quick", "slow"] = "hazard"
    eager: bool = False
    polls_per_second: float | None = None
    record_lag_s: float = 0.0
    skip_rate: float = 0.0
    failure_rate: float = 0.0
    mixed: bool = False
    timeout_s: float = 5.0

    def make_cadence(self) -> Cadence:
        """Make the cadence of a session."""
        gaps = {"quick": timedelta(0), "slow": timedelta(hours=6)}
        return HazardPaced() if self.cadence == "hazard" else FixedInterval(gaps[self.cadence])


def chosen_by(chance: random.Random) -> Choices:
    """Choose what a history is made of: all of it at random, however simple its steps are."""
    return Choices(
        window=chance.choice([1, 3, 20]),
        concurrent=chance.choice([1, 2, 8]),
        max_in_flight=chance.choice([1, 3, 100]),
        receiver=chance.random() < 0.6,
        reconcile_s=chance.choice([20.0, 300.0]),
        hook=chance.choice(["none", "quick", "quick", "slow", "fails"]),
        cadence=chance.choice(["hazard", "hazard", "hazard", "quick", "slow", "slow"]),
        eager=chance.random() < 0.5,
        polls_per_second=chance.choice([None, None, 2.0]),
        record_lag_s=chance.choice([0.0, 0.0, 30.0]),
        skip_rate=chance.choice([0.0, 0.5]),
        failure_rate=chance.choice([0.0, 0.2]),
        mixed=chance.random() < 0.5,
        timeout_s=chance.choice([5.0, 60.0]),
    )
