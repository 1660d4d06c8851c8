"""Our own JSON: what is stored comes back equal, and no text raises anything but ours."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_async import (
    AddInstrumentalRequest,
    BatchProgress,
    InvalidRequest,
    Model,
    Outcome,
    Stage,
    StageEvent,
    SubmissionUncertain,
    SunoError,
    TaskDetails,
    TaskError,
    Track,
    VocalGender,
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
TIMES = st.datetimes(timezones=st.just(UTC))


@given(REQUESTS)
def test_requests_round_trip(request: AddInstrumentalRequest) -> None:
    """A stored request is the request."""
    assert from_json(to_json(request), AddInstrumentalRequest) == request


@given(DATA, st.sampled_from(Stage), TIMES, st.booleans())
def test_events_round_trip(data: Any, stage: Stage, at: datetime, inferred: bool) -> None:
    """A stored event is the event, with its details and its time to the microsecond."""
    found = read_details(answer(data), "t1")
    assert found is not None
    event = StageEvent(stage, "t1", found.tracks, found, at, inferred)
    again = from_json(to_json(event), StageEvent)
    assert again == event
    assert again.observed_at.tzinfo is not None


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
    progress = BatchProgress(0, "t1", Stage.TEXT, None, 1, 1, 0, 0)
    assert from_json(to_json(outcome), Outcome) == outcome
    assert from_json(to_json(progress), BatchProgress) == progress
    assert from_json(to_json(IRON_MAN), Track) == IRON_MAN


def test_json_is_one_line() -> None:
    """It fits into a line of a file."""
    text = to_json(song(title="a\nb"))
    assert "\n" not in text
    assert from_json(text.encode(), AddInstrumentalRequest).title == "a\nb"


CLASSES = [AddInstrumentalRequest, TaskDetails, StageEvent, Outcome, BatchProgress, SunoError]


@pytest.mark.parametrize("cls", CLASSES)
@given(value=JSON | st.dictionaries(st.sampled_from(["error", "task_id", "status", "x"]), JSON))
def test_other_json_is_refused(cls: type[Any], value: Any) -> None:
    """`from_json` gives a value of the class or raises `InvalidRequest`."""
    with suppress(InvalidRequest):
        assert isinstance(from_json(json.dumps(value), cls), cls)


@pytest.mark.parametrize("text", ["", "{", b"\xff", "[" * 100_000, '{"error": "Exception"}', "{}"])
@pytest.mark.parametrize("cls", CLASSES)
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
