"""What is known of every request: what observers and hooks were told, against the ledger."""

import asyncio
from collections import Counter
from datetime import datetime
from typing import Any

from suno_async import (
    AddInstrumentalRequest,
    ApiError,
    AudioMissing,
    GenerationFailed,
    NotSubmitted,
    Outcome,
    SessionClosed,
    Stage,
    SubmissionUncertain,
    SunoError,
    TaskDetails,
    TaskExpired,
    TaskNotFound,
    WatchTimeout,
)
from suno_async.doubts import DOUBTFUL_LOOKS, Doubt
from suno_async.models import RETENTION
from suno_async.observe import Accepted, Found, Observation, Refused, Sent, Uncertain
from suno_async.sandbox import Sandbox, SandboxTask
from tests.following import busiest, poll_times

from .callers import Caller, HookFailed
from .clocks import CallersClock
from .misfortunes import KEY
from .times import ROUNDED_S, Times, in_order

# upstream: in any second a task may be asked so often
MOST_LOOKS = 3
# how long a task without audio may be called complete before that is believed
DOUBTED_S = 600.0


class Knowledge:
    """Everything by which a charge can be known, and whether it is.

    Args:
        sandbox: The service.
        clock: The callers' clock.
        timeout_s: How long a call may take.

    Attributes:
        times: When everything happened.
        lies: How many untrue answers to looks were injected, by what they would prove.
        forged: The ids that were made up and called back to good URLs.
        sending: Tells, by session, how many submissions are on their way.
        found_late: Whether a callback for each uncertain request must have come by now.
    """

    def __init__(self, sandbox: Sandbox, clock: CallersClock, timeout_s: float) -> None:
        self._sandbox = sandbox
        self._timeout_s = timeout_s
        self.times = Times(clock)
        self.lies: Counter[Doubt] = Counter()
        self.forged: set[str] = set()
        self.wrong: list[str] = []
        self.hooked: Counter[str] = Counter()
        self.known: dict[str, str] = {}
        self.answered: Counter[str] = Counter()
        self.uncertain: dict[str, SubmissionUncertain] = {}
        self.session_of: dict[str, int] = {}
        self.unawaited = 0
        self._sent: Counter[str] = Counter()
        self._settled: Counter[str] = Counter()
        self._given_up: dict[str, SunoError] = {}

    # --- what comes in ----------------------------------------------------------------------------

    def told(self, session: int, value: Observation) -> None:
        """Take note of what an observer of a session is told."""
        if KEY in repr(value):
            self.wrong.append(f"the key is shown: {type(value).__name__}")
        self.times.told(session, value)
        match value:
            case Sent(request=request):
                self._sent[request.title] += 1
                self.session_of[request.title] = session
            case (
                Accepted(task_id=task_id, request=request) | Found(task_id=task_id, request=request)
            ):
                self._take(task_id, request.title, is_answer=isinstance(value, Accepted))
                self.unawaited += not value.awaited
            case Uncertain(request=request, error=error):
                self._settled[request.title] += 1
                self.uncertain[request.title] = error
                if error.__cause__ is not None and _timed_out(error.__cause__):
                    self._check_silence(request.title)
            case Refused(request=request, error=error, seconds=seconds, retry_in_s=again):
                self._settled[request.title] += seconds is not None
                if again is None:
                    self._given_up[request.title] = error
            case _:
                pass

    def _take(self, task_id: str, title: str, *, is_answer: bool) -> None:
        if task_id in self.known:
            self.wrong.append(f"task {task_id} was told twice")
        self.known[task_id] = title
        self.answered[task_id] += is_answer
        self._given_up.pop(title, None)
        if title not in self.uncertain:
            self._settled[title] += 1

    def _check_silence(self, title: str) -> None:
        """See that a call timed out only when its answer had not come before."""
        until_s = self.times.sent_s(title) + self._timeout_s - ROUNDED_S
        answered_s = [
            each.answered_at
            for each in self._sandbox.submissions
            if each.fault is None and each.task_id and (each.body or {}).get("title") == title
        ]
        if any(at_s is not None and at_s < until_s for at_s in answered_s):
            self.wrong.append(f"{title} was answered in time, and it is said to time out")

    async def on_submitted(
        self, task_id: str, request: AddInstrumentalRequest, submitted_at: datetime
    ) -> None:
        """Take note of an id that the hook is given."""
        self.hooked[task_id] += 1
        if self.known.get(task_id) != request.title:
            self.wrong.append(f"the hook was told of {task_id} before the observers")
        self.times.check_sent_at(request.title, submitted_at)

    # --- paid once, and nothing lost --------------------------------------------------------------

    @property
    def charged(self) -> dict[str, str]:
        """The tasks that were charged, and their titles."""
        tasks = self._sandbox.tasks
        return {
            entry.task_id: str(tasks[entry.task_id].request["title"])
            for entry in self._sandbox.ledger
            if entry.kind == "charge"
        }

    def is_under_way(self, title: str) -> bool:
        """Tell whether a request was sent, and what became of it was not told."""
        return self._sent[title] > self._settled[title]

    def check_time_outs(self) -> None:
        """See that nobody waits for the answer to a submission for longer than a call may take."""
        under_way = [title for title in self._sent if self.is_under_way(title)]
        longest_s = self.times.longest_s(under_way)
        assert longest_s <= self._timeout_s + ROUNDED_S, "a submission outlasts its time-out"

    def check_charges(self, sending: dict[int, int]) -> None:
        """See that nothing was paid twice, and that every charge is known or being settled.

        Args:
            sending: By session, how many submissions are on their way.
        """
        wrong = self.wrong + self.times.wrong
        assert not wrong, wrong
        charged = self.charged
        doubled = [title for title, count in Counter(charged.values()).items() if count > 1]
        assert not doubled, f"paid twice: {doubled}"
        for task_id, title in charged.items():
            if self.known.get(task_id) == title:
                continue
            assert title not in self._given_up, f"{title} was charged, and told to be refused"
            if title not in self.uncertain:
                assert self.is_under_way(title), f"{title} is lost"
                assert sending[self.session_of[title]], f"{title} is lost, and nothing goes on"
        unpaid = set(self.known) - set(charged) - self.forged
        assert not unpaid, f"told, and never charged: {unpaid}"

    def check_hook(self, *, quiet: bool) -> None:
        """See that the hook was given every id once."""
        assert max(self.hooked.values(), default=1) == 1, "the hook was told twice"
        assert set(self.hooked) <= set(self.known)
        if quiet:
            untold = set(self.answered) - set(self.hooked)
            untold = {task_id for task_id in untold if self.answered[task_id]}
            assert not untold, f"the hook was not told of {untold}"

    def check_told(self, idle: set[int]) -> None:
        """See that what became of every sending was told, of sessions that send nothing now."""
        for title in self._sent:
            if self.session_of[title] in idle:
                assert not self.is_under_way(title), f"nobody was told what became of {title}"

    # --- politeness -------------------------------------------------------------------------------

    def check_pace(self, limit: int, window_s: float) -> None:
        """See that no window has too many submissions, and no second too many looks at a task."""
        sent = [each.at for each in self._sandbox.submissions]
        assert busiest(sent, window_s) <= limit, "too many submissions in a window"
        for (_, task_id), begun in self.times.polls.items():
            assert busiest(begun, 1.0) <= MOST_LOOKS, f"task {task_id} was asked too often"
        alone = {task_id for _, task_id in self.times.polls}
        alone -= {task_id for task_id in alone if self._readers_of(task_id) > 1}
        for task_id in alone:
            asked = poll_times(self._sandbox, task_id)
            assert busiest(asked, 1.0) <= MOST_LOOKS, f"task {task_id} was asked too often"

    def _readers_of(self, task_id: str) -> int:
        return sum(other == task_id for _, other in self.times.polls)

    # --- what callers got -------------------------------------------------------------------------

    def check_caller(self, caller: Caller) -> None:
        """See that what a caller got, so far or in the end, is true."""
        self._check_events(caller)
        for outcome in caller.outcomes:
            self._check_outcome(outcome)
        positions = [outcome.position for outcome in caller.outcomes]
        assert len(positions) == len(set(positions)), "two outcomes of one request"
        if caller.ended and not caller.checked:
            caller.checked = True
            self._check_end(caller)

    def _check_end(self, caller: Caller) -> None:
        error = caller.error
        if error is not None:
            check_silence(error)
        if isinstance(error, asyncio.CancelledError) or (error is None and caller.cancelled):
            assert caller.cancelled, f"{caller.what} was cancelled by nobody"
            return
        if caller.what in {"submit", "generate"}:
            self._check_submission(caller, caller.got, error)
        if caller.what == "batch" and error is None and not caller.left:
            assert len(caller.outcomes) == len(caller.titles), "a request has no outcome"
        if caller.what in {"events", "result", "look"} and error is not None:
            assert caller.task_id is not None
            self._check_watch_error(caller.task_id, error, caller)
        if caller.what == "events" and error is None:
            assert [event.stage for event in caller.events] == list(Stage)
        if caller.what == "result" and error is None:
            assert isinstance(caller.got, TaskDetails)
            assert caller.got.task_id == caller.task_id, "the result of another task"
            self._check_details(caller.got)

    def _check_submission(
        self, caller: Caller, got: str | TaskDetails | None, error: BaseException | None
    ) -> None:
        titles, title = self.charged, caller.titles[0]
        if isinstance(got, TaskDetails):
            assert titles[got.task_id] == title
            self._check_details(got)
        elif got is not None:
            assert titles[got] == title
        if error is not None:
            self._check_error(title, error)
        if isinstance(error, TaskExpired):
            self._check_watch_error(error.task_id, error, caller)

    def _check_outcome(self, outcome: Outcome) -> None:
        title = outcome.request.title
        if outcome.task_id is not None and outcome.task_id not in self.forged:
            assert self.charged[outcome.task_id] == title
        if outcome.error is not None:
            check_silence(outcome.error)
            if outcome.task_id is None:
                self._check_error(title, outcome.error)
        elif outcome.details is not None:
            self._check_details(outcome.details)

    def _check_error(self, title: str, error: BaseException) -> None:
        """See that an error of a request tells the truth about what was sent."""
        ids = {task_id for task_id, of in self.charged.items() if of == title}
        assert isinstance(error, SunoError | HookFailed), repr(error)
        if isinstance(error, SubmissionUncertain):
            assert self.uncertain[title] is error
            assert error.__cause__ is not None
        elif isinstance(error, HookFailed):
            assert any(task_id in note for note in error.__notes__ for task_id in ids)
        elif (task_id := getattr(error, "task_id", None)) is not None:
            assert {task_id} == ids or task_id in self.forged
        else:
            assert not ids, f"{title} was charged, and it is said: {error!r}"
        if isinstance(error, NotSubmitted):
            assert not self.is_under_way(title)

    # --- what is true of a task -------------------------------------------------------------------

    def _check_events(self, caller: Caller) -> None:
        events = caller.events
        assert [event.stage for event in events] == list(Stage)[: len(events)], "out of order"
        for event in events:
            task = self._sandbox.tasks[event.task_id]
            assert event.details.task_id == event.task_id, "the stage of another task"
            age_s = self.times.of_event(caller.session, event).true_s + ROUNDED_S - task.submitted_s
            assert _has_reached(task, age_s, event.stage), f"{event.stage} came too early"
            assert {track.id for track in event.tracks} <= {each.track_id for each in task.tracks}
            if event.stage is Stage.COMPLETE:
                assert event.details.finished
        assert in_order([self.times.of_event(caller.session, event) for event in events])

    def _check_details(self, details: TaskDetails) -> None:
        task = self._sandbox.tasks[details.task_id]
        assert {track.id for track in details.tracks} <= {each.track_id for each in task.tracks}
        assert details.tracks
        assert all(track.has_audio for track in details.tracks)

    def _check_watch_error(self, task_id: str, error: BaseException, caller: Caller) -> None:
        """See that a watch ended with an error for a reason."""
        task = self._sandbox.tasks.get(task_id)
        assert isinstance(error, SunoError), repr(error)
        if caller.what == "look" and not isinstance(error, TaskExpired | TaskNotFound):
            return  # one call may fail in any way
        assert getattr(error, "task_id", None) == task_id, f"the task is lost: {error!r}"
        if task is None:
            assert task_id in self.forged
            return
        age_s = caller.ended_at.true_s - task.submitted_s
        gone = age_s >= RETENTION.total_seconds()
        gone = gone or self._may_lie(Doubt.NO_RECORD) or self._may_lie(Doubt.ANOTHER_TASK)
        if isinstance(error, TaskExpired):
            self.times.check_expiry(caller.session, error, caller.ended_at, gone=gone)
        reasons: dict[type[SunoError], bool] = {
            GenerationFailed: _has_failed(task, age_s) or self._may_lie(Doubt.FAILED),
            AudioMissing: not _finished(task, age_s),
            TaskExpired: True,
            TaskNotFound: gone or caller.what == "look",
            WatchTimeout: caller.timeout_s is not None
            and caller.waited_s + ROUNDED_S >= caller.timeout_s,
            ApiError: self._may_lie(Doubt.REFUSED),
            SessionClosed: True,
        }
        why = [holds for kind, holds in reasons.items() if isinstance(error, kind)]
        assert any(why), f"{caller.what} ended with {error!r} at {age_s:.1f} s"

    def _may_lie(self, doubt: Doubt) -> bool:
        return self.lies[doubt] >= DOUBTFUL_LOOKS

    def check_late_callbacks(self, called_back: dict[str, str]) -> None:
        """See that callbacks that came after all are told, and complete the errors.

        Args:
            called_back: The tasks that were called back, and their titles.
        """
        for task_id, title in called_back.items():
            assert self.known.get(task_id) == title, f"{title} was called back, and is not told"
            error = self.uncertain.get(title)
            if error is not None and not self.answered[task_id]:
                assert error.task_id in {task_id, *self.forged, None}


def check_silence(error: BaseException) -> None:
    """See that an exception does not show the key, nor those behind it."""
    behind: list[BaseException | None] = [error]
    seen: set[int] = set()
    while behind:
        one = behind.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        shown: list[Any] = [str(one), repr(one), one.args, getattr(one, "__notes__", [])]
        assert KEY not in repr(shown), f"the key is shown by {type(one).__name__}"
        behind += one.__cause__, one.__context__


def _timed_out(error: BaseException) -> bool:
    return isinstance(error.__cause__, TimeoutError)


def _has_reached(task: SandboxTask, age_s: float, stage: Stage) -> bool:
    return any(
        _proves(task, position, stage, age_s) for position in range(1, task.position(age_s) + 1)
    )


def _proves(task: SandboxTask, position: int, stage: Stage, age_s: float) -> bool:
    """Tell whether what holds since a position proves a stage, at the age."""
    moment = task.moment(position)
    listed, finished = moment.listed_tracks, moment.finished_tracks
    if stage is Stage.TEXT:
        named = moment.status in {"TEXT_SUCCESS", "FIRST_SUCCESS", "SUCCESS", "CALLBACK_EXCEPTION"}
        return named or finished > 0
    if stage is Stage.FIRST:
        return finished > 0 or moment.status == "FIRST_SUCCESS"
    return finished > 0 and (finished == listed or age_s - moment.after_s >= DOUBTED_S)


def _has_failed(task: SandboxTask, age_s: float) -> bool:
    moment = task.moment(task.position(age_s))
    return moment.error_code is not None or (task.failed and task.ends_after_s <= age_s)


def _finished(task: SandboxTask, age_s: float) -> int:
    return task.moment(task.position(age_s)).finished_tracks
