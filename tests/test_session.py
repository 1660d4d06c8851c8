"""The session: what it takes, when it is open, and what it asks of the account."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import aiohttp
import pytest

from suno_async import (
    AccountLimits,
    AddInstrumentalRequest,
    ApiError,
    AuthenticationError,
    CallbackReceiver,
    ConnectionFailed,
    FixedInterval,
    InvalidRequest,
    ProtocolError,
    ServerError,
    SessionClosed,
    SunoSession,
    TaskNotFound,
    Track,
    WatchTimeout,
)
from suno_async.sandbox import (
    Call,
    Delay,
    Dialect,
    DropBefore,
    EnvelopeError,
    Html200,
    HttpError,
    Sandbox,
    TaskScript,
    Truncated,
)

from .waiting import until
from .world import EAGER, World, session_for, song, virtual_world

NAN, INFINITE = float("nan"), float("inf")
EVERY_3_S = FixedInterval(timedelta(seconds=3))


# --- arguments ------------------------------------------------------------------------------------

WHOLE = "must be a whole number, 1 or more"
LENGTH = "must be a timedelta or a number of seconds, more than zero"
URL = "must be an http or https URL with a host"


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("api_key", "", "must be given"),
        ("api_key", "  ", "must be given"),
        ("api_key", 7, "must be text"),
        ("api_key", "a b", "must be printable ASCII"),
        ("api_key", "key\n", "must be printable ASCII"),
        ("api_key", "schlüssel", "must be printable ASCII"),
        ("base_url", "api.apikley.ru", URL),
        ("base_url", "ftp://api.apikley.ru", URL),
        ("base_url", "", URL),
        ("base_url", "https://user:secret@host", "must be a URL without user"),
        ("base_url", "https://host/?a=1", "must be a URL without"),
        ("base_url", "https://host/#a", "must be a URL without"),
        ("callback_url", "nowhere", URL),
        ("callback_url", None, URL),
        ("max_concurrent_submissions", 0, WHOLE),
        ("max_concurrent_submissions", True, WHOLE),
        ("max_concurrent_submissions", "8", WHOLE),
        ("max_in_flight", 0, WHOLE),
        ("max_in_flight", 2.5, WHOLE),
        ("max_in_flight", None, WHOLE),
        ("submissions_per_window", (0, 10), WHOLE),
        ("submissions_per_window", (20, 0), LENGTH),
        ("submissions_per_window", (20, "10"), LENGTH),
        ("submissions_per_window", 20, "must be a count and a length of time"),
        ("submissions_per_window", (1, 2, 3), "must be a count and a length of time"),
        ("polls_per_second", 0, "must be a number more than zero"),
        ("polls_per_second", -1, "must be a number more than zero"),
        ("polls_per_second", NAN, "must be a number more than zero"),
        ("polls_per_second", True, "must be a number more than zero"),
        ("polls_per_second", "5", "must be a number more than zero"),
        ("timeout", 0, LENGTH),
        ("timeout", timedelta(seconds=-1), LENGTH),
        ("timeout", NAN, LENGTH),
        ("timeout", INFINITE, LENGTH),
        ("timeout", "60", LENGTH),
        ("timeout", None, LENGTH),
    ],
)
def test_an_argument_that_breaks_its_rule_is_named(field: str, value: Any, rule: str) -> None:
    """Each wrong argument is refused at once: field, value (unless secret) and rule are told."""
    with pytest.raises(InvalidRequest) as caught:
        SunoSession(**{"api_key": "key", field: value})
    error = caught.value
    assert error.field == field
    assert rule in error.rule
    assert rule in str(error)
    assert field in str(error)
    assert "secret" not in str(error)
    if field not in {"api_key", "base_url"}:
        assert error.value is value or error.value in value


def test_a_missing_key_says_where_it_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key, the error names the argument and the environment variable."""
    monkeypatch.delenv("APIKLEY_API_KEY", raising=False)
    with pytest.raises(InvalidRequest, match=r"api_key must be given, .* APIKLEY_API_KEY"):
        SunoSession()


async def test_the_key_may_be_in_the_environment(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an argument, the key of the environment is sent."""
    monkeypatch.setenv("APIKLEY_API_KEY", sandbox.api_key)
    async with SunoSession(base_url=sandbox.base_url) as suno:
        assert await suno.credits() == sandbox.credits


def test_an_empty_key_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty key is refused, although the environment has one: it was surely not meant."""
    monkeypatch.setenv("APIKLEY_API_KEY", "other")
    with pytest.raises(InvalidRequest, match="api_key"):
        SunoSession("")


def test_the_repr_hides_the_key() -> None:
    """Invariant 7: a session's repr tells where it talks to, and not the key."""
    shown = repr(SunoSession("very-secret", base_url="https://example.com/api/"))
    assert shown == "<SunoSession at https://example.com/api>"


@pytest.mark.parametrize("slash", ["", "/", "//"])
async def test_a_slash_at_the_end_of_the_base_url_is_harmless(sandbox: Sandbox, slash: str) -> None:
    """The base URL may end with a slash."""
    async with session_for(sandbox, base_url=sandbox.base_url + slash) as suno:
        assert await suno.credits() == sandbox.credits


# --- open and closed ------------------------------------------------------------------------------


async def _use_everything(suno: SunoSession) -> list[BaseException | None]:
    ended: list[BaseException | None] = []

    async def in_a_batch() -> None:
        async for _ in suno.generate_many([song()]):
            pass

    async def attach() -> None:
        suno.task("id")

    for work in (
        suno.submit(song()),
        suno.generate(song()),
        suno.details("id"),
        suno.credits(),
        suno.upload(b"audio"),
        suno.download(Track(audio_url="https://example.com/a.mp3"), "."),
        in_a_batch(),
        attach(),
    ):
        try:
            await work
            ended.append(None)
        except SessionClosed as error:
            ended.append(error)
    return ended


async def test_a_session_must_be_entered(sandbox: Sandbox) -> None:
    """Before `async with`, every call raises SessionClosed and sends nothing."""
    assert all(await _use_everything(session_for(sandbox)))
    assert sandbox.requests == []


async def test_a_session_that_was_left_is_closed(sandbox: Sandbox) -> None:
    """After `async with`, every call raises SessionClosed and sends nothing."""
    async with session_for(sandbox) as suno:
        pass
    assert all(await _use_everything(suno))
    assert sandbox.requests == []


async def test_a_session_is_entered_once(sandbox: Sandbox) -> None:
    """A session cannot be entered again, neither inside nor after."""
    async with session_for(sandbox) as suno:
        with pytest.raises(SessionClosed):
            await suno.__aenter__()
        assert await suno.credits()
    with pytest.raises(SessionClosed):
        await suno.__aenter__()


async def test_what_it_was_given_can_be_read(sandbox: Sandbox) -> None:
    """By whoever stands on it, and whether it is open."""
    limits = AccountLimits(polls_per_second=5)
    receiver = CallbackReceiver("https://my.service/suno")
    suno = session_for(sandbox, limits=limits, receiver=receiver, max_in_flight=7)
    assert (suno.limits, suno.receiver, suno.max_in_flight) == (limits, receiver, 7)
    assert not suno.is_open
    async with suno:
        assert suno.is_open
    assert not suno.is_open
    suno = session_for(sandbox, submissions_per_window=(5, 2))
    assert suno.limits.submissions_per_window == (5, timedelta(seconds=2))
    assert suno.receiver is None


async def test_leaving_twice_is_harmless(sandbox: Sandbox) -> None:
    """Leaving a session that was left already does nothing."""
    async with session_for(sandbox) as suno:
        pass
    await suno.__aexit__(None, None, None)


async def test_a_batch_begun_too_late_says_so(sandbox: Sandbox) -> None:
    """A batch that was made inside and is read outside raises SessionClosed."""
    async with session_for(sandbox) as suno:
        batch = suno.generate_many([song()])
    with pytest.raises(SessionClosed):
        await anext(batch)
    assert sandbox.requests == []


async def test_a_callers_client_session_is_used_and_kept(sandbox: Sandbox) -> None:
    """A caller's own client session carries everything and stays open."""
    traced: list[str] = []
    config = aiohttp.TraceConfig()

    async def note(_: Any, __: Any, params: aiohttp.TraceRequestStartParams) -> None:
        traced.append(params.url.path.rsplit("/", 1)[-1])

    config.on_request_start.append(note)
    async with aiohttp.ClientSession(trace_configs=[config]) as theirs:
        async with session_for(sandbox, client_session=theirs) as suno:
            await suno.credits()
            task = await suno.submit(song())
            await task.details()
            await suno.upload(b"audio")
        assert not theirs.closed
    assert traced == ["credit", "add-instrumental", "record-info", "file-stream-upload"]


# --- one task -------------------------------------------------------------------------------------


async def test_generate_submits_and_waits(world: World) -> None:
    """`generate` returns the final details of one task that was paid once."""
    async with world.session(cadence=EVERY_3_S) as suno:
        details = await world.run(suno.generate(song()))
    assert details.status == "SUCCESS"
    assert [charge.task_id for charge in world.sandbox.ledger] == [details.task_id]


async def test_the_time_out_of_generate_keeps_the_id(world: World) -> None:
    """Invariant 2: when `generate` runs out of time, the error has the id of what was paid."""
    async with world.session(cadence=EVERY_3_S) as suno:
        with pytest.raises(WatchTimeout) as caught:
            await world.run(suno.generate(song(), timeout=30))
        assert caught.value.task_id == world.sandbox.ledger[0].task_id
        task = suno.task(caught.value.task_id)
        assert (await world.run(task.result())).status == "SUCCESS"


@pytest.mark.parametrize("timeout", [NAN, "60"])
async def test_a_wrong_time_out_costs_nothing(world: World, timeout: Any) -> None:
    """A time-out that is none is refused before anything is submitted."""
    async with world.session() as suno:
        with pytest.raises(InvalidRequest, match="timeout"):
            await suno.generate(song(), timeout=timeout)
    assert world.sandbox.requests == []


@pytest.mark.parametrize("request_", [None, {"title": "a"}, "song", AddInstrumentalRequest])
async def test_only_requests_are_submitted(world: World, request_: Any) -> None:
    """What is no request is refused by name before anything is sent."""
    async with world.session() as suno:
        for call in (suno.submit, suno.generate):
            with pytest.raises(InvalidRequest, match="request must be an AddInstrumentalRequest"):
                await call(request_)
    assert world.sandbox.requests == []


async def test_generate_waits_for_room(world: World) -> None:
    """`generate` keeps no more tasks running than may be in flight."""
    async with world.session(cadence=EVERY_3_S, max_in_flight=2) as suno:
        await world.run(asyncio.gather(*(suno.generate(song()) for _ in range(4))))
    begins = sorted(task.submitted_s for task in world.sandbox.tasks.values())
    assert begins[1] < 130 <= begins[2]


async def test_a_task_that_fails_gives_its_room_back(world: World) -> None:
    """The room of a `generate` that raises is free again."""
    world.sandbox.script(TaskScript(stages=[("GENERATE_AUDIO_FAILED", 5)]))
    async with world.session(cadence=EVERY_3_S, max_in_flight=1) as suno:
        with pytest.raises(Exception, match="GENERATE_AUDIO_FAILED"):
            await world.run(suno.generate(song()))
        assert (await world.run(suno.generate(song()))).status == "SUCCESS"


@pytest.mark.parametrize(
    ("task_id", "submitted_at", "field"),
    [
        ("", None, "task_id"),
        (" ", None, "task_id"),
        (None, None, "task_id"),
        (7, None, "task_id"),
        ("id", datetime(2026, 1, 1), "submitted_at"),
    ],
)
async def test_attaching_needs_an_id_and_an_aware_time(
    world: World, task_id: Any, submitted_at: datetime | None, field: str
) -> None:
    """A blank id or a time without zone is refused by name."""
    async with world.session() as suno:
        with pytest.raises(InvalidRequest, match=f"{field} must"):
            suno.task(task_id, submitted_at)


async def test_a_time_of_another_zone_is_turned_into_utc(world: World) -> None:
    """Invariant 4: dates of an attached task are UTC, whatever zone the stored time had."""
    stored = datetime.fromisoformat("2026-01-01T05:00:00+05:00")
    async with world.session() as suno:
        task = suno.task("id", stored)
    assert task.submitted_at.tzinfo is UTC
    assert task.submitted_at == stored


async def test_attaching_asks_nothing(world: World) -> None:
    """Making a task from an id sends nothing."""
    async with world.session() as suno:
        suno.task("id")
        await world.pass_time(60)
    assert world.sandbox.requests == []


@pytest.mark.parametrize("task_id", ["a/b", "a b?c=d&e", "ü", "../credit", "%2e"])
async def test_an_id_is_quoted_whole(world: World, task_id: str) -> None:
    """Whatever characters an id has, it is asked for as it is."""
    async with world.session() as suno:
        with pytest.raises(TaskNotFound):
            await world.run(suno.details(task_id))
    assert {poll.task_id for poll in world.sandbox.polls} == {task_id}


# --- credits --------------------------------------------------------------------------------------


@pytest.mark.parametrize("balance", [0, 7, 12.5, 10**12])
async def test_the_balance_is_a_number(sandbox: Sandbox, suno: SunoSession, balance: float) -> None:
    """A whole balance is an int, another a float."""
    sandbox.credits = balance
    found = await suno.credits()
    assert found == balance
    assert type(found) is type(balance)


async def test_the_balance_is_read_in_every_dialect() -> None:
    """Codes as text and unknown fields do not hide the balance."""
    dialect = Dialect(code_as_text=True, text_key="message", extra_fields=True)
    async with Sandbox(credits=42, dialect=dialect) as sandbox, session_for(sandbox) as suno:
        assert await suno.credits() == 42


@pytest.mark.parametrize(
    "fault",
    [
        DropBefore(),
        EnvelopeError(429),
        EnvelopeError(455),
        EnvelopeError(500),
        HttpError(502),
        Html200(),
        Truncated(),
    ],
)
async def test_the_balance_is_asked_for_again(
    sandbox: Sandbox, suno: SunoSession, fault: Any
) -> None:
    """A question for the balance costs nothing and is repeated."""
    sandbox.inject(Call.CREDITS, fault, times=2)
    assert await suno.credits() == sandbox.credits


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (DropBefore(), ConnectionFailed),
        (EnvelopeError(500), ServerError),
        (Html200(), ProtocolError),
        (EnvelopeError(401), AuthenticationError),
        (EnvelopeError(799, "what?"), ApiError),
    ],
)
async def test_a_balance_that_never_comes_is_told(
    sandbox: Sandbox, suno: SunoSession, fault: Any, kind: type[Exception]
) -> None:
    """After the policy's attempts the last failure is raised."""
    sandbox.inject(Call.CREDITS, fault, times=None)
    with pytest.raises(kind):
        await suno.credits()
    assert 1 <= len(sandbox.requests) <= EAGER.attempts


async def test_a_wrong_key_is_told(sandbox: Sandbox) -> None:
    """A key that the service refuses is an AuthenticationError, and not shown."""
    async with session_for(sandbox, api_key="wrong-key") as suno:
        with pytest.raises(AuthenticationError) as caught:
            await suno.credits()
    assert "wrong-key" not in repr(caught.value)


async def test_a_cancelled_question_is_cancelled(sandbox: Sandbox, suno: SunoSession) -> None:
    """Invariant 8: cancelling one call cancels that call, and the session goes on."""
    sandbox.inject(Call.CREDITS, Delay(30))
    asking = asyncio.create_task(suno.credits())
    await until(lambda: sandbox.requests)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await suno.credits() == sandbox.credits


async def test_everything_at_once(sandbox: Sandbox) -> None:
    """Many calls of all kinds share one session."""
    async with session_for(sandbox, retry=EAGER, submissions_per_window=(100, 0.01)) as suno:
        tasks = await asyncio.gather(*(suno.submit(song()) for _ in range(20)))
        looks, balance, url = await asyncio.gather(
            asyncio.gather(*(task.details() for task in tasks)), suno.credits(), suno.upload(b"a")
        )
    assert {look.status for look in looks} == {"SUCCESS"}
    assert balance == sandbox.credits
    assert url.startswith(sandbox.base_url)


async def test_a_session_of_its_own_kind(world: World) -> None:
    """Two sessions for one account know nothing of each other."""
    async with virtual_world() as other, world.session() as one, other.session() as two:
        task = await one.submit(song())
        assert other.sandbox.ledger == []
        assert await two.credits() == await one.credits() + 10
        assert task.task_id in world.sandbox.tasks


@pytest.mark.parametrize("moment", [datetime.max, datetime.min], ids=str)
async def test_a_time_that_utc_does_not_have_is_refused(
    suno: SunoSession, moment: datetime
) -> None:
    """The last and the first day, in a zone in which UTC has not come or is gone."""
    hours = -12 if moment == datetime.max else 12
    far = moment.replace(tzinfo=timezone(timedelta(hours=hours)))
    with pytest.raises(InvalidRequest, match="submitted_at must be a time that UTC has"):
        suno.task("t1", far)
