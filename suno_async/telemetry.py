"""What observers are told, as OpenTelemetry metrics and spans.

It needs the extra: `pip install 'suno-async[otel]'`, which is the API alone: where the figures go
is decided by the SDK that the program sets up.

    async with SunoSession(observers=[Telemetry()]) as suno: ...

Names follow OpenTelemetry's semantic conventions: seconds and bytes as `s` and `By`, counted things
in braces, and its own attributes `error.type`, `gen_ai.request.model`, `http.response.status_code`
and `network.io.direction`. What is new here is called `suno.*`. `error.type` is the service's code,
or the class of the error, and is absent where nothing failed. No attribute of a metric holds what
is different each time; no attribute holds what was asked for, a URL, or the key.

Metrics (name, kind, unit, attributes):

    suno.client.submissions | counter | {submission} | suno.verdict, error.type
    suno.client.submission.duration | histogram | s | suno.verdict, error.type
    suno.client.submission.wait | histogram | s | suno.wait
    suno.client.refusals | counter | {refusal} | suno.call, suno.code, http.response.status_code
    suno.client.poll.duration | histogram | s | error.type
    suno.client.stage.delay | histogram | s | suno.stage, suno.reattached, gen_ai.request.model
    suno.client.task.duration | histogram | s | suno.outcome, suno.reattached, error.type
    suno.client.active_tasks | updowncounter | {task} |
    suno.client.pause.duration | histogram | s | error.type
    suno.client.io | counter | By | network.io.direction
    suno.client.transfer.duration | histogram | s | network.io.direction
    suno.account.credits | gauge | {credit} |

- A submission counts once for each attempt, by its verdict: `accepted`, `found` (by a callback;
  it may have been `uncertain` before), `refused`, `took nothing`, `not sent`, `uncertain`. Its
  duration begins when its body is handed to a connection.
- `suno.wait` is `slot`, `window` or `pause`: what an attempt that was sent waited for before.
- A refusal is an answer of the service that says no in its body, mostly under HTTP 200, so that
  instrumentation of HTTP takes it for a success. `suno.call` is `submit` or `poll`.
- The count of `suno.client.poll.duration` is the number of polls.
- Delays of stages and durations of tasks begin with the submission. Of a task that was re-attached
  they are known if `submitted_at` was given, and tell when a stage was seen. `suno.outcome` is
  `complete`, `failed`, or `left` when the session was left first.
- Active tasks are those that somebody reads now.
- The balance is what `session.credits()` was told last.

Spans (name, kind):

    submit add-instrumental | PRODUCER
    watch add-instrumental | CONSUMER

- One `submit` for each attempt, a child of the span in which `submit`, `generate` or
  `generate_many` was called. It has the verdict and, once there is a task, `suno.task.id`.
- One `watch` for each task, from its first reader until it ends or nobody reads it any more; who
  reads it again begins another. Its events are `suno.stage.text`, `suno.stage.first` and
  `suno.stage.complete`, with `suno.stage.delay` and `suno.stage.inferred`.

The span of a watch is the root of its own trace, with a link to the `submit` that made the task:
so the conventions have it for messages, where a consumer's span is linked to the producer's, and
OpenTelemetry's specification for long work that one of many fast requests began. A request that
submits is answered long before its task ends, and a child would keep its trace open for as long.
A re-attached task is linked to the span in which its first reader came.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from attrs import define, field

from suno_async.errors import ApiError, SessionClosed, SubmissionUncertain, SunoError
from suno_async.models import AddInstrumentalRequest, Model
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

try:
    from opentelemetry.context import Context
    from opentelemetry.metrics import Histogram, Meter, MeterProvider, get_meter
    from opentelemetry.trace import (
        Link,
        Span,
        SpanContext,
        SpanKind,
        Status,
        StatusCode,
        TracerProvider,
        get_current_span,
        get_tracer,
    )
except ImportError as _missing:
    raise ImportError(
        "suno_async.telemetry needs opentelemetry-api: pip install 'suno-async[otel]'",
        name="opentelemetry",
    ) from _missing

__all__ = ["Telemetry"]

SUBMIT_SPAN = "submit add-instrumental"
WATCH_SPAN = "watch add-instrumental"

# what becomes of an attribute that could take any value (semantic conventions: `_OTHER`)
OTHER = "_OTHER"

# how many spans may be open, and submissions be remembered for a link; the eldest give way
MOST_OPEN = 100_000
MOST_REMEMBERED = 10_000

# calls take from milliseconds to a minute, waits and tasks from seconds to hours
_CALLS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_WAITS_S = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_TASKS_S = (5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0, 1800.0, 7200.0)

# seconds, bytes and credits beyond this are nobody's, and more than some exporters can write
_MOST = 1e15

_MODELS = frozenset(model.value for model in Model)

Attributes = dict[str, str | bool | int | float]


@define(eq=False)
class _Watch:
    """A task that is read, its span, and by how many sessions it is read."""

    span: Span
    model: str
    is_fresh: bool
    sessions: int = 1
    polls: int = 0
    failed_polls: int = 0
    stages: set[str] = field(factory=set[str])


class _Instruments:
    """What is measured, by the names of the module's description."""

    def __init__(self, meter: Meter) -> None:
        def seconds(name: str, description: str, bounds: tuple[float, ...]) -> Histogram:
            return meter.create_histogram(
                name, "s", description, explicit_bucket_boundaries_advisory=bounds
            )

        self.submissions = meter.create_counter(
            "suno.client.submissions", "{submission}", "Attempts to submit, by verdict."
        )
        self.submission_duration = seconds(
            "suno.client.submission.duration", "From sending to the verdict.", _CALLS_S
        )
        self.submission_wait = seconds(
            "suno.client.submission.wait", "Waits before a submission is sent.", _WAITS_S
        )
        self.refusals = meter.create_counter(
            "suno.client.refusals", "{refusal}", "Answers that say no, by the code in their body."
        )
        self.poll_duration = seconds("suno.client.poll.duration", "Looks at tasks.", _CALLS_S)
        self.stage_delay = seconds(
            "suno.client.stage.delay", "From the submission to a stage.", _TASKS_S
        )
        self.task_duration = seconds(
            "suno.client.task.duration", "From the submission to the end of a watch.", _TASKS_S
        )
        self.active_tasks = meter.create_up_down_counter(
            "suno.client.active_tasks", "{task}", "Tasks that somebody reads."
        )
        self.pause_duration = seconds(
            "suno.client.pause.duration", "Pauses of the account's calls.", _WAITS_S
        )
        self.io = meter.create_counter("suno.client.io", "By", "Bytes of stems, audio and covers.")
        self.transfer_duration = seconds(
            "suno.client.transfer.duration", "Uploads and downloads.", _WAITS_S
        )
        self.credits = meter.create_gauge(
            "suno.account.credits", "{credit}", "The balance that was told last."
        )


class Telemetry:
    """An observer that makes OpenTelemetry metrics and spans of what it is told.

    One may observe several sessions of one event loop. Spans of tasks end with their watch, at the
    latest when the session is left; the module describes all metrics and spans.

    Args:
        tracer_provider: Where spans go; None takes the global one.
        meter_provider: Where metrics go; None takes the global one.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        own_version = _own_version()
        self._tracer = get_tracer("suno_async", own_version, tracer_provider)
        self._measure = _Instruments(get_meter("suno_async", own_version or "", meter_provider))
        self._watches: OrderedDict[str, _Watch] = OrderedDict()
        self._submitted: OrderedDict[str, SpanContext] = OrderedDict()
        self._notes: dict[type[Any], Callable[[Any], None]] = {
            Sent: self._sent,
            Accepted: self._accepted,
            Found: self._accepted,
            Refused: self._refused,
            Uncertain: self._uncertain,
            Watched: self._watched,
            Polled: self._polled,
            StageReached: self._reached,
            Left: self._left,
            Ended: self._ended,
            Paused: self._paused,
            Balance: self._balance,
            Uploaded: self._uploaded,
            Downloaded: self._downloaded,
        }

    def __call__(self, observation: Observation) -> None:
        """Take note of what has happened."""
        note = self._notes.get(type(observation))
        if note is not None:
            note(observation)

    def __repr__(self) -> str:
        return f"<Telemetry of {len(self._watches)} tasks>"

    # --- submissions ------------------------------------------------------------------------------

    def _sent(self, sent: Sent) -> None:
        waits = {"slot": sent.slot_s, "window": sent.window_s, "pause": sent.pause_s}
        for what, seconds in waits.items():
            _record(self._measure.submission_wait, seconds, {"suno.wait": what})

    def _accepted(self, made: Accepted | Found) -> None:
        verdict = "found" if isinstance(made, Found) else "accepted"
        span = self._submission(verdict, made.request, made.attempt, made.seconds)
        span.set_attribute("suno.task.id", made.task_id)
        span.set_attribute("suno.awaited", made.awaited)
        span.end()
        self._submitted[made.task_id] = span.get_span_context()
        if len(self._submitted) > MOST_REMEMBERED:
            self._submitted.popitem(last=False)

    def _refused(self, refused: Refused) -> None:
        about = (refused.request, refused.attempt, refused.seconds, refused.error)
        span = self._submission(refused.verdict, *about)
        if (again_s := _number(refused.retry_in_s)) is not None:
            span.set_attribute("suno.retry_in", again_s)
        span.end()

    def _uncertain(self, uncertain: Uncertain) -> None:
        about = (uncertain.request, uncertain.attempt, uncertain.seconds, uncertain.error)
        self._submission("uncertain", *about).end()

    def _submission(
        self,
        verdict: str,
        request: AddInstrumentalRequest,
        attempt: int,
        seconds: float | None,
        error: SunoError | None = None,
    ) -> Span:
        """Count an attempt; begin its span, in the trace of whoever submits."""
        measured: Attributes = {"suno.verdict": verdict, **_error_type(error)}
        self._measure.submissions.add(1, measured)
        _record(self._measure.submission_duration, seconds, measured)
        answer = _refusal(error.__cause__ if isinstance(error, SubmissionUncertain) else error)
        if answer:
            self._measure.refusals.add(1, {"suno.call": "submit", **answer})
        shown: Attributes = {**measured, **answer, "suno.attempt": attempt}
        if (model := _model(getattr(request, "model", None))) is not None:
            shown["gen_ai.request.model"] = model
        span = self._tracer.start_span(
            SUBMIT_SPAN,
            kind=SpanKind.PRODUCER,
            attributes=shown,
            start_time=max(time.time_ns() - int((_number(seconds) or 0.0) * 1e9), 0),
        )
        if error is not None:
            span.set_status(_failure(error))
        return span

    # --- watches ----------------------------------------------------------------------------------

    def _watched(self, begun: Watched) -> None:
        known = self._watches.get(begun.task_id)
        if known is not None:  # another session reads it too
            known.sessions += 1
            return
        model = _model(begun.model) or OTHER
        shown: Attributes = {"suno.task.id": begun.task_id, "suno.reattached": not begun.fresh}
        if begun.model:
            shown["gen_ai.request.model"] = model
        if begun.submitted_at is not None:
            shown["suno.task.submitted_at"] = begun.submitted_at.isoformat()
        cause = self._submitted.get(begun.task_id, get_current_span().get_span_context())
        span = self._tracer.start_span(
            WATCH_SPAN,
            context=Context(),  # the root of a trace of its own
            kind=SpanKind.CONSUMER,
            attributes=shown,
            links=[Link(cause)] if cause.is_valid else None,
        )
        self._watches[begun.task_id] = _Watch(span, model, begun.fresh)
        self._measure.active_tasks.add(1)
        if len(self._watches) > MOST_OPEN:
            self._end(next(iter(self._watches)), "left")

    def _polled(self, polled: Polled) -> None:
        error = polled.error
        _record(self._measure.poll_duration, polled.seconds, _error_type(error))
        watch = self._watches.get(polled.task_id)
        if watch is not None:
            watch.polls += 1
            watch.failed_polls += error is not None
        if error is not None and (answer := _refusal(error)):
            self._measure.refusals.add(1, {"suno.call": "poll", **answer})

    def _reached(self, reached: StageReached) -> None:
        event = reached.event
        stage = str(event.stage)
        watch = self._watches.get(event.task_id)
        if watch is not None:
            if stage in watch.stages:  # another session has told
                return
            watch.stages.add(stage)
        delay_s = _number(reached.seconds)
        measured: Attributes = {"suno.stage": stage, **_kind_of_task(watch)}
        _record(self._measure.stage_delay, delay_s, measured)
        if watch is not None:
            shown: Attributes = {
                "suno.stage.inferred": event.inferred,
                "suno.tracks": len(event.tracks),
            }
            if delay_s is not None:
                shown["suno.stage.delay"] = delay_s
            watch.span.add_event(f"suno.stage.{stage}", shown)

    def _left(self, left: Left) -> None:
        watch = self._watches.get(left.task_id)
        if watch is None:
            return
        watch.sessions -= 1
        if watch.sessions <= 0:
            self._end(left.task_id, "left")

    def _ended(self, ended: Ended) -> None:
        error = ended.error
        outcome = "complete" if error is None else "failed"
        if isinstance(error, SessionClosed):  # the task goes on
            outcome, error = "left", None
        watch = self._watches.get(ended.task_id)
        measured: Attributes = {
            "suno.outcome": outcome,
            "suno.reattached": watch is None or not watch.is_fresh,
            **_error_type(error),
        }
        _record(self._measure.task_duration, ended.seconds, measured)
        if watch is not None and ended.details is not None:
            watch.span.set_attribute("suno.task.status", str(ended.details.status))
        self._submitted.pop(ended.task_id, None)
        self._end(ended.task_id, outcome, error)

    def _end(self, task_id: str, outcome: str, error: SunoError | None = None) -> None:
        """End the span of a watch, if it is open."""
        watch = self._watches.pop(task_id, None)
        if watch is None:
            return
        self._measure.active_tasks.add(-1)
        span = watch.span
        shown: Attributes = {"suno.outcome": outcome, **_error_type(error)}
        shown |= {"suno.polls": watch.polls, "suno.polls.failed": watch.failed_polls}
        span.set_attributes(shown)
        if error is not None:
            span.set_status(_failure(error))
        span.end()

    # --- the account and the audio ----------------------------------------------------------------

    def _paused(self, paused: Paused) -> None:
        _record(self._measure.pause_duration, paused.seconds, _error_type(paused.error))

    def _balance(self, balance: Balance) -> None:
        left = _number(balance.credits)
        if left is not None:
            self._measure.credits.set(left)

    def _uploaded(self, uploaded: Uploaded) -> None:
        self._moved("transmit", uploaded.size_bytes, uploaded.seconds)

    def _downloaded(self, downloaded: Downloaded) -> None:
        self._moved("receive", downloaded.size_bytes, downloaded.seconds)

    def _moved(self, direction: str, size_bytes: int | None, seconds: float) -> None:
        measured: Attributes = {"network.io.direction": direction}
        if (size := _number(size_bytes)) is not None:
            self._measure.io.add(int(size), measured)
        _record(self._measure.transfer_duration, seconds, measured)


def _own_version() -> str | None:
    try:
        return version("suno-async")
    except PackageNotFoundError:  # it runs from a folder that was not installed
        return None


def _record(histogram: Histogram, seconds: object, attributes: Attributes) -> None:
    """Record a length of time, unless it is none: clocks may be wrong."""
    value = _number(seconds)
    if value is not None:
        histogram.record(value, attributes)


def _number(value: object) -> float | None:
    """Take a number that can be measured: neither less than zero, nor endless, nor NaN."""
    return value if isinstance(value, int | float) and 0 <= value <= _MOST else None


def _model(value: object) -> str | None:
    """Take a model's name, if it is one of those that are known."""
    if not value:
        return None
    return str(value) if str(value) in _MODELS else OTHER


def _kind_of_task(watch: _Watch | None) -> Attributes:
    """Tell what delays depend on."""
    if watch is None or not watch.is_fresh:
        return {"suno.reattached": True, "gen_ai.request.model": watch.model if watch else OTHER}
    return {"suno.reattached": False, "gen_ai.request.model": watch.model}


def _code(code: object) -> str:
    """Take a code of the service; it may answer any number, and there are not to be as many."""
    return str(code) if isinstance(code, int) and 100 <= code <= 999 else OTHER


def _error_type(error: BaseException | None) -> Attributes:
    if error is None:
        return {}
    kind = _code(error.code) if isinstance(error, ApiError) else type(error).__name__
    return {"error.type": kind}


def _refusal(error: BaseException | None) -> Attributes:
    """Tell what an answer that says no looked like; nothing if there was none."""
    if not isinstance(error, ApiError):
        return {}
    refusal: Attributes = {"suno.code": _code(error.code)}
    status = error.http_status
    if isinstance(status, int) and 100 <= status <= 599:
        refusal["http.response.status_code"] = status
    return refusal


def _failure(error: BaseException) -> Status:
    """Make a status that says what kind of error it was; its text may quote what was asked."""
    return Status(StatusCode.ERROR, type(error).__name__)
