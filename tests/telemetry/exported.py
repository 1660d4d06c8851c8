"""The real SDK with exporters in memory, and what came out of it."""

from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, Tracer

from suno_async.telemetry import SUBMIT_SPAN, WATCH_SPAN, Telemetry


class Exported:
    """A `Telemetry` whose metrics and spans are kept in memory.

    Attributes:
        telemetry: The observer.
        tracer: Makes the program's own spans.
    """

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self._tracers = TracerProvider(shutdown_on_exit=False)
        self._tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self._meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.telemetry = Telemetry(self._tracers, self._meters)
        self.tracer: Tracer = self._tracers.get_tracer("program")

    def spans(self, name: str) -> list[ReadableSpan]:
        """Give the spans of this name that have ended."""
        return [span for span in self._spans.get_finished_spans() if span.name == name]

    @property
    def submits(self) -> list[ReadableSpan]:
        """Give the spans of attempts to submit."""
        return self.spans(SUBMIT_SPAN)

    @property
    def watches(self) -> list[ReadableSpan]:
        """Give the spans of watches."""
        return self.spans(WATCH_SPAN)

    @property
    def all_spans(self) -> Sequence[ReadableSpan]:
        """Give all spans that have ended."""
        return self._spans.get_finished_spans()

    def metrics(self) -> dict[str, Any]:
        """Give all metrics by name."""
        data = self._reader.get_metrics_data()
        return {
            metric.name: metric
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def points(self, name: str) -> list[Any]:
        """Give a metric's points; none if it was never recorded."""
        metrics = self.metrics()
        return list(metrics[name].data.data_points) if name in metrics else []

    def values(self, name: str, *attributes: str) -> dict[tuple[Any, ...], float]:
        """Give a metric's sums, or counts of a histogram, by the values of some attributes."""
        found: dict[tuple[Any, ...], float] = {}
        for point in self.points(name):
            key = tuple(point.attributes.get(attribute) for attribute in attributes)
            value = point.count if hasattr(point, "count") else point.value
            found[key] = found.get(key, 0) + value
        return found


def context_of(span: ReadableSpan) -> SpanContext:
    """Give the context of a span, which every span has."""
    context: SpanContext | None = span.get_span_context()
    assert context is not None
    return context


def linked(span: ReadableSpan) -> list[int]:
    """Give the ids of the spans that a span has links to."""
    return [link.context.span_id for link in span.links]


def parent_of(span: ReadableSpan) -> int | None:
    """Give the id of a span's parent; None for the root of a trace."""
    return span.parent.span_id if span.parent is not None else None


def shown(span: ReadableSpan) -> dict[str, Any]:
    """Give a span's attributes."""
    return dict(span.attributes or {})
