"""Invariant 2: whatever bytes come in, a model or a documented error comes out, soon."""

import copy
import pickle
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suno_async import (
    AddInstrumentalRequest,
    ApiError,
    AudioMissing,
    BatchProgress,
    CallbackNotice,
    CallbackRejected,
    InvalidRequest,
    Outcome,
    ProtocolError,
    StageEvent,
    SunoError,
    TaskDetails,
    Track,
    from_json,
    parse_callback,
    to_json,
)
from suno_async.observe import SessionStats
from suno_async.progress import Progress
from suno_async.retry import LONGEST_PAUSE_S, read_retry_after
from suno_async.verdict import judge_look, judge_submission
from suno_async.wire import (
    Answer,
    find_task_id,
    read_credits,
    read_data,
    read_details,
    read_envelope,
    read_upload_url,
    refusal,
)
from tests.waiting import processor_time

from .bodies import (
    CALLBACK,
    EXAMPLES,
    FUZZING,
    IS_LONG,
    RECORD,
    TRACK,
    bodies,
    envelope,
    nested,
    written,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)

# of a body of some kilobytes nothing may cost more of the processor; it takes milliseconds
LONGEST_S = 1.0

often = settings(FUZZING, max_examples=EXAMPLES)
statuses = st.sampled_from([200, 200, 200, 201, 302, 400, 404, 408, 422, 429, 500, 502])


@contextmanager
def soon(seconds: float = LONGEST_S) -> Iterator[None]:
    """See that a block does not keep the processor busy for long."""
    with processor_time() as took_s:
        yield
    assert took_s() < seconds, "it takes too long"


def keeps(value: Any) -> None:
    """See that a value can be shown, hashed, copied, sent to another process and stored."""
    assert isinstance(repr(value), str)
    assert isinstance(str(value), str)
    stored = to_json(value)
    cls = SunoError if isinstance(value, SunoError) else type(value)
    assert to_json(from_json(stored, cls)) == stored
    assert to_json(copy.copy(value)) == stored
    # the `raw` of these may be deeper than pickle goes
    if not isinstance(value, TaskDetails | CallbackNotice | StageEvent | AudioMissing):
        assert to_json(pickle.loads(pickle.dumps(value))) == stored  # noqa: S301 - made here


def read(reader: Callable[[Answer], Any], answer: Answer) -> Any:
    """Read an answer; nothing but what is documented is raised, and that can be kept."""
    try:
        return reader(answer)
    except (ApiError, ProtocolError) as caught:
        error = caught
    keeps(error)
    assert judge_look(error)
    return error


@often
@given(bodies, statuses)
def test_any_answer_is_read(body: bytes, status: int) -> None:
    """Every reader gives a value, or an `ApiError` or a `ProtocolError`."""
    answer = Answer(status, body, timedelta(seconds=9))
    with soon():
        said = read_envelope(answer)
        assert isinstance(said.message, str)
        task_id = find_task_id(answer)
        assert task_id is None or task_id.strip()
        keeps(refusal(answer, said))
        assert judge_submission(
            sent=True,
            http_status=status,
            code=said.code,
            message=said.message,
            task_id=task_id,
        )
        read(read_data, answer)
        balance = read(read_credits, answer)
        assert isinstance(balance, int | float | SunoError)
        url = read(read_upload_url, answer)
        assert isinstance(url, str | SunoError)


@often
@given(bodies, statuses)
def test_any_record_is_followed(body: bytes, status: int) -> None:
    """What is read as details can be kept, and a watch takes it, again and again."""
    with soon():
        found = read(lambda answer: read_details(answer, "t1"), Answer(status, body))
        watched = Progress("t1", NOW, 0.0)
        for look in range(1, 5):
            if isinstance(found, TaskDetails):
                watched.saw(found, look * 300.0, NOW)
            elif isinstance(found, SunoError):
                watched.missed(found, look * 300.0, NOW)
        if isinstance(found, TaskDetails):
            keeps(found)
            assert from_json(to_json(found), TaskDetails) == found
        for event in watched.events:
            keeps(event)
        if watched.ending is not None:
            keeps(watched.ending)


@often
@given(
    bodies | bodies.map(lambda body: body.decode("utf-8", "surrogateescape")),
    st.dictionaries(
        st.sampled_from(["X-Webhook-Signature", "x-webhook-timestamp"]),
        st.text(st.characters(codec=None, exclude_categories=[])),
    ),
)
def test_any_callback_is_read_or_rejected(body: bytes | str, headers: dict[str, str]) -> None:
    """Nothing but `CallbackRejected` is raised, signed or not."""
    with soon():
        try:
            notice = parse_callback(body, headers)
        except CallbackRejected as error:
            keeps(error)
        else:
            assert notice.task_id
            keeps(notice)
        with pytest.raises(CallbackRejected) as caught:
            parse_callback(body, headers, hmac_key="key", now=NOW)
        keeps(caught.value)


CLASSES: list[type[Any]] = [
    AddInstrumentalRequest,
    BatchProgress,
    CallbackNotice,
    Outcome,
    SessionStats,
    StageEvent,
    SunoError,
    TaskDetails,
    Track,
]
OURS: list[Any] = [
    Track("a1", "https://cdn.example/a1.mp3", create_time=NOW, duration=7.5),
    TaskDetails("t1", "FAILED", (Track("a1"),), "531", "why", raw=RECORD),
    CallbackNotice("complete", "t1", 200, None, (Track("a1"),), "token", CALLBACK),
    ProtocolError("why", 502, "<html>", timedelta(seconds=9)),
    SessionStats(refusals={429: 3}),
]


@often
@given(
    st.sampled_from(CLASSES),
    bodies | st.sampled_from(OURS).map(to_json).map(str.encode),
    st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=6), st.integers(0, 12)), max_size=3),
)
def test_any_stored_text_is_a_value_or_refused(
    cls: type[Any], text: bytes, damages: list[tuple[float, bytes, int]]
) -> None:
    """`from_json` gives a value of the class, which can be kept, or raises `InvalidRequest`."""
    damaged = bytearray(text)
    for at, piece, length in damages:
        begin = int(at * len(damaged))
        damaged[begin : begin + length] = piece
    with soon():
        found: Any
        try:
            found = from_json(bytes(damaged), cls)
        except InvalidRequest as error:
            found = error
        if isinstance(found, InvalidRequest):
            # a value that is no JSON is stored as its `repr`, which is another one
            assert isinstance(from_json(to_json(found), SunoError), InvalidRequest)
        else:
            assert isinstance(found, cls)
            keeps(found)


@often
@given(
    st.text(max_size=40)
    | st.text("0123456789.eE+-_ ", max_size=400)
    | st.sampled_from(["9" * 10_000, "1e400", "nan", "-inf", "Wed, 99 Jan 99999 00:00:00 GMT", "٣"])
    | st.datetimes().map(lambda at: at.strftime("%a, %d %b %Y %H:%M:%S GMT"))
    | st.text("WedThuJan 0123456789,:+-GMT", max_size=40)
)
def test_any_retry_after_is_a_wait_or_nothing(header: str) -> None:
    """No header raises anything, and none makes a wait that no clock could hold."""
    with soon():
        asked = read_retry_after(header, NOW)
    assert asked is None or 0 <= asked.total_seconds() <= LONGEST_PAUSE_S


# --- large bodies ---------------------------------------------------------------------------------

# the largest answer has 8 MiB; what grows faster than its size shows in less
LARGE_BYTES = (4096 if IS_LONG else 128) * 1024
MOST_TIMES_ITS_SIZE = 60


def _filled(piece: bytes, opening: bytes, closing: bytes) -> bytes:
    """Repeat a piece between an opening and a closing until it is large."""
    return opening + piece * (LARGE_BYTES // len(piece)) + closing


LARGE: dict[str, bytes] = {
    "digits": _filled(b"7", b'{"code":200,"data":', b"}"),
    "digits behind a point": _filled(b"7", b'{"code":200,"data":0.', b"}"),
    "digits in a text": _filled(b"7", b'{"code":200,"data":"0.', b'"}'),
    "digits everywhere": _filled(b"7" * 4_000 + b",", b'{"code":200,"data":[', b"1]}"),
    "backslashes": _filled(b"\\\\", b'{"code":200,"msg":"', b'"}'),
    "quotes in a text": _filled(b'\\"', b'{"code":200,"data":"', b'"}'),
    "half surrogates": _filled(b"\\ud800", b'{"code":200,"data":{"taskId":"', b'"}}'),
    "wrong bytes": _filled(b"\xff", b'{"code":200,"data":{"status":"', b'"}}'),
    "blanks": _filled(b" ", b'{"code":200,"data":', b"null}"),
    "openings": _filled(b"[", b'{"code":200,"data":', b""),
    "objects that never end": _filled(b'{"data":', b'{"code":200,"data":', b""),
    "names": _filled(b'"a":1,', b'{"code":200,"data":{', b'"a":2}}'),
    "places": _filled(b'{"x":{"y":[]}},', b'{"code":200,"data":[', b"{}]}"),
    "texts that hold JSON": _filled(b'"[[[{}]]]",', b'{"code":200,"data":{"a":[', b'"{}"]}}'),
    "tracks": _filled(
        written(TRACK) + b",", b'{"code":200,"data":{"status":"SUCCESS","response":[', b"{}]}}"
    ),
    "tracks in a text": written(
        envelope(
            {**RECORD, "response": (b"[" + written(TRACK) * (LARGE_BYTES // 500) + b"]").decode()}
        )
    ),
    "a page": _filled(b"<p>Bad Gateway</p>", b"<html>", b"</html>"),
    "a page that speaks of credits": _filled(b"cred", b'{"code":429,"msg":"', b'"}'),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_large_body_takes_bounded_time_and_memory(name: str) -> None:
    """Both grow with the size of the body and no faster, whatever it holds."""
    answer = Answer(200, LARGE[name])
    readers: list[Callable[[Answer], Any]] = [
        read_envelope,
        find_task_id,
        read_credits,
        lambda given: read_details(given, "t1"),
        lambda given: parse_callback(given.body),
    ]
    for reader in readers:
        tracemalloc.start()
        try:
            with soon(40.0 if IS_LONG else 2.0), suppress(SunoError):
                reader(answer)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < MOST_TIMES_ITS_SIZE * len(answer.body)


@pytest.mark.parametrize("depth", [10, 250, 255, 900, 990, 1_000, 1_020, 1_030, 50_000])
@pytest.mark.parametrize("name", ["detail", "msg", "error", "data", "code"])
def test_any_depth_is_read(name: str, depth: int) -> None:
    """Wherever it is: an envelope, a verdict, an error that can be kept."""
    for body in (nested(depth), nested(depth, b'{"a":', b"}", b"1")):
        answer = Answer(422, written({"code": 422, "data": None, name: body}))
        keeps(refusal(answer, read_envelope(answer)))
        read(lambda given: read_details(given, "t1"), answer)
        assert find_task_id(answer) is None
