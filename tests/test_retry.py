"""After a failed call: the decisions as tables, the waits as bounds, Retry-After as a grammar."""

import math
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_async import (
    AccountLimits,
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
from suno_async.observe import Observation, Observers, Paused
from suno_async.refusals import api_error
from suno_async.retry import LONGEST_PAUSE_S, SharedPause, asked_wait, persist, read_retry_after

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
YEAR_S = 365 * 86_400
DAY = timedelta(days=1)


def shared_pause(
    clock: VirtualClock,
    policy: RetryPolicy | None = None,
    *,
    limits: AccountLimits | None = None,
    told: list[Observation] | None = None,
) -> SharedPause:
    """Make a pause of its own account, that tells `told`."""
    observers = Observers(() if told is None else (told.append,))
    return SharedPause(
        clock, policy or RetryPolicy(), limits or AccountLimits(), clock.sleep, observers
    )


def limited(seconds: float | None = None) -> RateLimited:
    """Make the service's word that it is called too often."""
    asked = None if seconds is None else timedelta(seconds=seconds)
    return RateLimited(429, "slowly", 200, None, asked)


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
        ("86400", 86400),
        ("1e9", 1e9),
        ("1e309", None),
        ("1000000001", 0),  # the Unix time of 2001
        (f"{NOW.timestamp() + 90:.0f}", 90),
        ("1893456000", 4 * YEAR_S + 86_400 - 43_200),
        ("99999999999999999999", None),
        ("9" * 5000, None),
        ("Wed, 01 Jan 2031 00:00:00 GMT", 5 * YEAR_S + 86_400 - 43_200),
        ("Thu, 01 Jan 2026 12:01:30 GMT", 90),
        ("Thu, 01 Jan 2026 12:01:30", 90),
        ("Thu, 01 Jan 2026 14:01:30 +0200", 90),
        ("Thursday, 01-Jan-26 12:01:30 GMT", 90),
        ("Thu Jan  1 12:01:30 2026", 90),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0),
        ("Mon, 01 Jan 1900 00:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0),
        ("Mon, 32 Jan 2026 00:00:00 GMT", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Thu, 01 Jan 2026 12:01:30 +9999", None),
    ],
)
def test_invariant_5_retry_after_has_three_forms(header: str | None, seconds: float | None) -> None:
    """Invariant 5: seconds, a date or a Unix time; what nobody means is as good as none."""
    asked = read_retry_after(header, NOW)
    assert asked == (None if seconds is None else timedelta(seconds=seconds))


@given(
    st.text()
    | st.floats().map(str)
    | st.integers().map(str)
    | st.from_regex(r"\A\w{3}, \d{1,20} (Jan|Feb|Foo) \d{1,9} \d+:\d+:\d+ ([+-]\d{4,9}|GMT)\Z")
)
def test_no_header_breaks_anything(header: str) -> None:
    """Whatever a gateway sends, it is a length of time that timers can hold, or none."""
    asked = read_retry_after(header, NOW)
    assert asked is None or timedelta(0) <= asked <= timedelta(seconds=LONGEST_PAUSE_S)


@given(st.floats(0, 1e9), st.integers(0, 100_000_000))
def test_seconds_and_the_point_in_time_at_which_they_end_mean_the_same(
    seconds: float, wait_s: int
) -> None:
    """A billion is the border: below it a length, above it a point in time."""
    assert read_retry_after(repr(seconds), NOW) == timedelta(seconds=seconds)
    at = NOW + timedelta(seconds=wait_s)
    assert read_retry_after(str(int(at.timestamp())), NOW) == at - NOW


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


GATEWAYS = [
    api_error(429, "", 429, 30 * DAY, gateway=True),
    ProtocolError("not JSON", 503, "", 30 * DAY),
]


@pytest.mark.parametrize("error", GATEWAYS, ids=repr)
def test_invariant_5_a_page_pauses_for_a_minute_at_the_most(error: SunoError) -> None:
    """What answers in place of the service does not speak for it: not for a month."""
    clock = VirtualClock()
    pause = shared_pause(clock)
    pause.note(error)
    assert 60 <= pause.left_s <= 61
    assert asked_wait(error) == timedelta(minutes=1)


@pytest.mark.parametrize("seconds", [0.0, 0.3, 7.0])
def test_a_short_wish_of_a_page_is_obeyed(seconds: float) -> None:
    """A minute is the most, and not the least."""
    asked = timedelta(seconds=seconds)
    assert asked_wait(api_error(429, "", 429, asked, gateway=True)) == asked


# --- the shared pause -----------------------------------------------------------------------------


@given(st.floats(0, 86400))
def test_invariant_5_a_pause_is_never_shorter_than_asked(seconds: float) -> None:
    """Invariant 5: a wish of the service is a lower bound, and exceeded by at most a second."""
    clock = VirtualClock()
    pause = shared_pause(clock)
    pause.note(limited(seconds))
    asked = timedelta(seconds=seconds)
    assert asked.total_seconds() <= pause.left_s <= asked.total_seconds() + 1


@pytest.mark.parametrize("seconds", [0.01, 0.3, 0.999])
async def test_a_pause_of_less_than_a_second_is_kept(seconds: float) -> None:
    """A short wish is a wish."""
    clock = VirtualClock()
    pause = shared_pause(clock, RetryPolicy(base=timedelta(0)))
    pause.note(limited(seconds))
    await clock.run(pause.wait())
    assert clock.monotonic() == pytest.approx(seconds)


def test_a_pause_after_many_failures_is_a_second_longer_than_asked_at_the_most() -> None:
    """The ladder of waits without a wish does not lengthen those with one."""
    clock = VirtualClock()
    pause = shared_pause(clock)
    for _ in range(40):
        pause.note(limited(10))
        assert 10 <= pause.left_s < 11.001
        clock.advance(pause.left_s)


def test_a_pause_is_never_shortened() -> None:
    """A later, shorter wish does not end a longer pause."""
    clock = VirtualClock()
    pause = shared_pause(clock)
    pause.note(limited(100))
    pause.note(limited(1))
    pause.note(limited())
    assert pause.left_s >= 100


def test_pauses_without_a_wish_grow_until_the_service_answers() -> None:
    """The ceilings double from pause to pause, and `reset` begins again."""
    clock = VirtualClock()
    pause = shared_pause(clock)
    lengths = []
    for _ in range(12):
        pause.note(limited())
        lengths.append(pause.left_s)
        clock.advance(pause.left_s)
    assert all(length <= 0.5 * 2**nth for nth, length in enumerate(lengths))
    assert max(lengths) > 1
    pause.reset()
    pause.note(limited())
    assert pause.left_s <= 0.5


@pytest.mark.parametrize(
    ("error", "pauses"),
    [
        (api_error(429, ""), True),
        (api_error(429, "", 429, gateway=True), True),
        (api_error(429, "no credits left"), False),
        (api_error(405, ""), True),
        (api_error(430, ""), True),
        (api_error(405, "", 405, gateway=True), False),
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
    pause = shared_pause(VirtualClock(), RetryPolicy(base=DAY, cap=DAY))
    pause.note(error)
    assert (pause.left_s > 0) == pauses


def test_observers_are_told_of_every_pause_once() -> None:
    """A pause is told with its length and reason; one that changes nothing is not told."""
    clock, told = VirtualClock(), list[Observation]()
    pause = shared_pause(clock, told=told)
    first, longer = limited(10), limited(20)
    for error in (first, limited(5), limited(), longer):
        pause.note(error)
    assert [type(one) for one in told] == [Paused, Paused]
    assert [one.error for one in told if isinstance(one, Paused)] == [first, longer]
    assert isinstance(told[0], Paused)
    assert 10 <= told[0].seconds <= 11


async def test_who_waits_for_a_pause_waits_for_its_prolongation() -> None:
    """A pause that grows meanwhile is waited for to its end."""
    clock = VirtualClock()
    pause = shared_pause(clock)
    pause.note(limited(10))
    clock.call_at(5, lambda: pause.note(limited(50)))
    await clock.run(pause.wait())
    assert 55 <= clock.monotonic() <= 56


async def test_invariant_5_no_pause_holds_a_call_longer_than_its_patience() -> None:
    """Who is less patient than the pause is long is told at once, and for how long."""
    clock = VirtualClock()
    pause = shared_pause(clock)
    by = limited(DAY.total_seconds())
    pause.note(by)
    with pytest.raises(RateLimited) as raised:
        await pause.wait(600)
    assert clock.monotonic() == 0
    assert raised.value.retry_after is not None
    assert DAY <= raised.value.retry_after <= DAY + timedelta(seconds=1)
    assert isinstance(raised.value.__cause__, RateLimited)
    assert raised.value.__cause__ is not by  # many calls raise it, each with its own traceback


async def test_invariant_5_a_pause_that_grows_beyond_patience_is_told_when_it_ends() -> None:
    """The prolongation is known once the first end has come."""
    clock = VirtualClock()
    pause = shared_pause(clock)
    pause.note(limited(10))
    clock.call_at(5, lambda: pause.note(limited(1000)))
    with pytest.raises(RateLimited):
        await clock.run(pause.wait(600))
    assert clock.monotonic() <= 11


@pytest.mark.parametrize(
    ("by", "code", "status"),
    [
        (Maintenance(455, "soon", 200, None, DAY), 455, 200),
        (RateLimited(430, "slowly", 200, None, DAY), 430, 200),
        (ProtocolError("not JSON", 503, "", DAY), 429, 503),
    ],
    ids=repr,
)
async def test_a_pause_tells_what_began_it(by: SunoError, code: int, status: int) -> None:
    """Code and status are those of the answer that asked."""
    pause = shared_pause(VirtualClock())
    pause.note(by)
    with pytest.raises(RateLimited) as raised:
        await pause.wait(1)
    assert (raised.value.code, raised.value.http_status) == (code, status)
    assert type(raised.value.__cause__) is type(by)


async def test_a_pause_is_one_of_the_account() -> None:
    """Sessions that share limits share the pause."""
    clock, limits = VirtualClock(), AccountLimits()
    one, other = shared_pause(clock, limits=limits), shared_pause(clock, limits=limits)
    one.note(limited(10))
    assert 10 <= other.left_s <= 11
    await clock.run(other.wait())
    assert one.left_s == 0


async def test_a_pause_ends_at_any_age_of_the_clock() -> None:
    """Rounding far from zero does not keep anybody waiting for ever."""
    for start_s in (0.1, 1e6 / 3, 1e9 / 7):
        clock = VirtualClock()
        clock.advance(start_s)
        pause = shared_pause(clock)
        pause.note(limited(86400 / 7))
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
    pause = shared_pause(clock)
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


@pytest.mark.parametrize("code", [429, 500])
async def test_free_calls_wait_between_tries(code: int) -> None:
    """Each wait is drawn below a ceiling that doubles: three failures are not three hasty tries."""
    policy = RetryPolicy(base=timedelta(seconds=64), cap=timedelta(seconds=512))
    waited_s = []
    for _ in range(40):
        clock, call = VirtualClock(), _Flaky(3, api_error(code, ""))
        await clock.run(persist(call, policy=policy, clock=clock))
        waited_s.append(clock.monotonic())
    mean_s = sum(waited_s) / len(waited_s)
    assert 150 < mean_s < 300  # half of 64 + 128 + 256
    assert max(waited_s) <= 448


async def test_invariant_5_a_success_begins_the_ladder_anew() -> None:
    """Sporadic refusals among successes do not make later pauses longer."""
    clock, policy = VirtualClock(), RetryPolicy(cap=DAY)
    pause = shared_pause(clock, policy)
    for _ in range(30):
        call = _Flaky(1, limited())
        before_s = clock.monotonic()
        assert await clock.run(persist(call, policy=policy, clock=clock, pause=pause)) == 7
        assert clock.monotonic() - before_s <= 1  # two waits below half a second


async def test_invariant_5_a_free_call_is_not_held_longer_than_it_is_patient() -> None:
    """A day of `Retry-After` is told as an error that says so, and not slept through."""
    clock, call = VirtualClock(), _Flaky(9, limited(DAY.total_seconds()))
    pause = shared_pause(clock)
    with pytest.raises(RateLimited) as raised:
        await clock.run(persist(call, policy=RetryPolicy(), clock=clock, pause=pause))
    assert call.calls == 1
    assert clock.monotonic() <= 1
    assert raised.value.retry_after is not None
    assert raised.value.retry_after >= DAY - timedelta(seconds=1)
