"""Delivering callbacks: one heap and one timer for all tasks, a few attempts each."""

import asyncio
import base64
import gzip
import hashlib
import heapq
import hmac
import itertools
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from operator import itemgetter

import aiohttp
from attrs import frozen

from suno_async.clock import Clock, Timer
from suno_async.sandbox.activity import Activity
from suno_async.sandbox.answers import callback
from suno_async.sandbox.sources import is_loopback
from suno_async.sandbox.tasks import FAILURES, Moment, SandboxTask

_KINDS = {"TEXT_SUCCESS": "text", "FIRST_SUCCESS": "first", "SUCCESS": "complete"}
_BACKOFF_S = 2.0


@frozen
class Delivery:
    """One attempt to deliver a callback.

    Args:
        task_id: The task it is about.
        kind: `text`, `first`, `complete` or `error`.
        url: Where it was sent.
        at: When the attempt began, in seconds on the sandbox's monotonic clock.
        attempt: 1 for the first.
        status: The HTTP status of the receiver's answer; None without one.
        error: What went wrong on the way, if anything did.
    """

    task_id: str
    kind: str
    url: str
    at: float
    attempt: int
    status: int | None
    error: str | None = None

    @property
    def delivered(self) -> bool:
        """Whether the receiver took it."""
        return self.status == 200


@frozen
class _Planned:
    """Callbacks of one task that are sent one after the other."""

    task: SandboxTask
    events: tuple[tuple[str, int], ...]


class Courier:
    """Send callbacks at their time and record how that went.

    Args:
        clock: Tells and times.
        activity: Counts what is being sent.
        attempts: How often an undelivered callback is sent in all.
        timeout_s: Seconds on the clock until an attempt counts as failed.
        time_scale: Scales the pause between attempts.
        key: Signs callbacks, if given.
        enabled: Whether anything is sent at all.
    """

    def __init__(
        self,
        clock: Clock,
        activity: Activity,
        *,
        attempts: int,
        timeout_s: float,
        time_scale: float,
        key: str | None,
        enabled: bool,
    ) -> None:
        self._clock = clock
        self._activity = activity
        self._attempts = attempts
        self._timeout_s = timeout_s
        self._time_scale = time_scale
        self._key = key
        self._enabled = enabled
        self._order = itertools.count()
        self._planned: list[tuple[float, int, _Planned]] = []
        self._timer: Timer | None = None
        self._timer_s = 0.0
        self._sending: set[asyncio.Task[None]] = set()
        self.deliveries: list[Delivery] = []
        self.undeliverable: int = 0
        self.session: aiohttp.ClientSession | None = None
        self.base_url: str = ""

    def plan(self, task: SandboxTask) -> None:
        """Plan all callbacks of a new task."""
        script = task.script.callbacks
        # A status that is scripted twice is called back about once, when it is complete.
        positions = {
            kind: position
            for position, moment in enumerate(task.moments, 1)
            if (kind := _kind(moment)) and (script.only is None or kind in script.only)
        }
        events = sorted(positions.items(), key=itemgetter(1))
        if not self._enabled or not script.send or not events:
            return
        if not is_loopback(str(task.request["callBackUrl"])):
            self.undeliverable += len(events)
            return
        if script.reverse:
            last_s = task.moment(events[-1][1]).after_s
            self._push(task, last_s, tuple(reversed(events)))
        else:
            for event in events:
                self._push(task, task.moment(event[1]).after_s, (event,))
        self._arm()

    def _push(self, task: SandboxTask, after_s: float, events: tuple[tuple[str, int], ...]) -> None:
        late_s = task.script.callbacks.late_s * self._time_scale
        due_s = task.submitted_s + after_s + late_s
        heapq.heappush(self._planned, (due_s, next(self._order), _Planned(task, events)))

    def _arm(self) -> None:
        """Keep one timer, for the earliest callback."""
        if not self._planned or self.session is None:
            return
        due_s = self._planned[0][0]
        if self._timer is not None:
            if self._timer_s <= due_s:
                return
            self._timer.cancel()
        self._timer_s = due_s
        self._timer = self._clock.call_at(due_s, self._send_due)

    def _send_due(self) -> None:
        self._timer = None
        now_s = self._clock.monotonic()
        due: dict[str, _Planned] = {}
        while self._planned and self._planned[0][0] <= now_s:
            _, _, planned = heapq.heappop(self._planned)
            task_id = planned.task.task_id
            before = due[task_id].events if task_id in due else ()
            due[task_id] = _Planned(planned.task, before + planned.events)
        for planned in due.values():
            sending = asyncio.get_running_loop().create_task(self._send_all(planned))
            self._sending.add(sending)
            self._activity.begin()
            sending.add_done_callback(self._sent)
        self._arm()

    def _sent(self, sending: asyncio.Task[None]) -> None:
        self._sending.discard(sending)
        self._activity.end()

    async def _send_all(self, planned: _Planned) -> None:
        for kind, position in planned.events:
            for _ in range(planned.task.script.callbacks.copies):
                await self._send(planned.task, kind, position)

    async def send_now(self, task: SandboxTask, kind: str, url: str | None) -> int | None:
        """Send one callback at once, whatever the task's stage; return the answer's status.

        Raises:
            ValueError: The URL is not on this machine, or there is no such kind.
        """
        url = url or str(task.request["callBackUrl"])
        if not is_loopback(url):
            raise ValueError(f"url: the sandbox contacts this machine only, got {url}")
        body = callback(task, kind, _moment_of(task, kind), self.base_url)
        self._activity.begin()
        try:
            delivery = await self._attempt(task, kind, body, 1, url)
        finally:
            self._activity.end()
        self.deliveries.append(delivery)
        return delivery.status

    async def _send(self, task: SandboxTask, kind: str, position: int) -> None:
        body = callback(task, kind, task.moment(position), self.base_url)
        url = str(task.request["callBackUrl"])
        for attempt in range(1, self._attempts + 1):
            if attempt > 1:
                await self._activity.sleep(_BACKOFF_S * (attempt - 1) * self._time_scale)
            delivery = await self._attempt(task, kind, body, attempt, url)
            self.deliveries.append(delivery)
            if delivery.delivered:
                return

    async def _attempt(
        self, task: SandboxTask, kind: str, body: bytes, attempt: int, url: str
    ) -> Delivery:
        at_s = self._clock.monotonic()
        status: int | None = None
        error: str | None = None
        try:
            status = await _within(
                self._clock, self._timeout_s, self._post(task, _with_slash(task, url), body)
            )
        except (aiohttp.ClientError, TimeoutError, ValueError) as failure:
            error = f"{type(failure).__name__}: {failure}"
        return Delivery(task.task_id, kind, url, at_s, attempt, status, error)

    async def _post(self, task: SandboxTask, url: str, body: bytes) -> int:
        if self.session is None:
            raise aiohttp.ClientConnectionError("the sandbox is not running")
        script = task.script.callbacks
        if script.probe is not None:
            status = await self._status(
                self.session.request(script.probe, url, allow_redirects=False)
            )
            if not 200 <= status < 300:
                return status
        headers = self._headers(task.task_id) | {"Content-Type": script.content_type}
        if script.compress:
            body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
        expect = script.expect_continue
        return await self._status(
            self.session.post(
                url, data=body, headers=headers, expect100=expect, allow_redirects=False
            )
        )

    @staticmethod
    async def _status(asking: AbstractAsyncContextManager[aiohttp.ClientResponse]) -> int:
        async with asking as response:
            await response.read()
            return response.status

    def _headers(self, task_id: str) -> dict[str, str]:
        headers: dict[str, str] = {}
        if self._key is not None:
            timestamp = str(int(self._clock.now().timestamp()))
            signed = hmac.new(
                self._key.encode(), f"{task_id}.{timestamp}".encode(), hashlib.sha256
            ).digest()
            headers["X-Webhook-Timestamp"] = timestamp
            headers["X-Webhook-Signature"] = base64.b64encode(signed).decode()
        return headers

    def start(self, session: aiohttp.ClientSession, base_url: str) -> None:
        """Begin to send; what became due meanwhile is sent at once."""
        self.session = session
        self.base_url = base_url
        self._arm()

    async def close(self) -> None:
        """Stop sending; what is under way is cancelled."""
        self.session = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        sending = list(self._sending)
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)


def _with_slash(task: SandboxTask, url: str) -> str:
    path, question, query = url.partition("?")
    return f"{path}/{question}{query}" if task.script.callbacks.add_slash else url


def _kind(moment: Moment) -> str | None:
    """Tell which type of callback a stage is announced by, if any."""
    return "error" if moment.status in FAILURES else _KINDS.get(moment.status or "")


def _moment_of(task: SandboxTask, kind: str) -> Moment:
    """Find the stage that a callback is about, or make it up if the task never reaches it."""
    for moment in task.moments:
        if kind == _kind(moment):
            return moment
    count = len(task.tracks)
    finished = {"text": 0, "first": min(1, count), "complete": count, "error": 0}.get(kind)
    if finished is None:
        raise ValueError(f"kind: must be text, first, complete or error, got {kind!r}")
    return Moment(0.0, "", count, finished)


async def _within(clock: Clock, seconds: float, work: Coroutine[object, object, int]) -> int:
    """Await something for so long on the clock.

    Raises:
        TimeoutError: It took longer.
    """
    task = asyncio.get_running_loop().create_task(work)
    late = False

    def give_up() -> None:
        nonlocal late
        late = True
        task.cancel()

    timer = clock.call_at(clock.monotonic() + seconds, give_up)
    try:
        return await task
    except asyncio.CancelledError:
        if late and task.cancelled():
            raise TimeoutError(f"no answer within {seconds} s") from None
        task.cancel()
        raise
    finally:
        timer.cancel()
