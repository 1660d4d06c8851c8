"""Whether a paid call ever loses a task, pays twice, or hangs: random programs, each from a seed.

A program is a few callers (`submit`, `generate`, `generate_many`) of one session, faults of the
service and of the network, cancellations (once or twice), a moment at which the session is left,
and callbacks that come late. Afterwards the sandbox's ledger is held against what is known: by
results, exceptions, observers and `on_submitted`. Everything runs on the machine's clock, over
real sockets, with short time-outs.
"""

import argparse
import asyncio
import gc
import logging
import random
import time
from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from attrs import Factory, asdict, define

from benchmarks import report
from benchmarks.callbacks import receiving
from suno_async import (
    AddInstrumentalRequest,
    CallbackReceiver,
    FixedInterval,
    RetryPolicy,
    SessionClosed,
    SunoError,
    SunoSession,
)
from suno_async.observe import Accepted, Found, Observation, Uncertain
from suno_async.sandbox import (
    Call,
    Delay,
    DropAfter,
    DropBefore,
    EnvelopeError,
    Fault,
    Html200,
    HttpError,
    Reply,
    Sandbox,
    Truncated,
)

RUNS = 300
AT_A_TIME = 4
LONGEST_LEAVING_S = 1.0
HANGS_AFTER_S = 3.0

_ID_BEHIND_A_FAILURE = Reply(
    500, {"code": 500, "msg": "error", "data": {"taskId": "{task_id}"}}, processed=True
)
_ID_WITHOUT_AN_END = Reply(
    200, {"code": 200, "data": {"taskId": "{task_id}"}}, processed=True, frame="chunked-cut"
)
FAULTS: list[Fault] = [
    DropBefore(),
    DropBefore(reset=True),
    DropAfter(),
    DropAfter(reset=True),
    Delay(0.05, processed=True),
    Delay(0.3, processed=True),
    Delay(0.3),
    Delay(1.5, processed=True),
    HttpError(502, processed=True),
    HttpError(504),
    HttpError(429),
    EnvelopeError(429),
    EnvelopeError(430, retry_after="1"),
    EnvelopeError(455),
    EnvelopeError(402),
    EnvelopeError(500),
    EnvelopeError(422),
    Truncated(),
    Truncated(cut=True),
    Html200(processed=True),
    _ID_BEHIND_A_FAILURE,
    _ID_WITHOUT_AN_END,
]


class HookFailed(Exception):
    """What a program's `on_submitted` raises at times."""


@define
class Tally:
    """What became of programs.

    Attributes:
        runs: How many ran.
        requests: How many requests they made.
        charges: How many of these were charged.
        uncertain: How many were told to be uncertain.
        found: How many a callback proved.
        cancelled: How many callers were cancelled.
        lost: Charges that nobody knows.
        doubled: Requests that were charged more than once.
        untold: Ids that `on_submitted` was not given although leaving did not run out of time.
        untrue: Errors that say that nothing was sent for what was charged.
        hung: Callers that did not come back, and sessions that were not left within a second.
        held: Sessions that kept a slot, room or a reader.
        seeds: Of what went wrong.
    """

    runs: int = 0
    requests: int = 0
    charges: int = 0
    uncertain: int = 0
    found: int = 0
    cancelled: int = 0
    lost: int = 0
    doubled: int = 0
    untold: int = 0
    untrue: int = 0
    hung: int = 0
    held: int = 0
    seeds: list[int] = Factory(list)

    @property
    def wrong(self) -> int:
        """How many things went wrong."""
        return self.lost + self.doubled + self.untold + self.untrue + self.hung + self.held

    def add(self, other: "Tally") -> None:
        """Count another one in."""
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)


class Program:
    """One random program.

    Args:
        seed: What it is made of.
        sandbox: The service.
        receiver: Receives callbacks; used by half of the programs.
    """

    def __init__(self, seed: int, sandbox: Sandbox, receiver: CallbackReceiver) -> None:
        self._random = random.Random(seed)
        self._seed = seed
        self._sandbox = sandbox
        self._receiver = receiver if self._random.random() < 0.5 else None
        self._told: list[Observation] = []
        self._hooked: set[str] = set()
        self._returned: set[str] = set()
        self._closed: set[str] = set()
        self._requests = 0
        self._leaving_s = 0.0
        self.tally = Tally(runs=1)

    async def run(self) -> Tally:
        """Run it, and judge what it left."""
        self._inject()
        suno = self._session()
        callers: list[asyncio.Task[None]] = []
        began_s = 0.0
        with suppress(asyncio.CancelledError):
            async with suno:
                callers = [self._caller(suno) for _ in range(self._random.randint(1, 4))]
                calling_off = asyncio.gather(*map(self._call_off, callers))
                await self._pause()
                if self._random.random() < 0.4:
                    await self._call_back()
                if self._random.random() < 0.5:
                    await asyncio.wait(callers, timeout=0.8)
                began_s = time.monotonic()
        self._leaving_s = time.monotonic() - began_s
        await calling_off
        _, hung = await asyncio.wait(callers, timeout=HANGS_AFTER_S)
        self.tally.hung += len(hung) + (self._leaving_s > LONGEST_LEAVING_S)
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        self._sandbox.clear_faults()
        if self._receiver is not None:
            await self._call_back()
        self._judge(suno)
        return self.tally

    # --- what it is made of -----------------------------------------------------------------------

    def _inject(self) -> None:
        chance = self._random
        for _ in range(chance.randint(0, 5)):
            fault, times = chance.choice(FAULTS), chance.randint(1, 3)
            self._sandbox.inject(Call.SUBMIT, fault, times=times, rate=chance.choice([0.5, 1.0]))
        if chance.random() < 0.3:
            self._sandbox.inject(Call.DETAILS, DropAfter(), times=None, rate=0.3)

    def _session(self) -> SunoSession:
        chance = self._random
        hook_passes = chance.choice([None, 0, 5])
        fails = chance.random() < 0.2

        async def on_submitted(task_id: str, _: AddInstrumentalRequest, __: datetime) -> None:
            for _pass in range(hook_passes or 0):
                await asyncio.sleep(0)
            self._hooked.add(task_id)
            if fails:
                raise HookFailed

        self._has_hook = hook_passes is not None
        return SunoSession(
            self._sandbox.api_key,
            base_url=self._sandbox.base_url,
            receiver=self._receiver,
            reconcile_for=chance.choice([0.05, 0.3]),
            max_concurrent_submissions=chance.choice([1, 2, 8]),
            submissions_per_window=(1000, 0.001),
            max_in_flight=chance.choice([1, 3, 100]),
            cadence=FixedInterval(timedelta(0)),
            timeout=chance.choice([0.15, 0.5]),
            retry=RetryPolicy(base=timedelta(milliseconds=1), cap=timedelta(milliseconds=5)),
            observers=[self._told.append],
            on_submitted=on_submitted if self._has_hook else None,
        )

    def _request(self) -> AddInstrumentalRequest:
        self._requests += 1
        return AddInstrumentalRequest(
            upload_url="https://example.com/stem.wav",
            title=f"{self._requests}",
            tags="relaxing, piano",
            negative_tags="heavy metal",
        )

    async def _pause(self) -> None:
        """Wait for some passes of the loop, or some time."""
        if self._random.random() < 0.5:
            for _ in range(self._random.randint(0, 60)):
                await asyncio.sleep(0)
        else:
            await asyncio.sleep(self._random.uniform(0, 0.4))

    # --- its callers ------------------------------------------------------------------------------

    def _caller(self, suno: SunoSession) -> "asyncio.Task[None]":
        kind = self._random.choice([self._submit, self._generate, self._consume])
        return asyncio.create_task(kind(suno))

    async def _submit(self, suno: SunoSession) -> None:
        request = self._request()
        with suppress(SunoError, HookFailed), self._noting(request):
            self._returned.add((await suno.submit(request)).task_id)

    async def _generate(self, suno: SunoSession) -> None:
        request = self._request()
        with suppress(SunoError, HookFailed), self._noting(request):
            self._returned.add((await suno.generate(request, timeout=1)).task_id)

    async def _consume(self, suno: SunoSession) -> None:
        requests = [self._request() for _ in range(self._random.randint(1, 5))]
        limit = self._random.choice([1, 5, None])
        until = self._random.choice([1, 99])
        with suppress(SunoError):
            async for outcome in suno.generate_many(requests, stop_after_uncertain=limit):
                if outcome.task_id is not None:
                    self._returned.add(outcome.task_id)
                self._note(outcome.request, outcome.error)
                until -= 1
                if not until:
                    break

    def _noting(self, request: AddInstrumentalRequest) -> "_Noting":
        return _Noting(self, request)

    def _note(self, request: AddInstrumentalRequest, error: BaseException | None) -> None:
        if isinstance(error, SessionClosed) and error.task_id is None:
            self._closed.add(request.title)

    async def _call_off(self, caller: "asyncio.Task[None]") -> None:
        """Cancel a caller at some moment, perhaps twice, perhaps not at all."""
        if self._random.random() < 0.5:
            return
        await self._pause()
        self.tally.cancelled += caller.cancel()
        if self._random.random() < 0.5:
            for _ in range(self._random.randint(0, 3)):
                await asyncio.sleep(0)
            caller.cancel()

    async def _call_back(self) -> None:
        if self._receiver is not None:
            for task_id in list(self._sandbox.tasks):
                await self._sandbox.call_back(task_id, self._random.choice(["text", "complete"]))

    # --- what is right ----------------------------------------------------------------------------

    def _judge(self, suno: SunoSession) -> None:
        tally, tasks = self.tally, self._sandbox.tasks
        charged = {
            each.task_id: str(tasks[each.task_id].request["title"])
            for each in self._sandbox.ledger
            if each.kind == "charge"
        }
        known = {each.task_id for each in self._told if isinstance(each, Accepted | Found)}
        uncertain = {each.request.title for each in self._told if isinstance(each, Uncertain)}
        accepted = {each.task_id for each in self._told if isinstance(each, Accepted)}
        tally.requests, tally.charges = self._requests, len(charged)
        tally.uncertain = len(uncertain)
        tally.found = sum(isinstance(each, Found) for each in self._told)
        for task_id, title in charged.items():
            proved_late = self._receiver is not None  # a callback came for every task
            tally.lost += task_id not in known and (proved_late or title not in uncertain)
        tally.lost += len(self._returned - set(charged))
        tally.doubled += sum(count > 1 for count in Counter(charged.values()).values())
        tally.untrue += len(self._closed & set(charged.values()))
        if self._has_hook and self._leaving_s < 0.35:
            tally.untold += len(accepted - self._hooked)
        stats = suno.stats()
        gauges = (stats.in_flight, stats.waiting, stats.sending, stats.watched)
        tally.held += gauges != (0, 0, 0, 0)
        if tally.wrong:
            tally.seeds.append(self._seed)


class _Noting:
    """Notes what a block raises, and lets it pass.

    Args:
        program: Takes the note.
        request: What the block asks for.
    """

    def __init__(self, program: Program, request: AddInstrumentalRequest) -> None:
        self._program = program
        self._request = request

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._program._note(self._request, error)


async def run_one(seed: int) -> Tally:
    """Run the program of a seed, on a service of its own."""
    async with (
        Sandbox(
            time_scale=0, submissions_per_window=None, callbacks=seed % 3 == 0, seed=seed
        ) as sandbox,
        receiving() as receiver,
    ):
        tally = await Program(seed, sandbox, receiver).run()
        await sandbox.drop_connections()
        return tally


async def run(seeds: range) -> tuple[Tally, list[str]]:
    """Run the programs of many seeds; return their tally, and what the event loop complained of."""
    noise: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: noise.append(str(context.get("message"))))
    total, waiting = Tally(), iter(seeds)

    async def work() -> None:
        for seed in waiting:
            total.add(await run_one(seed))

    await asyncio.gather(*(asyncio.create_task(work()) for _ in range(AT_A_TIME)))
    gc.collect()  # what nobody awaited, and whose exception nobody retrieved, speaks up now
    await asyncio.sleep(0)
    return total, noise


def main(argv: list[str]) -> None:
    """Run the programs, print what became of them, and store it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks paid_call", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    options = parser.parse_args(argv)
    for name in ("suno_async", "aiohttp.server"):  # the service complains of who hangs up
        logging.getLogger(name).setLevel(logging.CRITICAL)
    began_s = time.perf_counter()
    tally, noise = asyncio.run(run(range(options.first, options.first + options.runs)))
    figures = {**asdict(tally), "complaints": len(noise)}
    seconds = round(time.perf_counter() - began_s, 1)
    rows = [(name, value) for name, value in figures.items() if name != "seeds"]
    report.table(f"{options.runs} programs in {seconds} s", ("", "count"), rows)
    if tally.seeds:
        print(f"wrong: seeds {tally.seeds}")
    for line in noise:
        print(line)
    report.save("paid_call", {**figures, "first_seed": options.first, "seconds": seconds})
