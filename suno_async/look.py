"""A look at a task outside the cadence, repeated while it says nothing."""

import math
from collections.abc import Awaitable, Callable
from copy import copy

from suno_async.clock import Clock
from suno_async.doubts import DOUBTFUL_LOOKS
from suno_async.errors import SunoError, TaskExpired, TaskNotFound
from suno_async.models import TaskDetails, TaskStatus
from suno_async.owner import Owner
from suno_async.retry import RetryPolicy, SharedPause
from suno_async.verdict import Sight, judge_look
from suno_async.watch import Seen, Watch

# seen: the record of a new task may lag behind for a short while
RECORD_LAG_S = 60.0

# make a look that begins from now on; None when it has no turn by the deadline
MakeLook = Callable[[Watch, float], Awaitable[Seen]]


class Look:
    """One call of `details()`.

    A failure that passes is repeated as often as the policy says; what a single answer cannot
    prove is asked three times.

    Args:
        watch: The task.
        policy: How stubborn to be.
        pause: The account's pause: nobody waits for one that is longer than the policy is patient.
        owner: Ends the waiting when the session is left.
        clock: Where time comes from.
    """

    def __init__(
        self, watch: Watch, policy: RetryPolicy, pause: SharedPause, owner: Owner, clock: Clock
    ) -> None:
        self._watch = watch
        self._policy = policy
        self._pause = pause
        self._owner = owner
        self._clock = clock
        self._failures = 0
        self._doubtful = 0

    async def made(self, make: MakeLook) -> TaskDetails:
        """Look until something is known.

        Raises:
            SunoError: What the last look showed.
        """
        watch = self._watch
        began_s = self._clock.monotonic()
        if watch.dated and began_s >= watch.expires_s:
            raise TaskExpired(watch.task_id, watch.expires_at)
        deadline_s = began_s + self._policy.patience.total_seconds()
        while True:
            await self._pause.wait(deadline_s)
            over = self._clock.monotonic() >= deadline_s
            seen = await make(watch, math.inf if over else deadline_s)
            if isinstance(seen, SunoError):
                seen = await self._after(seen)
            if seen is not None:
                return seen

    async def _after(self, error: SunoError) -> TaskDetails | None:
        """Tell what is known nevertheless, wait for another try, or give up."""
        if isinstance(error, TaskExpired):
            raise copy(error)
        without_record = isinstance(error, TaskNotFound)
        sight = Sight.REFUSED if without_record else judge_look(error)
        if sight is Sight.NO_RECORD:
            if (known := self._known()) is not None:
                return known
            without_record = True
        if sight is Sight.TRANSIENT:
            self._failures += 1
        else:
            self._doubtful += 1
        if self._failures >= self._policy.attempts or self._doubtful >= DOUBTFUL_LOOKS:
            if without_record:
                raise TaskNotFound(self._watch.task_id) from error
            raise copy(error) from error.__cause__
        if sight is Sight.TRANSIENT:
            await self._owner.sleep(self._policy.wait_s(self._failures))
        return None

    def _known(self) -> TaskDetails | None:
        """Tell what is known of a task without record: it may be new, or a replica may lag."""
        watch = self._watch
        if watch.events:
            return watch.events[-1].details
        age_s = self._clock.monotonic() - watch.zero_s
        if watch.looked_s is not None or (watch.dated and age_s < RECORD_LAG_S):
            return TaskDetails(watch.task_id, TaskStatus.PENDING)
        return None
