"""JSON ↔ models: every field form, arbitrary bytes, and round trips, with and without orjson."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from attrs import asdict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from suno_async import (
    ApiError,
    Model,
    ProtocolError,
    RateLimited,
    ServerError,
    SunoError,
    TaskDetails,
    TaskStatus,
    Track,
    ValidationFailed,
    VocalGender,
    from_json,
    to_json,
    wire,
)
from suno_async.wire import (
    Answer,
    find_task_id,
    read_credits,
    read_data,
    read_details,
    read_upload_url,
    request_body,
)

from .world import song

AT = datetime(2025, 1, 1, tzinfo=UTC)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def answer(data: Any, code: Any = 200, status: int = 200) -> Answer:
    """Write an answer with an envelope."""
    return Answer(status, json.dumps({"code": code, "msg": "success", "data": data}).encode())


def details(**data: Any) -> TaskDetails:
    """Read details with these fields."""
    found = read_details(answer({"taskId": "t1", "status": "SUCCESS", **data}), "t1")
    assert found is not None
    return found


def track(**fields: Any) -> Track:
    """Read one track with these fields."""
    (found,) = details(response={"sunoData": [fields]}).tracks
    return found


# --- the envelope ---------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [200, "200", 200.0, " 200 "], ids=repr)
@pytest.mark.parametrize("status", [200, 201, 400, 500])
def test_the_code_in_the_body_is_the_verdict(code: Any, status: int) -> None:
    """A code of 200 in any form is success, whatever the HTTP status."""
    assert read_data(answer({"a": 1}, code, status)) == {"a": 1}


@pytest.mark.parametrize("name", ["msg", "message"])
def test_the_text_has_two_names(name: str) -> None:
    """The error carries the text under either name."""
    with pytest.raises(ValidationFailed, match="tags: too long"):
        read_data(Answer(200, json.dumps({"code": "422", name: "tags: too long"}).encode()))


@pytest.mark.parametrize("text", [None, "", [], {}], ids=repr)
def test_an_error_without_text_is_an_error(text: Any) -> None:
    """A missing or senseless text does not hide the code."""
    with pytest.raises(ServerError, match="no message"):
        read_data(Answer(200, json.dumps({"code": 500, "msg": text}).encode()))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html></html>",
        b"null",
        b"[]",
        b"7",
        b'"text"',
        b"{}",
        b'{"code": null}',
        b'{"code": true}',
        b'{"code": "abc"}',
        b'{"code": 200.5}',
        b'{"code": NaN}',
        b'{"code": []}',
        b'{"code": 200, "data": {"taskId": "t',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        '{"code": 200, "data": {"taskId": "t1"}}'.encode("utf-16"),
        b"\xff\xfe\x00",
    ],
    ids=lambda body: repr(body[:30]),
)
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, ProtocolError),
        (302, ProtocolError),
        (408, ProtocolError),
        (429, RateLimited),
        (418, ApiError),
        (502, ProtocolError),
    ],
)
def test_without_an_envelope_the_http_status_speaks(
    body: bytes, status: int, kind: type[SunoError]
) -> None:
    """A gateway's 4xx is a refusal; everything else is unreadable, and the excerpt is kept."""
    with pytest.raises(kind) as raised:
        read_data(Answer(status, body, timedelta(seconds=9)))
    assert getattr(raised.value, "http_status", None) == status
    if isinstance(raised.value, ProtocolError | RateLimited):
        assert raised.value.retry_after == timedelta(seconds=9)


@pytest.mark.parametrize("name", ["taskId", "task_id"])
@pytest.mark.parametrize(("value", "task_id"), [("5c79", "5c79"), (12, "12")])
def test_a_task_id_is_found_under_either_name(name: str, value: Any, task_id: str) -> None:
    """Both spellings, and a number too, are the id that was paid for."""
    assert find_task_id(answer({name: value})) == task_id


@pytest.mark.parametrize("data", [None, [], {}, "t1", {"taskId": None}, {"taskId": ""}], ids=repr)
def test_an_answer_may_hold_no_task_id(data: Any) -> None:
    """A submission that is answered with 200 and no id has none."""
    assert find_task_id(answer(data)) is None


@pytest.mark.parametrize(
    ("data", "balance"), [(100, 100), (0, 0), (-3, -3), (12.5, 12.5), ("7", 7), (3.0, 3)]
)
def test_a_balance_is_a_number(data: Any, balance: float) -> None:
    """The balance may come as integer, number or text."""
    assert read_credits(answer(data)) == balance


@pytest.mark.parametrize(
    "data", [None, "", "many", {}, {"credits": None}, [], True, 10**400], ids=lambda x: repr(x)[:9]
)
def test_a_balance_that_is_no_number_is_unreadable(data: Any) -> None:
    """Anything else is no balance."""
    with pytest.raises(ProtocolError, match="balance"):
        read_credits(answer(data))


def test_an_upload_has_a_url() -> None:
    """The URL to submit is the download URL."""
    assert read_upload_url(answer({"downloadUrl": "https://h/x"})) == "https://h/x"


@pytest.mark.parametrize("data", [None, {}, [], {"downloadUrl": ""}], ids=repr)
def test_an_upload_without_a_url_is_unreadable(data: Any) -> None:
    """Success without a URL is no success."""
    with pytest.raises(ProtocolError, match="URL"):
        read_upload_url(answer(data))


# --- details --------------------------------------------------------------------------------------

SNAKE = {
    "id": "e231",
    "audio_url": "https://h/a.mp3",
    "stream_audio_url": "https://h/s",
    "image_url": "https://h/i.jpeg",
    "prompt": "[Verse]",
    "model_name": "chirp-v4-5",
    "title": "Iron Man",
    "tags": "rock",
    "create_time": "2025-01-01 00:00:00",
    "duration": 198.44,
}
CAMEL = {
    "id": "e231",
    "audioUrl": "https://h/a.mp3",
    "streamAudioUrl": "https://h/s",
    "imageUrl": "https://h/i.jpeg",
    "prompt": "[Verse]",
    "modelName": "chirp-v4-5",
    "title": "Iron Man",
    "tags": "rock",
    "createTime": "2025-01-01 00:00:00",
    "duration": 198.44,
}
IRON_MAN = Track(
    id="e231",
    audio_url="https://h/a.mp3",
    stream_audio_url="https://h/s",
    image_url="https://h/i.jpeg",
    prompt="[Verse]",
    model_name="chirp-v4-5",
    title="Iron Man",
    tags="rock",
    create_time=AT,
    duration=198.44,
)


@given(st.sets(st.sampled_from(range(len(SNAKE)))))
def test_tracks_are_read_in_both_spellings(snaky: set[int]) -> None:
    """Every field may be spelled either way, in any mixture."""
    pairs = enumerate(zip(SNAKE.items(), CAMEL.items(), strict=True))
    fields = dict(snake if at in snaky else camel for at, (snake, camel) in pairs)
    assert track(**fields) == IRON_MAN


@pytest.mark.parametrize("name", ["audioUrl", "streamAudioUrl", "imageUrl"])
@pytest.mark.parametrize("absent", ["", None])
def test_urls_are_absent_until_ready(name: str, absent: str | None) -> None:
    """An empty URL is as good as none."""
    assert track(**{name: absent}) == Track()


@pytest.mark.parametrize("name", ["audio", "stream_audio", "image"])
@pytest.mark.parametrize("camel", [True, False])
def test_the_original_cdn_has_fields_of_its_own(name: str, camel: bool) -> None:
    """A source's URL stands for no other, and no other for it."""
    words = f"source_{name}_url".split("_")
    spelt = "".join((words[0], *map(str.title, words[1:]))) if camel else "_".join(words)
    found = track(**{spelt: "https://s/", "audioUrl": ""})
    assert asdict(found, filter=lambda _, value: value) == {"_".join(words): "https://s/"}


@pytest.mark.parametrize("name", ["id", "audioId", "audio_id"])
def test_a_tracks_id_has_three_spellings(name: str) -> None:
    """The plain one is preferred."""
    assert track(**{name: "a1"}).id == "a1"
    assert track(**{name: "x", "id": "a1"}).id == "a1"


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2025-01-01 00:00:00", AT),
        ("2025-01-01T00:00:00Z", AT),
        ("2025-01-01T00:00:00.000Z", AT),
        ("2025-01-01T02:00:00+02:00", AT),
        (1735689600000, AT),
        ("1735689600000", AT),
        (1735689600000.0, AT),
        (None, None),
        ("", None),
        ("yesterday", None),
        (True, None),
        ([], None),
        (10**30, None),
        (-(10**30), None),
        ("0001-01-01T00:00:00+23:00", None),
        ("9999-12-31T23:59:59-23:00", None),
    ],
    ids=repr,
)
def test_times_have_many_forms(value: Any, moment: datetime | None) -> None:
    """Plain, ISO and epoch milliseconds are one time in UTC; what makes no sense is absent."""
    assert track(createTime=value).create_time == moment


@pytest.mark.parametrize(
    ("value", "duration"),
    [(198.44, 198.44), (3, 3.0), ("1.5", 1.5), (None, None), ("", None), ("x", None), ({}, None)],
    ids=repr,
)
def test_durations_may_be_missing(value: Any, duration: float | None) -> None:
    """A duration is a number or absent."""
    assert track(duration=value).duration == duration


@pytest.mark.parametrize(
    "response",
    [None, "", "null", "{", [], 7, {}, {"sunoData": None}, {"sunoData": {}}, {"sunoData": []}],
    ids=repr,
)
def test_there_may_be_no_tracks(response: Any) -> None:
    """Every form of nothing is no tracks."""
    assert details(status="PENDING", response=response).tracks == ()


def as_text(value: Any) -> str:
    """Put JSON into a JSON string."""
    return json.dumps(value)


@pytest.mark.parametrize(
    "response",
    [
        lambda tracks: {"sunoData": tracks},
        lambda tracks: {"suno_data": tracks},
        lambda tracks: {"data": tracks},
        lambda tracks: {"sunoData": [], "data": tracks},
        lambda tracks: {"sunoData": None, "data": tracks},
        lambda tracks: tracks,
        lambda tracks: {"sunoData": as_text(tracks)},
    ],
)
@pytest.mark.parametrize("form", [lambda value: value, as_text])
def test_the_list_of_tracks_has_many_places(response: Any, form: Any) -> None:
    """Under three names, as the response itself, and any of it as JSON in a JSON string."""
    found = details(response=form(response([CAMEL, SNAKE])))
    assert found.tracks == (IRON_MAN, IRON_MAN)


@pytest.mark.parametrize("name", ["sunoData", "suno_data", "data"])
def test_the_list_of_tracks_may_be_beside_the_response(name: str) -> None:
    """A record that lost a level is read as well."""
    assert details(response=None, **{name: [CAMEL]}).tracks == (IRON_MAN,)


@pytest.mark.parametrize(
    "data",
    [
        {"errorMessage": "no melody"},
        {"errorMsg": "no melody"},
        {"error_message": "no melody"},
        {"errorMessage": "", "errorMsg": "no melody"},
        {"response": {"errorMessage": "no melody"}},
        {"errorMessage": None, "response": {"errorMsg": "no melody"}},
        {"response": '{"errorMessage": "no melody"}'},
    ],
    ids=repr,
)
def test_the_text_of_a_failure_has_many_places(data: Any) -> None:
    """The first that says something is the explanation."""
    assert details(**data).error_message == "no melody"


def test_what_is_no_track_is_left_out() -> None:
    """Odd items in the list do not hide the tracks beside them."""
    assert details(response={"sunoData": [None, 7, CAMEL, "x", []]}).tracks == (IRON_MAN,)


@pytest.mark.parametrize(
    ("value", "status"),
    [
        *((str(status), status) for status in TaskStatus),
        ("success", TaskStatus.SUCCESS),
        (" SUCCESS ", TaskStatus.SUCCESS),
        ("REMASTERING", "REMASTERING"),
        (None, TaskStatus.PENDING),
        ("", TaskStatus.PENDING),
        ([], TaskStatus.PENDING),
        (7, "7"),
    ],
    ids=repr,
)
def test_a_status_may_be_new(value: Any, status: str) -> None:
    """A documented status is a member, another one stays text, a missing one is pending."""
    found = details(status=value).status
    assert found == status
    assert type(found) is type(status)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (531, 531),
        ("531", 531),
        (None, None),
        ("", None),
        (0, None),
        ("0", None),
        (0.0, None),
        ("E_NEW", "E_NEW"),
        (413.0, 413),
        (10**18, 10**18),
    ],
    ids=repr,
)
def test_error_codes_have_many_forms(value: Any, code: int | str | None) -> None:
    """A number is an integer however it is written; other text stays text."""
    found = details(errorCode=value, errorMessage="m")
    assert (found.error_code, found.error_message) == (code, "m")


def test_unknown_fields_and_values_are_kept() -> None:
    """Invariant 2: what is new breaks nothing, and `raw` has it."""
    data = {"type": "DREAM", "operationType": "hum", "progress": {"of": 3}, "response": None}
    found = details(**data)
    assert (found.type, found.operation_type) == ("DREAM", "hum")
    assert found.raw == {"taskId": "t1", "status": "SUCCESS", **data}


def test_no_data_is_no_record() -> None:
    """Code 200 with null data says that there is no record (yet)."""
    assert read_details(answer(None), "t1") is None


@pytest.mark.parametrize("data", [[], "text", 7, True], ids=repr)
def test_data_that_is_no_object_is_unreadable(data: Any) -> None:
    """Details are an object or nothing."""
    with pytest.raises(ProtocolError, match="no object"):
        read_details(answer(data), "t1")


@pytest.mark.parametrize(
    ("data", "task_id"),
    [({"taskId": "a"}, "a"), ({"response": {"taskId": "b"}}, "b"), ({}, "asked")],
    ids=repr,
)
def test_the_id_is_the_one_that_was_asked_for(data: Any, task_id: str) -> None:
    """An answer without an id is about the task that was asked for."""
    found = read_details(answer(data), "asked")
    assert found is not None
    assert found.task_id == task_id


@pytest.mark.parametrize(
    ("written", "title"),
    [
        (b'"half \\ud83d an emoji"', "half \ufffd an emoji"),
        (b'"whole \\uD83D\\uDE00"', "whole \U0001f600"),
        (b'"caf\xe9"', "caf\ufffd"),
        ('"Größe 😀"'.encode(), "Größe 😀"),
    ],
    ids=repr,
)
def test_invariant_2_half_a_character_does_not_lose_a_track(written: bytes, title: str) -> None:
    """Invariant 2: text that was cut in the midst of a character is read, with a mark there."""
    body = b'{"code":200,"data":{"status":"SUCCESS","response":{"sunoData":[{"title":%b}]}}}'
    found = read_details(Answer(200, body % written), "t1")
    assert found is not None
    assert found.tracks[0].title == title
    assert json.loads(to_json(found).encode())["tracks"][0]["title"] == title


def test_invariant_2_numbers_that_are_none_do_not_lose_a_track() -> None:
    """Invariant 2: NaN, Infinity and huge integers are read, and can be stored."""
    text = b'{"code":200,"data":{"status":"SUCCESS","x":[NaN,-Infinity,%b]}}' % (b"9" * 40)
    found = read_details(Answer(200, text), "t1")
    assert found is not None
    assert found.raw["x"][:2] == [None, None]
    assert from_json(to_json(found), TaskDetails) == found


def test_invariant_2_a_number_of_thousands_of_digits_does_not_lose_a_track() -> None:
    """Invariant 2: what Python itself refuses to read is read as null."""
    body = b'{"code":200,"data":{"status":"SUCCESS","errorCode":%b,"new":[%b]}}'
    found = read_details(Answer(200, body % (b"9" * 400, b"9" * 5000)), "t1")
    assert found is not None
    assert found.error_code == 10**400 - 1
    assert found.raw["new"] == [None]
    assert from_json(to_json(found), TaskDetails) == found


def test_a_byte_order_mark_is_no_obstacle() -> None:
    """A UTF-8 mark before the JSON is skipped."""
    assert find_task_id(Answer(200, b"\xef\xbb\xbf" + answer({"taskId": "t1"}).body)) == "t1"


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()), st.integers(200, 599))
def test_invariant_2_no_body_raises_anything_but_ours(body: bytes, status: int) -> None:
    """Invariant 2: whatever an answer holds, reading it gives a value or a `SunoError`."""
    for read in (find_task_id, read_credits, read_upload_url, lambda a: read_details(a, "t1")):
        with suppress(SunoError):
            read(Answer(status, body))


TRACKS = st.dictionaries(
    st.sampled_from([*SNAKE, *CAMEL, "sourceAudioUrl", "audioId", "new"]), JSON
)
RESPONSES = st.fixed_dictionaries(
    {}, optional={"taskId": JSON, "sunoData": st.lists(TRACKS) | JSON, "data": st.lists(TRACKS)}
)
DATA = st.fixed_dictionaries(
    {},
    optional={
        "taskId": JSON,
        "status": st.sampled_from(TaskStatus).map(str) | JSON,
        "response": RESPONSES | RESPONSES.map(json.dumps) | st.lists(TRACKS) | JSON,
        "errorCode": JSON,
        "errorMessage": JSON,
        "type": JSON,
        "operationType": JSON,
        "new": JSON,
    },
)


@given(DATA)
def test_invariant_2_any_details_are_read_and_round_trip(data: dict[str, Any]) -> None:
    """Invariant 2: details are read whatever their fields hold, and can be stored."""
    found = read_details(answer(data), "t1")
    assert found is not None
    assert found.task_id
    assert from_json(to_json(found), TaskDetails) == found
    assert repr(found)


# --- the request ----------------------------------------------------------------------------------


def test_a_request_is_written_under_the_services_names() -> None:
    """All fields, with the request's own callback URL before the session's."""
    request = song(
        model=Model.V5,
        vocal_gender=VocalGender.MALE,
        style_weight=0.29,
        weirdness_constraint=0.57,
        audio_weight=0.58,
        callback_url="https://me.test/",
    )
    assert json.loads(request_body(request, "https://session.test/")) == {
        "uploadUrl": "https://example.com/stem.wav",
        "title": "Relaxing Piano",
        "tags": "relaxing, piano",
        "negativeTags": "heavy metal",
        "callBackUrl": "https://me.test/",
        "model": "V5",
        "vocalGender": "m",
        "styleWeight": 0.29,
        "weirdnessConstraint": 0.57,
        "audioWeight": 0.58,
    }


def test_what_was_not_given_is_not_sent() -> None:
    """Optional fields are left out, never null; the session's callback URL is sent."""
    body = request_body(song(), "https://session.test/")
    assert b"null" not in body
    assert json.loads(body)["callBackUrl"] == "https://session.test/"
    assert len(json.loads(body)) == 5


def test_a_body_is_utf_8() -> None:
    """Titles of all languages are written as they are."""
    assert "Größe 日本".encode() in request_body(song(title="Größe 日本"), "https://h/")


# --- without orjson -------------------------------------------------------------------------------


@pytest.fixture
def plain_wire(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A second copy of the module, made where orjson cannot be imported."""
    monkeypatch.setitem(sys.modules, "orjson", None)
    spec = find_spec("suno_async.wire")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@given(value=JSON)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_libraries_write_the_same_values(plain_wire: ModuleType, value: Any) -> None:
    """What the one wrote, the other reads, and they agree on it."""
    finite = plain_wire.loads(json.dumps(value))
    assert plain_wire.loads(wire.dumps(finite)) == wire.loads(plain_wire.dumps(finite))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'"half \\ud83d"', "half \ufffd"),
        (b'"whole \\uD83D\\uDE00"', "whole \U0001f600"),
        ('"half \\ud83d"', "half \ufffd"),
        (b"[NaN, Infinity, 1]", [None, None, 1]),
        (b'"caf\xe9"', "caf\ufffd"),
        (b"\xef\xbb\xbf7", 7),
    ],
    ids=ascii,
)
def test_both_libraries_forgive_the_same(
    plain_wire: ModuleType, text: bytes | str, value: Any
) -> None:
    """Leniency does not depend on the extra `speed`."""
    assert wire.loads(text) == plain_wire.loads(text) == value


@pytest.mark.parametrize("text", [b"", b"{", b"[" * 100_000, '{"a":1}'.encode("utf-16"), b"1 2"])
def test_both_libraries_refuse_the_same(plain_wire: ModuleType, text: bytes) -> None:
    """What is no JSON is none for either."""
    for module in (wire, plain_wire):
        with pytest.raises((ValueError, RecursionError)):
            module.loads(text)


def test_both_libraries_write_half_characters(plain_wire: ModuleType) -> None:
    """A lone surrogate in a value does not keep it from being stored."""
    assert wire.dumps("\ud800") == plain_wire.dumps("\ud800") == b'"\\ud800"'


@pytest.mark.skipif("SUNO_TEST_WITHOUT_ORJSON" in os.environ, reason="this is the second run")
def test_all_of_this_holds_without_orjson() -> None:
    """The same tests pass in a process in which orjson cannot be imported."""
    code = (
        "import sys; sys.modules['orjson'] = None; import pytest;"
        "sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', sys.argv[1]]))"
    )
    run = subprocess.run(  # noqa: S603 - our own tests
        [sys.executable, "-c", code, __file__],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "SUNO_TEST_WITHOUT_ORJSON": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:]
