"""The errors: they travel between processes, and say what happened, to what, and what next."""

import copy
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from suno_async import (
    ApiError,
    AuthenticationError,
    Conflict,
    ConnectionFailed,
    ContentRejected,
    GenerationFailed,
    InsufficientCredits,
    InvalidRequest,
    Maintenance,
    NotFound,
    NotSubmitted,
    ProtocolError,
    RateLimited,
    ServerError,
    SessionClosed,
    SourceUnavailable,
    SubmissionUncertain,
    SunoError,
    TaskDetails,
    TaskError,
    TaskExpired,
    TaskNotFound,
    TaskStatus,
    Track,
    UnexpectedError,
    ValidationFailed,
    WatchTimeout,
    errors,
)
from suno_async.errors import AudioMissing, CallbackRejected
from suno_async.refusals import api_error

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

# every class of error, and words that its message must have
EXAMPLES: list[tuple[SunoError, tuple[str, ...]]] = [
    (SunoError(), ()),
    (InvalidRequest("title", "", "must be text"), ("title", "''", "must be text")),
    (ApiError(418, "a teapot", 200, "t1"), ("418", "a teapot", "t1")),
    (AuthenticationError(401, "no key", 200), ("401", "no key", "check the API key")),
    (InsufficientCredits(402, "no credits"), ("402", "no credits", "nothing was charged")),
    (NotSubmitted("credits"), ("not submitted", "could not pay", "nothing was charged")),
    (NotSubmitted("uncertainty"), ("not submitted", "uncertain", "nothing was charged")),
    (NotSubmitted("late"), ("not submitted", "within the time", "nothing was charged")),
    (api_error(499, "gone", 499, gateway=True), ("a gateway answered 499", "gone")),
    (NotFound(404, "nothing here", 404, "t1"), ("404", "nothing here", "t1")),
    (Conflict(409, "there already"), ("409", "there already")),
    (ValidationFailed(422, "tags: must be"), ("422", "tags: must be")),
    (RateLimited(429, "slowly", 200, None, timedelta(seconds=3)), ("429", "slowly", "in 3 s")),
    (RateLimited(430, "slowly"), ("430", "slowly", "later")),
    (SourceUnavailable(451, "no file"), ("451", "no file", "fetch the file")),
    (Maintenance(455, "later", 200, None, timedelta(hours=1)), ("455", "later")),
    (ServerError(500, "oops"), ("500", "oops")),
    (ConnectionFailed("refused", request_sent=False), ("no connection", "refused")),
    (ConnectionFailed("reset"), ("the connection broke", "reset")),
    (ProtocolError("not JSON", 502, "<html>" * 99), ("502", "not JSON", "<html>", "…")),
    (ProtocolError("not JSON", 200), ("200", "not JSON")),
    (
        SubmissionUncertain("Nocturne", "timed out", AT, timedelta(seconds=30)),
        ("'Nocturne'", "2026-01-02 03:04:05 UTC", "timed out", "30 s", "check the account"),
    ),
    (SubmissionUncertain("Nocturne", "timed out"), ("'Nocturne'", "may have been charged")),
    (
        SubmissionUncertain("Nocturne", "timed out", AT, task_id="t1"),
        ("'Nocturne'", "exists", "a callback named its task t1"),
    ),
    (CallbackRejected("not JSON"), ("not a callback", "not JSON")),
    (UnexpectedError("KeyError: 'x'"), ("KeyError: 'x'",)),
    (TaskError("t1"), ("t1",)),
    (
        GenerationFailed("t1", "GENERATE_AUDIO_FAILED", 531, "failed", refunded=True),
        ("t1", "GENERATE_AUDIO_FAILED", "531", "failed", "refunded"),
    ),
    (
        GenerationFailed("t1", "FAILED", tracks=(Track(id="a", audio_url="https://h/a"),)),
        ("t1", "FAILED", "finished tracks: 1"),
    ),
    (
        AudioMissing("t1", TaskDetails("t1", TaskStatus.SUCCESS, (Track(id="a"),))),
        ("t1", "no track has its audio", "re-attach"),
    ),
    (AudioMissing("t1"), ("t1", "no track has its audio")),
    (GenerationFailed("t1", "CALLBACK_EXCEPTION"), ("t1", "CALLBACK_EXCEPTION")),
    (ContentRejected("t1", "SENSITIVE_WORD_ERROR", "413", "a match"), ("t1", "413", "a match")),
    (TaskExpired("t1", AT), ("t1", "2026-01-02 03:04 UTC", "14 days")),
    (TaskExpired("t1"), ("t1", "14 days")),
    (TaskNotFound("t1"), ("t1", "check the id")),
    (WatchTimeout("t1", timedelta(minutes=2)), ("t1", "120 s", "re-attached")),
    (WatchTimeout("t1"), ("t1", "re-attached")),
    (SessionClosed("t1"), ("closed", "t1", "re-attached")),
    (SessionClosed(), ("the session is closed",)),
]
ERRORS = [error for error, _ in EXAMPLES]


def test_every_class_of_error_has_an_example() -> None:
    """The table above is complete, so that the tests below speak of all classes."""
    public = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, SunoError)
    }
    assert {type(error) for error in ERRORS} == public


@pytest.mark.parametrize(("error", "words"), EXAMPLES, ids=repr)
def test_a_message_says_what_happened_and_to_what(error: SunoError, words: tuple[str, ...]) -> None:
    """Every message names its facts, in one line."""
    assert all(word in str(error) for word in words), str(error)
    assert "\n" not in str(error)
    assert "None" not in str(error)


def facts(error: BaseException) -> dict[str, Any]:
    """List everything that an error carries."""
    return {**vars(error), "args": error.args, "str": str(error), "repr": repr(error)}


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_errors_can_be_pickled(error: SunoError, protocol: int) -> None:
    """An error crosses a process boundary with everything that it carries."""
    again = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - our own bytes
    assert type(again) is type(error)
    assert facts(again) == facts(error)


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_errors_can_be_copied(error: SunoError, duplicate: Any) -> None:
    """A copy carries the same and is another object."""
    again = duplicate(error)
    assert again is not error
    assert type(again) is type(error)
    assert facts(again) == facts(error)


def test_a_task_id_that_was_added_later_survives_pickling() -> None:
    """Invariant 2: an `ApiError` that ended a watch keeps its task id on the way."""
    error = api_error(401, "no key")
    error.task_id = "t1"
    assert pickle.loads(pickle.dumps(error)).task_id == "t1"  # noqa: S301 - our own bytes
    assert "t1" in str(error)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (InvalidRequest("a", 1, "b"), ValueError),
        (WatchTimeout("t1"), TimeoutError),
        (SessionClosed(), RuntimeError),
    ],
    ids=repr,
)
def test_some_errors_are_pythons_own_kinds_too(error: SunoError, builtin: type[Exception]) -> None:
    """Code that knows nothing of this library catches them by Python's names."""
    assert isinstance(error, builtin)


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_errors_are_told_apart_by_identity(error: SunoError) -> None:
    """As all exceptions, they can be put into sets and dictionaries."""
    assert {error: 1}[error] == 1
    assert copy.copy(error) != error


CLASSES = {
    400: ValidationFailed,
    401: AuthenticationError,
    402: InsufficientCredits,
    403: ApiError,
    404: NotFound,
    405: RateLimited,
    408: ApiError,
    409: Conflict,
    413: ValidationFailed,
    422: ValidationFailed,
    429: RateLimited,
    430: RateLimited,
    451: SourceUnavailable,
    455: Maintenance,
    499: ApiError,
    500: ServerError,
    505: ServerError,
    531: ServerError,
    599: ServerError,
    600: ApiError,
    0: ApiError,
    -5: ApiError,
    10**30: ApiError,
}


@pytest.mark.parametrize(("code", "cls"), CLASSES.items())
def test_codes_have_classes(code: int, cls: type[ApiError]) -> None:
    """The service's code decides about the class; one that is in no table is an error as well."""
    error = api_error(code, "text", 200, timedelta(seconds=5))
    assert type(error) is cls
    assert (error.code, error.message, error.http_status) == (code, "text", 200)
    assert error.task_id is None


# what a gateway means with a code of which the service has made something of its own
GATEWAYS = {
    **{code: cls for code, cls in CLASSES.items() if code not in {405, 430, 455}},
    **dict.fromkeys((402, 405, 430, 455), ApiError),
}


@pytest.mark.parametrize(("status", "cls"), GATEWAYS.items())
def test_a_gateways_status_does_not_speak_for_the_service(status: int, cls: type[ApiError]) -> None:
    """A 405 page is a wrong address, and no limit; a 429 page is one."""
    error = api_error(status, "text", status, gateway=True)
    assert type(error) is cls
    assert error.gateway


CREDITS = [
    "Your balance is not enough to run this request",
    "insufficient credits",
    "Insufficient Credit.",
    "Not enough funds, please top up",
    "please top-up",
    "please recharge",
    "payment required",
    "Недостаточно средств",
    "Недостаточно кредитов",
    "余额不足",
    "積分不足",
]
LIMITS = [
    "Too many requests",
    "rate limit exceeded",
    "called too often, slow down",
    "load balancer is busy",
    "accredited users only",
    "",
]


@pytest.mark.parametrize("gateway", [False, True])
def test_a_429_that_speaks_of_credits_is_about_credits(*, gateway: bool) -> None:
    """Upstream says 429 for missing credits as well: the text tells the two apart."""
    kinds = {text: type(api_error(429, text, 200, gateway=gateway)) for text in CREDITS + LIMITS}
    assert {text for text, kind in kinds.items() if kind is InsufficientCredits} == set(CREDITS)
    assert {kinds[text] for text in LIMITS} == {RateLimited}


@pytest.mark.parametrize("code", [405, 430, 455, 500])
def test_other_codes_are_not_about_credits_whatever_they_say(code: int) -> None:
    """Only 429 has two meanings."""
    assert type(api_error(code, CREDITS[0], 200)) is CLASSES[code]


@pytest.mark.parametrize("code", [405, 429, 430, 455, 500, 503])
def test_who_says_later_says_when(code: int) -> None:
    """A Retry-After is kept with every code that can come with one."""
    error = api_error(code, "", 200, timedelta(seconds=5))
    assert isinstance(error, RateLimited | Maintenance | ServerError)
    assert error.retry_after == timedelta(seconds=5)


def test_a_long_value_is_cut_in_the_message() -> None:
    """An error about a megabyte of text is not a megabyte long."""
    error = InvalidRequest("title", "x" * 10**6, "must be short")
    assert len(str(error)) < 200
    assert len(error.value) == 10**6


def test_what_is_given_by_name_alone_is_copied_too() -> None:
    """Several readers raise copies of one error."""
    error = api_error(401, "who?", 401, gateway=True)
    for again in (copy.copy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301 - our own bytes
        assert facts(again) == facts(error)
        assert again.gateway
