"""Steps that let time pass, or befall clocks, with submissions on their way."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from suno_async.sandbox import Call

from .callers import Caller, Work, submitting
from .clocks import MachineLoop
from .drive import Drive
from .misfortunes import SILENCES

T = TypeVar("T")

# what a history asks for at the most
MOST_REQUESTS = 60

places = st.sampled_from([0, 0, 0, 1])
numbers = st.integers(0, 100)
# how often the event loop goes round: a submission takes some twenty rounds
rounds = st.integers(0, 25) | st.integers(0, 80)


async def go_round(count: int) -> None:
    """Let the event loop go round so often."""
    for _ in range(count):
        await asyncio.sleep(0)


class TimedMachine(RuleBasedStateMachine):
    """Steps an event loop by hand: somebody submits, and time passes.

    Attributes:
        drive: What is driven.
        broken: Whether a step failed.
    """

    drive: Drive

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=MachineLoop)
        self.broken = True

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a step, and remember when it fails: what comes after it proves nothing."""
        self.broken = True
        result = self.runner.run(work)
        self.broken = False
        return result

    def _may_ask(self, place: int) -> bool:
        return place in self.drive.open and self.drive.titles < MOST_REQUESTS

    async def _call(self, place: int, caller: Caller, work: Work) -> None:
        self.drive.call(place, caller, work)

    @rule(place=places, count=st.integers(1, 4))
    def submit(self, place: int, count: int) -> None:
        """Submit requests."""
        for _ in range(count):
            if self._may_ask(place):
                request, number = self.drive.request(), self.drive.open[place]
                work = submitting(request, self.drive.handles[number])
                self.do(self._call(place, Caller(0, "submit", [request.title]), work))

    # --- time -------------------------------------------------------------------------------------

    @rule(count=rounds)
    def go_round(self, count: int) -> None:
        """Let the event loop go round so often: calls are in the middle of anything."""
        self.do(go_round(count))

    @rule()
    def settle(self) -> None:
        """Let everything happen that takes no time, and see that nothing is held."""
        self.do(self.drive.settle())
        self.drive.check_quiet()

    @rule(seconds=st.sampled_from([0.05, 0.4, 1.0, 5.0, 11.0, 25.0, 70.0, 140.0]))
    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.do(self.drive.pass_time(seconds))

    @precondition(lambda self: self.drive.choices.cadence != "quick")
    @rule(seconds=st.sampled_from([700.0, 4_000.0]))
    def pass_an_hour(self, seconds: float) -> None:
        """Let much time pass."""
        self.do(self.drive.pass_time(seconds))

    @precondition(lambda self: self.drive.choices.cadence == "slow")
    @rule(days=st.sampled_from([1.0, 6.9, 14.1]))
    def pass_days(self, days: float) -> None:
        """Let days pass, which are fourteen in the end."""
        self.do(self.drive.pass_time(days * 86_400))

    @rule(
        seconds=st.sampled_from([-20_000.0, -3_600.0, -61.0, -0.7, 1.5, 30.0, 3_600.0, 50_000.0]),
        place=places,
        count=st.sampled_from([0, 0, 1, 2]),
        rounds=rounds,
    )
    def set_wall_clock(self, seconds: float, place: int, count: int, rounds: int) -> None:
        """Set the callers' wall clock, also while submissions are on their way."""
        self.submit(place, count)
        self.do(go_round(rounds))
        self.drive.clock.wrong += timedelta(seconds=seconds)

    @rule(
        seconds=st.sampled_from([2.0, 12.0, 90.0, 800.0, 7_200.0]),
        counted=st.booleans(),
        answered=st.booleans(),
        place=places,
        count=st.sampled_from([0, 0, 1, 2]),
        rounds=rounds,
    )
    def stand_still(
        self, seconds: float, counted: bool, answered: bool, place: int, count: int, rounds: int
    ) -> None:
        """Suspend the callers' machine in the midst of anything; its seconds go on, or not.

        In the midst of anything is also when the service has answered, and nobody has read it.
        """
        self.submit(place, count)
        before = self.drive.answered if answered else None

        async def stand_still() -> None:
            for _ in range(rounds):
                if before is not None and self.drive.answered > before:
                    break
                await asyncio.sleep(0)
            self.drive.stand_still(seconds, counted=counted)

        self.do(stand_still())

    @rule(
        place=places,
        which=numbers,
        count=st.integers(1, 2),
        looks=st.sampled_from([0, 0, 1, 12]),
        late=st.sampled_from([False, False, True]),
    )
    def stay_silent(self, place: int, which: int, count: int, looks: int, late: bool) -> None:
        """Let the service stay silent until calls time out, and speak too late."""
        silence = SILENCES[which % len(SILENCES)]
        self.drive.inject(Call.SUBMIT, silence, count)
        self.drive.inject(Call.DETAILS, silence, looks)
        self.submit(place, count)
        self.do(go_round(25))
        late_s = 450.0 if late and self.drive.choices.cadence != "quick" else 0.0
        self.do(self.drive.pass_time(self.drive.choices.timeout_s + late_s))
