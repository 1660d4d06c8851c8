"""After a failed call: the decisions as tables, the waits as bounds, Retry-After as a grammar."""

import math
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_async import (
    ApiError,
    ConnectionFailed,
    Maintenance,
    ProtocolError,
    RateLimited,
    RetryPolicy,
    ServerError,
    SunoError,
    VirtualClock,
)
from suno_async.errors import api_error
from suno_async.retry import (
    LONGEST_PAUSE,
    SharedPause,
    Sight,
    Verdict,
    asked_wait,
    is_transient,
    judge_look,
    judge_submission,
    persist,
    read_retry_after,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
CODES = [*range(-1, 1000), 1001, 10**9]

REPEATED = {405, 429, 430, 455}
TRANSIENT = {405, 408, 429, 430, 455, *range(500, 600)}
NO_RECORD = {404, 422}


@pytest.mark.parametrize("repeat_server_errors", [False, True])
def test_invariant_1_only_what_was_not_taken_is_repeated(*, repeat_server_errors: bool) -> None:
    """Invariant 1: of all codes four are repeated, and 5xx only when the caller opts in."""
    policy = RetryPolicy(repeat_server_errors=repeat_server_errors)
    repeated = {c for c in CODES if judge_submission(api_error(c, ""), policy) is Verdict.REPEAT}
    assert repeated == REPEATED | (set(range(500, 600)) if repeat_server_errors else set())
    others = {judge_submission(api_error(c, ""), policy) for c in set(CODES) - repeated}
    assert others == {Verdict.REFUSED}


@pytest.mark.parametrize("repeat_server_errors", [False, True])
@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (ConnectionFailed("refused", request_sent=False), Verdict.REPEAT),
        (ConnectionFailed("reset"), Verdict.UNCERTAIN),
        (ProtocolError("not JSON", 502), Verdict.UNCERTAIN),
        (ProtocolError("not JSON", 200), Verdict.UNCERTAIN),
        (SunoError(), Verdict.REFUSED),
    ],
    ids=repr,
)
def test_invariant_1_without_an_answer_it_is_uncertain(
    error: SunoError, verdict: Verdict, *, repeat_server_errors: bool
) -> None:
    """Invariant 1: once the request was sent, only a readable answer is certain."""
    assert (
        judge_submission(error, RetryPolicy(repeat_server_errors=repeat_server_errors)) is verdict
    )


def test_invariant_2_a_look_fails_for_passing_reasons() -> None:
    """Invariant 2: of all codes, these are no verdict on the task."""
    sights = {code: judge_look(api_error(code, "")) for code in CODES}
    assert {code for code in CODES if sights[code] is Sight.TRANSIENT} == TRANSIENT
    assert {code for code in CODES if sights[code] is Sight.NO_RECORD} == NO_RECORD
    assert {sights[code] for code in set(CODES) - TRANSIENT - NO_RECORD} == {Sight.FATAL}
    assert {code for code in CODES if is_transient(api_error(code, ""))} == TRANSIENT


@pytest.mark.parametrize(
    "error",
    [ConnectionFailed("x"), ConnectionFailed("x", request_sent=False), ProtocolError("x", 502)],
    ids=repr,
)
def test_invariant_2_no_answer_says_nothing_about_the_task(error: SunoError) -> None:
    """Invariant 2: network and gateways never end a watch."""
    assert judge_look(error) is Sight.TRANSIENT


# --- waits ----------------------------------------------------------------------------------------


@given(st.floats(0.001, 100), st.floats(0.001, 1000), st.integers(1, 60))
def test_waits_have_full_jitter_below_a_doubling_ceiling(
    base_s: float, cap_s: float, failures: int
) -> None:
    """Each wait is between zero and its ceiling, which doubles up to the cap."""
    policy = RetryPolicy(base=timedelta(seconds=base_s), cap=timedelta(seconds=cap_s))
    base_s, cap_s = policy.base.total_seconds(), policy.cap.total_seconds()
    for nth, wait_s in enumerate(islice(policy.waits_s(), failures)):
        assert 0 <= wait_s <= min(base_s * 2**nth, cap_s) * (1 + 1e-12)
    assert 0 <= policy.wait_s(failures) <= min(base_s * 2 ** (failures - 1), cap_s) * (1 + 1e-12)


def test_waits_are_spread_over_their_whole_range() -> None:
    """Full jitter: the waits of many clients fill the range below the ceiling evenly."""
    waits_s = sorted(RetryPolicy().wait_s(10) for _ in range(2000))
    assert waits_s[0] < 1
    assert waits_s[-1] > 29
    assert 13 < sum(waits_s) / len(waits_s) < 17


def test_a_wait_after_very_many_failures_is_found() -> None:
    """A watch that failed a million times waits like one that failed often."""
    assert 0 <= RetryPolicy().wait_s(10**6) <= 30


@pytest.mark.parametrize("attempts", [0, -1])
def test_a_call_is_tried_at_least_once(attempts: int) -> None:
    """A policy without attempts makes no sense."""
    with pytest.raises(ValueError, match="attempts"):
        RetryPolicy(attempts=attempts)


# --- Retry-After ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("1.5", 1.5),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("-inf", None),
        ("1e9", 86400),
        ("99999999999999999999", 86400),
        ("9" * 5000, None),
        ("Thu, 01 Jan 2026 12:01:30 GMT", 90),
        ("Thu, 01 Jan 2026 12:01:30", 90),
        ("Thu, 01 Jan 2026 14:01:30 +0200", 90),
        ("Thursday, 01-Jan-26 12:01:30 GMT", 90),
        ("Thu Jan  1 12:01:30 2026", 90),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0),
        ("Mon, 01 Jan 1900 00:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86400),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0),
        ("Mon, 32 Jan 2026 00:00:00 GMT", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Thu, 01 Jan 2026 12:01:30 +9999", None),
    ],
)
def test_invariant_5_retry_after_has_two_forms(header: str | None, seconds: float | None) -> None:
    """Invariant 5: seconds or a date; absurd lengths are cut, nonsense is as good as none."""
    asked = read_retry_after(header, NOW)
    assert asked == (None if seconds is None else timedelta(seconds=seconds))


@given(
    st.text()
    | st.floats().map(str)
    | st.integers().map(str)
    | st.from_regex(r"\A\w{3}, \d{1,20} (Jan|Feb|Foo) \d{1,9} \d+:\d+:\d+ ([+-]\d{4,9}|GMT)\Z")
)
def test_no_header_breaks_anything(header: str) -> None:
    """Whatever a gateway sends, it is a wait of up to a day or none."""
    asked = read_retry_after(header, NOW)
    assert asked is None or timedelta(0) <= asked <= LONGEST_PAUSE


@given(
    st.timedeltas(timedelta(0), timedelta(days=1)).map(lambda t: timedelta(seconds=t.seconds)),
    st.integers(-14, 14),
)
def test_a_date_means_the_same_everywhere(length: timedelta, hours: int) -> None:
    """A date is read in its zone."""
    date = (NOW + length).astimezone(timezone(timedelta(hours=hours)))
    assert read_retry_after(format_datetime(date), NOW) == length


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (RateLimited(429, "", 429, None, timedelta(seconds=3)), 3),
        (Maintenance(455, "", 200, None, timedelta(seconds=3)), 3),
        (ServerError(500, "", 500, None, timedelta(seconds=3)), 3),
        (ProtocolError("not JSON", 503, "", timedelta(seconds=3)), 3),
        (RateLimited(429, ""), None),
        (ApiError(418, ""), None),
        (ConnectionFailed("reset"), None),
    ],
    ids=repr,
)
def test_the_wish_of_the_service_is_found(error: SunoError, asked: float | None) -> None:
    """Every error that can come with a Retry-After gives it."""
    assert asked_wait(error) == (None if asked is None else timedelta(seconds=asked))


# --- the shared pause -----------------------------------------------------------------------------


@given(st.floats(0, 86400))
def test_invariant_5_a_pause_is_never_shorter_than_asked(seconds: float) -> None:
    """Invariant 5: a wish of the service is a lower bound, and exceeded by at most a second."""
    clock = VirtualClock()
    pause = SharedPause(clock, RetryPolicy())
    asked = timedelta(seconds=seconds)
    pause.begin(asked)
    assert asked.total_seconds() <= pause.left_s <= asked.total_seconds() + 1


def test_a_pause_is_never_shortened() -> None:
    """A later, shorter wish does not end a longer pause."""
    clock = VirtualClock()
    pause = SharedPause(clock, RetryPolicy())
    pause.begin(timedelta(seconds=100))
    pause.begin(timedelta(seconds=1))
    pause.begin(None)
    assert pause.left_s >= 100


def test_pauses_without_a_wish_grow_until_the_service_answers() -> None:
    """The ceilings double from pause to pause, and `reset` begins again."""
    clock = VirtualClock()
    pause = SharedPause(clock, RetryPolicy())
    lengths = []
    for _ in range(12):
        pause.begin(None)
        lengths.append(pause.left_s)
        clock.advance(pause.left_s)
    assert all(length <= 0.5 * 2**nth for nth, length in enumerate(lengths))
    assert max(lengths) > 1
    pause.reset()
    pause.begin(None)
    assert pause.left_s <= 0.5


@pytest.mark.parametrize(
    ("error", "pauses"),
    [
        (api_error(429, ""), True),
        (api_error(405, ""), True),
        (api_error(455, ""), False),
        (api_error(455, "", 200, timedelta(seconds=3)), True),
        (ProtocolError("not JSON", 503), False),
        (ProtocolError("not JSON", 503, "", timedelta(seconds=3)), True),
        (ConnectionFailed("reset"), False),
    ],
    ids=repr,
)
def test_some_failures_pause_the_whole_session(error: SunoError, *, pauses: bool) -> None:
    """Being called too often does, and a wish of the service does."""
    pause = SharedPause(VirtualClock(), RetryPolicy(base=timedelta(days=1), cap=timedelta(days=1)))
    pause.note(error)
    assert (pause.left_s > 0) == pauses


async def test_who_waits_for_a_pause_waits_for_its_prolongation() -> None:
    """A pause that grows meanwhile is waited for to its end."""
    clock = VirtualClock()
    pause = SharedPause(clock, RetryPolicy())
    pause.begin(timedelta(seconds=10))
    clock.call_at(5, lambda: pause.begin(timedelta(seconds=50)))
    await clock.run(pause.wait())
    assert 55 <= clock.monotonic() <= 56


async def test_a_pause_ends_at_any_age_of_the_clock() -> None:
    """Rounding far from zero does not keep anybody waiting for ever."""
    for start_s in (0.1, 1e6 / 3, 1e9 / 7):
        clock = VirtualClock()
        clock.advance(start_s)
        pause = SharedPause(clock, RetryPolicy())
        pause.begin(timedelta(days=1) / 7)
        await clock.run(pause.wait())
        assert math.isclose(clock.monotonic() - start_s, 86400 / 7, rel_tol=1e-3)


# --- persist --------------------------------------------------------------------------------------


class _Flaky:
    """A call that fails so many times."""

    def __init__(self, failures: int, error: SunoError) -> None:
        self.calls = 0
        self._failures = failures
        self._error = error

    async def __call__(self) -> int:
        self.calls += 1
        if self.calls <= self._failures:
            raise self._error
        return 7


@pytest.mark.parametrize(
    ("failures", "code", "calls"), [(0, 500, 1), (4, 500, 5), (5, 500, 5), (1, 401, 1), (4, 429, 5)]
)
async def test_a_free_call_is_tried_as_often_as_the_policy_says(
    failures: int, code: int, calls: int
) -> None:
    """Passing failures are tried again up to `attempts` times in all, others never."""
    clock, call = VirtualClock(), _Flaky(failures, api_error(code, ""))
    pause = SharedPause(clock, RetryPolicy())
    trying = persist(call, policy=RetryPolicy(), clock=clock, pause=pause)
    if failures < calls:
        assert await clock.run(trying) == 7
    else:
        with pytest.raises(ApiError):
            await clock.run(trying)
    assert call.calls == calls


async def test_a_free_call_needs_no_pause() -> None:
    """Without a shared pause the waits are the call's own."""
    clock, call = VirtualClock(), _Flaky(2, api_error(429, ""))
    assert await clock.run(persist(call, policy=RetryPolicy(), clock=clock)) == 7
