"""The sandbox as its users hold it: settings, life cycle, and everything that was seen."""

import random
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Literal

import aiohttp

from suno_async.clock import Clock, SystemClock
from suno_async.sandbox.activity import Activity
from suno_async.sandbox.callbacks import Courier, Delivery
from suno_async.sandbox.calls import Calls
from suno_async.sandbox.dialect import Dialect
from suno_async.sandbox.faultboard import FaultBoard
from suno_async.sandbox.faults import Call, Fault
from suno_async.sandbox.files import FileHost
from suno_async.sandbox.ledger import Charge, Ledger
from suno_async.sandbox.listener import Listener
from suno_async.sandbox.log import FaultMet, Poll, RequestSeen, Submission
from suno_async.sandbox.media import Studio
from suno_async.sandbox.pace import Pace
from suno_async.sandbox.service import Rules, Service
from suno_async.sandbox.sources import SourceReader, StemReader
from suno_async.sandbox.tasks import SandboxTask, TaskScript, Timings
from suno_async.sandbox.uploads import UploadStore

if TYPE_CHECKING:
    from suno_async.session import SunoSession


class Sandbox:
    """Run the service on this machine: real HTTP, real audio, a ledger, faults on demand.

    An async context manager. Nothing outside this machine is ever contacted.

    Args:
        api_key: The one key that is accepted.
        credits: The balance at the start.
        price: What a submission costs.
        time_scale: Multiplies all times of tasks and scripts; 1.0 is the service's own pace, 0.01
            a hundred times faster, 0 finishes every task at once.
        timings: When tasks reach their stages.
        seed: Makes ids, timings and music repeatable.
        submissions_per_window: At most so many submissions in any window of so many seconds
            (unscaled), over it 429; None for no limit.
        max_running: Code 429 while so many tasks are unfinished; None for no limit.
        polls_per_second: Per task, over it 429; None for no limit.
        record_lag_s: Seconds (unscaled) after the submission before record-info knows the task.
        retention: How long records and audio are kept.
        upload_retention: How long uploads are kept.
        callbacks: Whether callbacks are sent, to URLs on this machine.
        callback_attempts: How often one is sent until it is answered with 200.
        callback_timeout_s: Seconds (unscaled) a receiver has to answer.
        callback_key: Signs callbacks with `X-Webhook-Signature`, if given.
        default_stem_s: Length in seconds assumed for stems on other hosts, which are not fetched.
        failure_rate: Share of unscripted tasks that fail, 0 to 1.
        skip_rate: Share of stages before the last that are skipped, 0 to 1.
        dialect: The field forms of answers; `mixed` lets every task speak another dialect.
        clock: Where time comes from.
        host: The address to listen on.
        port: The port; 0 for any free one.

    Raises:
        OSError: On entering, when the port is taken.
    """

    def __init__(
        self,
        *,
        api_key: str = "sandbox-key",
        credits: float = 1_000_000,
        price: float = 10,
        time_scale: float = 1.0,
        timings: Timings = Timings(),  # noqa: B008 - frozen
        seed: int = 0,
        submissions_per_window: tuple[int, float] | None = (20, 10.0),
        max_running: int | None = None,
        polls_per_second: int | None = 3,
        record_lag_s: float = 0.0,
        retention: timedelta = timedelta(days=14),
        upload_retention: timedelta = timedelta(days=3),
        callbacks: bool = True,
        callback_attempts: int = 3,
        callback_timeout_s: float = 15.0,
        callback_key: str | None = None,
        default_stem_s: float = 6.0,
        failure_rate: float = 0.0,
        skip_rate: float = 0.0,
        dialect: Dialect | Literal["mixed"] = Dialect(),  # noqa: B008 - frozen
        clock: Clock = SystemClock(),  # noqa: B008 - stateless
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.api_key = api_key
        self.clock = clock
        self._ledger = Ledger(credits, clock.monotonic)
        rng = random.Random(f"{seed}/faults")  # nosec B311 # repeatable
        self._faults = FaultBoard(rng, clock.monotonic)
        self._activity = Activity(clock)
        self._courier = Courier(
            clock,
            self._activity,
            attempts=callback_attempts,
            timeout_s=callback_timeout_s,
            time_scale=time_scale,
            key=callback_key,
            enabled=callbacks,
        )
        self._sources = SourceReader(self._read_own)
        self._pace = Pace(time_scale, submissions_per_window, max_running)
        self._service = Service(
            Rules(
                price=price,
                time_scale=time_scale,
                timings=timings,
                seed=seed,
                submissions_per_window=submissions_per_window,
                max_running=max_running,
                polls_per_second=polls_per_second,
                record_lag_s=record_lag_s,
                retention=retention,
                failure_rate=failure_rate,
                skip_rate=skip_rate,
                dialect=None if dialect == "mixed" else dialect,
            ),
            clock,
            self._ledger,
            StemReader(self._sources, default_stem_s),
            self._courier,
        )
        self._studio = Studio()
        uploads = UploadStore(clock, upload_retention)
        self._files = FileHost(
            clock=clock,
            activity=self._activity,
            service=self._service,
            faults=self._faults,
            uploads=uploads,
            studio=self._studio,
        )
        self._calls = Calls(
            api_key=api_key,
            clock=clock,
            activity=self._activity,
            service=self._service,
            ledger=self._ledger,
            faults=self._faults,
            files=self._files,
            uploads=uploads,
            sources=self._sources,
        )
        self._listener = Listener(self._calls.handle, host, port)

    async def _read_own(self, target: str) -> bytes | None:
        return await self._files.read(target)

    # --- life cycle

    async def __aenter__(self) -> "Sandbox":
        await self.start()
        session = aiohttp.ClientSession(trust_env=False)
        self._sources.session = session
        self._courier.start(session, self.base_url)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()
        await self._courier.close()
        await self._studio.close()
        session, self._sources.session = self._sources.session, None
        if session is not None:
            await session.close()

    async def start(self) -> None:
        """Listen, after `stop()` on the same port as before; tasks have gone on meanwhile.

        Raises:
            OSError: The port is taken.
        """
        await self._listener.start()
        self._sources.port = self._listener.port
        self._calls.base_url = self._listener.base_url

    async def stop(self) -> None:
        """Stop listening and end all connections, as when the server is unplugged."""
        await self._listener.stop(self._calls.abandon)

    async def drop_connections(self) -> None:
        """End all open connections at once; new ones are accepted."""
        await self._listener.drop_connections()

    # --- what tests set up

    def script(self, *scripts: TaskScript) -> None:
        """Let the next tasks follow these scripts, in this order."""
        self._service.scripts.extend(scripts)

    def inject(
        self,
        call: Call,
        fault: Fault,
        *,
        times: int | None = 1,
        rate: float = 1.0,
        about: str = "",
    ) -> None:
        """Let a kind of call meet a fault.

        A call meets the first injected fault that has not been used up and that applies to it
        (`NeedsCookie` and `Unavailable` do not always), and every `Delay`.

        Args:
            call: Which calls.
            fault: What happens to them.
            times: How many calls meet it; None for all until `clear_faults`.
            rate: The probability that a call meets it, 0 to 1.
            about: Only calls with this text in their path or query, such as a task's id of
                record-info or a track's id of media.
        """
        self._faults.inject(call, fault, times=times, rate=rate, about=about)

    def clear_faults(self) -> None:
        """Let everything work again."""
        self._faults.clear()

    def session(self, **settings: Any) -> "SunoSession":
        """Make a session (still to be entered) with the key, clock and pace of the sandbox.

        Args:
            settings: Arguments of `SunoSession`, over those that are chosen.
        """
        return self._pace.session(self, settings)

    async def call_back(
        self, task_id: str, kind: str = "complete", url: str | None = None
    ) -> int | None:
        """Send a callback about a task now, once, whatever its stage and its script.

        Args:
            task_id: The task.
            kind: `text`, `first`, `complete` or `error`.
            url: Where to; None is the task's own `callBackUrl`.

        Returns:
            The HTTP status of the answer; None without one.

        Raises:
            KeyError: There is no such task.
            ValueError: The URL is not on this machine, or there is no such kind.
        """
        return await self._courier.send_now(self._service.tasks[task_id], kind, url)

    # --- what tests look at

    def idle(self) -> bool:
        """Tell whether no request is being answered and no callback sent.

        Calls that wait for the clock (`Delay`) count as idle: made for `VirtualClock.run`.
        """
        return self._activity.idle

    @property
    def base_url(self) -> str:
        """The address of the API, without a slash at the end.

        Raises:
            RuntimeError: The sandbox was never started.
        """
        if not self._calls.base_url:
            raise RuntimeError("the sandbox has no address before it is entered")
        return self._calls.base_url

    @property
    def credits(self) -> float:
        """The balance now."""
        return self._ledger.balance

    @credits.setter
    def credits(self, balance: float) -> None:
        self._ledger.balance = balance

    @property
    def ledger(self) -> list[Charge]:
        """Every charge and refund up to now, oldest first."""
        return self._ledger.entries

    @property
    def tasks(self) -> Mapping[str, SandboxTask]:
        """All tasks by id, in the order of their creation."""
        return MappingProxyType(self._service.tasks)

    @property
    def submissions(self) -> list[Submission]:
        """Every request of the paid call, in the order of arrival."""
        return self._calls.submissions

    @property
    def polls(self) -> list[Poll]:
        """Every request of record-info, in the order of arrival."""
        return self._calls.polls

    def poll_count(self, task_id: str) -> int:
        """Tell how often a task was looked at."""
        return self._calls.poll_counts[task_id]

    @property
    def requests(self) -> list[RequestSeen]:
        """Every request of any kind, in the order of arrival."""
        return self._calls.requests

    @property
    def faults_met(self) -> list[FaultMet]:
        """Every injected fault that a call met, in the order in which they were met."""
        return self._faults.met

    def fault_count(self, call: Call | None = None, kind: type[Fault] | None = None) -> int:
        """Tell how many injected faults were met.

        A test that asserts on it knows that its service really went through them. A call that met
        a `Delay` and another fault met two.

        Args:
            call: By which calls; None counts those of all.
            kind: Of which class, such as `DropAfter`; None counts all.
        """
        return sum(
            number
            for (met_by, met), number in self._faults.counts.items()
            if call in {None, met_by} and kind in {None, met}
        )

    @property
    def deliveries(self) -> list[Delivery]:
        """Every attempt to deliver a callback, in the order of their ends."""
        return self._courier.deliveries

    @property
    def undeliverable(self) -> int:
        """How many callbacks were not sent because their host is not this machine."""
        return self._courier.undeliverable
