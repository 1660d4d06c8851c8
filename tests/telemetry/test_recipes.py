"""The README's observers for structlog and Prometheus."""

import attrs
import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram

from suno_async import FixedInterval, observe
from suno_async.sandbox import Call, EnvelopeError, Sandbox
from tests.world import EAGER, session_for, song


async def test_structlog_is_told_in_the_callers_context(sandbox: Sandbox) -> None:
    """What a caller has bound is in every line about its submission and its task."""
    log = structlog.get_logger()

    def to_structlog(what: observe.Observation) -> None:
        log.info(type(what).__name__, about=attrs.asdict(what, recurse=False))

    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        async with session_for(
            sandbox, cadence=FixedInterval(0.01), observers=[to_structlog]
        ) as suno:
            with structlog.contextvars.bound_contextvars(request_id="r-1"):
                details = await suno.generate(song())
    events = [line["event"] for line in lines]
    assert {"Sent", "Accepted", "Watched", "Polled", "StageReached", "Ended"} == {*events}
    assert {line["request_id"] for line in lines} == {"r-1"}
    (accepted,) = (line for line in lines if line["event"] == "Accepted")
    assert accepted["about"]["task_id"] == details.task_id


async def test_prometheus_counts_and_times(sandbox: Sandbox) -> None:
    """Verdicts by name, and the delays of stages."""
    registry = CollectorRegistry()
    submissions = Counter("suno_submissions", "By verdict", ["verdict"], registry=registry)
    delays = Histogram(
        "suno_stage_delay_seconds",
        "From the submission on",
        ["stage"],
        buckets=(10, 20, 30, 60, 90, 120, 180, 300, 600),
        registry=registry,
    )

    def to_prometheus(what: observe.Observation) -> None:
        match what:
            case observe.Accepted() | observe.Found() | observe.Uncertain():
                submissions.labels(type(what).__name__.lower()).inc()
            case observe.Refused():
                submissions.labels(what.verdict).inc()
            case observe.StageReached(event, float(seconds)):
                delays.labels(event.stage).observe(seconds)
            case _:
                pass

    sandbox.inject(Call.SUBMIT, EnvelopeError(429))
    async with session_for(
        sandbox, retry=EAGER, cadence=FixedInterval(0.01), observers=[to_prometheus]
    ) as suno:
        await suno.generate(song())
    value = registry.get_sample_value
    assert value("suno_submissions_total", {"verdict": "accepted"}) == 1
    assert value("suno_submissions_total", {"verdict": "took nothing"}) == 1
    assert value("suno_stage_delay_seconds_count", {"stage": "complete"}) == 1
