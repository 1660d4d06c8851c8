"""In a web service, each request's trace has its own submission, and no other's."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from fastapi import FastAPI, Request, Response
from opentelemetry import context, trace
from opentelemetry.sdk.trace import ReadableSpan

from suno_async import FixedInterval, SunoSession
from suno_async.sandbox import Call, Delay, EnvelopeError, Sandbox
from tests.callbacks.hosting import listener, uvicorn_server
from tests.world import EAGER, session_for, song

from .exported import Exported, context_of, linked, parent_of, shown

SETTINGS: dict[str, Any] = {
    "retry": EAGER,
    "cadence": FixedInterval(0.01),
    "submissions_per_window": (1000, 0.001),
}


@pytest.fixture
def exported() -> Exported:
    """A `Telemetry` on the SDK, with exporters in memory."""
    return Exported()


def service(suno: SunoSession, exported: Exported) -> FastAPI:
    """Make a web service that generates while its caller waits, with a span for each request."""
    application = FastAPI()

    @application.middleware("http")
    async def traced(
        request: Request, answer: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        name = f"POST {request.url.path}"
        with exported.tracer.start_as_current_span(name, kind=trace.SpanKind.SERVER):
            return await answer(request)

    @application.post("/songs/{title}")
    async def generate(title: str) -> str:
        details = await suno.generate(song(title=title))
        return details.task_id

    return application


def instrumentation(exported: Exported) -> aiohttp.TraceConfig:
    """Make hooks as those of OpenTelemetry's instrumentation of aiohttp are."""
    config = aiohttp.TraceConfig()

    async def start(_: Any, about: SimpleNamespace, params: Any) -> None:
        about.span = exported.tracer.start_span(params.method, kind=trace.SpanKind.CLIENT)
        about.token = context.attach(trace.set_span_in_context(about.span))

    async def end(_: Any, about: SimpleNamespace, __: Any) -> None:
        context.detach(about.token)
        about.span.end()

    config.on_request_start.append(start)
    config.on_request_end.append(end)
    config.on_request_exception.append(end)
    return config


@asynccontextmanager
async def serving(suno: SunoSession, exported: Exported) -> AsyncIterator[str]:
    """Serve the web service with uvicorn; give its URL."""
    opened = listener()
    async with uvicorn_server(service(suno, exported), opened):
        yield f"http://127.0.0.1:{opened.getsockname()[1]}"


async def posted(client: aiohttp.ClientSession, url: str) -> str:
    """Ask the service for a song; return its task."""
    async with client.post(url) as answer:
        task_id: str = await answer.json()
        return task_id


def only(spans: list[ReadableSpan], **about: str) -> ReadableSpan:
    """Find the one span that is accepted and has these attributes."""
    wanted = {name.replace("_", "."): value for name, value in about.items()}.items()
    (found,) = (span for span in spans if wanted <= shown(span).items())
    return found


@pytest.mark.parametrize("own", [False, True], ids=["library's session", "instrumented session"])
async def test_two_requests_at_a_time_have_their_own_traces(
    sandbox: Sandbox, exported: Exported, own: bool
) -> None:
    """The submission is a child of the request's span, and the watch is linked to it."""
    sandbox.inject(Call.SUBMIT, EnvelopeError(429))
    sandbox.inject(Call.SUBMIT, Delay(0.05), times=None)
    instrumented = aiohttp.ClientSession(trace_configs=[instrumentation(exported)])
    client_session = instrumented if own else None
    async with (
        instrumented,
        aiohttp.ClientSession() as client,
        session_for(
            sandbox, observers=[exported.telemetry], client_session=client_session, **SETTINGS
        ) as suno,
        serving(suno, exported) as url,
    ):
        asked = ["one", "other"]
        task_ids = await asyncio.gather(
            *(posted(client, f"{url}/songs/{title}") for title in asked)
        )
    for title, task_id in zip(asked, task_ids, strict=True):
        (request,) = exported.spans(f"POST /songs/{title}")
        submit = only(exported.submits, suno_task_id=task_id)
        watch = only(exported.watches, suno_task_id=task_id)
        assert parent_of(submit) == context_of(request).span_id
        assert context_of(submit).trace_id == context_of(request).trace_id
        assert linked(watch) == [context_of(submit).span_id]
        assert len(watch.events) == 3
        assert sandbox.tasks[task_id].request["title"] == title
    assert len(exported.submits) == 3
    calls = exported.spans("POST") + exported.spans("GET")
    assert bool(calls) == own
    requests = [exported.spans(f"POST /songs/{title}")[0] for title in asked]
    assert {context_of(span).trace_id for span in calls} <= {
        context_of(span).trace_id for span in requests
    }
