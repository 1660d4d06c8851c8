"""The service, a receiver, and sessions one after the other, stepped by hand in one event loop."""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from suno_async import (
    AccountLimits,
    AddInstrumentalRequest,
    InstrumentalTask,
    RetryPolicy,
    SunoSession,
)
from suno_async.sandbox import Call, Dialect, Fault, Sandbox, Timings
from tests.callbacks.hosting import by_itself, callback, post
from tests.following import open_files, running
from tests.waiting import HANGS_AFTER_S, until
from tests.world import EAGER, RawService, World, song, tcp_service

from .callers import Caller, HookFailed, Work
from .choices import WINDOW_S, Choices
from .clocks import CallersClock, MachineLoop, TrueClock
from .hearing import Hearing
from .knowledge import Knowledge
from .misfortunes import KEY, Lie
from .times import ROUNDED_S

SECRET = "a secret that two processes share"
# of real time: who waits longer hangs
# how long after its end a watch may still be told so: a pause as long as is patient, a slow gap
LATE_S = 700.0


class Drive:
    """Everything of one history; its coroutines are run one after the other.

    Args:
        choices: What it is made of.

    Attributes:
        callers: Everybody who ever called, in order.
        titles: How many requests were made.
    """

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.callers: list[Caller] = []
        self.sessions: list[SunoSession] = []
        self.open: dict[int, int] = {}  # the place of each open session, and its number
        self.handles: dict[int, dict[str, InstrumentalTask]] = {}
        self.titles = 0
        self.plugged = True
        self._noise: list[dict[str, Any]] = []
        self._hearing = Hearing()
        self._leaving = AsyncExitStack()

    # --- its life ---------------------------------------------------------------------------------

    async def enter(self) -> None:
        """Start everything but the sessions."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, MachineLoop)
        loop.set_exception_handler(lambda _, said: self._noise.append(said))
        self._leaving.enter_context(self._hearing.everything())
        self._files = open_files()
        choices, true = self.choices, TrueClock(loop)
        self.clock = CallersClock(true)
        loop.passed_s = self.clock.monotonic
        self.sandbox = await self._leaving.enter_async_context(
            Sandbox(
                api_key=KEY,
                clock=true,
                timings=Timings(sigma=0.0),
                submissions_per_window=(choices.window, WINDOW_S),
                record_lag_s=choices.record_lag_s,
                skip_rate=choices.skip_rate,
                failure_rate=choices.failure_rate,
                dialect="mixed" if choices.mixed else Dialect(),
            )
        )
        self.world = World(self.sandbox, true)
        self.receiver = await self._leaving.enter_async_context(
            by_itself(clock=self.clock, secret=SECRET)
        )
        self.elsewhere = await self._leaving.enter_async_context(_elsewhere())
        self.limits = AccountLimits(
            (choices.window, WINDOW_S), choices.concurrent, choices.polls_per_second
        )
        self.knowledge = Knowledge(self.sandbox, self.clock, choices.timeout_s)
        self._before = running()

    async def leave(self) -> None:
        """Stop everything."""
        self.sandbox.clear_faults()
        for place in list(self.open):
            await self.leave_session(place)
        for caller in self.callers:
            caller.cancel()
        await self._leaving.aclose()

    async def check_nothing_is_left(self) -> None:
        """See that neither descriptors, nor exceptions that nobody took, are left."""
        gc.collect()
        await until(lambda: len(open_files()) <= len(self._files))
        assert self._noise == []
        assert self._hearing.shown == []
        assert self.elsewhere.opened == 0, "somebody else was asked"

    # --- sessions ---------------------------------------------------------------------------------

    async def enter_session(self, place: int) -> None:
        """Enter a session in a place that has none; it shares the account's limits."""
        choices, number = self.choices, len(self.sessions)
        settings: dict[str, Any] = {}
        if choices.receiver:
            settings |= {"receiver": self.receiver, "reconcile_for": choices.reconcile_s}
        if choices.hook != "none":
            settings["on_submitted"] = self._on_submitted
        suno = self.world.session(
            clock=self.clock,
            timeout=choices.timeout_s,
            limits=self.limits,
            max_in_flight=choices.max_in_flight,
            cadence=choices.make_cadence(),
            observers=[partial(self.knowledge.told, number)],
            retry=EAGER if choices.eager else RetryPolicy(patience=timedelta(minutes=2)),
            **settings,
        )
        await suno.__aenter__()
        self.sessions.append(suno)
        self.open[place] = number
        self.handles[number] = {}

    async def _on_submitted(
        self, task_id: str, request: AddInstrumentalRequest, submitted_at: datetime
    ) -> None:
        if self.choices.hook == "slow":
            for _ in range(4):
                await asyncio.sleep(0)
        await self.knowledge.on_submitted(task_id, request, submitted_at)
        if self.choices.hook == "fails" and int(request.title) % 3 == 0:
            raise HookFailed

    async def leave_session(self, place: int) -> None:
        """Leave a session; see that everything of it ends."""
        number = self.open.pop(place)
        async with asyncio.timeout(HANGS_AFTER_S):
            await self.sessions[number].__aexit__(None, None, None)
        its_own = [each.running for each in self.callers if each.session == number and each.running]
        if its_own:
            _, hanging = await asyncio.wait(its_own, timeout=HANGS_AFTER_S)
            assert not hanging, "who waited for what has ended hangs"
        stats = self.sessions[number].stats()
        held = (stats.in_flight, stats.sending, stats.watched)
        assert held == (0, 0, 0), f"held after leaving: {held}"
        if not self.open:
            self._check_nothing_runs()

    def _check_nothing_runs(self) -> None:
        callers = {each.running for each in self.callers}
        left = running() - self._before - callers - {asyncio.current_task()}
        assert not left, f"left running: {left}"

    @property
    def sending(self) -> dict[int, int]:
        """Tell how many submissions of each session are on their way."""
        return {number: suno.stats().sending for number, suno in enumerate(self.sessions)}

    @property
    def answered(self) -> int:
        """Tell how many submissions the service has answered."""
        return sum(each.answered_at is not None for each in self.sandbox.submissions)

    # --- callers ----------------------------------------------------------------------------------

    def request(self) -> AddInstrumentalRequest:
        """Make a request that nobody else makes."""
        self.titles += 1
        return song(title=f"{self.titles}")

    def call(self, place: int, caller: Caller, work: Work) -> None:
        """Let a caller begin, if there is a session."""
        caller.session = self.open[place]
        caller.begin(work(caller, self.sessions[caller.session]), self.clock.moment)
        self.callers.append(caller)

    def attach(self, place: int, task_id: str, *, dated: bool, followed: bool) -> InstrumentalTask:
        """Attach to a task by what was stored of it, or take what there is of it."""
        number = self.open[place]
        suno, handles = self.sessions[number], self.handles[number]
        if task_id not in handles:
            task = self.sandbox.tasks.get(task_id)
            told = self.knowledge.times.stored.get(task_id)
            at = told or task.submitted_at if dated and task is not None else None
            url = str(task.request["callBackUrl"]) if task is not None else ""
            expectation = None
            if followed and url.startswith(self.receiver.public_url):
                expectation = self.receiver.expect(token=url.rpartition("/")[2])
            self.knowledge.times.attached(number, task_id, at)
            handles[task_id] = suno.task(task_id, at, expectation=expectation)
        return handles[task_id]

    # --- what befalls them ------------------------------------------------------------------------

    def inject(self, call: Call, fault: Fault | Lie, times: int) -> None:
        """Let the next calls of a kind meet a fault."""
        if isinstance(fault, Lie):
            self.knowledge.lies[fault.doubt] += times
            fault = fault.fault
        self.sandbox.inject(call, fault, times=times)

    async def plug(self, *, plugged: bool) -> None:
        """Unplug the service, or plug it in again."""
        self.plugged = plugged
        await (self.sandbox.start() if plugged else self.sandbox.stop())

    async def call_back(self, task_id: str, kind: str) -> int | None:
        """Send a callback about a task, whatever its stage."""
        url = str(self.sandbox.tasks[task_id].request["callBackUrl"])
        if not url.startswith(self.receiver.public_url):
            return None
        return await self.sandbox.call_back(task_id, kind)

    async def forge(self, task_id: str, kind: str, way: str) -> None:
        """Post what the service did not send.

        Args:
            task_id: The task whose URL is known to the forger.
            kind: What is announced.
            way: `stage` announces one of the task that the URL belongs to; `token` comes to a URL
                that was made up; `task` names another task; `nonsense` is none.
        """
        url = str(self.sandbox.tasks[task_id].request["callBackUrl"])
        if not url.startswith(self.receiver.public_url):
            return
        if way == "token":
            status, _ = await post(f"{self.receiver.public_url}/{'x' * 56}", callback(kind))
            assert status == 404
        elif way == "nonsense":
            status, _ = await post(url, b"\xff[")
            assert status == 400
        elif way == "stage":
            assert (await post(url, callback(kind, task_id)))[0] == 200
        elif self.knowledge.answered[task_id]:  # else it is taken for the answer that was lost
            made_up = f"forged-{len(self.knowledge.forged)}"
            self.knowledge.forged.add(made_up)
            assert (await post(url, callback(kind, made_up)))[0] == 200

    # --- time -------------------------------------------------------------------------------------

    def stand_still(self, seconds: float, *, counted: bool) -> None:
        """Let the callers' machine do nothing for a while; nothing else stops meanwhile.

        Args:
            seconds: For how long.
            counted: Whether its monotonic clock goes on.
        """
        (self.clock.jump if counted else self.clock.suspend)(seconds)
        self.knowledge.times.resumed_s = self.clock.monotonic()

    async def settle(self) -> None:
        """Let everything happen that takes no time."""
        await self.world.run(asyncio.sleep(0))

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, with everything that happens in it."""
        await self.world.pass_time(seconds)
        await self.settle()
        self._check_time_outs()

    # --- what must hold ---------------------------------------------------------------------------

    def check(self) -> None:
        """See what must hold in every moment."""
        knowledge = self.knowledge
        knowledge.check_charges(self.sending)
        knowledge.check_hook(quiet=False)
        knowledge.check_pace(self.choices.window, WINDOW_S)
        for caller in self.callers:
            if not caller.checked:
                knowledge.check_caller(caller)
                self._check_expiry(caller)
        for number in self.open.values():
            self._check_accounts(number)

    def _check_expiry(self, caller: Caller) -> None:
        """See that nobody waits for a task that has expired."""
        if caller.ended or caller.what not in {"events", "result"} or caller.task_id is None:
            return
        task = self.handles[caller.session][caller.task_id]
        if task._watch.polling:  # time may have jumped over a call that the machine carries slowly
            return
        times, now_s = self.knowledge.times, self.clock.monotonic()
        since_s = max(caller.began.own_s, times.resumed_s)
        late_s = min(times.overdue_s(caller.session, caller.task_id), now_s - since_s)
        assert late_s < LATE_S, f"{caller.what} waits for what expired {late_s:.0f} s ago"

    def _check_accounts(self, number: int) -> None:
        """See that a session holds no more than its callers need."""
        stats = self.sessions[number].stats()
        its_own = [each for each in self.callers if each.session == number and not each.ended]
        if not its_own:
            assert (stats.in_flight, stats.watched) == (0, 0), "held for nobody"
        assert stats.in_flight <= self.choices.max_in_flight
        pause_left_s = max(self.knowledge.times.pause_until_s - self.clock.monotonic(), 0.0)
        assert abs(stats.pause_left_s - pause_left_s) < ROUNDED_S, "a pause has another length"

    def _check_time_outs(self) -> None:
        """See that nothing outlasts its time-out, when nothing moves any more."""
        self.knowledge.check_time_outs()
        for caller in self.callers:
            if caller.what == "result" and caller.timeout_s is not None and not caller.ended:
                waited_s = self.clock.monotonic() - caller.began.own_s
                assert waited_s < caller.timeout_s, "a time-out is overdue"

    def check_quiet(self) -> None:
        """See what must hold when nothing moves any more."""
        self.check()
        self.knowledge.check_hook(quiet=self.choices.hook != "none")
        self._check_time_outs()
        sending = self.sending
        self.knowledge.check_told({number for number, count in sending.items() if not count})
        if all(each.ended for each in self.callers) and not sum(sending.values()):
            slots = self.limits.slots
            assert (slots.free, slots.waiting) == (self.choices.concurrent, 0), "a slot is lost"
            assert self.limits.window.waiting == 0

    def tally(self) -> dict[str, int]:
        """Count what happened."""
        knowledge, callers = self.knowledge, self.callers
        errors = Counter(type(each.error).__name__ for each in callers if each.error is not None)
        return {
            "sessions": len(self.sessions),
            "callers": len(callers),
            "requests": self.titles,
            "submissions": len(self.sandbox.submissions),
            "charges": len(knowledge.charged),
            "uncertain": len(knowledge.uncertain),
            "found": len(knowledge.known) - knowledge.answered.total(),
            "for nobody": knowledge.unawaited,
            "looks": len(self.sandbox.polls),
            "callbacks": len(self.sandbox.deliveries),
            "stages": sum(len(each.events) for each in callers),
            "outcomes": sum(len(each.outcomes) for each in callers),
            "virtual hours": int(self.clock.true.monotonic() / 3600),
            **Counter(each.what for each in callers),
            **errors,
        }


@asynccontextmanager
async def _elsewhere() -> AsyncIterator[RawService]:
    """Run a host that nobody may ask."""

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(1)

    async with tcp_service(serve) as service:
        yield service
