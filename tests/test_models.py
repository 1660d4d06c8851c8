"""The vocabulary: what a request may hold, and what an answer proves."""

import copy
import pickle
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve
from attrs.exceptions import FrozenInstanceError
from hypothesis import given
from hypothesis import strategies as st

from suno_async import (
    BatchProgress,
    InvalidRequest,
    Model,
    Outcome,
    Stage,
    StageEvent,
    TaskDetails,
    TaskStatus,
    Track,
    VocalGender,
)

from .world import song

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
WEIGHTS = ("style_weight", "weirdness_constraint", "audio_weight")


class Tempo(float):
    """A kind of float of somebody else's, like numpy's."""


@pytest.mark.parametrize("field", ["title", "tags"])
@pytest.mark.parametrize("value", ["", " ", "\t\n", None, 7, b"x", ["x"], "\ud800"], ids=repr)
def test_text_must_be_text_that_is_not_blank(field: str, value: Any) -> None:
    """A text that the service would refuse is refused here, with field, value and rule."""
    with pytest.raises(InvalidRequest) as raised:
        song(**{field: value})
    assert raised.value.field == field
    assert raised.value.value == value
    assert raised.value.rule.startswith("must be text")


@pytest.mark.parametrize("value", ["", " ", "jazz, Größe"])
def test_negative_tags_may_be_empty(value: str) -> None:
    """The specification sets no least length: nothing to exclude is legal."""
    assert song(negative_tags=value).negative_tags == value


@pytest.mark.parametrize("value", [None, 7, b"x", ["x"], "\ud800"], ids=repr)
def test_negative_tags_must_be_text(value: Any) -> None:
    """What is no text is refused all the same."""
    with pytest.raises(InvalidRequest, match="negative_tags must be text"):
        song(negative_tags=value)


@pytest.mark.parametrize("field", ["upload_url", "callback_url"])
@pytest.mark.parametrize(
    "value",
    [
        "",
        "stem.wav",
        "/stem.wav",
        "//host/stem.wav",
        "ftp://host/stem.wav",
        "file:///stem.wav",
        "http://",
        "https:///path",
        "http://:80/",
        "https://host:port/",
        "https://host:99999/",
        "https://[::1/",
        "https://ho st/",
        "https://host/a b",
        "https://host/\n",
        "https://host/\u200b",
        "https://host/\ud800",
        7,
        b"https://host/",
    ],
    ids=ascii,
)
def test_urls_must_be_absolute(field: str, value: Any) -> None:
    """A URL needs http or https, a host, and no white space."""
    with pytest.raises(InvalidRequest) as raised:
        song(**{field: value})
    assert raised.value.field == field
    assert "http or https URL with a host" in raised.value.rule


@pytest.mark.parametrize(
    "url",
    [
        "http://h/x",
        "HTTPS://H/x?a=b#c",
        "https://u:p@h:8/",
        "http://[::1]:8/",
    ],
)
def test_every_ordinary_url_is_taken(url: str) -> None:
    """Schemes in capitals, ports, users and addresses are URLs too."""
    assert song(upload_url=url).upload_url == url


def test_urls_become_uris() -> None:
    """The attributes hold what is sent: a URI, also when a request is changed or copied."""
    request = song(upload_url="https://bücher.de/Größe|1.wav", callback_url="https://h/ж")
    assert request.upload_url == "https://xn--bcher-kva.de/Gr%C3%B6%C3%9Fe%7C1.wav"
    assert request.callback_url == "https://h/%D0%B6"
    assert evolve(request, title="Other").upload_url == request.upload_url


@pytest.mark.parametrize("field", WEIGHTS)
@pytest.mark.parametrize(
    "value",
    [
        -0.01,
        1.01,
        0.005,
        0.123,
        1e-9,
        float("nan"),
        float("inf"),
        10**400,
        True,
        "0.5",
        Decimal("0.001"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("1e999999"),
        [],
    ],
    ids=repr,
)
def test_weights_are_numbers_from_0_to_1(field: str, value: Any) -> None:
    """What is no number, out of range or finer than two decimals is refused."""
    with pytest.raises(InvalidRequest) as raised:
        song(**{field: value})
    assert raised.value.field == field
    assert raised.value.rule == "must be a number from 0 to 1 with at most two decimals"


@pytest.mark.parametrize("field", WEIGHTS)
@pytest.mark.parametrize("hundredths", range(101))
def test_every_two_decimals_are_legal(field: str, hundredths: int) -> None:
    """All of 0.00 to 1.00 are taken, decided on the decimal value: 0.29 and 0.57 as well."""
    value = hundredths / 100
    assert getattr(song(**{field: value}), field) == value
    assert getattr(song(**{field: Decimal(hundredths) / 100}), field) == value


@given(st.floats(0, 1).filter(lambda value: (Decimal(str(value)) * 100) % 1))
def test_no_other_weight_is_legal(value: float) -> None:
    """A float whose shortest decimal has more than two places is refused."""
    with pytest.raises(InvalidRequest):
        song(style_weight=value)


def test_a_weight_becomes_a_plain_number() -> None:
    """Subclasses of float, such as numpy's, are stored as what JSON can write."""
    assert type(song(style_weight=Tempo(0.29)).style_weight) is float


@pytest.mark.parametrize(
    ("given", "stored"),
    [("V5", Model.V5), ("V4_5PLUS", Model.V4_5PLUS), (Model.V5, Model.V5), (None, None)],
)
def test_models_are_taken_by_name(given: Any, stored: Model | None) -> None:
    """The wire name and the member mean the same; None leaves it to the service."""
    assert song(model=given).model is stored


@pytest.mark.parametrize(
    ("given", "stored"), [("m", VocalGender.MALE), ("f", VocalGender.FEMALE), (None, None)]
)
def test_vocal_genders_are_taken_by_name(given: Any, stored: VocalGender | None) -> None:
    """The wire name means the member."""
    assert song(vocal_gender=given).vocal_gender is stored


@pytest.mark.parametrize(
    ("field", "value", "names"),
    [
        ("model", "V3", "'V4_5PLUS', 'V5'"),
        ("model", "v5", "'V4_5PLUS', 'V5'"),
        ("model", [], "'V4_5PLUS', 'V5'"),
        ("vocal_gender", "x", "'m', 'f'"),
        ("vocal_gender", "", "'m', 'f'"),
    ],
)
def test_other_names_are_refused_with_the_list(field: str, value: Any, names: str) -> None:
    """The rule lists what is possible."""
    with pytest.raises(InvalidRequest) as raised:
        song(**{field: value})
    assert raised.value.rule == f"must be one of {names}"
    assert raised.value.field == field


def test_a_refused_request_is_a_value_error() -> None:
    """Callers who know nothing of this library catch it too."""
    with pytest.raises(ValueError, match="title must be text that is not blank, not ''"):
        song(title="")


@pytest.mark.parametrize("stage", Stage)
def test_stages_are_in_order(stage: Stage) -> None:
    """Their positions follow the order in which they are reached."""
    assert stage.position == ["text", "first", "complete"].index(stage)


A, B = Track(id="a"), Track(id="b")
A_DONE, B_DONE = Track(id="a", audio_url="https://h/a"), Track(id="b", audio_url="https://h/b")
B_SOURCE = Track(id="b", source_audio_url="https://s/b")


@pytest.mark.parametrize(
    ("status", "tracks", "stage"),
    [
        ("PENDING", (), None),
        ("PENDING", (A, B), None),
        ("PENDING", (A_DONE, B), Stage.FIRST),
        ("PENDING", (A_DONE, B_DONE), Stage.COMPLETE),
        ("GENERATING", (), None),
        ("GENERATING", (A_DONE,), Stage.FIRST),
        ("TEXT_SUCCESS", (), Stage.TEXT),
        ("TEXT_SUCCESS", (A, B), Stage.TEXT),
        ("TEXT_SUCCESS", (A_DONE, B), Stage.FIRST),
        ("FIRST_SUCCESS", (), Stage.FIRST),
        ("FIRST_SUCCESS", (A_DONE, B), Stage.FIRST),
        ("FIRST_SUCCESS", (A_DONE, B_DONE), Stage.COMPLETE),
        ("SUCCESS", (A_DONE, B_DONE), Stage.COMPLETE),
        ("SUCCESS", (A_DONE, B_SOURCE), Stage.COMPLETE),
        ("SUCCESS", (A_DONE,), Stage.COMPLETE),
        ("SUCCESS", (A_DONE, B), Stage.FIRST),
        ("SUCCESS", (A, B), Stage.TEXT),
        ("SUCCESS", (), Stage.TEXT),
        ("CALLBACK_EXCEPTION", (), None),
        ("CALLBACK_EXCEPTION", (A, B), None),
        ("CALLBACK_EXCEPTION", (A_DONE, B), Stage.FIRST),
        ("CALLBACK_EXCEPTION", (A_DONE, B_DONE), Stage.COMPLETE),
        ("CALLBACK_EXCEPTION", (A_DONE,), Stage.FIRST),
        ("CREATE_TASK_FAILED", (), None),
        ("GENERATE_AUDIO_FAILED", (A_DONE, B), Stage.FIRST),
        ("GENERATE_AUDIO_FAILED", (A_DONE, B_DONE), Stage.FIRST),
        ("SENSITIVE_WORD_ERROR", (), None),
        ("FAILED", (A_DONE, B_DONE), Stage.FIRST),
        ("REMASTERING", (), None),
        ("REMASTERING", (A_DONE,), Stage.FIRST),
        ("REMASTERING", (A_DONE, B), Stage.FIRST),
        ("REMASTERING", (A_DONE, B_DONE), Stage.COMPLETE),
    ],
)
def test_invariant_3_an_answer_proves_a_stage(
    status: str, tracks: tuple[Track, ...], stage: Stage | None
) -> None:
    """Invariant 3: `complete` means audio, whatever the status; the rest a status may say."""
    assert TaskDetails("t1", status, tracks).stage is stage


def test_finished_tracks_have_audio_in_either_place() -> None:
    """A track with the source's URL alone has audio, though no `audio_url` yet."""
    assert TaskDetails("t1", "SUCCESS", (A, A_DONE, B_SOURCE)).finished == (A_DONE, B_SOURCE)
    assert (B_SOURCE.has_audio, B_SOURCE.audio_url) == (True, None)
    assert not A.has_audio


@pytest.mark.parametrize(
    ("plain", "source", "urls"),
    [
        (None, None, ()),
        ("https://h/a", None, ("https://h/a",)),
        (None, "https://s/a", ("https://s/a",)),
        ("https://h/a", "https://s/a", ("https://h/a", "https://s/a")),
        ("https://h/a", "https://h/a", ("https://h/a",)),
    ],
)
def test_the_plain_url_comes_before_the_source(
    plain: str | None, source: str | None, urls: tuple[str, ...]
) -> None:
    """Where the audio is: the plain URL first, each once."""
    assert Track(audio_url=plain, source_audio_url=source).audio_urls == urls


@pytest.mark.parametrize("status", TaskStatus)
def test_four_statuses_are_failures(status: TaskStatus) -> None:
    """`CALLBACK_EXCEPTION` is not among them."""
    expected = {
        "CREATE_TASK_FAILED",
        "GENERATE_AUDIO_FAILED",
        "SENSITIVE_WORD_ERROR",
        "FAILED",
    }
    assert TaskDetails("t1", status).failed == (status in expected)


@pytest.mark.parametrize("code", [413, "531", 500, -1, "E_NEW"])
@pytest.mark.parametrize(
    ("status", "failed"),
    [
        ("PENDING", True),
        ("GENERATING", True),
        ("TEXT_SUCCESS", True),
        ("FIRST_SUCCESS", True),
        ("REMASTERING", True),
        ("FAILED", True),
        ("SUCCESS", False),
        ("CALLBACK_EXCEPTION", False),
    ],
)
def test_an_error_code_is_a_failure_under_a_status_that_lingers(
    status: str, code: int | str, failed: bool
) -> None:
    """A refusal can hide under `PENDING`; where the audio decides, a code says nothing."""
    assert TaskDetails("t1", status, error_code=code).failed is failed


@pytest.mark.parametrize("code", [0, "0", "", None, 0.0], ids=repr)
def test_a_code_that_says_nothing_is_none(code: Any) -> None:
    """The service's 0, `""` and null are no error code, and no failure."""
    details = TaskDetails("t1", "PENDING", error_code=code)
    assert (details.error_code, details.failed) == (None, False)


DETAILS = TaskDetails("t1", TaskStatus.SUCCESS, (A_DONE, B_DONE), raw={"x": [1]})
VALUES = [
    song(model="V5", style_weight=0.29),
    A_DONE,
    DETAILS,
    StageEvent(Stage.COMPLETE, "t1", DETAILS.tracks, DETAILS, AT),
    Outcome(0, song(), "t1", DETAILS),
    BatchProgress(0, song(), "t1", AT, Stage.TEXT, None, 1, 1, 0, 0),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_can_be_copied_pickled_and_hashed(value: Any) -> None:
    """Values travel between processes and into sets."""
    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301 - our own bytes
    assert copy.deepcopy(value) == value
    assert hash(copy.copy(value)) == hash(value)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_are_frozen(value: Any) -> None:
    """Nobody changes what others hold."""
    with pytest.raises(FrozenInstanceError):
        value.position = value.title = value.status = 1


def test_raw_does_not_count_for_equality() -> None:
    """Details that say the same are equal, whatever else the service sent along."""
    assert TaskDetails("t1", "SUCCESS", raw={"a": 1}) == TaskDetails("t1", "SUCCESS")


def test_an_outcome_knows_how_it_ended() -> None:
    """An outcome is ok without an error, and has the tracks of its details."""
    failed = Outcome(1, song(), error=InvalidRequest("title", "", "must be text"))
    done = Outcome(0, song(), "t1", DETAILS)
    assert (done.ok, done.tracks) == (True, (A_DONE, B_DONE))
    assert (failed.ok, failed.tracks) == (False, ())


def test_a_repr_shows_what_matters() -> None:
    """Absent values are left out, members have their wire name, long texts are cut."""
    assert repr(song(model="V5", tags="x" * 200)) == (
        "AddInstrumentalRequest(upload_url='https://example.com/stem.wav', title='Relaxing Piano', "
        f"tags='{'x' * 77}…', negative_tags='heavy metal', model=V5)"
    )
    event = StageEvent(Stage.TEXT, "t1", (), TaskDetails("t1", "TEXT_SUCCESS"), AT, inferred=True)
    assert repr(event) == (
        "StageEvent(stage=text, task_id='t1', "
        "details=TaskDetails(task_id='t1', status='TEXT_SUCCESS'), "
        "observed_at=2026-01-02 03:04:05+00:00, inferred=True)"
    )
