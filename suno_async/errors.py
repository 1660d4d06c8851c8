"""What can go wrong, as a tree of exceptions that carry what a caller needs to act on."""

import pickle  # nosec B403 # of what was pickled here
from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from attrs import define, field

if TYPE_CHECKING:  # the models import this module
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

    from suno_async.models import TaskDetails, Track


@define(slots=False)
class SunoError(Exception):
    """The root of all errors of this library; they can be copied and pickled.

    A copy has the same attributes, notes and `__cause__`. So has a pickled one; but a cause that
    is neither of this library nor Python's own becomes an `UnexpectedError` that names its class
    and what it said: what else it holds may be anything, secrets too.

    What the service said stays in their attributes as it was; their text is one printable line, for
    terminals and logs.
    """

    def __str__(self) -> str:
        return one_line(self._sentence())

    def _sentence(self) -> str:
        return super().__str__()

    def __reduce__(self) -> tuple[Any, ...]:
        made = super().__reduce__()
        assert isinstance(made, tuple)  # noqa: S101 - what Python makes of every exception
        cause = self.__cause__
        state = dict(vars(self)) if cause is None else {**vars(self), "__cause__": _sent(cause)}
        return *made[:2], state

    def __copy__(self) -> Self:
        again = self._like(vars(self))
        again.__cause__ = self.__cause__
        return again

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        again = self._like(deepcopy(vars(self), memo))
        cause = self.__cause__
        again.__cause__ = deepcopy(cause, memo) if isinstance(cause, SunoError) else cause
        return again

    def _like(self, state: Mapping[str, Any]) -> Self:
        again = type(self)(*self.args)
        vars(again).update(state)
        return again

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _: object, handler: "GetCoreSchemaHandler"
    ) -> "CoreSchema":
        # pydantic alone calls it: nobody else needs to have it
        from suno_async.schemas import schema_of_error

        return schema_of_error(cls)


@define(slots=False)
class InvalidRequest(SunoError, ValueError):
    """A value that the service would refuse; raised before anything is sent.

    Attributes:
        field: The name of the argument, such as `style_weight`.
        value: What was given.
        rule: What it has to be, as the end of a sentence: "must be …".
    """

    field: str
    value: Any
    rule: str

    def _sentence(self) -> str:
        return f"{self.field} {self.rule}, not {_shortened(_shown(self.value))}"


@define(slots=False)
class ApiError(SunoError):
    """The service answered, and the answer is no.

    Attributes:
        code: The service's code, from the body; the HTTP status when the body had none.
        message: What the service said.
        http_status: The status of the HTTP answer, often 200 for an error too.
        task_id: The task whose watch ended with this error, or None.
        gateway: True when something between here and the service answered in its place.
    """

    code: int
    message: str
    http_status: int | None = None
    task_id: str | None = None
    # no argument, so that a copy is made of the positional ones that an exception keeps
    gateway: bool = field(default=False, init=False)

    def _sentence(self) -> str:
        about = f" (task {self.task_id})" if self.task_id else ""
        who = "a gateway" if self.gateway else "the service"
        return f"{who} answered {self.code}: {self.message}{about}{_advice(self)}"


@define(slots=False)
class AuthenticationError(ApiError):
    """401: the API key is missing or not valid."""


@define(slots=False)
class InsufficientCredits(ApiError):
    """402, or a 429 that speaks of credits: the account cannot pay; nothing was charged."""


@define(slots=False)
class NotSubmitted(SunoError):
    """This request was given up before it was sent: certainly nothing was charged for it.

    The error that led to it is the `__cause__`, if there is one.

    Attributes:
        reason: Of a batch that stopped submitting: `credits` when the account could not pay for an
            earlier request, `uncertainty` when too many submissions in a row were uncertain. Of a
            single submission: `late` when it could not be sent in time.
    """

    reason: str

    def _sentence(self) -> str:
        why = _WHY_NOT_SUBMITTED.get(self.reason, self.reason)
        return f"not submitted: {why}; nothing was charged for it"


@define(slots=False)
class NotFound(ApiError):
    """404: there is no such resource."""


@define(slots=False)
class Conflict(ApiError):
    """409: the service says that it has this already."""


@define(slots=False)
class ValidationFailed(ApiError):
    """400, 413 or 422: the service refused a parameter."""


@define(slots=False)
class RateLimited(ApiError):
    """429, or the service's own 430 or 405: called too often; nothing was taken.

    Attributes:
        retry_after: How long the service asked to wait, or None when it did not say.
    """

    retry_after: timedelta | None = None


@define(slots=False)
class SourceUnavailable(ApiError):
    """451: the service could not fetch the file at `upload_url`."""


@define(slots=False)
class Maintenance(ApiError):
    """455: the service is under maintenance and took nothing.

    Attributes:
        retry_after: How long the service asked to wait, or None when it did not say.
    """

    retry_after: timedelta | None = None


@define(slots=False)
class ServerError(ApiError):
    """500 and above: the service failed.

    Attributes:
        retry_after: How long the service asked to wait, or None when it did not say.
    """

    retry_after: timedelta | None = None


@define(slots=False)
class ConnectionFailed(SunoError):
    """The network failed before an answer was read.

    Attributes:
        reason: What the network said.
        request_sent: False when the connection was never established, so that the service
            certainly saw nothing; True when it may have seen the request.
    """

    reason: str
    request_sent: bool = True

    def _sentence(self) -> str:
        how = "the connection broke" if self.request_sent else "no connection to the service"
        return f"{how}: {self.reason}"


@define(slots=False)
class ProtocolError(SunoError):
    """An answer that is not the service's: no envelope, or one without what it must hold.

    Attributes:
        reason: What is wrong with it.
        http_status: The status of the HTTP answer.
        excerpt: The beginning of the body.
        retry_after: How long a gateway asked to wait, or None when it did not say.
    """

    reason: str
    http_status: int | None = None
    excerpt: str = ""
    retry_after: timedelta | None = None

    def _sentence(self) -> str:
        seen = f", which begins {_shortened(self.excerpt)!r}" if self.excerpt else ""
        return f"unreadable answer (HTTP {self.http_status}): {self.reason}{seen}"


@define(slots=False)
class CallbackRejected(SunoError):
    """What was posted to a callback URL is not a callback, or not proved to be the service's.

    Attributes:
        reason: What is wrong with it.
        unsigned: True when it is the signature: missing, wrong, too old, or used before.
    """

    reason: str
    unsigned: bool = False

    def _sentence(self) -> str:
        return f"not a callback of the service: {self.reason}"


@define(slots=False)
class SubmissionUncertain(SunoError):
    """The request was sent and no answer says what became of it: it may have been charged.

    It is never sent again by itself. Look into the account's history before submitting again.

    Attributes:
        title: The title of the request.
        reason: What happened to the answer.
        sent_at: When the request was sent (aware, UTC), to find the task in the account's history.
        waited: How long a callback was waited for that would have proved the task; None without
            a receiver.
        task_id: The task, once a callback told it after all; None while nobody knows.
    """

    title: str
    reason: str
    sent_at: datetime | None = None
    waited: timedelta | None = None
    task_id: str | None = None

    def _sentence(self) -> str:
        waited = (
            f"; no callback proved it within {self.waited.total_seconds():g} s"
            if self.waited is not None
            else ""
        )
        when = f" at {self.sent_at:%Y-%m-%d %H:%M:%S} UTC" if self.sent_at else ""
        if self.task_id is not None:
            found = f"exists: a callback named its task {self.task_id}"
            return f"the submission of {self.title!r}{when} {found}"
        return (
            f"the submission of {self.title!r}{when} may exist and may have been charged: "
            f"{self.reason}{waited}; it was not repeated, check the account before you do"
        )


@define(slots=False)
class UnexpectedError(SunoError):
    """Something failed that nobody foresaw; the exception itself is the `__cause__`.

    Attributes:
        reason: What it said, with the name of its class.
    """

    reason: str

    def _sentence(self) -> str:
        return self.reason


@define(slots=False)
class TaskError(SunoError):
    """A paid task came to no good end.

    Attributes:
        task_id: The service's name for the task; keep it to ask support, or to re-attach.
    """

    task_id: str

    def _sentence(self) -> str:
        return f"task {self.task_id} failed"


@define(slots=False)
class GenerationFailed(TaskError):
    """The service gave up on the task.

    Attributes:
        status: The service's last word, such as `GENERATE_AUDIO_FAILED`.
        error_code: Its code, such as 413 when the uploaded audio matches an existing work.
        error_message: Its explanation.
        refunded: True when the service says that the credits are back (531): safe to submit again.
        tracks: The tracks that were finished all the same: they have their audio.
    """

    status: str
    error_code: int | str | None = None
    error_message: str | None = None
    refunded: bool = False
    tracks: "tuple[Track, ...]" = ()

    def _sentence(self) -> str:
        code = f" {self.error_code}" if self.error_code is not None else ""
        why = f": {self.error_message}" if self.error_message else ""
        refund = "; the credits were refunded" if self.refunded else ""
        saved = f"; finished tracks: {len(self.tracks)}" if self.tracks else ""
        return f"task {self.task_id} ended as {self.status}{code}{why}{refund}{saved}"


@define(slots=False)
class ContentRejected(GenerationFailed):
    """The content was refused: by the word filter, or because it matches a protected work."""


@define(slots=False)
class AudioMissing(TaskError):
    """The service calls the task complete, and for ten minutes of looks no track had its audio.

    Attributes:
        details: The last answer about the task, or None.
    """

    details: "TaskDetails | None" = None

    def _sentence(self) -> str:
        return (
            f"task {self.task_id} is called complete, but no track has its audio; "
            "re-attach to it later, or show its id to the service's support"
        )


@define(slots=False)
class TaskExpired(TaskError):
    """The service has deleted the task: results are kept for 14 days.

    Attributes:
        expired_at: When it was deleted (aware, UTC).
    """

    expired_at: datetime | None = None

    def _sentence(self) -> str:
        when = f" on {self.expired_at:%Y-%m-%d %H:%M} UTC" if self.expired_at else ""
        return f"task {self.task_id} expired{when}: the service keeps results for 14 days"


@define(slots=False)
class TaskNotFound(TaskError):
    """The service does not know the task."""

    def _sentence(self) -> str:
        return f"the service does not know task {self.task_id}: check the id and the account"


@define(slots=False)
class WatchTimeout(TaskError, TimeoutError):
    """The caller's own time-out ended; the task goes on at the service and can be re-attached.

    Attributes:
        timeout: How long was waited.
    """

    timeout: timedelta | None = None

    def _sentence(self) -> str:
        waited = f" after {self.timeout.total_seconds():g} s" if self.timeout is not None else ""
        return f"task {self.task_id} was not complete{waited}; it goes on and can be re-attached"


@define(slots=False)
class SessionClosed(SunoError, RuntimeError):
    """The session was left while this was under way.

    Attributes:
        task_id: The task that goes on at the service and can be re-attached, or None.
    """

    task_id: str | None = None

    def _sentence(self) -> str:
        task = f"; task {self.task_id} goes on and can be re-attached" if self.task_id else ""
        return f"the session is closed{task}"


_WHY_NOT_SUBMITTED = {
    "credits": "the account could not pay for an earlier request of the batch",
    "uncertainty": "too many submissions of the batch in a row were uncertain",
    "late": "it could not be sent within the time that its caller set",
}

# what a caller can do next
_ADVICE: dict[type[ApiError], str] = {
    AuthenticationError: "check the API key",
    InsufficientCredits: "nothing was charged, top the account up",
    ValidationFailed: "correct what it names before asking again",
    RateLimited: "it took nothing, ask again",
    SourceUnavailable: "check that the service can fetch the file",
    Maintenance: "it took nothing, ask again",
}


def _advice(error: ApiError) -> str:
    advice = _ADVICE.get(type(error), "")
    if isinstance(error, RateLimited | Maintenance):
        waited = error.retry_after
        advice += " later" if waited is None else f" in {waited.total_seconds():g} s"
    return advice and f"; {advice}"


def one_line(text: str) -> str:
    """Escape what could move a cursor, talk to a terminal, or begin another line of a log."""
    if text.isprintable():
        return text
    return "".join(ch if ch.isprintable() else ch.encode("unicode_escape").decode() for ch in text)


def _sent(cause: BaseException) -> BaseException:
    """Give a cause in the form in which it is pickled."""
    if isinstance(cause, SunoError):
        return cause
    if type(cause).__module__ == "builtins":
        with suppress(Exception):  # what it holds may be anybody's
            again = pickle.loads(pickle.dumps(cause))  # noqa: S301 # nosec B301 # made here
            if type(again) is type(cause):
                return cause
    return UnexpectedError(described(cause))


def described(error: BaseException) -> str:
    """Write an exception's class, and what it says, in one line; never raises."""
    return f"{type(error).__name__}: {said(error)}"


def said(error: BaseException) -> str:
    """Write what an exception says, as far as its own method works; never raises."""
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001 - it is anybody's class
        return f"<no text: {type(failure).__name__}>"


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - it is anybody's class, or a number of 5,000 digits
        return f"<{type(value).__name__} without a repr: {type(error).__name__}>"


def _shortened(text: str, limit: int = 120) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
