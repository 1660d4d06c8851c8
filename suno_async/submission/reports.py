"""What is told of submissions: to observers, to the counters and to the log."""

import logging
from datetime import datetime

from suno_async.errors import ApiError, SubmissionUncertain, SunoError, one_line
from suno_async.models import AddInstrumentalRequest
from suno_async.observe import Accepted, Counts, Found, Observers, Refused, Sent, Uncertain
from suno_async.verdict import Verdict

_log = logging.getLogger("suno_async.submission")


class Reports:
    """Tells of submissions.

    Args:
        observers: Told of everything.
        counts: Counts everything.
    """

    def __init__(self, observers: Observers, counts: Counts) -> None:
        self._observers = observers
        self._counts = counts

    def sent(
        self, request: AddInstrumentalRequest, attempt: int, waited_s: tuple[float, float, float]
    ) -> None:
        """Tell that a body is being handed to a connection, after these waits for its turn."""
        self._counts.sent += 1
        if self._observers:
            self._observers.tell(Sent(request, attempt, *waited_s))

    def task(
        self,
        request: AddInstrumentalRequest,
        task_id: str,
        sent_at: datetime,
        attempt: int,
        seconds: float | None,
        *,
        awaited: bool,
        by_callback: bool,
    ) -> None:
        """Tell of a new task: in the log at WARNING if nobody waits for it."""
        how = "a callback proved the submission of" if by_callback else "submitted"
        level = logging.INFO if awaited else logging.WARNING
        alone = "" if awaited else ", for which nobody waits"
        shown = one_line(task_id)
        about = {"task_id": task_id, "attempt": attempt}
        _log.log(level, "%s %r: task %s%s", how, request.title, shown, alone, extra=about)
        self._counts.accepted += 1
        self._counts.found += by_callback
        if self._observers:
            kind = Found if by_callback else Accepted
            self._observers.tell(kind(task_id, request, sent_at, awaited, attempt, seconds))

    @staticmethod
    def unclaimed(request: AddInstrumentalRequest, task_id: str) -> None:
        """Tell of a task whose caller was cancelled in the moment in which it was there."""
        about, shown = {"task_id": task_id}, one_line(task_id)
        _log.warning("nobody waits any more for %r: task %s", request.title, shown, extra=about)

    @staticmethod
    def abandoned(request: AddInstrumentalRequest) -> None:
        """Tell that a caller left while its submission was under way."""
        _log.warning("nobody waits any more for the submission of %r", request.title)

    def uncertain(
        self,
        request: AddInstrumentalRequest,
        error: SubmissionUncertain,
        cause: SunoError | None,
        attempt: int,
        seconds: float | None,
    ) -> None:
        """Tell that nobody knows what became of a submission."""
        self._counts.uncertain += 1
        code = cause.code if isinstance(cause, ApiError) else None
        _log.warning("%s", error, extra={"code": code, "attempt": attempt})
        if self._observers:
            self._observers.tell(Uncertain(request, error, attempt, seconds))

    def refused(
        self,
        request: AddInstrumentalRequest,
        error: SunoError,
        verdict: Verdict,
        attempt: int,
        seconds: float | None,
        retry_in_s: float | None,
        *,
        awaited: bool,
    ) -> None:
        """Tell of a sending that certainly created no task."""
        code = error.code if isinstance(error, ApiError) else None
        if code is not None:
            self._counts.refusals[code] += 1
        about = {"code": code, "attempt": attempt}
        if retry_in_s is not None:
            self._counts.retries += 1
            again = "not taken, %r again in %.1f s: %s"
            _log.info(again, request.title, retry_in_s, error, extra=about)
        elif not awaited:
            _log.warning(
                "the submission of %r was not taken: %s", request.title, error, extra=about
            )
        if self._observers:
            told = Refused(request, error, verdict.value, retry_in_s, attempt, seconds)
            self._observers.tell(told)

    @staticmethod
    def hook_failed(task_id: str, error: BaseException) -> None:
        """Tell that `on_submitted` failed for a task whose caller is gone."""
        about, shown = {"task_id": task_id}, one_line(task_id)
        _log.error("on_submitted failed for task %s", shown, exc_info=error, extra=about)

    @staticmethod
    def hook_cut_off(task_id: str) -> None:
        """Tell that `on_submitted` had no time to end."""
        about, shown = {"task_id": task_id}, one_line(task_id)
        _log.warning("on_submitted was cut off for task %s", shown, extra=about)

    @staticmethod
    def broke(error: BaseException) -> None:
        """Tell of a bug."""
        _log.error("a submission broke", exc_info=error)
