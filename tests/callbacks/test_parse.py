"""`parse_callback`: every form of a callback, and the signature that covers so little."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_async import (
    CallbackNotice,
    CallbackRejected,
    InvalidRequest,
    ReplayGuard,
    Stage,
    from_json,
    parse_callback,
    to_json,
)
from suno_async.sandbox import Dialect, Sandbox, TaskScript
from tests.waiting import until
from tests.world import session_for, song

from .hosting import by_itself, callback

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = "the signing key"

SPECIFIED = {
    "code": 200,
    "msg": "All generated successfully.",
    "data": {
        "callbackType": "complete",
        "task_id": "2fac****9f72",
        "data": [
            {
                "id": "e231****",
                "audio_url": "https://cdn.example/1.mp3",
                "stream_audio_url": "https://cdn.example/1",
                "image_url": "https://cdn.example/1.jpeg",
                "prompt": "[Verse] …",
                "model_name": "chirp-v4-5",
                "title": "Iron Man",
                "tags": "electrifying, rock",
                "createTime": "2025-01-01 00:00:00",
                "duration": 198.44,
            }
        ],
    },
}


def parsed(posted: object) -> CallbackNotice:
    """Parse a JSON value."""
    return parse_callback(json.dumps(posted).encode())


def test_the_specifications_example() -> None:
    """Stage, task and track as the specification shows them."""
    notice = parsed(SPECIFIED)
    assert (notice.kind, notice.stage, notice.failed) == ("complete", Stage.COMPLETE, False)
    assert (notice.task_id, notice.code) == ("2fac****9f72", 200)
    assert notice.message == "All generated successfully."
    (track,) = notice.tracks
    assert (track.id, track.duration) == ("e231****", 198.44)
    assert track.create_time == datetime(2025, 1, 1, tzinfo=UTC)
    assert notice.raw == SPECIFIED
    assert notice.token is None


@pytest.mark.parametrize("code", [400, 408, 413, 500, 501, 531])
def test_an_error_of_upstream(code: int) -> None:
    """A failure has its code in the envelope, and no tracks."""
    notice = parsed(
        {"code": code, "msg": "why", "data": {"callbackType": "error", "task_id": "t", "data": []}}
    )
    assert (notice.kind, notice.stage, notice.failed) == ("error", None, True)
    assert (notice.code, notice.message, notice.tracks) == (code, "why", ())


@pytest.mark.parametrize(
    "changes",
    [
        {"callbackType": "TEXT"},
        {"callbackType": "Text"},
        {"callbackType": None, "callback_type": "text"},
        {"task_id": None, "taskId": "t"},
        {"data": None},
        {"data": {}},
        {"data": "soon"},
        {"data": [None, 1, "x"]},
        {"new": {"field": [1]}},
    ],
)
def test_forms_of_data(changes: dict[str, Any]) -> None:
    """Upper case, both spellings, no tracks yet, and fields that are new."""
    data = {"callbackType": "text", "task_id": "t", "data": [], **changes}
    notice = parsed({"code": 200, "msg": "ok", "data": data})
    assert (notice.stage, notice.task_id, notice.tracks) == (Stage.TEXT, "t", ())


@pytest.mark.parametrize(
    ("envelope", "code", "message"),
    [
        ({"code": "200", "msg": "ok"}, 200, "ok"),
        ({"code": "531", "message": "refunded"}, 531, "refunded"),
        ({"code": None, "msg": None}, 200, None),
        ({"code": "new"}, 200, None),
        ({}, 200, None),
    ],
)
def test_forms_of_the_envelope(envelope: Any, code: int, message: str | None) -> None:
    """The code may be text, the text may be under `message`, and both may be missing."""
    notice = parsed({**envelope, "data": {"callbackType": "first", "task_id": "t"}})
    assert (notice.code, notice.message) == (code, message)


def test_camel_case_throughout() -> None:
    """Both spellings occur in both places (seen)."""
    track = {"audioUrl": "https://h/1.mp3", "streamAudioUrl": "https://h/1", "modelName": "v"}
    data = {"callbackType": "FIRST", "taskId": "t", "data": [track]}
    (read,) = parsed({"code": 200, "data": data}).tracks
    assert (read.audio_url, read.stream_audio_url, read.model_name) == (
        "https://h/1.mp3",
        "https://h/1",
        "v",
    )


def test_data_as_a_string() -> None:
    """JSON within JSON has been seen in the other direction, and is read here too."""
    text = json.dumps({"callbackType": "text", "task_id": "t"})
    assert parsed({"code": 200, "data": text}).task_id == "t"


def test_a_kind_that_is_new() -> None:
    """It stays as text, announces no stage, and is no failure."""
    notice = parsed({"code": 200, "data": {"callbackType": "Mastered", "task_id": "t"}})
    assert (notice.kind, notice.stage, notice.failed) == ("mastered", None, False)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "null",
        "[]",
        "1",
        '"text"',
        "{}",
        '{"data": null}',
        '{"data": []}',
        '{"data": {"task_id": ""}}',
        '{"data": {"task_id": {}}}',
        '{"data": {"callbackType": "complete"}}',
        "[" * 100_000,
        '{"data":' * 50_000,
        "\ud800",
        b"\xff\xff",
    ],
)
def test_what_is_no_callback_is_rejected(body: str | bytes) -> None:
    """`CallbackRejected` says why, and that it is not about the signature."""
    with pytest.raises(CallbackRejected) as caught:
        parse_callback(body)
    assert caught.value.reason
    assert not caught.value.unsigned


def test_half_an_emoji_is_forgiven() -> None:
    """A paid task is not lost over a title."""
    text = '{"code": 200, "msg": "\\ud83d", "data": {"callbackType": "text", "task_id": "t"}}'
    assert parse_callback(text).task_id == "t"
    raw = text.replace("\\ud83d", "\ud83d")
    assert parse_callback(raw).message == "\N{REPLACEMENT CHARACTER}"
    assert parse_callback(raw.encode(errors="surrogatepass")).task_id == "t"


def test_a_notice_is_stored_and_read_back() -> None:
    """`to_json` and `from_json` carry it between processes, with its token."""
    notice = parsed(SPECIFIED)
    again = from_json(to_json(notice), CallbackNotice)
    assert again == notice
    assert again.raw == notice.raw


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("callbackType", "callback_type", "task_id", "taskId", "data"), JSONS),
)
ENVELOPES = st.fixed_dictionaries(
    {}, optional={"code": JSONS, "msg": JSONS, "message": JSONS, "data": FIELDS | JSONS}
)
HEADERS = st.dictionaries(
    st.sampled_from(["X-Webhook-Signature", "x-webhook-timestamp"]) | st.text(),
    st.text(st.characters(codec=None, exclude_categories=[])),
)


@given(st.binary() | st.text() | (ENVELOPES | JSONS).map(json.dumps), HEADERS)
def test_any_body_is_read_or_rejected(body: bytes | str, headers: dict[str, str]) -> None:
    """Nothing but `CallbackRejected` is ever raised, and what is read can be stored."""
    try:
        notice = parse_callback(body, headers)
    except CallbackRejected:
        pass
    else:
        assert notice.task_id
        assert from_json(to_json(notice), CallbackNotice).task_id == notice.task_id
    with pytest.raises(CallbackRejected):
        parse_callback(body, headers, hmac_key=KEY, now=NOW)


# --- signatures -----------------------------------------------------------------------------------


def signed(
    task_id: str = "some-task", at: datetime = NOW, key: str | bytes = KEY, **changes: str
) -> dict[str, str]:
    """Make the headers with which upstream signs, written from PROTOCOL.md."""
    timestamp = changes.get("timestamp", str(int(at.timestamp())))
    secret = key.encode() if isinstance(key, str) else key
    digest = hmac.digest(secret, f"{task_id}.{timestamp}".encode(), "sha256")
    return {
        "X-Webhook-Timestamp": timestamp,
        "X-Webhook-Signature": base64.b64encode(digest).decode(),
    }


def accept(headers: dict[str, str] | None, body: bytes = callback(), **settings: Any) -> str:
    """Parse a callback that must be signed; return its kind."""
    usual = {"hmac_key": KEY, "now": NOW}
    return parse_callback(body, headers, **{**usual, **settings}).kind


def refused(headers: dict[str, str] | None, body: bytes = callback(), **settings: Any) -> bool:
    """Tell whether a callback is rejected for its signature."""
    with pytest.raises(CallbackRejected) as caught:
        accept(headers, body, **settings)
    assert KEY not in str(caught.value)
    return caught.value.unsigned


@pytest.mark.parametrize("key", [KEY, KEY.encode(), "ключ", b"\xff\x00"])
def test_the_right_signature(key: str | bytes) -> None:
    """The key may be text or bytes, the headers in any case."""
    headers = signed(key=key)
    assert accept(headers, hmac_key=key) == "complete"
    assert accept({name.upper(): value for name, value in headers.items()}, hmac_key=key)


def test_wrong_signatures() -> None:
    """Another key, task or time, half of it, none, and what is no text."""
    right = signed()
    signature = right["X-Webhook-Signature"]
    wrong: list[dict[str, str] | None] = [
        signed(key="another"),
        signed(task_id="another"),
        {**right, "X-Webhook-Timestamp": "1767225601"},
        {**right, "X-Webhook-Signature": signature[:-1]},
        {**right, "X-Webhook-Signature": signature.lower()},
        {**right, "X-Webhook-Signature": hashlib.sha256(b"").hexdigest()},
        {**right, "X-Webhook-Signature": "ü"},
        {**right, "X-Webhook-Signature": "\udcff"},
        {**right, "X-Webhook-Timestamp": "\udcff"},
        {**right, "X-Webhook-Signature": ""},
        {"X-Webhook-Timestamp": right["X-Webhook-Timestamp"]},
        {"X-Webhook-Signature": signature},
        {},
        None,
    ]
    assert all(refused(headers) for headers in wrong)


def test_invariant_6_signatures_are_compared_in_constant_time(compared: list[bool]) -> None:
    """Invariant 6: by what the standard library has for it, right ones and wrong ones."""
    assert accept(signed())
    assert refused(signed(key="another"))
    assert compared == [True, False]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_signature_is_good_for_five_minutes(sign: int) -> None:
    """Old or early, 300 s pass and 301 s do not."""
    assert accept(signed(at=NOW + sign * timedelta(seconds=300)))
    assert refused(signed(at=NOW + sign * timedelta(seconds=301)))


@pytest.mark.parametrize("timestamp", ["", "nan", "inf", "-inf", "1e999", "soon", "9" * 5000, "²"])
def test_a_time_that_is_none_is_refused(timestamp: str) -> None:
    """Also when it is signed."""
    assert refused(signed(timestamp=timestamp))


def test_the_signature_does_not_cover_the_body() -> None:
    """The docstring's warning, shown: another stage passes under the same signature."""
    assert accept(signed(), callback("text")) == "text"
    assert accept(signed(), callback("complete")) == "complete"


def test_without_a_key_no_signature_is_asked_for() -> None:
    """The specification has none."""
    assert parse_callback(callback(), {"X-Webhook-Signature": "wrong"}).task_id == "some-task"


@pytest.mark.parametrize("key", ["", b""])
def test_an_empty_key_is_refused(key: str | bytes) -> None:
    """Everybody could sign with it: a variable that is not set must not open the door."""
    with pytest.raises(InvalidRequest):
        parse_callback(callback(), signed(key=key), hmac_key=key, now=NOW)


def test_a_replay_is_refused() -> None:
    """With a guard a callback is accepted once, a space more does not make it new."""
    guard = ReplayGuard()
    assert accept(signed(), replays=guard)
    assert refused(signed(), replays=guard)
    assert refused(signed(), callback() + b" ", replays=guard)
    later = NOW + timedelta(minutes=5)
    assert refused(signed(), now=later, replays=guard)


def test_stages_of_one_second_are_no_replays() -> None:
    """They carry the same signature, and each is accepted once."""
    guard = ReplayGuard()
    assert [accept(signed(), callback(kind), replays=guard) for kind in ("text", "first")]
    assert refused(signed(), callback("TEXT"), replays=guard)


def test_what_is_refused_is_not_remembered() -> None:
    """A forger cannot use a callback up before it comes."""
    guard = ReplayGuard()
    assert refused({**signed(), "X-Webhook-Signature": "forged"}, replays=guard)
    assert accept(signed(), replays=guard)


def test_a_guard_is_bounded() -> None:
    """Beyond its limit it forgets the oldest, and what is too old to be accepted in any case."""
    guard = ReplayGuard(limit=100)
    for number in range(1000):
        assert guard.is_new(str(number), "text", NOW)
    assert not guard.is_new("999", "text", NOW)
    assert guard.is_new("0", "text", NOW)
    assert len(guard) <= 100
    for number in range(200):
        guard.is_new(f"new {number}", "text", NOW + timedelta(minutes=11))
    assert len(guard) <= 100


async def test_what_the_sandbox_sends_is_read_in_every_dialect() -> None:
    """Signed deliveries over a real receiver, in snake and camel case, upper and lower."""
    dialects = [
        Dialect(camel_case_callbacks=camel, upper_case_callbacks=upper)
        for camel in (False, True)
        for upper in (False, True)
    ]
    async with (
        Sandbox(time_scale=0, submissions_per_window=None, callback_key=KEY) as sandbox,
        by_itself(hmac_key=KEY) as receiver,
        session_for(sandbox, receiver=receiver) as suno,
    ):
        sandbox.script(*(TaskScript(dialect=dialect) for dialect in dialects))
        tasks = [await suno.submit(song()) for _ in dialects]
        await until(lambda: len(sandbox.deliveries) == 3 * len(tasks))
        assert {delivery.status for delivery in sandbox.deliveries} == {200}
