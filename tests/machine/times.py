"""When everything happened, on all clocks; and whether that was the right time."""

from collections import defaultdict
from datetime import datetime
from itertools import pairwise
from math import inf

from suno_async import (
    ApiError,
    Stage,
    StageEvent,
    SunoError,
    TaskExpired,
    TaskNotFound,
)
from suno_async.doubts import LASTING_S, Doubt
from suno_async.models import RETENTION
from suno_async.observe import (
    Accepted,
    Ended,
    Found,
    Observation,
    Paused,
    Polled,
    Sent,
    StageReached,
    Watched,
)

from .clocks import NEVER, CallersClock, Moment

RETENTION_S = RETENTION.total_seconds()
# what times that were rounded to microseconds may differ by
ROUNDED_S = 1e-3


class Times:
    """When everything happened, as observers were told.

    Args:
        clock: The callers' clock.

    Attributes:
        wrong: What happened at a wrong time.
        stored: What a caller would have stored of the time of each task.
        polls: When tasks were asked, by session and task, in own seconds.
        pause_until_s: When the account's pause ends.
        resumed_s: When the machine last went on after it stood still.
    """

    def __init__(self, clock: CallersClock) -> None:
        self._clock = clock
        self.wrong: list[str] = []
        self.stored: dict[str, datetime] = {}
        self.polls: dict[tuple[int, str], list[float]] = defaultdict(list)
        self.pause_until_s = -inf
        self.resumed_s = -inf
        self._pauses: list[tuple[float, float]] = []
        self._sent: dict[str, list[Moment]] = defaultdict(list)
        self._zeros_s: dict[tuple[int, str], list[float]] = defaultdict(list)
        self._fresh: set[tuple[int, str]] = set()
        self._reached: dict[tuple[int, str, Stage], list[Moment]] = defaultdict(list)

    def told(self, session: int, value: Observation) -> None:
        """Take note of what an observer of a session is told."""
        now = self._clock.moment()
        match value:
            case Sent(request=request):
                self._sent[request.title].append(now)
                if any(s < now.own_s < until_s - ROUNDED_S for s, until_s in self._pauses):
                    self._note_impolite(request.title, now)
            case Accepted() | Found():
                self._take(session, value)
            case Watched(task_id=task_id, fresh=fresh):
                (self._fresh.add if fresh else self._fresh.discard)((session, task_id))
            case Polled(task_id=task_id, seconds=seconds):
                self.polls[session, task_id].append(now.own_s - seconds)
            case StageReached(event=event, seconds=seconds):
                self._reached[session, event.task_id, event.stage].append(now)
                self._check_age(session, event.task_id, seconds)
            case Ended(task_id=task_id, error=error, seconds=seconds):
                self._check_age(session, task_id, seconds)
                self._check_persistence(session, task_id, error)
            case Paused(seconds=seconds):
                self._pauses.append((now.own_s, now.own_s + seconds))
                self.pause_until_s = max(self.pause_until_s, now.own_s + seconds)
            case _:
                pass

    def attached(self, session: int, task_id: str, submitted_at: datetime | None) -> None:
        """Take note that a session attaches to a task, which it knows by its stored time."""
        now = self._clock.moment()
        age_s = 0.0 if submitted_at is None else (now.wall - submitted_at).total_seconds()
        self._zeros_s[session, task_id].append(now.own_s - age_s)

    def _take(self, session: int, value: Accepted | Found) -> None:
        self.check_sent_at(value.request.title, value.submitted_at)
        self.stored[value.task_id] = value.submitted_at
        sent = self._sent[value.request.title]
        self._zeros_s[session, value.task_id].append(sent[-1].own_s)

    # --- whether it was right ---------------------------------------------------------------------

    def check_sent_at(self, title: str, submitted_at: datetime) -> None:
        """See that a request was sent when it is said to have been."""
        if submitted_at not in [sent.wall for sent in self._sent[title]]:
            self.wrong.append(f"{title} was not sent at {submitted_at}")

    def longest_s(self, titles: list[str]) -> float:
        """Tell for how long the oldest of some requests has been on its way."""
        now_s = self._clock.monotonic()
        return max((now_s - self._sent[title][-1].own_s for title in titles), default=0.0)

    def sent_s(self, title: str) -> float:
        """Tell when a request was sent last, in true seconds."""
        return self._sent[title][-1].true_s

    def _note_impolite(self, title: str, now: Moment) -> None:
        if now.own_s > self.resumed_s:  # else it may have had its turn before the pause
            self.wrong.append(f"{title} was sent during a pause")

    def _check_age(self, session: int, task_id: str, age_s: float | None) -> None:
        """See that no wall clock makes a task older or younger which this session submitted."""
        if (session, task_id) not in self._fresh or age_s is None:
            return
        right_s = self._clock.monotonic() - self._zeros_s[session, task_id][0]
        if abs(age_s - right_s) > ROUNDED_S:
            self.wrong.append(f"task {task_id} is called {age_s:.3f} s old at {right_s:.3f} s")

    def _check_persistence(self, session: int, task_id: str, error: SunoError | None) -> None:
        """See that what ended a watch without the task's own proof has lasted."""
        doubts = {TaskNotFound: Doubt.NO_RECORD, ApiError: Doubt.REFUSED}
        for kind, doubt in doubts.items():
            if isinstance(error, kind):
                first_s = min(self.polls[session, task_id], default=inf)
                if self._clock.monotonic() - first_s < LASTING_S[doubt] - ROUNDED_S:
                    self.wrong.append(f"the watch of {task_id} ended too soon: {error!r}")

    def may_expire(self, session: int, task_id: str, at: Moment) -> bool:
        """Tell whether the 14 days are over, for all that the session can know."""
        return at.own_s + ROUNDED_S >= min(self._zeros_s[session, task_id]) + RETENTION_S

    def overdue_s(self, session: int, task_id: str) -> float:
        """Tell for how long the 14 days are over, for all that the session can know."""
        zero_s = max(self._zeros_s[session, task_id])
        return self._clock.monotonic() - zero_s - RETENTION_S

    def check_expiry(self, session: int, error: TaskExpired, at: Moment, *, gone: bool) -> None:
        """See that a watch ended by expiry only when the 14 days are over.

        Args:
            session: Whose watch it is.
            error: What it ended with.
            at: When.
            gone: Whether the service may have said that there is no record: then the wall clock
                tells why.
        """
        over = self.may_expire(session, error.task_id, at)
        if gone and error.expired_at is not None:
            over = over or at.wall >= error.expired_at
        assert over, f"{error!r} before the 14 days were over"

    def of_event(self, session: int, event: StageEvent) -> Moment:
        """Tell when a stage was reached; it must be so on the wall clock too."""
        reached = self._reached[session, event.task_id, event.stage]
        alike = [moment for moment in reached if moment.wall == event.observed_at]
        assert alike, f"nobody was told of {event.stage} at {event.observed_at}"
        return max(alike, key=_true_s, default=NEVER)


def _true_s(moment: Moment) -> float:
    return moment.true_s


def in_order(moments: list[Moment]) -> bool:
    """Tell whether moments come one after the other, or at once."""
    return all(before.true_s <= after.true_s for before, after in pairwise(moments))
