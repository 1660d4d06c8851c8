"""What observers are told becomes metrics and spans, with the real SDK and over real sockets."""

import asyncio
import math
import re
import subprocess
import sys
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from suno_async import (
    ApiError,
    FixedInterval,
    GenerationFailed,
    RateLimited,
    SessionClosed,
    SubmissionUncertain,
    SunoSession,
    TaskDetails,
    telemetry,
)
from suno_async.models import Stage, StageEvent
from suno_async.observe import (
    Accepted,
    Balance,
    Downloaded,
    Ended,
    Found,
    Left,
    Observation,
    Paused,
    Polled,
    Refused,
    Sent,
    StageReached,
    Uncertain,
    Uploaded,
    Watched,
)
from suno_async.sandbox import Call, DropAfter, EnvelopeError, Sandbox, TaskScript
from suno_async.telemetry import Telemetry
from tests.callbacks.hosting import by_itself, callback, post
from tests.waiting import until
from tests.world import EAGER, World, session_for, song

from .exported import Exported, context_of, linked, parent_of, shown

QUICK: dict[str, Any] = {"cadence": FixedInterval(0.01), "submissions_per_window": (1000, 0.001)}
AT = datetime(2026, 1, 1, tzinfo=UTC)
KINDS = {"Sum": "counter", "Histogram": "histogram", "Gauge": "gauge"}


@pytest.fixture
def exported() -> Exported:
    """A `Telemetry` on the SDK, with exporters in memory."""
    return Exported()


def observed(sandbox: Sandbox, exported: Exported, **settings: Any) -> SunoSession:
    """Make a session that is observed."""
    changes: dict[str, Any] = {**QUICK, **settings}
    return session_for(sandbox, retry=EAGER, observers=[exported.telemetry], **changes)


# --- one task -------------------------------------------------------------------------------------


async def test_a_task_is_two_spans(world: World, exported: Exported) -> None:
    """The submission is the caller's child; the watch is linked to it, with its stages."""
    settings: dict[str, Any] = {"observers": [exported.telemetry], "cadence": FixedInterval(1)}
    async with world.session(**settings) as suno:
        with exported.tracer.start_as_current_span("request") as request:
            details = await world.run(suno.generate(song(model="V5")))
    (submit,), (watch,) = exported.submits, exported.watches
    assert (submit.kind, watch.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert parent_of(submit) == request.get_span_context().span_id
    assert parent_of(watch) is None
    assert context_of(watch).trace_id != context_of(submit).trace_id
    assert linked(watch) == [context_of(submit).span_id]
    assert [event.name.removeprefix("suno.stage.") for event in watch.events] == [*Stage]
    delays = [dict(event.attributes or {})["suno.stage.delay"] for event in watch.events]
    assert delays == pytest.approx([22, 65, 130], abs=2)
    assert shown(submit) == {
        "suno.verdict": "accepted",
        "suno.attempt": 1,
        "suno.awaited": True,
        "suno.task.id": details.task_id,
        "gen_ai.request.model": "V5",
    }
    about = shown(watch)
    polls = about.pop("suno.polls")
    assert polls == world.sandbox.poll_count(details.task_id)
    assert about.pop("suno.task.submitted_at")
    assert about == {
        "suno.task.id": details.task_id,
        "suno.reattached": False,
        "gen_ai.request.model": "V5",
        "suno.task.status": "SUCCESS",
        "suno.outcome": "complete",
        "suno.polls.failed": 0,
    }
    assert {submit.status.status_code, watch.status.status_code} == {StatusCode.UNSET}
    assert exported.values("suno.client.active_tasks") == {(): 0}
    assert exported.values("suno.client.stage.delay", "suno.stage", "suno.reattached") == {
        (stage.value, False): 1 for stage in Stage
    }


async def test_each_attempt_is_a_span(sandbox: Sandbox, exported: Exported) -> None:
    """One that took nothing says so, its code too, which HTTP took for a success."""
    sandbox.inject(Call.SUBMIT, EnvelopeError(429))
    async with observed(sandbox, exported) as suno:
        await suno.submit(song())
    first, second = map(shown, exported.submits)
    assert first["suno.retry_in"] >= 0
    assert (first["suno.verdict"], first["error.type"], first["suno.attempt"]) == (
        *("took nothing", "429"),
        1,
    )
    assert first["http.response.status_code"] == 200
    assert (second["suno.verdict"], second["suno.attempt"]) == ("accepted", 2)
    assert exported.values(
        "suno.client.refusals", "suno.call", "suno.code", "http.response.status_code"
    ) == {("submit", "429", 200): 1}
    assert exported.values("suno.client.pause.duration", "error.type") == {("429",): 1}
    assert exported.submits[0].status.status_code is StatusCode.ERROR


async def test_a_failed_task_fails_its_span(sandbox: Sandbox, exported: Exported) -> None:
    """By the kind of its error; the text of it, which may quote the request, is not shown."""
    sandbox.script(TaskScript(stages=[("SENSITIVE_WORD_ERROR", 0)], error_message="a secret"))
    async with observed(sandbox, exported) as suno:
        await asyncio.gather(suno.generate(song(title="My Title")), return_exceptions=True)
    (watch,) = exported.watches
    assert watch.status.status_code is StatusCode.ERROR
    assert (shown(watch)["error.type"], shown(watch)["suno.outcome"]) == (
        "ContentRejected",
        "failed",
    )
    everything = " ".join(span.to_json() for span in exported.all_spans) + str(exported.metrics())
    for hidden in ("a secret", "My Title", "example.com", song().tags, sandbox.api_key):
        assert hidden not in everything


async def test_a_watch_that_fails_to_look_counts_refusals(
    sandbox: Sandbox, exported: Exported
) -> None:
    """Looks that were refused are seen by code, and in the span."""
    sandbox.inject(Call.DETAILS, EnvelopeError(455), times=2)
    async with observed(sandbox, exported) as suno:
        await suno.generate(song())
    assert exported.values("suno.client.refusals", "suno.call", "suno.code") == {("poll", "455"): 2}
    polls = exported.values("suno.client.poll.duration", "error.type")
    assert polls[("455",)] == 2
    assert shown(exported.watches[0])["suno.polls.failed"] == 2
    assert shown(exported.watches[0])["suno.polls"] == sum(polls.values())


# --- many tasks -----------------------------------------------------------------------------------


async def test_a_batch_is_counted(sandbox: Sandbox, exported: Exported) -> None:
    """Thirty: one is refused, one is uncertain, one fails; each is counted once, none left open."""
    sandbox.inject(Call.SUBMIT, EnvelopeError(422))
    sandbox.inject(Call.SUBMIT, DropAfter())
    sandbox.script(TaskScript(), TaskScript(stages=[("GENERATE_AUDIO_FAILED", 0)]))
    async with observed(sandbox, exported, max_concurrent_submissions=1) as suno:
        with exported.tracer.start_as_current_span("batch") as batch:
            outcomes = [each async for each in suno.generate_many([song()] * 30)]
    assert sum(outcome.ok for outcome in outcomes) == 27
    assert exported.values("suno.client.submissions", "suno.verdict", "error.type") == {
        ("accepted", None): 28,
        ("refused", "422"): 1,
        ("uncertain", "SubmissionUncertain"): 1,
    }
    assert exported.values("suno.client.submission.duration", "suno.verdict") == {
        ("accepted",): 28,
        ("refused",): 1,
        ("uncertain",): 1,
    }
    assert exported.values("suno.client.task.duration", "suno.outcome", "error.type") == {
        ("complete", None): 27,
        ("failed", "GenerationFailed"): 1,
    }
    waits = exported.values("suno.client.submission.wait", "suno.wait")
    assert waits == {("slot",): 30, ("window",): 30, ("pause",): 30}
    assert exported.values("suno.client.active_tasks") == {(): 0}
    polls = exported.values("suno.client.poll.duration")
    assert sum(polls.values()) == len(sandbox.polls)
    by_id = {context_of(span).span_id: span for span in exported.submits}
    assert len(by_id) == 30
    assert {parent_of(span) for span in exported.submits} == {batch.get_span_context().span_id}
    assert len(exported.watches) == 28
    for watch in exported.watches:
        (submit,) = linked(watch)
        assert shown(by_id[submit])["suno.task.id"] == shown(watch)["suno.task.id"]


async def test_waits_are_measured(world: World, exported: Exported) -> None:
    """For a slot, and for a place in the window."""
    settings: dict[str, Any] = {"max_concurrent_submissions": 1, "submissions_per_window": (1, 60)}
    async with world.session(observers=[exported.telemetry], **settings) as suno:
        await world.run(asyncio.gather(*(suno.submit(song()) for _ in range(3))))
    sums = {
        point.attributes["suno.wait"]: point.sum
        for point in exported.points("suno.client.submission.wait")
    }
    assert sums["window"] == pytest.approx(120, abs=1)
    assert sums["slot"] == pytest.approx(60, abs=1)
    assert sums["pause"] == 0


async def test_attributes_of_metrics_do_not_grow(sandbox: Sandbox, exported: Exported) -> None:
    """However many tasks there are, and whatever codes the service makes up."""
    for code in (777, 10**12, -5):
        sandbox.inject(Call.SUBMIT, EnvelopeError(code))
    async with observed(sandbox, exported) as suno:
        for number in range(6):
            request = song(title=f"Title {number}")
            await asyncio.gather(suno.generate(request), return_exceptions=True)
    codes = exported.values("suno.client.refusals", "suno.code")
    assert codes == {("777",): 1, ("_OTHER",): 2}
    for name in exported.metrics():
        assert len(exported.points(name)) <= 4
    written = str(exported.metrics())
    assert not [task_id for task_id in sandbox.tasks if task_id in written]
    assert "Title" not in written


# --- whose trace ----------------------------------------------------------------------------------


async def test_concurrent_callers_keep_their_traces(sandbox: Sandbox, exported: Exported) -> None:
    """Each submission is a child of its own caller's span, and each watch is linked to it."""
    sandbox.inject(Call.SUBMIT, EnvelopeError(429), times=3)

    async def call(suno: SunoSession) -> tuple[int, str]:
        with exported.tracer.start_as_current_span("caller") as span:
            details = await suno.generate(song())
            return span.get_span_context().span_id, details.task_id

    async with observed(sandbox, exported, max_concurrent_submissions=2) as suno:
        pairs = await asyncio.gather(*(asyncio.create_task(call(suno)) for _ in range(12)))
    callers = {shown(span).get("suno.task.id"): parent_of(span) for span in exported.submits}
    assert {task_id: callers[task_id] for _, task_id in pairs} == {
        task_id: caller for caller, task_id in pairs
    }
    made_by = {context_of(span).span_id: shown(span) for span in exported.submits}
    for watch in exported.watches:
        assert made_by[linked(watch)[0]]["suno.task.id"] == shown(watch)["suno.task.id"]


async def test_a_reattached_task_is_linked_to_its_reader(
    sandbox: Sandbox, exported: Exported
) -> None:
    """Its delays are known if it is known when it was submitted."""
    async with observed(sandbox, Exported()) as suno:
        made = await suno.submit(song())
    async with observed(sandbox, exported) as suno:
        with exported.tracer.start_as_current_span("not this one"):
            task = suno.task(made.task_id, made.submitted_at)
        with exported.tracer.start_as_current_span("reader") as reader:
            await task.result()
        unknown = suno.task(made.task_id + "0", None)
        await asyncio.gather(unknown.details(), return_exceptions=True)
    (watch,) = exported.watches
    assert linked(watch) == [reader.get_span_context().span_id]
    assert shown(watch)["suno.reattached"] is True
    assert shown(watch)["suno.task.submitted_at"] == made.submitted_at.isoformat()
    assert exported.values("suno.client.stage.delay", "suno.reattached") == {(True,): 3}
    assert exported.submits == []


async def test_without_a_caller_s_span_there_is_nothing_to_link_to(
    sandbox: Sandbox, exported: Exported
) -> None:
    """A re-attached task whose reader is not traced has no link."""
    async with observed(sandbox, Exported()) as suno:
        made = await suno.submit(song())
    async with observed(sandbox, exported) as suno:
        await suno.task(made.task_id).result()
    assert linked(exported.watches[0]) == []
    assert "suno.client.stage.delay" not in exported.metrics()


async def test_what_a_callback_finds_belongs_to_its_caller(exported: Exported) -> None:
    """Not to the web request in which the callback came."""
    async with (
        Sandbox(time_scale=0, submissions_per_window=None, callbacks=False) as sandbox,
        by_itself() as receiver,
        observed(sandbox, exported, receiver=receiver, reconcile_for=0.01) as suno,
    ):
        sandbox.inject(Call.SUBMIT, DropAfter())
        with exported.tracer.start_as_current_span("caller") as caller:
            call = asyncio.create_task(suno.submit(song()))
        await asyncio.wait({call})
        url = str((sandbox.submissions[0].body or {})["callBackUrl"])
        await post(url, callback("text", sandbox.ledger[0].task_id))
        await until(lambda: suno.stats().found)
    uncertain, found = exported.submits
    assert {parent_of(uncertain), parent_of(found)} == {caller.get_span_context().span_id}
    assert shown(found)["suno.verdict"] == "found"
    assert shown(found)["suno.awaited"] is False


# --- spans end ------------------------------------------------------------------------------------


async def test_leaving_the_session_ends_the_spans(sandbox: Sandbox, exported: Exported) -> None:
    """Of tasks that go on at the service: they are left, and have not failed."""
    for _ in range(4):
        sandbox.script(TaskScript(stages=()))
    async with observed(sandbox, exported) as suno:
        calls = [asyncio.create_task(suno.generate(song())) for _ in range(4)]
        await until(lambda: suno.stats().watched == 4)
        assert exported.watches == []
        assert exported.values("suno.client.active_tasks") == {(): 4}
    await asyncio.gather(*calls, return_exceptions=True)
    assert [shown(watch)["suno.outcome"] for watch in exported.watches] == ["left"] * 4
    assert {watch.status.status_code for watch in exported.watches} == {StatusCode.UNSET}
    assert exported.values("suno.client.active_tasks") == {(): 0}
    assert repr(exported.telemetry) == "<Telemetry of 0 tasks>"


async def test_a_task_that_nobody_reads_has_no_open_span(
    sandbox: Sandbox, exported: Exported
) -> None:
    """Neither one that was only submitted, nor one whose readers left; who returns has another."""
    async with observed(sandbox, exported) as suno:
        await suno.submit(song())
        sandbox.script(TaskScript(stages=()))
        task = await suno.submit(song())
        for _ in range(2):
            await asyncio.gather(task.result(timeout=0.02), return_exceptions=True)
        assert [shown(watch)["suno.outcome"] for watch in exported.watches] == ["left"] * 2
        links = {linked(watch)[0] for watch in exported.watches}
        assert links == {context_of(exported.submits[1]).span_id}
        assert repr(exported.telemetry) == "<Telemetry of 0 tasks>"


async def test_leaving_a_batch_ends_its_spans(sandbox: Sandbox, exported: Exported) -> None:
    """Its tasks go on at the service, and nobody reads them any more."""
    sandbox.script(TaskScript(), *[TaskScript(stages=())] * 4)
    async with observed(sandbox, exported, max_concurrent_submissions=1) as suno:
        async with aclosing(suno.generate_many([song()] * 5)) as outcomes:
            assert (await anext(outcomes)).ok
            await until(lambda: len(sandbox.ledger) == 5 and suno.stats().watched == 4)
        outcomes_of = [shown(watch)["suno.outcome"] for watch in exported.watches]
        assert sorted(outcomes_of) == ["complete", *["left"] * 4]
        assert exported.values("suno.client.active_tasks") == {(): 0}


async def test_an_expired_task_fails_its_span(world: World, exported: Exported) -> None:
    """Fourteen days after its submission."""
    since = world.clock.now() - timedelta(days=14, seconds=-5)
    async with world.session(observers=[exported.telemetry]) as suno:
        task = suno.task("old", since)
        await world.run(asyncio.gather(task.result(), return_exceptions=True))
    assert shown(exported.watches[0])["error.type"] == "TaskExpired"


async def test_two_sessions_may_read_one_task(sandbox: Sandbox, exported: Exported) -> None:
    """They share one span, which tells each stage once."""
    async with observed(sandbox, exported) as one, observed(sandbox, exported) as other:
        task = await one.submit(song())
        await asyncio.gather(task.result(), other.task(task.task_id).result())
    assert [len(watch.events) for watch in exported.watches if watch.events] == [3]
    assert exported.values("suno.client.active_tasks") == {(): 0}


def test_ten_thousand_tasks_leave_nothing(exported: Exported) -> None:
    """All spans end, and what is remembered for links is bounded."""
    watching = Telemetry()
    names = [f"task-{number}" for number in range(telemetry.MOST_REMEMBERED + 2_000)]
    for name in names:
        watching(Accepted(name, song(), AT))
        watching(Watched(name, AT, "V5", fresh=True))
    assert repr(watching) == f"<Telemetry of {len(names)} tasks>"
    for name in names:
        watching(Ended(name, None, SessionClosed(name)))
    assert repr(watching) == "<Telemetry of 0 tasks>"
    for name in names:
        watching(Accepted(name, song(), AT))
    assert len(watching._submitted) == telemetry.MOST_REMEMBERED


def test_the_eldest_span_gives_way(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if nobody ever tells that watches end."""
    monkeypatch.setattr(telemetry, "MOST_OPEN", 3)
    for number in range(5):
        exported.telemetry(Watched(f"task-{number}"))
    assert [shown(watch)["suno.task.id"] for watch in exported.watches] == ["task-0", "task-1"]


# --- whatever it is told --------------------------------------------------------------------------

EVENT = StageEvent(Stage.FIRST, "t", (), TaskDetails("t", "NEW"), AT)
NO_NUMBERS: list[Any] = [None, math.nan, math.inf, -math.inf, -1.0, 10**400, "1", b"", True, 1e300]


@pytest.mark.parametrize("odd", NO_NUMBERS, ids=repr)
def test_odd_values_raise_nothing(exported: Exported, odd: Any) -> None:
    """What is no length of time is left out, and spans end all the same."""
    lost = SubmissionUncertain("x", "y")
    lost.__cause__ = ApiError(odd, "z", odd)
    told: list[Observation] = [
        Sent(song(), odd, odd, odd, odd),
        Accepted("t", song(), AT, attempt=odd, seconds=odd),
        Found("t", song(), AT, seconds=odd),
        Found("t", odd, odd, odd, odd, odd),
        Refused(song(), RateLimited(odd, "z", odd), "took nothing", odd, odd, odd),
        Uncertain(song(), lost, odd, odd),
        Watched("t", None, odd, odd),
        Polled("t", odd, ApiError(odd, "z", odd)),
        StageReached(EVENT, odd),
        Paused(odd, RateLimited(429, "z")),
        Balance(odd),
        Uploaded("u", odd, odd),
        Downloaded("u", Path(), odd, odd),
        Left("unknown"),
        Ended("t", None, GenerationFailed("t", "NEW"), odd),
        Ended("unknown", None, None, odd),
    ]
    for one in told:
        exported.telemetry(one)
    exported.telemetry("no observation")  # type: ignore[arg-type]  # of a version to come
    assert len(exported.watches) == 1
    exported.metrics()


# --- bytes, and the account -----------------------------------------------------------------------


async def test_bytes_and_credits_are_measured(
    sandbox: Sandbox, exported: Exported, tmp_path: Path
) -> None:
    """What was uploaded and downloaded, and the balance that was asked for."""
    async with observed(sandbox, exported) as suno:
        await suno.upload(b"RIFF" + bytes(1000))
        details = await suno.generate(song())
        paths = await suno.download_all(details, tmp_path)
        balance = await suno.credits()
    # a gauge is told once
    assert exported.values("suno.account.credits") == {(): balance}
    assert exported.values("suno.client.io", "network.io.direction") == {
        ("transmit",): 1004,
        ("receive",): sum(path.stat().st_size for path in paths),
    }
    assert exported.values("suno.client.transfer.duration", "network.io.direction") == {
        ("transmit",): 1,
        ("receive",): len(paths),
    }


# --- what is promised -----------------------------------------------------------------------------


async def test_the_description_lists_what_is_emitted(
    sandbox: Sandbox, exported: Exported, tmp_path: Path
) -> None:
    """Every metric with its kind, unit and attributes, and every span with its kind."""
    sandbox.inject(Call.SUBMIT, EnvelopeError(429))
    sandbox.inject(Call.DETAILS, EnvelopeError(455))
    sandbox.script(TaskScript(), TaskScript(stages=[("CREATE_TASK_FAILED", 0)]))
    async with observed(sandbox, exported) as suno:
        details = await suno.generate(song())
        await asyncio.gather(suno.generate(song()), return_exceptions=True)
        await suno.upload(b"RIFF" + bytes(10))
        await suno.download_all(details, tmp_path)
        await suno.credits()
    text = telemetry.__doc__ or ""
    listed = {
        name: (kind, unit, {each for each in attributes.split(", ") if each})
        for name, kind, unit, attributes in re.findall(
            r"^    (suno\S+) \| (\w+) \| (\S+) \| ?(.*)$", text, re.MULTILINE
        )
    }
    assert listed == {
        name: (_kind(metric), metric.unit, _attributes(metric))
        for name, metric in exported.metrics().items()
    }
    spans = dict(re.findall(r"^    (\w+ add-instrumental) \| (\w+)$", text, re.MULTILINE))
    assert spans == {span.name: span.kind.name for span in exported.all_spans}


def _kind(metric: Any) -> str:
    kind = KINDS[type(metric.data).__name__]
    is_monotonic = getattr(metric.data, "is_monotonic", True)
    return kind if is_monotonic else "updowncounter"


def _attributes(metric: Any) -> set[str]:
    return {name for point in metric.data.data_points for name in point.attributes}


def test_it_names_its_extra() -> None:
    """Without the API, importing it says what to install."""
    code = "import sys; sys.modules['opentelemetry'] = None\nimport suno_async.telemetry"
    run = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "ImportError: suno_async.telemetry needs opentelemetry-api" in run.stderr
    assert "pip install 'suno-async[otel]'" in run.stderr
