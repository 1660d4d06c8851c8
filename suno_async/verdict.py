"""What an answer, or its absence, proves: of a submission, of a look.

Tables without input or output. Where money is at stake, certainty has closed lists, and whatever
is in none of them is uncertain.
"""

from enum import Enum, StrEnum

from suno_async.errors import (
    ApiError,
    Maintenance,
    RateLimited,
    ServerError,
    SunoError,
    UnexpectedError,
)
from suno_async.refusals import speaks_of_credits

# seen: how the service says that it has no record of a task
_NO_RECORD = frozenset({404, 422})


class Verdict(StrEnum):
    """What is proved of one sending of a submission."""

    ACCEPTED = "accepted"
    NOT_SENT = "not sent"
    TOOK_NOTHING = "took nothing"
    REFUSED = "refused"
    UNCERTAIN = "uncertain"


# spec: 429, 455; upstream: 405 and 430 for calling too often
_TAKES_NOTHING = frozenset({405, 429, 430, 455})

# Of the codes 400 to 499 that refuse, these speak of time: the work may have been done.
_OF_TIME = frozenset({408, 425, 444, 460, 499})

# What gateways answer before they pass a request on. 422 is a framework's, whose validation comes
# before the service's own code (seen).
_PAGE_REFUSES = frozenset({400, 401, 403, 404, 405, 406, 411, 413, 414, 415, 422, 431, 451})


def judge_submission(
    *,
    sent: bool,
    http_status: int | None = None,
    code: int | None = None,
    message: str = "",
    task_id: str | None = None,
    repeat_server_errors: bool = False,
) -> Verdict:
    """Decide what is proved of one sending of a submission.

    Args:
        sent: Whether a byte of the body may have been handed to a connection.
        http_status: The answer's HTTP status; None when no answer came.
        code: The code of the service's envelope; None when the answer is something else.
        message: What the answer says.
        task_id: The task id in the answer, or that a callback to the submission's URL gave.
        repeat_server_errors: Whether the caller declares the service's own 500 to take nothing.
    """
    if task_id is not None:
        return Verdict.ACCEPTED
    verdict = Verdict.UNCERTAIN
    if http_status is not None and code is None:
        verdict = _judge_page(http_status, message)
    elif http_status is not None and code is not None:
        own_failure = code == 500 and http_status in {200, 500}
        if own_failure and repeat_server_errors:
            return Verdict.TOOK_NOTHING
        verdict = _judge_envelope(http_status, code, message)
    if verdict is Verdict.UNCERTAIN and not sent:
        return Verdict.NOT_SENT
    return verdict


def _judge_envelope(http_status: int, code: int, message: str) -> Verdict:
    # spec: the HTTP status is not the verdict; but one that speaks of time, of a redirect or of a
    # failure contradicts a refusal
    says_more = 200 <= http_status <= 299 or _refuses(http_status)
    if not says_more or not _refuses(code):
        return Verdict.UNCERTAIN
    if code in _TAKES_NOTHING and not _means_credits(code, message):
        return Verdict.TOOK_NOTHING
    return Verdict.REFUSED


def _judge_page(http_status: int, message: str) -> Verdict:
    if http_status == 429:
        return Verdict.REFUSED if speaks_of_credits(message) else Verdict.TOOK_NOTHING
    return Verdict.REFUSED if http_status in _PAGE_REFUSES else Verdict.UNCERTAIN


def _refuses(code: int) -> bool:
    return 400 <= code <= 499 and code not in _OF_TIME


def _means_credits(code: int, message: str) -> bool:
    return code == 429 and speaks_of_credits(message)


class Sight(Enum):
    """What a failed look at a task means."""

    TRANSIENT = "it says nothing about the task: look again later"
    NO_RECORD = "the service says that there is no record: a doubt, until it has persisted"
    REFUSED = "the look was refused: a doubt, until it has persisted"


def judge_look(error: SunoError) -> Sight:
    """Decide what a failed look at a task means; a single one never ends a watch.

    Only the service itself, in an envelope, can say that there is no record; 404 and 422 both say
    it (seen). Refusals, codes in no table, and what a caller's hook raises may be true or a lie of
    an overloaded gateway (seen): only persisting tells. A gateway's page, which is unreadable, is
    noise.
    """
    if isinstance(error, UnexpectedError):
        return Sight.REFUSED
    if not isinstance(error, ApiError):
        return Sight.TRANSIENT
    if isinstance(error, RateLimited | Maintenance | ServerError) or error.code in _OF_TIME:
        return Sight.TRANSIENT
    if error.code in _NO_RECORD and not error.gateway:
        return Sight.NO_RECORD
    return Sight.REFUSED


def is_transient(error: SunoError) -> bool:
    """Tell whether a call that costs nothing may be tried again after this error."""
    return judge_look(error) is Sight.TRANSIENT
