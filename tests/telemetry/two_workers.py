"""A web service for `uvicorn --workers 2`, which writes its spans into a folder."""

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request, Response
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from suno_async import AccountLimits, AddInstrumentalRequest, FixedInterval, SunoSession
from suno_async.telemetry import Telemetry


class Files(SpanExporter):
    """Appends each span to a file of this process."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write what a test compares."""
        with Path(os.environ["SPANS"], f"{os.getpid()}.jsonl").open("a") as file:
            for span in spans:
                written = {
                    "name": span.name,
                    "id": span.context.span_id,
                    "trace": span.context.trace_id,
                    "parent": span.parent.span_id if span.parent is not None else None,
                    "links": [link.context.span_id for link in span.links],
                    "events": len(span.events),
                    "task_id": (span.attributes or {}).get("suno.task.id"),
                }
                file.write(json.dumps(written) + "\n")
        return SpanExportResult.SUCCESS


provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(Files()))
tracer = provider.get_tracer("service")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold a session for as long as the worker lives; both workers share the account's window."""
    limits = AccountLimits(submissions_per_window=(1000, 1))
    telemetry = Telemetry(tracer_provider=provider)
    async with SunoSession(
        limits=limits, cadence=FixedInterval(0.4), observers=[telemetry], max_in_flight=500
    ) as app.state.suno:
        yield


app = FastAPI(lifespan=lifespan)


@app.middleware("http")
async def traced(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    """Give each request a span of its own."""
    name = f"POST {request.url.path}"
    with tracer.start_as_current_span(name, kind=trace.SpanKind.SERVER):
        return await answer(request)


@app.post("/songs/{title}")
async def generate(title: str) -> dict[str, str | int]:
    """Generate a song while its caller waits."""
    request = AddInstrumentalRequest(
        "https://example.com/voice.wav", title=title, tags="piano", negative_tags=""
    )
    details = await app.state.suno.generate(request)
    return {"task_id": details.task_id, "worker": os.getpid()}
