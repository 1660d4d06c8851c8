"""The service itself, without HTTP: which submissions it takes and what it knows about tasks."""

import random
from collections import deque
from collections.abc import Mapping
from datetime import timedelta

from attrs import frozen

from suno_async.clock import Clock
from suno_async.sandbox.callbacks import Courier
from suno_async.sandbox.dialect import Dialect
from suno_async.sandbox.ledger import Ledger
from suno_async.sandbox.limits import RunningCount, SlidingWindow
from suno_async.sandbox.sources import StemReader
from suno_async.sandbox.tasks import (
    FAILURES,
    Moment,
    SandboxTask,
    SandboxTrack,
    ScriptStage,
    TaskScript,
    Timings,
    failing,
    moments_of,
    typical_stages,
)
from suno_async.sandbox.validation import Refusal
from suno_async.sandbox.wav import Stem


@frozen
class Rules:
    """How the service behaves; `Sandbox` describes each of them."""

    price: float
    time_scale: float
    timings: Timings
    seed: int
    submissions_per_window: tuple[int, float] | None
    max_running: int | None
    polls_per_second: int | None
    record_lag_s: float
    retention: timedelta
    failure_rate: float
    skip_rate: float
    dialect: Dialect | None
    """None: every task speaks another one."""


class Service:
    """Take submissions, charge for them, and know the tasks.

    Args:
        rules: How to behave.
        clock: The time.
        ledger: The account.
        stems: Fetches what is to be accompanied.
        courier: Delivers callbacks.
    """

    def __init__(
        self, rules: Rules, clock: Clock, ledger: Ledger, stems: StemReader, courier: Courier
    ) -> None:
        self.rules = rules
        self.tasks: dict[str, SandboxTask] = {}
        self.scripts: deque[TaskScript] = deque()
        self._clock = clock
        self._ledger = ledger
        self._stems = stems
        self._courier = courier
        self._tracks: dict[str, tuple[SandboxTask, SandboxTrack]] = {}
        self._running = RunningCount()
        self._window = (
            None
            if rules.submissions_per_window is None
            else SlidingWindow(*rules.submissions_per_window)
        )
        self._poll_windows: dict[str, SlidingWindow] = {}
        self._answers_rng = random.Random(f"{rules.seed}/answers")  # nosec B311 # repeatable
        self._created = 0

    async def submit(self, request: Mapping[str, object]) -> SandboxTask:
        """Create a task and charge for it.

        Raises:
            Refusal: Nothing was created, nothing was charged.
        """
        if self._window is not None and not self._window.admit(self._clock.monotonic()):
            raise Refusal(429, "Rate limit exceeded: too many submissions")
        self._check_account()
        stem = await self._stems.read(str(request["uploadUrl"]))
        # Other submissions may have been taken while the file was fetched.
        self._check_account()
        return self._create(request, stem)

    def _check_account(self) -> None:
        limit = self.rules.max_running
        if limit is not None and self._running.at(self._clock.monotonic()) >= limit:
            raise Refusal(429, "Rate limit exceeded: too many tasks are running")
        if self._ledger.balance < self.rules.price:
            raise Refusal(402, "Insufficient credits")

    def _create(self, request: Mapping[str, object], stem: Stem) -> SandboxTask:
        script = self.scripts.popleft() if self.scripts else TaskScript()
        rng = random.Random(f"{self.rules.seed}/{self._created}")  # nosec B311 # repeatable
        self._created += 1
        task_id = f"{rng.getrandbits(128):032x}"
        moments, error_code, error_message = self._course(script, stem, rng)
        task = SandboxTask(
            task_id=task_id,
            request=request,
            submitted_at=self._clock.now(),
            submitted_s=self._clock.monotonic(),
            moments=moments,
            tracks=tuple(
                SandboxTrack(f"{rng.getrandbits(128):032x}", index)
                for index in range(script.track_count)
            ),
            stem=stem,
            dialect=script.dialect or self.rules.dialect or Dialect.draw(rng),
            script=script,
            error_code=error_code,
            error_message=error_message,
        )
        self._book(task)
        return task

    def _course(
        self, script: TaskScript, stem: Stem, rng: random.Random
    ) -> tuple[tuple[Moment, ...], object, str | None]:
        """Decide what becomes of a task: its moments, and its error if it fails."""
        stages: list[ScriptStage]
        code, message = script.error_code, script.error_message
        if script.stages is not None:
            stages = list(script.stages)
        else:
            stages = typical_stages(self.rules.timings, rng, self.rules.skip_rate)
            if stem.problem is not None:
                stages = [ScriptStage("GENERATE_AUDIO_FAILED", stages[0].after_s)]
                code, message = 500, stem.problem
            elif rng.random() < self.rules.failure_rate:
                stages, code = failing(stages, rng)
        moments = moments_of(
            stages, track_count=script.track_count, time_scale=self.rules.time_scale
        )
        usual = FAILURES.get(moments[-1].status or "") if moments else None
        if usual is None:
            return moments, None, None
        usual_code, usual_message = usual
        return moments, usual_code if code is None else code, message or usual_message

    def _book(self, task: SandboxTask) -> None:
        self.tasks[task.task_id] = task
        for track in task.tracks:
            self._tracks[track.track_id] = (task, track)
        self._ledger.charge(task.task_id, self.rules.price)
        if task.refunded:
            refund_s = task.submitted_s + task.ends_after_s
            self._ledger.refund_at(refund_s, task.task_id, self.rules.price)
        self._running.add(task.submitted_s + task.ends_after_s)
        self._courier.plan(task)

    def admit_poll(self, task_id: str) -> None:
        """Count a look at a task.

        Raises:
            Refusal: 429 when it is one too many, 422 without an id.
        """
        if not task_id:
            raise Refusal(422, "taskId: must be given")
        limit = self.rules.polls_per_second
        if limit is None or task_id not in self.tasks:
            return
        window = self._poll_windows.get(task_id)
        if window is None:
            window = self._poll_windows[task_id] = SlidingWindow(limit, 1.0)
        if not window.admit(self._clock.monotonic()):
            raise Refusal(429, "Rate limit exceeded: too many queries of one task")

    def visible(self, task_id: str) -> tuple[SandboxTask, int] | None:
        """Find a task and its position, if its record exists (already, and still)."""
        task = self.tasks.get(task_id)
        if task is None:
            return None
        elapsed_s = self._elapsed_s(task)
        if elapsed_s < self.rules.record_lag_s or self._expired(elapsed_s):
            return None
        return task, task.position(elapsed_s)

    def track(self, track_id: str) -> tuple[SandboxTask, SandboxTrack, int] | None:
        """Find a track that is not deleted, with its task and the task's position."""
        found = self._tracks.get(track_id)
        if found is None:
            return None
        elapsed_s = self._elapsed_s(found[0])
        return None if self._expired(elapsed_s) else (*found, found[0].position(elapsed_s))

    def dialect(self) -> Dialect:
        """Choose the form of an answer that is about no task."""
        return self.rules.dialect or Dialect.draw(self._answers_rng)

    def _elapsed_s(self, task: SandboxTask) -> float:
        return self._clock.monotonic() - task.submitted_s

    def _expired(self, elapsed_s: float) -> bool:
        return elapsed_s >= self.rules.retention.total_seconds()
