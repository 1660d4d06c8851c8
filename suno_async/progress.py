"""One watched task as a state machine: looks and instants in, events, doubts and the ending out.

Nothing here does input or output or knows a clock. Instants ending in `_s` are seconds on a
monotonic clock; `at` is the wall clock's word for the same moment, which is only shown.

No single answer ends a watch. What would end one without the task's own proof is a *doubt*, which
must persist: for some time and some looks, with no good answer between.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from attrs import define, evolve, field, frozen

from suno_async.doubts import Doubt, Doubts
from suno_async.errors import (
    ApiError,
    AudioMissing,
    ContentRejected,
    GenerationFailed,
    ProtocolError,
    SessionClosed,
    SunoError,
    TaskError,
    TaskExpired,
    TaskNotFound,
)
from suno_async.hints import Hints
from suno_async.models import (
    RETENTION,
    CallbackNotice,
    Stage,
    StageEvent,
    TaskDetails,
    TaskStatus,
    Track,
)
from suno_async.verdict import Sight, judge_look

RETENTION_S = RETENTION.total_seconds()

# a stage that a callback announced was reached at the most so long ago
CALLBACK_DELAY_S = 1.0

_STAGES = tuple(Stage)
_AUDIO_DECIDES = frozenset({TaskStatus.SUCCESS, TaskStatus.CALLBACK_EXCEPTION})
# docs: the states in which the service has given up; `FAILED` is in no documentation (seen)
_GIVEN_UP = frozenset(
    {
        TaskStatus.CREATE_TASK_FAILED,
        TaskStatus.GENERATE_AUDIO_FAILED,
        TaskStatus.SENSITIVE_WORD_ERROR,
    }
)


@frozen
class Passage:
    """A stage was reached between two looks; ages are seconds since the submission.

    Attributes:
        stage: The stage.
        entered_s: The age at which the stage before it was reached.
        before_s: The age at the last look that did not show it.
        after_s: The age at the first look that did.
        announced: Whether a callback had announced it.
    """

    stage: Stage
    entered_s: float
    before_s: float
    after_s: float
    announced: bool


NOTHING: tuple[Passage, ...] = ()


def _as_it_is(text: str) -> str:
    return text


@define(eq=False)
class Progress:
    """What is known of one task.

    Attributes:
        task_id: The task.
        submitted_at: When it was submitted (aware, UTC).
        zero_s: The same on the monotonic clock.
        dated: Whether `submitted_at` is a fact and not a guess.
        events: The stages reached so far, in order.
        details: The answer that ended the task, a failure's too.
        ending: Why the watch ended without completion.
        looked_s: When its own record was last seen; None before.
        entered_s: When the last stage was reached.
        best: The answer with the most finished tracks, when it is none of the events'.
        doubts: What would end the watch, if it persists; None without.
        hints: What callbacks said; None without.
    """

    task_id: str
    submitted_at: datetime
    zero_s: float
    dated: bool = True
    events: tuple[StageEvent, ...] = ()
    details: TaskDetails | None = None
    ending: SunoError | None = None
    looked_s: float | None = None
    entered_s: float = field(init=False)
    best: TaskDetails | None = None
    doubts: Doubts | None = None
    hints: Hints | None = None

    def __attrs_post_init__(self) -> None:
        self.entered_s = self.zero_s

    # --- what it is -------------------------------------------------------------------------------

    @property
    def expires_at(self) -> datetime:
        """When the service deletes the task."""
        try:
            return self.submitted_at + RETENTION
        except OverflowError:
            return datetime.max.replace(tzinfo=UTC)

    @property
    def expires_s(self) -> float:
        """The same on the monotonic clock, which nobody can move."""
        return self.zero_s + RETENTION_S

    @property
    def done(self) -> bool:
        """Whether it ended."""
        return self.details is not None or self.ending is not None

    @property
    def reached(self) -> int:
        """How many stages were reached."""
        return len(self.events)

    @property
    def is_ahead(self) -> bool:
        """Whether callbacks announced more than the record shows."""
        return self.hints is not None and self.hints.is_ahead(len(self.events))

    def close_gap_s(self) -> float | None:
        """Tell the longest gap until the next look while something is unsettled; None otherwise."""
        settling_s = self.doubts.gap_s() if self.doubts else None
        catching_up_s = self.hints.gap_s() if self.hints is not None else None
        return min((s for s in (settling_s, catching_up_s) if s is not None), default=None)

    def redate(self, submitted_at: datetime, zero_s: float) -> None:
        """Take the true time of the submission, where it was a guess."""
        if not self.events:
            self.entered_s = zero_s
        self.submitted_at, self.zero_s, self.dated = submitted_at, zero_s, True

    # --- what comes in ----------------------------------------------------------------------------

    def hint(self, notice: CallbackNotice, now_s: float) -> int | None:
        """Take note of a callback.

        Returns:
            How many stages it announced for the first time, which may be none; None when it is not
            even worth a look.
        """
        if self.done:
            return None
        if self.hints is None:
            self.hints = Hints()
        known = max(self.hints.announced, len(self.events))
        if not self.hints.tells_news(notice, len(self.events), now_s):
            return None
        return max(self.hints.announced - known, 0)

    def be_followed(self, keeps: object) -> None:
        """Take note that callbacks may come, and what is to live as long as they may."""
        if self.hints is None:
            self.hints = Hints()
        self.hints.keeps = keeps

    def saw_the_same(self, now_s: float) -> None:
        """Take note of a look that showed the task's own record, unchanged and undoubted."""
        self.looked_s = now_s
        if self.hints is not None:
            self.hints.count(len(self.events))

    def saw(
        self,
        details: TaskDetails,
        now_s: float,
        at: datetime,
        scrub: Callable[[str], str] = _as_it_is,
    ) -> tuple[Passage, ...]:
        """Take note of a record.

        Args:
            details: The record.
            now_s: When the answer came.
            at: The same on the wall clock.
            scrub: Takes the key out of what an error will show.

        Returns:
            The stages that were reached since the last look, in order; their events are in
            `events`.
        """
        if is_of_another_task(details, self.task_id):
            if not self.done:
                reason = f"it is the record of task {scrub(details.task_id)!r}"
                self._doubt_existence(Doubt.ANOTHER_TASK, ProtocolError(reason), now_s, at)
            return NOTHING
        if self.done:
            self._complement(details)
            return NOTHING
        stage, doubt = _read(details)
        self._settle(doubt)
        self._keep_best(details)
        if doubt is not None and self._persists(doubt, now_s):
            if doubt is Doubt.FAILED:
                return self._fail(details, stage, now_s, at, scrub)
            return self._conclude(details, now_s, at)
        if doubt is None and details.failed:
            return self._fail(details, stage, now_s, at, scrub)
        return self._reach(details, stage, now_s, at)

    def missed(self, error: SunoError, now_s: float, at: datetime) -> bool:
        """Take note of a look that failed.

        Returns:
            Whether the service is in trouble, and says nothing about the task.
        """
        sight = judge_look(error)
        if self.hints is not None:
            self.hints.count(len(self.events))
        if sight is Sight.TRANSIENT or self.done:
            return sight is Sight.TRANSIENT
        if sight is Sight.REFUSED:
            code = error.code if isinstance(error, ApiError) else None
            if self._persists(Doubt.REFUSED, now_s, code):
                name_task(error, self.task_id)
                self.ending = error
        elif self.looked_s is None:  # where it was once seen, a replica lags
            self._doubt_existence(Doubt.NO_RECORD, error, now_s, at)
        return False

    def expire(self) -> None:
        """End the watch, whose time is over."""
        if not self.done:
            self.ending = TaskExpired(self.task_id, self.expires_at)

    # --- doubts -----------------------------------------------------------------------------------

    def _persists(self, doubt: Doubt, now_s: float, code: int | None = None) -> bool:
        if self.doubts is None:
            self.doubts = Doubts()
        return self.doubts.persists(doubt, now_s, code)

    def _settle(self, doubt: Doubt | None) -> None:
        """Drop the doubts that the task's own record settles."""
        if self.doubts is not None:
            self.doubts.keep(doubt)
            self.doubts = self.doubts or None

    def _doubt_existence(self, doubt: Doubt, error: SunoError, now_s: float, at: datetime) -> None:
        if self._persists(doubt, now_s):
            # the wall clock alone ends nothing, but with a record that is gone it tells why
            over = self.dated and at >= self.expires_at
            self.ending = (
                TaskExpired(self.task_id, self.expires_at) if over else TaskNotFound(self.task_id)
            )
            self.ending.__cause__ = error

    # --- stages -----------------------------------------------------------------------------------

    def _reach(
        self, details: TaskDetails, stage: Stage | None, now_s: float, at: datetime
    ) -> tuple[Passage, ...]:
        """Note the stages up to one, in order and once each, whatever was jumped over."""
        began_s, self.looked_s = self.looked_s, now_s
        hints = self.hints
        if stage is None or stage.position < len(self.events):
            if hints is not None:
                hints.count(len(self.events))
            return NOTHING
        new = _STAGES[len(self.events) : stage.position + 1]
        before_s = self.zero_s if began_s is None else began_s
        if hints is not None and stage.position < hints.announced:
            before_s = max(before_s, min(hints.announced_s - CALLBACK_DELAY_S, now_s))
        announced = 0 if hints is None else hints.announced
        passages: list[Passage] = []
        for each in new:
            self.events += (
                StageEvent(each, self.task_id, details.tracks, details, at, each is not stage),
            )
            passages.append(self._passage(each, before_s, now_s, each.position < announced))
            self.entered_s = before_s = (before_s + now_s) / 2
        if hints is not None:
            hints.vain = 0
            hints.count(len(self.events))
        if stage is Stage.COMPLETE:
            self.details = details
        return tuple(passages)

    def _passage(self, stage: Stage, before_s: float, after_s: float, announced: bool) -> Passage:
        entered_s, before_s, after_s = (
            max(instant_s - self.zero_s, 0.0) for instant_s in (self.entered_s, before_s, after_s)
        )
        return Passage(stage, entered_s, before_s, after_s, announced)

    # --- endings ----------------------------------------------------------------------------------

    def _fail(
        self,
        details: TaskDetails,
        stage: Stage | None,
        now_s: float,
        at: datetime,
        scrub: Callable[[str], str],
    ) -> tuple[Passage, ...]:
        """End with what the service gave up, and with what it had finished."""
        passages = self._reach(details, stage, now_s, at)
        self.ending, self.details = _failure(self.task_id, details, self._finished, scrub), details
        return passages

    def _conclude(self, details: TaskDetails, now_s: float, at: datetime) -> tuple[Passage, ...]:
        """End a task whose status and audio do not agree with what audio there is."""
        finished = self._finished
        if not finished:
            self.looked_s = now_s
            self.ending, self.details = AudioMissing(self.task_id, details), details
            return NOTHING
        complete = details if details.tracks == finished else evolve(details, tracks=finished)
        self._reach(complete, Stage.COMPLETE, now_s, at)
        return NOTHING  # when it came is not known, so nothing can be learned

    def _keep_best(self, details: TaskDetails) -> None:
        """Keep the audio of a record whose tracks no event may hold, should later ones lack it."""
        if details.tracks and len(details.finished) > len(self._finished):
            self.best = details

    @property
    def _finished(self) -> tuple[Track, ...]:
        """The finished tracks of the answer with the most."""
        known = [event.details.finished for event in self.events]
        if self.best is not None:
            known.append(self.best.finished)
        return max(known, key=len, default=())

    def _complement(self, details: TaskDetails) -> None:
        """Let a complete task's result have what came later: tracks that were given up."""
        if self.ending is None and self.details is not None:
            more = len(details.finished) > len(self.details.finished)
            self.details = details if more and not details.failed else self.details


def name_task(error: SunoError, task_id: str) -> None:
    """See to it that an error names the task that it is about."""
    if isinstance(error, ApiError | SessionClosed):
        error.task_id = task_id
    elif not isinstance(error, TaskError):
        error.add_note(f"while looking at task {task_id}")


def is_of_another_task(details: TaskDetails, task_id: str) -> bool:
    """Tell whether a record speaks of another task than it was asked for."""
    found = details.task_id
    return found != task_id and found.strip().casefold() != task_id.strip().casefold()


def _read(details: TaskDetails) -> tuple[Stage | None, Doubt | None]:
    """Tell which stage a record proves, and what has to persist before it is believed."""
    stage, status = details.stage, details.status
    if details.failed:
        return stage, None if status in _GIVEN_UP else Doubt.FAILED
    if status in _AUDIO_DECIDES:
        return stage, None if stage is Stage.COMPLETE else Doubt.NO_AUDIO
    if stage is Stage.COMPLETE:
        return Stage.FIRST, Doubt.FINISHED
    return stage, None


def _failure(
    task_id: str,
    details: TaskDetails,
    finished: tuple[Track, ...],
    scrub: Callable[[str], str],
) -> GenerationFailed:
    # docs: 400 lyrics copyrighted, 413 the audio matches an existing work, 531 refunded
    rejected = details.status == TaskStatus.SENSITIVE_WORD_ERROR or details.error_code in {400, 413}
    message = details.error_message
    return (ContentRejected if rejected else GenerationFailed)(
        task_id,
        details.status,
        details.error_code,
        scrub(message) if message is not None else None,
        details.error_code == 531,
        finished,
    )
