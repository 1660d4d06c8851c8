"""What is proved of a paid call: the table of invariant 1, and properties over all of it.

The closed lists are written down here a second time, so that a change of the code's own shows.
"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_async import (
    ApiError,
    InsufficientCredits,
    SunoError,
    ValidationFailed,
)
from suno_async.refusals import api_error
from suno_async.verdict import Sight, Verdict, is_transient, judge_look, judge_submission
from suno_async.wire import Answer, find_task_id, read_envelope, refusal

CODES = [None, *range(-2, 1000)]
STATUSES = [None, *range(100, 600)]

# the service's envelope: nothing was taken (spec: 429, 455; upstream: 405, 430)
TOOK_NOTHING = {405, 429, 430, 455}
# the codes of refusals that speak of time
OF_TIME = {408, 425, 444, 460, 499}
REFUSING = set(range(400, 500)) - OF_TIME
# what a gateway's page refuses with
PAGES = {400, 401, 403, 404, 405, 406, 411, 413, 414, 415, 422, 431, 451}

# an answer, and what is proved by it of a submission that was sent
TABLE: list[tuple[int | None, int | None, str, Verdict]] = [
    (None, None, "", Verdict.UNCERTAIN),
    *((200, code, "", Verdict.TOOK_NOTHING) for code in sorted(TOOK_NOTHING)),
    *((code, code, "", Verdict.TOOK_NOTHING) for code in sorted(TOOK_NOTHING)),
    (429, None, "", Verdict.TOOK_NOTHING),
    (200, 429, "Your balance is not enough to run this request", Verdict.REFUSED),
    (429, 429, "insufficient credits", Verdict.REFUSED),
    (429, None, "insufficient credits", Verdict.REFUSED),
    (200, 430, "insufficient credits", Verdict.TOOK_NOTHING),
    *((200, code, "", Verdict.REFUSED) for code in (400, 401, 402, 403, 404, 409, 413, 422, 451)),
    *((200, code, "", Verdict.UNCERTAIN) for code in sorted(OF_TIME)),
    *((200, code, "", Verdict.UNCERTAIN) for code in (-1, 0, 4, 14, 200, 201, 202, 399)),
    *((200, code, "", Verdict.UNCERTAIN) for code in (500, 501, 503, 505, 531, 599, 600, 777)),
    *((status, None, "", Verdict.REFUSED) for status in sorted(PAGES)),
    *((status, None, "", Verdict.UNCERTAIN) for status in (200, 201, 202, 204, 301, 302, 307, 308)),
    *((status, None, "", Verdict.UNCERTAIN) for status in (402, 407, 409, 410, 417, 418, 428)),
    *((status, None, "", Verdict.UNCERTAIN) for status in (408, 421, 423, 424, 425, 426, 430)),
    *((status, None, "", Verdict.UNCERTAIN) for status in (444, 455, 460, 463, 494, 499)),
    *((status, None, "", Verdict.UNCERTAIN) for status in (500, 502, 503, 504, 520, 524, 599)),
    (504, 4, "context deadline exceeded", Verdict.UNCERTAIN),
    (503, 14, "upstream connect error", Verdict.UNCERTAIN),
    (502, 0, "", Verdict.UNCERTAIN),
    # a status of time or of failure contradicts the refusal inside
    *((status, 422, "", Verdict.UNCERTAIN) for status in (302, 408, 444, 499, 500, 502, 504)),
    *((status, 429, "", Verdict.UNCERTAIN) for status in (408, 499, 500, 502, 504)),
]


@pytest.mark.parametrize("repeat_server_errors", [False, True])
@pytest.mark.parametrize(("status", "code", "message", "verdict"), TABLE)
def test_invariant_1_the_table(
    status: int | None,
    code: int | None,
    message: str,
    verdict: Verdict,
    *,
    repeat_server_errors: bool,
) -> None:
    """Invariant 1: what each answer to a submission that was sent proves."""
    judged = judge_submission(
        sent=True,
        http_status=status,
        code=code,
        message=message,
        repeat_server_errors=repeat_server_errors,
    )
    own_failure = code == 500 and status in {200, 500}
    assert judged is (Verdict.TOOK_NOTHING if own_failure and repeat_server_errors else verdict)


def every_answer() -> list[tuple[int | None, int | None]]:
    """List every status with every code: half a million answers."""
    return [(status, code) for status in STATUSES for code in CODES]


def test_invariant_1_certainty_comes_from_closed_lists_alone() -> None:
    """Over every code and status: what is not in a list is uncertain, whatever it is."""
    wrong = []
    for status, code in every_answer():
        judged = judge_submission(sent=True, http_status=status, code=code)
        believed = status is not None and (200 <= status <= 299 or status in REFUSING)
        if code is not None and believed and code in TOOK_NOTHING:
            due = Verdict.TOOK_NOTHING
        elif code is not None and believed and code in REFUSING:
            due = Verdict.REFUSED
        elif code is None and status == 429:
            due = Verdict.TOOK_NOTHING
        elif code is None and status in PAGES:
            due = Verdict.REFUSED
        else:
            due = Verdict.UNCERTAIN
        if judged is not due:
            wrong.append((status, code, judged))
    assert wrong == []


def test_invariant_1_what_was_not_sent_is_never_uncertain() -> None:
    """Over every code and status: nothing that was not handed out can have been paid for."""
    for status, code in every_answer():
        unsent = judge_submission(sent=False, http_status=status, code=code)
        sent = judge_submission(sent=True, http_status=status, code=code)
        assert unsent is (Verdict.NOT_SENT if sent is Verdict.UNCERTAIN else sent)


def test_invariant_1_only_the_services_own_500_can_be_declared_to_take_nothing() -> None:
    """Over every code and status: `repeat_server_errors` changes two answers, and no other."""
    changed = {
        (status, code)
        for status, code in every_answer()
        if judge_submission(sent=True, http_status=status, code=code)
        is not judge_submission(sent=True, http_status=status, code=code, repeat_server_errors=True)
    }
    assert changed == {(200, 500), (500, 500)}


statuses = st.sampled_from(STATUSES) | st.integers()
codes = st.sampled_from(CODES) | st.integers()
messages = st.sampled_from(["", "not enough credits", "too many requests"]) | st.text()


@given(statuses, codes, messages, st.text(min_size=1), st.booleans(), st.booleans())
def test_invariant_1_a_task_id_always_wins(
    status: int | None, code: int | None, message: str, task_id: str, sent: bool, repeat: bool
) -> None:
    """Whatever else the answer says, and whoever says it, an id proves the task."""
    judged = judge_submission(
        sent=sent,
        http_status=status,
        code=code,
        message=message,
        task_id=task_id,
        repeat_server_errors=repeat,
    )
    assert judged is Verdict.ACCEPTED


@given(statuses, codes, messages, st.booleans(), st.booleans())
def test_invariant_1_without_an_id_nothing_is_accepted(
    status: int | None, code: int | None, message: str, sent: bool, repeat: bool
) -> None:
    """The table is total, and a text can only make a repetition a refusal."""
    answer: dict[str, Any] = {"sent": sent, "http_status": status, "code": code}
    judged = judge_submission(**answer, message=message, repeat_server_errors=repeat)
    silent = judge_submission(**answer, repeat_server_errors=repeat)
    assert judged is not Verdict.ACCEPTED
    assert sent or judged is not Verdict.UNCERTAIN
    assert not sent or judged is not Verdict.NOT_SENT
    assert judged is silent or (silent, judged) == (Verdict.TOOK_NOTHING, Verdict.REFUSED)


@given(statuses, codes, messages)
def test_invariant_1_less_evidence_makes_nothing_more_certain(
    status: int | None, code: int | None, message: str
) -> None:
    """What is repeated with the envelope alone known is so with the status known, or uncertain."""
    judged = judge_submission(sent=True, http_status=status, code=code, message=message)
    as_is_usual = judge_submission(sent=True, http_status=200, code=code, message=message)
    assert code is None or judged in {as_is_usual, Verdict.UNCERTAIN}
    assert judge_submission(sent=True, code=code, message=message) is Verdict.UNCERTAIN


# --- from bytes to the verdict --------------------------------------------------------------------

WITH_ID: list[tuple[int, Any]] = [
    (202, {"code": 202, "msg": "Accepted", "data": {"taskId": "t1"}}),
    (200, {"code": 409, "msg": "exists already", "data": {"taskId": "t1"}}),
    (500, {"code": 500, "msg": "internal", "data": {"taskId": "t1"}}),
    (200, {"data": {"taskId": "t1"}}),
    (200, {"code": 200, "data": {"task": {"taskId": "t1"}}}),
    *((200, {"code": code, "data": {"taskId": "t1"}}) for code in (0, 201, 202, 409, 500, -1)),
    *((status, {"data": {"taskId": "t1"}}) for status in (200, 202, 302, 404, 429, 500, 502)),
    (200, {"taskId": "t1"}),
    (200, {"task_id": "t1"}),
    (502, {"task_id": "t1", "code": "500"}),
    (200, {"result": {"taskId": "t1"}}),
    (200, {"code": 200, "data": [{"taskId": "t1"}]}),
    (200, {"code": 200, "data": {"tasks": [{"taskId": "t1"}]}}),
    (200, {"code": 200, "data": json.dumps({"taskId": "t1"})}),
    (200, [{"taskId": "t1"}]),
    (500, {"code": 500, "msg": "x" * 100_000, "data": {"more": "x" * 100_000, "taskId": "t1"}}),
]


@pytest.mark.parametrize(("status", "body"), WITH_ID, ids=lambda value: str(value)[:70])
def test_invariant_1_an_id_is_found_wherever_an_answer_has_it(status: int, body: Any) -> None:
    """At the top, in `data`, in a list, a level deeper, in either spelling, however far behind."""
    assert find_task_id(Answer(status, json.dumps(body).encode())) == "t1"


WITHOUT_ID: list[bytes] = [
    b"",
    b"null",
    b"[]",
    b'"taskId"',
    b"[" * 100_000,
    b'{"data": null}',
    b'{"data": {"taskId": null}}',
    b'{"data": {"taskId": ""}}',
    b'{"data": {"taskId": "  "}}',
    b'{"data": {"taskId": {}}}',
    b'{"data": {"taskId": true}}',
    b'{"msg": "taskId: t1"}',
    b'{"code":200,"data":{"taskId":"t1',
]


@pytest.mark.parametrize("body", WITHOUT_ID, ids=lambda body: str(body[:40]))
def test_what_is_no_id_proves_nothing(body: bytes) -> None:
    """Half an answer, an empty id and a text about one are none."""
    assert find_task_id(Answer(200, body)) is None


def judged(status: int, body: Any) -> tuple[Verdict, SunoError]:
    """Judge an answer to a submission that was sent, and build its error."""
    text = body if isinstance(body, str) else json.dumps(body)
    answer = Answer(status, text.encode())
    envelope = read_envelope(answer)
    verdict = judge_submission(
        sent=True,
        http_status=status,
        code=envelope.code,
        message=envelope.message,
        task_id=find_task_id(answer),
    )
    return verdict, refusal(answer, envelope)


# rows that were seen in real life: status, body, what they prove
SEEN: dict[str, tuple[int, Any, Verdict]] = {
    "json gateway, deadline": (
        504,
        {"code": 4, "message": "context deadline exceeded"},
        Verdict.UNCERTAIN,
    ),
    "json gateway, unavailable": (
        503,
        {"code": 14, "message": "upstream connect error"},
        Verdict.UNCERTAIN,
    ),
    "json gateway, zero": (502, {"code": 0}, Verdict.UNCERTAIN),
    "client closed request": (499, "<html>", Verdict.UNCERTAIN),
    "upstream was silent for ten minutes": (
        200,
        {"code": 408, "msg": "timeout", "data": None},
        Verdict.UNCERTAIN,
    ),
    "server error": (200, {"code": 500, "msg": "Server error", "data": None}, Verdict.UNCERTAIN),
    "a code nobody knows": (200, {"code": 777, "msg": "new", "data": None}, Verdict.UNCERTAIN),
    "credits, said as a limit": (
        200,
        {"code": 429, "msg": "Your balance is not enough to run this request", "data": None},
        Verdict.REFUSED,
    ),
    "a limit": (200, {"code": 429, "msg": "Too many requests", "data": None}, Verdict.TOOK_NOTHING),
    "a limit, as text": (200, {"code": "429", "message": "slowly"}, Verdict.TOOK_NOTHING),
    "validation of a framework": (
        422,
        {"detail": [{"loc": ["body", "title"], "msg": "too long"}]},
        Verdict.REFUSED,
    ),
    "wrong base url": (405, "<h1>Method Not Allowed</h1>", Verdict.REFUSED),
    "a gateway's limit": (429, "<h1>Too Many Requests</h1>", Verdict.TOOK_NOTHING),
    "a gateway's limit, as json": (429, {"error": "slow down"}, Verdict.TOOK_NOTHING),
    "credits, said by a gateway": (429, {"detail": "out of credits"}, Verdict.REFUSED),
    **{f"page {status}": (status, "<html>", Verdict.UNCERTAIN) for status in (424, 444, 460, 499)},
    "a boolean is no code": (200, {"code": True}, Verdict.UNCERTAIN),
    "a code with a half": (200, {"code": 422.5}, Verdict.UNCERTAIN),
    "a huge code": (200, {"code": 10**50}, Verdict.UNCERTAIN),
}


@pytest.mark.parametrize("name", SEEN)
def test_invariant_1_what_was_seen_in_real_life(name: str) -> None:
    """Each row stands for its kind."""
    status, body, due = SEEN[name]
    assert judged(status, body)[0] is due


def test_a_limit_that_speaks_of_credits_is_an_error_about_credits() -> None:
    """The class tells a caller to top up, and not to ask again later."""
    assert type(judged(*SEEN["credits, said as a limit"][:2])[1]) is InsufficientCredits
    assert type(judged(*SEEN["credits, said by a gateway"][:2])[1]) is InsufficientCredits


@pytest.mark.parametrize("name", ["detail", "error", "message", "title", "msg"])
@pytest.mark.parametrize("said", ["too long: title", {"title": "too long"}, [{"loc": ["title"]}]])
@pytest.mark.parametrize("status", [400, 403, 422, 424, 429, 502, 504])
def test_what_a_gateways_json_says_is_in_the_error(status: int, name: str, said: Any) -> None:
    """Whoever wrote it, and wherever, its reader sees why."""
    _, error = judged(status, {name: said})
    assert "title" in str(error)


def test_what_a_framework_says_of_a_field_is_a_validation() -> None:
    """The error is of the service's own class, and shows the field."""
    verdict, error = judged(*SEEN["validation of a framework"][:2])
    assert verdict is Verdict.REFUSED
    assert type(error) is ValidationFailed
    assert "title" in str(error)


texts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["code", "msg", "message", "data", "taskId", "detail", "error"]), inner
        )
    ),
)


@given(st.integers(), texts | st.text())
def test_every_answer_has_a_verdict_and_an_error(status: int, body: Any) -> None:
    """Whatever JSON or text comes with whatever status, nothing raises."""
    verdict, error = judged(status, body)
    assert isinstance(verdict, Verdict)
    assert str(error)


# --- a look ---------------------------------------------------------------------------------------


@given(codes.map(lambda code: 0 if code is None else code), statuses, st.text(), st.booleans())
def test_every_refused_look_has_a_meaning(
    code: int, status: int | None, message: str, gateway: bool
) -> None:
    """The table of looks is total, and being passing is one of its meanings."""
    error = api_error(code, message, status, gateway=gateway)
    assert isinstance(error, ApiError)
    assert isinstance(judge_look(error), Sight)
    assert is_transient(error) is (judge_look(error) is Sight.TRANSIENT)
