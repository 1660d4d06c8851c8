"""What the sandbox makes of a submission: a task whose whole course is fixed when it is created."""

import bisect
import math
import random
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal, TypeAlias

from attrs import define, field, frozen

from suno_async.sandbox.dialect import Dialect
from suno_async.sandbox.wav import Stem

FAILURES: Mapping[str, tuple[int, str]] = {
    "CREATE_TASK_FAILED": (500, "The task could not be created."),
    "GENERATE_AUDIO_FAILED": (501, "Audio generation failed."),
    "SENSITIVE_WORD_ERROR": (400, "The text was rejected by the content filter."),
}
_ENDS = frozenset({*FAILURES, "SUCCESS", "CALLBACK_EXCEPTION"})
# docs: errorCode 531 says that the credits were given back
_REFUNDING_CODE = 531
# Drawn stages keep at least this ratio, so that their order survives any spread.
_STEP = 1.02


@frozen
class Timings:
    """Say when tasks reach their stages: medians, and how far single tasks stray from them.

    Args:
        text_s: Median seconds from the submission to the text.
        first_s: Median seconds to the first track.
        complete_s: Median seconds to the last track.
        sigma: Spread of the lognormal distribution; 0 makes every task take the medians.
    """

    text_s: float = 22.0
    first_s: float = 65.0
    complete_s: float = 130.0
    sigma: float = 0.35

    def draw(self, rng: random.Random) -> tuple[float, float, float]:
        """Draw one task's three instants in seconds, strictly increasing when the medians are."""
        shared = rng.gauss(0.0, 1.0)
        text_s, first_s, complete_s = (
            # 0.8² + 0.6² = 1: each instant has the full spread, and a slow task is slow throughout.
            median_s * math.exp(self.sigma * (0.8 * shared + 0.6 * rng.gauss(0.0, 1.0)))
            for median_s in (self.text_s, self.first_s, self.complete_s)
        )
        first_s = max(first_s, text_s * _STEP)
        return text_s, first_s, max(complete_s, first_s * _STEP)


@frozen
class ScriptStage:
    """One step of a scripted task.

    Args:
        status: What record-info answers from then on; any string, or None.
        after_s: Seconds after the submission, multiplied by the sandbox's `time_scale`.
        finished_tracks: How many tracks have their audio by then; by default what the status
            means, and for a status that says nothing about tracks what was so before.
        listed_tracks: How many tracks are there at all by then; by default all that the task
            makes, once one is finished or the status means so.
        error_code: An `errorCode` under a status that is no failure.
        error_message: The text beside it.
    """

    status: str | None
    after_s: float
    finished_tracks: int | None = None
    listed_tracks: int | None = None
    error_code: object = None
    error_message: str | None = None


StageForm: TypeAlias = ScriptStage | tuple[str | None, float] | tuple[str | None, float, int]


def _to_stages(stages: Iterable[StageForm] | None) -> tuple[ScriptStage, ...] | None:
    if stages is None:
        return None
    return tuple(
        stage
        if isinstance(stage, ScriptStage)
        else ScriptStage(stage[0], stage[1], stage[2] if len(stage) == 3 else None)
        for stage in stages
    )


@frozen
class CallbackScript:
    """Say how one task's callbacks are sent.

    Args:
        send: Whether any is sent.
        only: The types that are sent (`text`, `first`, `complete`, `error`); None for all.
        late_s: Seconds between reaching a stage and the first attempt, times `time_scale`; a
            callback with a negative number is ahead of the record.
        copies: How often each one is delivered; 2 delivers each twice.
        reverse: Whether all are held back until the last one is due and then sent last to first.
        upper_case: Whether `callbackType` is sent in upper case.
        probe: Ask the URL with this method first, and send only if it answers with a 2xx.
        add_slash: Whether the sender adds a slash to the URL's path.
        compress: Whether the body comes with `Content-Encoding: gzip`.
        content_type: What the body is called.
        expect_continue: Whether the sender waits for `100 Continue` before it sends the body.
        null_data: Whether the list of an `error` is null in place of empty.
    """

    send: bool = True
    only: frozenset[str] | None = None
    late_s: float = 0.0
    copies: int = 1
    reverse: bool = False
    upper_case: bool = False
    probe: Literal["HEAD", "GET"] | None = None
    add_slash: bool = False
    compress: bool = False
    content_type: str = "application/json; charset=utf-8"
    expect_continue: bool = False
    null_data: bool = False


@frozen
class TaskScript:
    """Say what becomes of one submission.

    Args:
        stages: The statuses after PENDING, each as `(status, seconds after the submission)` or
            `(status, seconds, finished tracks)`, in the order of time; an empty tuple stays
            PENDING for ever, None takes the sandbox's own timings.
        error_code: The `errorCode` of a failed task in any JSON form; by default what the status
            usually comes with.
        error_message: The `errorMessage` of a failed task.
        refunded: Whether the charge is given back on failure; by default when the code is 531.
        callbacks: How callbacks are sent.
        track_count: How many tracks the task makes.
        dialect: The field forms of this task's answers; by default the sandbox's.
        extra: Fields that are put into the data of record-info over those of the sandbox.
        track_extra: Fields that are put into every track, likewise.

    Raises:
        ValueError: The stages are not in the order of time.
    """

    stages: tuple[ScriptStage, ...] | None = field(default=None, converter=_to_stages)
    error_code: object = None
    error_message: str | None = None
    refunded: bool | None = None
    callbacks: CallbackScript = CallbackScript()
    track_count: int = 2
    dialect: Dialect | None = None
    extra: Mapping[str, object] = field(factory=dict[str, object])
    track_extra: Mapping[str, object] = field(factory=dict[str, object])

    def __attrs_post_init__(self) -> None:
        times_s = [stage.after_s for stage in self.stages or ()]
        if times_s != sorted(times_s):
            raise ValueError(f"stages: must be in the order of time, got {times_s}")


@frozen
class Moment:
    """What holds from some time after the submission on: status and number of tracks."""

    after_s: float
    status: str | None
    listed_tracks: int
    finished_tracks: int
    error_code: object = None
    error_message: str | None = None


@frozen
class SandboxTrack:
    """One of a task's audio results."""

    track_id: str
    index: int


@define(eq=False)
class SandboxTask:
    """One paid task of the sandbox.

    Its course is fixed at creation: every answer follows from the time that has passed.
    """

    task_id: str
    request: Mapping[str, object]
    submitted_at: datetime
    submitted_s: float
    moments: tuple[Moment, ...]
    tracks: tuple[SandboxTrack, ...]
    stem: Stem
    dialect: Dialect
    script: TaskScript
    error_code: object = None
    error_message: str | None = None
    _answers: dict[int, bytes] = field(factory=dict[int, bytes], init=False, repr=False)

    def position(self, elapsed_s: float) -> int:
        """Tell how many stages are reached that many seconds after the submission."""
        return bisect.bisect_right(self.moments, elapsed_s, key=_after_s)

    def moment(self, position: int) -> Moment:
        """Tell what holds at a position; 0 is PENDING."""
        return self.moments[position - 1] if position else _PENDING

    def error(self, position: int) -> tuple[object, str | None]:
        """Tell code and text of what went wrong by a position; None for each without."""
        if self.failed and position == len(self.moments):
            return self.error_code, self.error_message
        moment = self.moment(position)
        return moment.error_code, moment.error_message

    def status(self, now: datetime) -> str | None:
        """Tell the status at some time (aware)."""
        return self.moment(self.position((now - self.submitted_at).total_seconds())).status

    @property
    def ends_after_s(self) -> float:
        """Seconds from the submission to the last status; infinite when it never ends."""
        if self.moments and self.moments[-1].status in _ENDS:
            return self.moments[-1].after_s
        return math.inf

    @property
    def failed(self) -> bool:
        """Whether the task is going to fail."""
        return bool(self.moments) and self.moments[-1].status in FAILURES

    @property
    def refunded(self) -> bool:
        """Whether the charge is given back when the task fails."""
        if self.script.refunded is not None:
            return self.failed and self.script.refunded
        return self.failed and str(self.error_code) == str(_REFUNDING_CODE)

    def remembered(self, position: int) -> bytes | None:
        """Return the answer already given at a position: most polls see nothing new."""
        return self._answers.get(position)

    def remember(self, position: int, answer: bytes) -> None:
        """Keep the answer of a position; only the last two can be asked for again."""
        self._answers = {
            kept: body for kept, body in self._answers.items() if kept in {position - 1, position}
        }
        self._answers[position] = answer


_PENDING = Moment(0.0, "PENDING", 0, 0)


def _after_s(moment: Moment) -> float:
    return moment.after_s


def moments_of(
    stages: Iterable[ScriptStage], *, track_count: int, time_scale: float
) -> tuple[Moment, ...]:
    """Work out the tracks of every stage and scale its time."""
    moments: list[Moment] = []
    before = _PENDING
    for stage in stages:
        listed, finished = {
            "PENDING": (0, 0),
            "TEXT_SUCCESS": (track_count, 0),
            "FIRST_SUCCESS": (track_count, min(1, track_count)),
            "SUCCESS": (track_count, track_count),
        }.get(stage.status or "", (before.listed_tracks, before.finished_tracks))
        if stage.finished_tracks is not None:
            finished = stage.finished_tracks
            listed = track_count if finished else listed
        if stage.listed_tracks is not None:
            listed, finished = stage.listed_tracks, min(finished, stage.listed_tracks)
        before = Moment(
            stage.after_s * time_scale,
            stage.status,
            listed,
            finished,
            stage.error_code,
            stage.error_message,
        )
        moments.append(before)
    return tuple(moments)


def typical_stages(timings: Timings, rng: random.Random, skip_rate: float) -> list[ScriptStage]:
    """Draw the course of a task that succeeds; each stage but the last may be skipped."""
    text_s, first_s, complete_s = timings.draw(rng)
    stages = [ScriptStage("TEXT_SUCCESS", text_s), ScriptStage("FIRST_SUCCESS", first_s)]
    kept = [stage for stage in stages if rng.random() >= skip_rate]
    return [*kept, ScriptStage("SUCCESS", complete_s)]


def failing(stages: list[ScriptStage], rng: random.Random) -> tuple[list[ScriptStage], int]:
    """Turn a course into one that fails at one of its stages; return it with its error code."""
    reached = rng.randrange(len(stages))
    if reached:
        status, code = "GENERATE_AUDIO_FAILED", rng.choice((408, 500, 501, 531))
    else:
        status, code = rng.choice(
            (
                ("CREATE_TASK_FAILED", 500),
                ("SENSITIVE_WORD_ERROR", 400),
                ("GENERATE_AUDIO_FAILED", 413),
            )
        )
    return [*stages[:reached], ScriptStage(status, stages[reached].after_s)], code
