"""All invariants at a time: arbitrary histories of callers, faults, callbacks, restarts and time.

A state machine of hypothesis steps one event loop by hand. The service and the receiver are real,
over real sockets; time is virtual, and jumps only where a step lets it pass. After every step the
ledger is held against what observers, hooks, results and exceptions have told.

`SUNO_TEST_LONG=1` makes the histories longer, and many.
"""

import os
import random
from collections import Counter
from collections.abc import Callable
from typing import TypeAlias, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from suno_async import InstrumentalTask
from suno_async.sandbox import Call, Delay, EnvelopeError
from tests.following import STUCK

from .callers import (
    Caller,
    Work,
    asking,
    awaiting,
    consuming,
    generating,
    looking,
    reading,
)
from .choices import chosen_by
from .drive import Drive
from .ending import conclude
from .misfortunes import COURSES, SILENCES, look_faults, submission_faults
from .timed import TimedMachine, go_round, numbers, places, rounds

T = TypeVar("T")
Reading: TypeAlias = Callable[[InstrumentalTask], Work]

IS_LONG = "SUNO_TEST_LONG" in os.environ
EXAMPLES = int(os.environ.get("SUNO_TEST_EXAMPLES", "1000" if IS_LONG else "12"))
STEPS = 80 if IS_LONG else 40
HISTORIES = settings(
    settings.get_profile("suite"),
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    derandomize=not IS_LONG,
    database=None,
    # a history over real sockets takes too long to be made smaller by trying
    phases=[Phase.explicit, Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)

# how many histories, steps and charges there were, and what else happened
tally: Counter[str] = Counter()

timeouts = st.sampled_from([None, None, 30.0, 500.0])


class Machine(TimedMachine):
    """A service, its callers, and all that may happen to them."""

    @initialize(
        seed=st.integers(0, 2**32),
        count=st.integers(1, 4),
        faults=st.lists(numbers, max_size=2),
        lies=st.lists(numbers, max_size=2),
        rounds=rounds,
        minutes=st.integers(0, 3),
    )
    def begin(
        self, seed: int, count: int, faults: list[int], lies: list[int], rounds: int, minutes: int
    ) -> None:
        """Start the service, enter a session, and have something to begin with.

        Some requests are submitted, some meet faults, and the first is cancelled on its way.
        """
        tally["histories"] += 1
        self.drive = Drive(chosen_by(random.Random(seed)))
        self.do(self.drive.enter())
        self.do(self.drive.enter_session(0))
        self.submission_faults = submission_faults(self.drive.elsewhere.base_url)
        self.look_faults = look_faults(self.drive.elsewhere.base_url)
        for which in faults:
            self.strike_submissions(which, 1)
        for which in lies:
            self.strike_looks(which, 2)
        if self.drive.choices.cadence == "slow":
            self.drive.sandbox.script(STUCK)
        self.submit(0, count)
        self.do(go_round(rounds))
        self.drive.callers[0].cancel()
        self.settle()
        self.read(0, 0, 2, reading, dated=True, followed=rounds % 2 == 0, timeout=None)
        self.pass_time(minutes * 60.0)

    @invariant()
    def holds(self) -> None:
        """What must hold after every step."""
        if not self.broken:
            tally["steps"] += 1
            self.broken = True
            self.drive.check()
            self.broken = False

    def teardown(self) -> None:
        """Let everything end, unless something is wrong already."""
        try:
            if not self.broken:
                self.do(conclude(self.drive))
                tally.update(self.drive.tally())
        finally:
            if hasattr(self, "drive"):
                sound = not self.broken
                self.runner.run(self.drive.leave())
                if sound:
                    self.runner.run(self.drive.check_nothing_is_left())
            self.runner.close()

    # --- callers ----------------------------------------------------------------------------------

    @rule(place=places, count=st.integers(1, 3), timeout=timeouts)
    def generate(self, place: int, count: int, timeout: float | None) -> None:
        """Generate some."""
        for _ in range(count):
            if self._may_ask(place):
                request = self.drive.request()
                caller = Caller(0, "generate", [request.title], timeout_s=timeout)
                self.do(self._call(place, caller, generating(request)))

    @rule(
        place=places,
        count=st.integers(1, 5),
        most=st.sampled_from([1, 99, 99]),
        max_in_flight=st.sampled_from([None, None, 1, 2]),
        stop=st.sampled_from([None, 1, 5]),
    )
    def generate_many(
        self, place: int, count: int, most: int, max_in_flight: int | None, stop: int | None
    ) -> None:
        """Generate several, and take all outcomes or one."""
        if self._may_ask(place):
            requests = [self.drive.request() for _ in range(count)]
            caller = Caller(0, "batch", [each.title for each in requests])
            limits = {"max_in_flight": max_in_flight, "stop_after_uncertain": stop}
            self.do(self._call(place, caller, consuming(requests, most, **limits)))

    @rule(
        place=places,
        which=numbers,
        count=st.integers(1, 4),
        how=st.sampled_from([reading, reading, awaiting, looking]),
        dated=st.booleans(),
        followed=st.booleans(),
        timeout=timeouts,
    )
    def read(
        self,
        place: int,
        which: int,
        count: int,
        how: Reading,
        dated: bool,
        followed: bool,
        timeout: float | None,
    ) -> None:
        """Attach to tasks, known or stored, and read them."""
        known = [*self.drive.knowledge.known]
        ids = known[which % max(len(known), 1) :][:count]
        whats: dict[Reading, str] = {reading: "events", awaiting: "result", looking: "look"}

        async def begin(task_id: str) -> None:
            task = self.drive.attach(place, task_id, dated=dated, followed=followed)
            timeout_s = timeout if how is awaiting else None
            caller = Caller(0, whats[how], task_id=task_id, timeout_s=timeout_s)
            self.drive.call(place, caller, how(task))

        for task_id in ids:
            if place in self.drive.open:
                self.do(begin(task_id))

    @rule(place=places)
    def credits(self, place: int) -> None:
        """Ask for the balance."""
        if place in self.drive.open:
            self.do(self._call(place, Caller(0, "credits"), asking))

    @rule(
        place=places,
        which=numbers,
        count=st.integers(0, 2),
        rounds=rounds,
        again=st.sampled_from([None, None, 0, 1, 2, 3]),
    )
    def cancel(self, place: int, which: int, count: int, rounds: int, again: int | None) -> None:
        """Cancel one who waits, or one of those who have just begun to submit; once or twice."""
        self.submit(place, count)
        newest = self.drive.callers[-count:] if count else self.drive.callers

        async def cancel() -> None:
            await go_round(rounds)
            waiting = [each for each in newest if not each.ended]
            for caller in waiting[which % len(waiting) :][:1] if waiting else ():
                caller.cancel()
                if again is not None:
                    await go_round(again)
                    caller.cancel()

        self.do(cancel())

    # --- sessions ---------------------------------------------------------------------------------

    @rule(
        place=places,
        count=st.integers(0, 2),
        rounds=rounds,
        late=st.sampled_from([False, False, False, True]),
        then=st.sampled_from([True, True, False]),
        really=st.booleans(),
    )
    def leave(
        self, place: int, count: int, rounds: int, late: bool, then: bool, really: bool
    ) -> None:
        """Leave a session in the midst of anything, or enter one where there is none."""
        if place in self.drive.open:
            if not really:
                return
            if late:
                self.drive.inject(Call.SUBMIT, Delay(3.0, processed=True), 1)
            self.submit(place, count)
            self.do(go_round(rounds))
            self.do(self.drive.leave_session(place))
            if not then:
                return
        self.do(self.drive.enter_session(place))

    # --- what befalls them ------------------------------------------------------------------------

    @rule(which=numbers, times=st.sampled_from([1, 1, 2, 6]))
    def strike_submissions(self, which: int, times: int) -> None:
        """Let the next submissions meet a fault."""
        fault = self.submission_faults[which % len(self.submission_faults)]
        self.drive.inject(Call.SUBMIT, fault, times)

    @rule(which=numbers, times=st.sampled_from([1, 1, 2, 6]))
    def strike_looks(self, which: int, times: int) -> None:
        """Let the next looks meet a fault, or be told what is not true."""
        self.drive.inject(Call.DETAILS, self.look_faults[which % len(self.look_faults)], times)

    @rule(code=st.sampled_from([429, 455, 500, None]))
    def strike_credits(self, code: int | None) -> None:
        """Let the next question for the balance be refused, or not be answered."""
        fault = SILENCES[0] if code is None else EnvelopeError(code, retry_after="5")
        self.drive.inject(Call.CREDITS, fault, 1)

    @rule(courses=st.lists(numbers, max_size=4))
    def script(self, courses: list[int]) -> None:
        """Say what becomes of the next tasks."""
        self.drive.sandbox.script(*(COURSES[which % len(COURSES)] for which in courses))

    @rule()
    def drop_connections(self) -> None:
        """End all connections at once."""
        self.do(self.drive.sandbox.drop_connections())

    @rule(plugged=st.sampled_from([True, True, True, False]))
    def plug(self, plugged: bool) -> None:
        """Unplug the service, or plug it in again."""
        self.do(self.drive.plug(plugged=plugged))

    @rule(which=numbers, kind=st.sampled_from(["text", "first", "complete", "error"]))
    def call_back(self, which: int, kind: str) -> None:
        """Send a callback: repeated, late, early or in the wrong order."""
        ids = [*self.drive.sandbox.tasks]
        if ids:
            self.do(self.drive.call_back(ids[which % len(ids)], kind))

    @rule(
        which=numbers,
        kind=st.sampled_from(["text", "complete", "error", "new"]),
        way=st.sampled_from(["stage", "token", "task", "nonsense"]),
    )
    def forge(self, which: int, kind: str, way: str) -> None:
        """Post what the service did not send."""
        ids = [*self.drive.sandbox.tasks]
        if ids:
            self.do(self.drive.forge(ids[which % len(ids)], kind, way))


def test_any_history_keeps_all_invariants() -> None:
    """Paid once, nothing lost, each stage once and true, expiry, politeness, the key, leaving."""
    tally.clear()
    run_state_machine_as_test(Machine, settings=HISTORIES)
    assert tally["histories"] >= EXAMPLES / 2
    if "SUNO_TEST_EXAMPLES" in os.environ:
        print(dict(tally))  # noqa: T201 - what a long run is for
