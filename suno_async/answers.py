"""What becomes of answers to polls: they are noted, learned from, and told.

It does no input or output: a poller hands in what it was answered, or why it was not.
"""

import asyncio
import logging
from collections.abc import Callable

from suno_async.cadence import LEAST_GAP_S
from suno_async.clock import Clock
from suno_async.errors import (
    ApiError,
    NotFound,
    SunoError,
    TaskExpired,
    TaskNotFound,
    UnexpectedError,
    described,
    one_line,
)
from suno_async.models import TaskDetails, Track
from suno_async.observe import Counts, Ended, Observers, Polled, StageReached
from suno_async.pace import Pace
from suno_async.progress import is_of_another_task
from suno_async.retry import RetryPolicy, SharedPause
from suno_async.watch import Seen, Watch
from suno_async.wire import Answer, read_details

# under the name that callers configure: it is the watcher that speaks
_log = logging.getLogger("suno_async.watcher")

OnComplete = Callable[[tuple[Track, ...]], object]
Looks = list["asyncio.Future[Seen]"] | None


class Answers:
    """Takes note of answers to polls, and tells who wants to know.

    Args:
        pace: Learns from them.
        pause: The account's pause after a 429.
        policy: How much slower to go after failures.
        clock: Where time comes from.
        observers: Told of everything.
        counts: Counts what failed.
        on_complete: Told of the tracks of each task that becomes complete.

    Attributes:
        watched: How many tasks that go on have readers.
    """

    def __init__(
        self,
        pace: Pace,
        pause: SharedPause,
        policy: RetryPolicy,
        clock: Clock,
        observers: Observers,
        counts: Counts,
        on_complete: OnComplete,
    ) -> None:
        self._pace = pace
        self._pause = pause
        self._policy = policy
        self._clock = clock
        self._observers = observers
        self._counts = counts
        self._on_complete = on_complete
        self._troubled = False
        self.watched: int = 0

    def take(
        self, watch: Watch, seen: Answer | SunoError, began_s: float, now_s: float, looks: Looks
    ) -> float:
        """Take note of what a poll showed, and tell it.

        Args:
            watch: The task.
            seen: The answer, or why there is none.
            began_s: When the poll began.
            now_s: When the answer came.
            looks: Who waits for this very look.

        Returns:
            The least gap before the next poll, in seconds.
        """
        if not isinstance(seen, Answer):
            return self._note(watch, seen, began_s, now_s, looks)
        digest = hash(seen.body)
        if digest != watch.digest or looks is not None or watch.doubts is not None:
            shown = _details(watch, seen)
            return self._note(watch, shown, began_s, now_s, looks, digest, seen.scrub)
        watch.saw_the_same(now_s)
        if self._observers:
            self._observers.tell(Polled(watch.task_id, now_s - began_s))
        self._went_well(watch)
        return LEAST_GAP_S

    def _note(
        self,
        watch: Watch,
        shown: TaskDetails | SunoError,
        began_s: float,
        now_s: float,
        looks: Looks,
        digest: int | None = None,
        scrub: Callable[[str], str] = str,
    ) -> float:
        """Take note of a look that was not as the last."""
        before = watch.reached, watch.done
        error = shown if isinstance(shown, SunoError) else None
        if self._observers:
            self._observers.tell(Polled(watch.task_id, now_s - began_s, error))
        least_gap_s = LEAST_GAP_S
        if isinstance(shown, SunoError):
            least_gap_s = self._miss(watch, shown, now_s)
        else:
            self._went_well(watch)
            passages = watch.saw(shown, now_s, self._clock.now(), scrub)
            watch.digest = digest if watch.doubts is None else None
            self._pace.learn(watch, passages, now_s)
            if is_of_another_task(shown, watch.task_id):
                shown = TaskNotFound(watch.task_id)
        self.tell(watch, *before)
        show(looks, shown)
        return least_gap_s

    def _went_well(self, watch: Watch) -> None:
        watch.misses = 0
        self._pause.reset()
        if self._troubled:
            self._troubled = False
            _log.info("the service answers polls again")

    def _miss(self, watch: Watch, error: SunoError, now_s: float) -> float:
        """Take note of a failed look; return the least gap before the next."""
        self._pause.note(error)
        if isinstance(error, ApiError):
            self._counts.refusals[error.code] += 1
        if not watch.missed(error, now_s, self._clock.now()):
            return LEAST_GAP_S
        watch.misses += 1
        self._counts.retries += 1
        if not self._troubled:
            self._troubled = True
            about = {"task_id": watch.task_id, "code": getattr(error, "code", None)}
            shown = one_line(watch.task_id)
            _log.warning("polling goes on, slower: %s (task %s)", error, shown, extra=about)
        return self._policy.wait_s(watch.misses)

    def expire(self, watch: Watch, looks: Looks) -> None:
        """End a watch whose time is over; nothing is asked."""
        before = watch.reached, watch.done
        watch.expire()
        self.tell(watch, *before)
        show(looks, TaskExpired(watch.task_id, watch.expires_at))

    def end(self, watch: Watch, error: SunoError) -> None:
        """End a watch for another reason than its task."""
        watch.ending = error
        self.tell(watch, watch.reached, was_done=False)

    def tell(self, watch: Watch, reached: int, was_done: bool) -> None:
        """Tell observers and readers what is new since so many stages were reached."""
        ends = watch.done and not was_done
        if watch.reached == reached and not ends:
            return
        if ends:
            self.watched -= bool(watch.readers)
            watch.doubts = watch.context = None
            if watch.ending is None and watch.details is not None:
                self._on_complete(watch.details.tracks)
        if self._observers:
            age_s = self._clock.monotonic() - watch.zero_s if watch.dated else None
            for event in watch.events[reached:]:
                self._observers.tell(StageReached(event, age_s))
            if ends:
                self._observers.tell(Ended(watch.task_id, watch.details, watch.ending, age_s))
        for reader in watch.readers:
            reader.notify(watch)


def show(looks: Looks, seen: Seen) -> None:
    """Tell who waits for a look what it showed."""
    for look in looks or ():
        if not look.done():
            look.set_result(seen)


def _details(watch: Watch, answer: Answer) -> TaskDetails | SunoError:
    """Read an answer, whatever it is."""
    try:
        details = read_details(answer, watch.task_id)
    except SunoError as error:
        return error
    except Exception as error:  # noqa: BLE001 - a surprise is told, and looked at again
        return surprise(error)
    if details is None:
        return NotFound(404, "there is no record of the task", answer.http_status)
    return details


def surprise(error: Exception) -> UnexpectedError:
    """Make an error of our own of what nobody foresaw."""
    _log.error("a look broke", exc_info=error)
    unexpected = UnexpectedError(described(error))
    unexpected.__cause__ = error
    return unexpected
