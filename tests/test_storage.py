"""Our own JSON: what is stored comes back equal, and no text raises anything but ours."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from math import inf
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from suno_async import (
    AddInstrumentalRequest,
    BatchProgress,
    CallbackNotice,
    InvalidRequest,
    Model,
    Outcome,
    RateLimited,
    Stage,
    StageEvent,
    SubmissionUncertain,
    SunoError,
    TaskDetails,
    TaskError,
    TaskStatus,
    Track,
    VocalGender,
    WatchTimeout,
    errors,
    from_json,
    to_json,
)
from suno_async.wire import read_details

from .test_errors import ERRORS
from .test_wire import AT, CAMEL, DATA, IRON_MAN, JSON, SNAKE, answer, details
from .world import song

TEXT = st.text(min_size=1).filter(str.strip)
WEIGHT = st.none() | st.integers(0, 100).map(lambda n: n / 100)
REQUESTS = st.builds(
    song,
    title=TEXT,
    tags=TEXT,
    negative_tags=TEXT,
    model=st.none() | st.sampled_from(Model),
    vocal_gender=st.none() | st.sampled_from(VocalGender),
    style_weight=WEIGHT,
    audio_weight=WEIGHT,
    callback_url=st.none() | st.just("https://h/"),
)
OFFSETS = st.integers(-86_399, 86_399).map(lambda seconds: timedelta(seconds=seconds))


@given(REQUESTS)
def test_requests_round_trip(request: AddInstrumentalRequest) -> None:
    """A stored request is the request."""
    assert from_json(to_json(request), AddInstrumentalRequest) == request


TIMES = st.datetimes() | st.datetimes(timezones=st.just(UTC) | OFFSETS.map(timezone))
NUMBERS = st.integers() | st.floats(allow_nan=False)
URLS = st.none() | st.text()
TRACKS = st.builds(
    Track,
    *[URLS] * 8,
    create_time=st.none() | TIMES,
    duration=st.none() | NUMBERS,
    source_audio_url=URLS,
    source_stream_audio_url=URLS,
    source_image_url=URLS,
)
LISTS_OF_TRACKS = st.lists(TRACKS, max_size=2).map(tuple)
STORED_DETAILS = st.builds(
    TaskDetails,
    st.text(),
    st.sampled_from(TaskStatus) | st.sampled_from(["PENDING", "pending"]) | st.text(),
    LISTS_OF_TRACKS,
    st.none() | st.integers() | st.text() | st.just(10**50) | st.just("531"),
    raw=st.dictionaries(st.text(), JSON),
)
EVENTS = st.builds(
    StageEvent,
    st.sampled_from(Stage),
    st.text(),
    LISTS_OF_TRACKS,
    STORED_DETAILS,
    TIMES,
    st.booleans(),
)
NOTICES = st.builds(
    CallbackNotice,
    st.text(),
    st.text(),
    st.integers(),
    st.none() | st.text(),
    LISTS_OF_TRACKS,
    st.none() | st.text(),
    st.dictionaries(st.text(), JSON),
)
BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    Any: JSON,
    str: st.text(),
    str | None: st.none() | st.text(),
    bool: st.booleans(),
    int: st.integers() | st.just(10**50),
    int | None: st.none() | st.integers(),
    int | str | None: st.none() | st.integers() | st.text(),
    datetime | None: st.none() | TIMES,
    timedelta | None: st.none() | st.timedeltas() | st.just(timedelta.max),
    "tuple[Track, ...]": LISTS_OF_TRACKS,
    "TaskDetails | None": st.none() | STORED_DETAILS,
}


def errors_of(cls: type[SunoError]) -> st.SearchStrategy[SunoError]:
    """Make errors of a class, with all that they carry, also what is told them later."""

    def make(told: dict[str, Any], later: dict[str, Any]) -> SunoError:
        error = cls(**told)
        for name, value in later.items():
            setattr(error, name, value)
        return error

    first, later = (
        st.fixed_dictionaries(
            {a.name: BY_TYPE[a.type] for a in attrs.fields(cls) if a.init is init}
        )
        for init in (True, False)
    )
    return st.builds(make, first, later)


ANY_ERROR = st.one_of(
    [
        errors_of(cls)
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, SunoError)
    ]
)
OUTCOMES = st.builds(
    Outcome,
    st.integers(),
    REQUESTS,
    st.none() | st.text(),
    st.none() | STORED_DETAILS,
    st.none() | ANY_ERROR,
)
PROGRESS = st.builds(
    BatchProgress,
    st.integers(),
    REQUESTS,
    st.none() | st.text(),
    st.none() | TIMES,
    st.none() | st.sampled_from(Stage),
    st.none() | st.integers(),
    *[st.integers()] * 4,
)
VALUES = st.one_of(REQUESTS, TRACKS, STORED_DETAILS, EVENTS, NOTICES, OUTCOMES, PROGRESS, ANY_ERROR)


def told(value: Any) -> Any:
    """Give a value for comparison: errors themselves are told apart by identity."""
    return vars(value) if isinstance(value, SunoError) else value


@given(VALUES)
@settings(suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault
def test_what_is_stored_comes_back_equal(value: Any) -> None:
    """Every public value and error, with the classes of what it holds."""
    again = from_json(to_json(value), type(value))
    assert type(again) is type(value)
    assert told(again) == told(value)


@given(DATA, st.sampled_from(Stage), TIMES, st.booleans())
def test_events_round_trip(data: Any, stage: Stage, at: datetime, inferred: bool) -> None:
    """A stored event is the event, with whatever its details were and its time."""
    found = read_details(answer(data), "t1")
    assert found is not None
    event = StageEvent(stage, "t1", found.tracks, found, at, inferred)
    again = from_json(to_json(event), StageEvent)
    assert again == event
    assert again.stage is stage
    assert type(again.details.status) is type(found.status)
    assert (again.observed_at.tzinfo is None) == (at.tzinfo is None)


@pytest.mark.parametrize("status", [*TaskStatus, "PENDING", "REMASTERING"])
def test_a_status_is_a_member_again(status: TaskStatus | str) -> None:
    """A documented status is a member, however it was given; another one stays text."""
    again = from_json(to_json(TaskDetails("t1", status)), TaskDetails).status
    assert again == status
    assert isinstance(again, TaskStatus) == (status in set(TaskStatus))


@pytest.mark.parametrize("code", [531, "531", "E_NEW", 10**50, -1, None])
def test_an_error_code_keeps_its_form(code: int | str | None) -> None:
    """Text stays text, and a huge number does not become a float."""
    again = from_json(to_json(TaskDetails("t1", "FAILED", error_code=code)), TaskDetails)
    assert again.error_code == code
    assert type(again.error_code) is type(code)


@pytest.mark.parametrize(
    "waited",
    [
        timedelta.max,
        timedelta.min,
        timedelta(0),
        timedelta(microseconds=1),
        timedelta(days=-1, microseconds=1),
        timedelta(days=400_000, microseconds=1),
    ],
    ids=repr,
)
def test_durations_are_exact(waited: timedelta) -> None:
    """To the microsecond, also where a float of seconds is not."""
    assert from_json(to_json(WatchTimeout("t1", waited)), WatchTimeout).timeout == waited


@pytest.mark.parametrize("duration", [inf, -inf, 0.1, 10**400])
def test_numbers_that_json_lacks_are_words(duration: float) -> None:
    """Infinity is stored, and the text is JSON all the same."""
    text = to_json(Track(duration=duration))
    json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert from_json(text, Track).duration == duration


def nested(levels: int) -> dict[str, Any]:
    """Put objects into one another."""
    innermost: dict[str, Any] = {}
    for _ in range(levels):
        innermost = {"a": innermost}
    return innermost


def test_raw_is_stored_as_far_as_it_can_be_read_back() -> None:
    """What is nested absurdly deep is left out; the value that has it is stored."""
    found = TaskDetails("t1", "SUCCESS", raw={"new": [1, None, inf], "x": nested(50)})
    again = from_json(to_json(found), TaskDetails)
    assert again.raw == {"new": [1, None, None], "x": nested(50)}
    deep = TaskDetails("t1", "SUCCESS", raw=nested(900))
    assert from_json(to_json(deep), TaskDetails) == deep
    odd = TaskDetails("t1", "SUCCESS", raw={"x": (1, b"x"), 7: {1}})  # type: ignore[dict-item]  # as a caller without types may do
    assert from_json(to_json(odd), TaskDetails).raw == {"x": [1, "b'x'"], "7": "{1}"}


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_outcomes_round_trip_with_every_error(error: SunoError) -> None:
    """A stored outcome has its error again, with its class and all that it carried."""
    outcome = Outcome(3, song(), "t1", None, error)
    again = from_json(to_json(outcome), Outcome)
    assert again == outcome
    assert type(again.error) is type(error)
    assert vars(again.error) == vars(error)


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_errors_round_trip_by_themselves(error: SunoError) -> None:
    """An error can be stored alone, and read back without knowing its class."""
    again = from_json(to_json(error), SunoError)
    assert repr(again) == repr(error)


def test_a_cause_is_stored_by_itself() -> None:
    """What Python hangs on to an error is not in its JSON, and is not missed when it is read."""
    error = SubmissionUncertain("Nocturne", "HTTP 502")
    error.__cause__ = RateLimited(429, "slowly", 200, None, timedelta(seconds=3))
    error.add_note("seen on Monday")
    again = from_json(to_json(error), SubmissionUncertain)
    assert (again.title, again.reason) == (error.title, error.reason)
    assert again.__cause__ is None
    assert not hasattr(again, "__notes__")
    cause = from_json(to_json(error.__cause__), SunoError)
    assert isinstance(cause, RateLimited)
    assert vars(cause) == vars(error.__cause__)


class Odd:
    """Somebody's class that cannot even be shown."""

    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (7, 7),
        (2**80, 2**80),
        ("\ud800", "\ud800"),
        ([1], [1]),
        ((1,), "(1,)"),
        (b"x", "b'x'"),
        (None, None),
    ],
    ids=ascii,
)
def test_a_refused_value_can_be_stored(value: Any, stored: Any) -> None:
    """Whatever was refused, the outcome can be written; what JSON cannot hold is its repr."""
    outcome = Outcome(0, song(), error=InvalidRequest("title", value, "must be text"))
    again = from_json(to_json(outcome), Outcome).error
    assert isinstance(again, InvalidRequest)
    assert again.value == stored


@pytest.mark.parametrize("text", ['{"error":"NotFound","code":404,"message":"x"}', "null", "{}"])
def test_an_error_of_another_class_is_refused(text: str) -> None:
    """Who asks for a `TaskError` gets one, or is told that there is none."""
    with pytest.raises(InvalidRequest):
        from_json(text, TaskError)


def test_a_finished_outcome_and_progress_round_trip() -> None:
    """The other values can be stored as well."""
    outcome = Outcome(0, song(), "t1", details(response={"sunoData": [CAMEL, SNAKE]}))
    progress = BatchProgress(0, song(), "t1", AT, Stage.TEXT, None, 1, 1, 0, 0)
    assert from_json(to_json(outcome), Outcome) == outcome
    assert from_json(to_json(progress), BatchProgress) == progress
    assert from_json(to_json(IRON_MAN), Track) == IRON_MAN


def test_json_is_one_line() -> None:
    """It fits into a line of a file."""
    text = to_json(song(title="a\nb"))
    assert "\n" not in text
    assert from_json(text.encode(), AddInstrumentalRequest).title == "a\nb"


CLASSES = [
    AddInstrumentalRequest,
    BatchProgress,
    CallbackNotice,
    Outcome,
    Stage,
    StageEvent,
    SunoError,
    TaskDetails,
    Track,
    WatchTimeout,
]


@pytest.mark.parametrize("cls", CLASSES)
@given(text=JSON.map(json.dumps) | st.text() | st.binary())
def test_other_text_is_refused(cls: type[Any], text: str | bytes) -> None:
    """`from_json` gives a value of the class or raises `InvalidRequest`."""
    with suppress(InvalidRequest):
        assert isinstance(from_json(text, cls), cls)


def changed(value: Any, path: list[int], new: Any) -> Any:
    """Put something else at a place in JSON."""
    if not path or not isinstance(value, dict | list) or not value:
        return new
    places = list(value) if isinstance(value, dict) else list(range(len(value)))
    at = places[path[0] % len(places)]
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    items = [(key, changed(item, path[1:], new) if key == at else item) for key, item in pairs]
    return dict(items) if isinstance(value, dict) else [item for _, item in items]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(VALUES, st.lists(st.integers(0, 20), max_size=5), JSON)
def test_damaged_values_are_refused_or_values(value: Any, path: list[int], new: Any) -> None:
    """Whatever changed in what was stored: a value of the class, or `InvalidRequest`."""
    damaged = json.dumps(changed(json.loads(to_json(value)), path, new))
    cls = SunoError if isinstance(value, SunoError) else type(value)
    with suppress(InvalidRequest):
        again = from_json(damaged, cls)
        assert isinstance(again, cls)
        assert told(from_json(to_json(again), type(again))) == told(again)


@pytest.mark.parametrize(
    ("text", "cls"),
    [
        ("[]", Track),
        ('"id"', Track),
        ("null", Track),
        ('{"id": 7}', Track),
        ('{"duration": true}', Track),
        ('{"duration": "much"}', Track),
        ('{"create_time": 7}', Track),
        ('{"task_id": null, "status": "x"}', TaskDetails),
        ('{"task_id": "t", "status": 7}', TaskDetails),
        ('{"task_id": "t", "status": "x", "error_code": 7.5}', TaskDetails),
        ('{"task_id": "t", "status": "x", "raw": []}', TaskDetails),
        ('{"error": "WatchTimeout", "task_id": "t", "timeout": 1e300}', WatchTimeout),
        ('{"error": "WatchTimeout", "task_id": "t", "timeout": [1]}', WatchTimeout),
        ('{"error": "WatchTimeout", "task_id": "t", "timeout": [1e300, 0, 0]}', WatchTimeout),
        ('{"error": "WatchTimeout", "task_id": "t", "timeout": NaN}', WatchTimeout),
        ('{"error": "WatchTimeout", "task_id": "t", "timeout": "nan"}', WatchTimeout),
        ('{"error": "WatchTimeout", "task_id": "t", "new": 1}', WatchTimeout),
        ('{"error": []}', SunoError),
        ("[[]]", SunoError),
        ("9" * 5000, Track),
        ('{"id":' * 900 + "1" + "}" * 900, Track),
        ('{"task_id":"t","status":"x","raw":' + '{"a":' * 10_000, TaskDetails),
        ("{}", object),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else value[:50],
)
def test_a_text_raises_nothing_else(text: str, cls: type[Any]) -> None:
    """JSON of the wrong shape, absurd numbers and absurd depth are `InvalidRequest`."""
    with pytest.raises(InvalidRequest, match="must be the JSON of"):
        from_json(text, cls)


@pytest.mark.parametrize("text", ["", "{", b"\xff", "[" * 100_000, '{"error": "Exception"}', "{}"])
@pytest.mark.parametrize("cls", [cls for cls in CLASSES if cls is not Track])
def test_what_is_no_value_is_refused(text: str | bytes, cls: type[Any]) -> None:
    """Broken JSON, JSON of something else and JSON of a foreign class are `InvalidRequest`."""
    with pytest.raises(InvalidRequest):
        from_json(text, cls)


def test_a_stored_request_is_checked() -> None:
    """A request that was changed on the disk is checked when it is read."""
    stored = json.loads(to_json(song()))
    with pytest.raises(InvalidRequest, match="title"):
        from_json(json.dumps({**stored, "title": ""}), AddInstrumentalRequest)
    with pytest.raises(InvalidRequest, match="tempo is not a field of a request"):
        from_json(json.dumps({**stored, "tempo": 7}), AddInstrumentalRequest)
    del stored["tags"]
    with pytest.raises(InvalidRequest, match="tags is required"):
        from_json(json.dumps(stored), AddInstrumentalRequest)


def test_an_uncertain_submission_keeps_its_time() -> None:
    """What is needed to find the task in the account's history survives storage."""
    error = SubmissionUncertain("Nocturne", "reset", AT, timedelta(seconds=30))
    outcome = from_json(to_json(Outcome(0, song(), error=error)), Outcome)
    assert isinstance(outcome.error, SubmissionUncertain)
    assert (outcome.error.sent_at, outcome.error.waited) == (AT, timedelta(seconds=30))
