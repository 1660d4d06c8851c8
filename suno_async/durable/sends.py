"""The paid calls of all workers: who may send, and what became of what was sent.

A job's paid call is claimed before it is sent, in one transaction with the account's limits: in the
job's row, where a second claim of the same attempt finds it. So nobody sends twice, however often
a job is begun again; and a claim whose worker is dead is uncertain.
"""

import logging
import time
from datetime import UTC, datetime
from math import inf
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from attrs import frozen

from suno_async.durable.database import CLAIMS, Database
from suno_async.durable.dispatch import SUBMIT, WATCH, Dispatch
from suno_async.durable.errors import DatabaseFailed
from suno_async.durable.records import write_error
from suno_async.durable.rows import announce, change, locked_row, with_task
from suno_async.durable.tables import hints, jobs, sends
from suno_async.durable.values import JobState
from suno_async.errors import SubmissionUncertain, SunoError, one_line
from suno_async.models import AddInstrumentalRequest, CallbackNotice
from suno_async.storage import from_json, to_json

_log = logging.getLogger("suno_async.durable")

# whoever has claimed a paid call has to hand it out within this time, or not at all: a worker that
# was stopped in between sends nothing late
SEND_WITHIN_S = 5.0
# how much longer what was handed out may travel, when nobody saw an answer
_TRAVEL_S = 1.0

# after so many uncertain ones in a row, one is tried a minute: a broken network buys no fleet's
# worth of unknown tasks
_MOST_UNCERTAIN = 5
_HOLD_S = 60.0

_IN_FLIGHT = (JobState.SENDING, JobState.RUNNING)
# how long to wait for what no instant is known of
_A_MOMENT_S = 0.25
# while the disk is full
_NO_ROOM_S = 1.0
_TELL_EVERY_S = 60.0


@frozen
class FleetLimits:
    """What the account allows to all workers together.

    Attributes:
        per_window: How many submissions a window holds.
        window_s: Its length.
        sending: How many may be on their way at a time.
        in_flight: How many tasks may run at a time, those that are on their way included.
    """

    per_window: int
    window_s: float
    sending: int
    in_flight: int


@frozen
class Claim:
    """The right to send a job's paid call, once.

    Attributes:
        key: The job.
        token: Of the call, and of its callback URL.
    """

    key: str
    token: str


@frozen
class NotYet:
    """The account's limits are used up.

    Attributes:
        wait_s: When to ask again.
    """

    wait_s: float


class Sends:
    """Gives out claims, and takes what became of them.

    Args:
        database: Where.
        dispatch: Hands accepted jobs to whoever watches them.
        worker: This worker's name.
        limits: The account's.
        reconcile_s: How long a callback is waited for that proves an uncertain call.
    """

    def __init__(
        self,
        database: Database,
        dispatch: Dispatch,
        worker: str,
        limits: FleetLimits,
        reconcile_s: float,
    ) -> None:
        self._database = database
        self._dispatch = dispatch
        self._worker = worker
        self._limits = limits
        self._reconcile_s = reconcile_s

        self._told_s = -inf

    def _tell(self, error: DatabaseFailed) -> None:
        """Warn, but not all the time."""
        now_s = time.monotonic()
        if now_s - self._told_s > _TELL_EVERY_S:
            self._told_s = now_s
            _log.warning("%s", error)

    # --- before -----------------------------------------------------------------------------------

    async def claim(self, key: str, token: str) -> Claim | NotYet | None:
        """Ask for the right to send a job's paid call.

        Returns:
            The claim, which is recorded then; how long to wait; or None when the job is not
            waiting (any more).
        """
        try:
            self._database.check_room()
        except DatabaseFailed as error:
            self._tell(error)
            return NotYet(_NO_ROOM_S)
        return await self._database.run(lambda connection: self._claim(connection, key, token))

    def _claim(self, connection: sa.Connection, key: str, token: str) -> Claim | NotYet | None:
        self._database.take_turn(connection, CLAIMS)
        row = locked_row(connection, key)
        if row is None:
            return None
        if row.state == JobState.SENDING and row.token == token:
            return Claim(key, token)  # the commit of a try before has succeeded after all
        if row.state != JobState.WAITING:
            return None
        now_s = self._database.now_s(connection)
        wait_s = self._wait_s(connection, now_s)
        if wait_s > 0:
            return NotYet(wait_s)
        connection.execute(
            sends.insert().values(
                token=token, key=key, worker=self._worker, claimed_s=now_s, uncertain=False
            )
        )
        change(connection, key, state=JobState.SENDING, token=token)
        return Claim(key, token)

    def _wait_s(self, connection: sa.Connection, now_s: float) -> float:
        """Tell how long the limits make wait; 0 when there is room."""
        count = sa.func.count()
        # what lies further ahead was written before a clock was moved
        longest_s = now_s + self._limits.window_s + SEND_WITHIN_S + _TRAVEL_S
        taken = sa.or_(sends.c.free_s.is_(None), sends.c.free_s.between(now_s, longest_s))
        query = sa.select(count, sa.func.min(sends.c.free_s)).where(taken)
        used, free_s = connection.execute(query).one()
        if used >= self._limits.per_window:
            return max(free_s - now_s, 0.01) if free_s else _A_MOMENT_S
        states = sa.select(jobs.c.state, count).where(jobs.c.state.in_(_IN_FLIGHT))
        rows = connection.execute(states.group_by(jobs.c.state))
        flying = {row[0]: row[1] for row in rows}
        if flying.get(JobState.SENDING, 0) >= self._limits.sending:
            return _A_MOMENT_S
        if sum(flying.values()) >= self._limits.in_flight:
            return _A_MOMENT_S
        return self._held_s(connection, now_s, flying.get(JobState.SENDING, 0))

    @staticmethod
    def _held_s(connection: sa.Connection, now_s: float, sending: int) -> float:
        """Tell how long to hold back since the last paid calls were all uncertain."""
        last = (
            sa.select(sends.c.uncertain, sends.c.ended_s)
            .where(sends.c.ended_s.is_not(None))
            .order_by(sends.c.ended_s.desc())
            .limit(_MOST_UNCERTAIN)
        )
        found = connection.execute(last).all()
        if len(found) < _MOST_UNCERTAIN or not all(row.uncertain for row in found):
            return 0.0
        if sending:
            return _A_MOMENT_S
        last_s: float = found[0].ended_s
        return min(last_s + _HOLD_S - now_s, _HOLD_S)

    # --- after ------------------------------------------------------------------------------------

    async def give_back(self, claim: Claim) -> None:
        """Let a job wait again: it was certainly not taken.

        Others may have taken this worker for dead meanwhile, and the job for uncertain.
        """

        def give_back(connection: sa.Connection) -> None:
            if (row := self._unsettled(connection, claim)) is not None:
                waiting = {"state": JobState.WAITING, "token": None, "settled_s": None}  # nosec B105 # none
                attempt = row.attempt + (row.state == JobState.UNCERTAIN)
                change(connection, claim.key, attempt=attempt, **waiting, **write_error(None))
                if attempt != row.attempt:
                    self._dispatch.enqueue(connection, SUBMIT, claim.key, attempt)
            self._end_send(connection, claim.token)

        await self._database.run(give_back)

    async def refused(self, claim: Claim, error: SunoError) -> None:
        """Note that the service refused it: nothing was charged."""

        def refused(connection: sa.Connection) -> None:
            if self._unsettled(connection, claim) is not None:
                now_s = self._database.now_s(connection)
                ended = {"state": JobState.FAILED, "settled_s": now_s}
                change(connection, claim.key, **ended, **write_error(error))
            self._end_send(connection, claim.token)

        await self._database.run(refused)

    async def uncertain(self, claim: Claim, error: SubmissionUncertain) -> None:
        """Note that nobody knows what became of it."""

        def uncertain(connection: sa.Connection) -> None:
            row = self._unsettled(connection, claim)
            if row is not None and row.state == JobState.SENDING:
                doubt(self._database, connection, claim.key, error, self._reconcile_s)
            self._end_send(connection, claim.token, uncertain=True)

        await self._database.run(uncertain)

    async def accepted(self, token: str, task_id: str, submitted_s: float) -> None:
        """Note the task of a paid call, and have it watched; again, it does nothing."""

        def accepted(connection: sa.Connection) -> None:
            key = connection.execute(sa.select(sends.c.key).where(sends.c.token == token)).scalar()
            if key is not None and (row := locked_row(connection, key)) is not None:
                self._accept(connection, row, token, task_id, submitted_s)
            self._end_send(connection, token)

        await self._database.run(accepted)

    def _accept(
        self,
        connection: sa.Connection,
        row: sa.Row[Any],
        token: str,
        task_id: str,
        submitted_s: float,
    ) -> None:
        if row.task_id == task_id:
            return
        if row.task_id is not None or row.token != token:
            others = with_task(row, task_id)
            if others != row.other_tasks:
                another = "job %r has made another task: %s"
                _log.warning(another, row.key, one_line(task_id), extra={"task_id": task_id})
                change(connection, row.key, other_tasks=others)
            return
        _log.info("job %r: task %s", row.key, one_line(task_id), extra={"task_id": task_id})
        connection.execute(sends.update().where(sends.c.token == token).values(uncertain=False))
        change(
            connection,
            row.key,
            state=JobState.RUNNING,
            task_id=task_id,
            submitted_s=submitted_s,
            settled_s=None,
            **write_error(None),
        )
        self._dispatch.enqueue(connection, WATCH, row.key, row.attempt)

    @staticmethod
    def _unsettled(connection: sa.Connection, claim: Claim) -> sa.Row[Any] | None:
        """Give the job's row, locked, if nobody knows yet what became of this claim."""
        row = locked_row(connection, claim.key)
        if row is None or row.token != claim.token:
            return None
        return row if row.state in {JobState.SENDING, JobState.UNCERTAIN} else None

    def _end_send(self, connection: sa.Connection, token: str, *, uncertain: bool = False) -> None:
        """Note that an answer is there: the place in the window is free a whole window later."""
        now_s = self._database.now_s(connection)
        end_send(connection, token, now_s, now_s + self._limits.window_s, uncertain=uncertain)

    # --- callbacks --------------------------------------------------------------------------------

    async def called_back(self, notice: CallbackNotice) -> bool:
        """Take a callback that came to any process; tell whether its URL is a job's.

        It proves the task of a call that nobody has seen an answer to; otherwise it is kept for
        the worker that watches the task.
        """
        token = notice.token or ""

        def called_back(connection: sa.Connection) -> bool:
            found = connection.execute(sa.select(sends).where(sends.c.token == token)).one_or_none()
            if found is None:
                return False
            row = locked_row(connection, found.key)
            if row is None:
                return False
            if row.task_id != notice.task_id:
                # the send is ended by its worker, or whoever takes over from it: both know the
                # account's window, which this process need not
                self._accept(connection, row, token, notice.task_id, found.claimed_s)
            elif row.state == JobState.RUNNING:
                came_s = self._database.now_s(connection)
                connection.execute(
                    hints.insert().values(token=token, notice=to_json(notice), came_s=came_s)
                )
                announce(connection, hint=token)
            return True

        return await self._database.run(called_back, for_s=8.0)

    async def take_hints(self, tokens: frozenset[str]) -> list[CallbackNotice]:
        """Take the callbacks that came elsewhere for tasks that are watched here."""

        def take(connection: sa.Connection) -> list[CallbackNotice]:
            rows = connection.execute(sa.select(hints).order_by(hints.c.id)).all()
            mine = [row for row in rows if row.token in tokens]
            stale_s = self._database.now_s(connection) - 600
            taken = hints.c.id.in_([row.id for row in mine])
            connection.execute(hints.delete().where(sa.or_(taken, hints.c.came_s < stale_s)))
            return [from_json(row.notice, CallbackNotice) for row in mine]

        return await self._database.run(take)


def new_token() -> str:
    """Make the token of a paid call without a callback URL."""
    return uuid4().hex


def end_send(
    connection: sa.Connection, token: str, ended_s: float, free_s: float, *, uncertain: bool
) -> None:
    """Note when a paid call ended; what was noted before stays."""
    connection.execute(
        sends.update()
        .where(sends.c.token == token, sends.c.ended_s.is_(None))
        .values(ended_s=ended_s, free_s=free_s, uncertain=uncertain)
    )


def doubt(
    database: Database,
    connection: sa.Connection,
    key: str,
    error: SubmissionUncertain,
    reconcile_s: float,
) -> None:
    """Note that nobody knows what became of a job's paid call."""
    settled_s = database.now_s(connection) + reconcile_s
    uncertain = {"state": JobState.UNCERTAIN, "settled_s": settled_s}
    change(connection, key, **uncertain, **write_error(error))


def give_up(
    database: Database,
    connection: sa.Connection,
    worker: str,
    window_s: float,
    reconcile_s: float,
) -> None:
    """Settle what a dead worker had claimed: it may have been sent, and nobody saw an answer."""
    claimed = sa.select(sends).where(sends.c.worker == worker, sends.c.ended_s.is_(None))
    for send in connection.execute(claimed).all():
        row = locked_row(connection, send.key)
        if row is not None and row.state == JobState.SENDING and row.token == send.token:
            doubt(database, connection, send.key, _orphaned(row.request, send), reconcile_s)
        free_s = send.claimed_s + SEND_WITHIN_S + _TRAVEL_S + window_s
        # not counted as uncertain: it tells of a worker, and nothing of the network
        end_send(connection, send.token, database.now_s(connection), free_s, uncertain=False)


def _orphaned(request: str, send: sa.Row[Any]) -> SubmissionUncertain:
    return SubmissionUncertain(
        from_json(request, AddInstrumentalRequest).title,
        f"its worker {send.worker} ended while it was on its way",
        datetime.fromtimestamp(send.claimed_s, UTC),
    )
