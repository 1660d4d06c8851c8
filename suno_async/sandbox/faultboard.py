"""Which faults wait for which calls, and dealing them out."""

import random
from collections import Counter
from collections.abc import Callable

from attrs import define, frozen

from suno_async.sandbox.faults import Call, Delay, Fault
from suno_async.sandbox.log import FaultMet, keep


@define
class _Injected:
    fault: Fault
    times_left: int | None
    rate: float
    about: str


@frozen
class Drawn:
    """The faults that one call meets.

    Args:
        delays: All delays, in the order of their injection.
        fault: The one other fault, if any.
    """

    delays: tuple[Delay, ...] = ()
    fault: Fault | None = None


class FaultBoard:
    """Hold the injected faults and deal them out to calls.

    Args:
        rng: Decides about faults with a rate below 1.
        monotonic: The clock, in seconds.

    Attributes:
        met: Every fault that was dealt out, in this order.
        counts: How many were, by call and kind.
    """

    def __init__(self, rng: random.Random, monotonic: Callable[[], float]) -> None:
        self.met: list[FaultMet] = []
        self.counts: Counter[tuple[Call, type[Fault]]] = Counter()
        self._rng = rng
        self._monotonic = monotonic
        self._injected: dict[Call, list[_Injected]] = {call: [] for call in Call}

    def inject(
        self, call: Call, fault: Fault, *, times: int | None, rate: float, about: str
    ) -> None:
        """Add a fault behind those that are already waiting."""
        self._injected[call].append(_Injected(fault, times, rate, about))

    def clear(self) -> None:
        """Forget all faults."""
        for waiting in self._injected.values():
            waiting.clear()

    def draw(
        self, call: Call, target: str, applies: Callable[[Fault], bool] = lambda _: True
    ) -> Drawn:
        """Take what the next call meets: every delay, and the first other fault.

        Args:
            call: The kind of call.
            target: Path and query of the request, as they were sent.
            applies: Tells whether a fault means this call at all; one that does not is kept.
        """
        waiting = self._injected[call]
        if not waiting:
            return Drawn()
        delays: list[Delay] = []
        fault: Fault | None = None
        for entry in waiting:
            is_delay = isinstance(entry.fault, Delay)
            if (fault is not None and not is_delay) or entry.about not in target:
                continue
            if not applies(entry.fault) or not self._strikes(entry):
                continue
            self._note(call, entry.fault, target)
            if isinstance(entry.fault, Delay):
                delays.append(entry.fault)
            else:
                fault = entry.fault
        self._injected[call] = [entry for entry in waiting if entry.times_left != 0]
        return Drawn(tuple(delays), fault)

    def _note(self, call: Call, fault: Fault, target: str) -> None:
        keep(self.met, FaultMet(call, fault, target, self._monotonic()))
        self.counts[call, type(fault)] += 1

    def _strikes(self, entry: _Injected) -> bool:
        if entry.rate < 1.0 and self._rng.random() >= entry.rate:
            return False
        if entry.times_left is not None:
            entry.times_left -= 1
        return True
