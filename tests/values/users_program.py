"""A program of somebody who checks types strictly: it touches every room of the library."""

# ruff: noqa: T201 - it is a program

import asyncio
import dataclasses
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from attrs import evolve
from fastapi import Depends, FastAPI

from suno_async import (
    AccountLimits,
    AddInstrumentalRequest,
    ApiError,
    BatchProgress,
    CallbackNotice,
    CallbackReceiver,
    GenerationFailed,
    HazardPaced,
    Model,
    Outcome,
    RateLimited,
    RetryPolicy,
    SessionStats,
    Stage,
    StageEvent,
    SubmissionUncertain,
    SunoError,
    SunoSession,
    TaskDetails,
    Track,
    VirtualClock,
    from_dict,
    from_json,
    observe,
    parse_callback,
    to_dict,
    to_json,
)
from suno_async.durable import Abandon, Adopt, DurableSuno, Job, JobState, Resubmit
from suno_async.sandbox import Call, DropAfter, Sandbox, TaskScript
from suno_async.telemetry import Telemetry

REQUEST = AddInstrumentalRequest(
    upload_url="https://example.com/stem.wav",
    title="One",
    tags="piano",
    negative_tags="",
    model=Model.V5,
    style_weight=0.5,
)


def note(what: observe.Observation) -> None:
    """Note what happens."""
    match what:
        case observe.Accepted(task_id=task_id, request=request):
            print(task_id, request.title.upper())
        case observe.StageReached(event=event, seconds=seconds):
            print(event.stage.position, seconds or 0.0)
        case observe.Refused(error=RateLimited(retry_after=wait)):
            print(wait.total_seconds() if wait is not None else 0.0)
        case _:
            pass


def progress(now: BatchProgress) -> None:
    """Show how a batch stands."""
    title: str = now.request.title
    when = now.submitted_at.isoformat() if now.submitted_at is not None else "not yet"
    print(title, when, now.succeeded + now.failed, now.total)


async def one(suno: SunoSession) -> list[Path]:
    """Follow one task."""
    stem: str = await suno.upload("vocals.wav")
    task = await suno.submit(evolve(REQUEST, upload_url=stem), send_within=timedelta(minutes=1))
    async for event in task.events():
        tracks: tuple[Track, ...] = event.tracks
        print(event.stage is Stage.COMPLETE, [track.audio_url or "" for track in tracks])
    details: TaskDetails = await task.result(timeout=60.0)
    return await suno.download_all(details, Path("music"), covers=True)


async def many(suno: SunoSession) -> float:
    """Run a batch, and look at what went wrong."""
    requests = (dataclasses.replace(REQUEST, tags=tags) for tags in ("folk", "jazz"))
    async for outcome in suno.generate_many(requests, on_progress=progress):
        error: SunoError | None = outcome.error
        if isinstance(error, GenerationFailed):
            print(error.error_code, error.refunded, len(error.tracks))
        elif isinstance(error, SubmissionUncertain):
            print(error.sent_at, error.__cause__)
        elif isinstance(error, ApiError):
            print(error.code + 1, error.message.upper())
        stored: str = to_json(outcome)
        again: Outcome = from_json(stored, Outcome)
        same: Outcome = from_dict(to_dict(again), Outcome)
        print(same.ok, same.position + 1)
    stats: SessionStats = suno.stats()
    return stats.pause_left_s


async def jobs(database: str, receiver: CallbackReceiver) -> None:
    """Use jobs."""
    async with DurableSuno(database, SunoSession(receiver=receiver)) as durable:
        job: Job = await durable.submit("k", REQUEST, save_to="music")
        async for event in job.events():
            reached: StageEvent = event
            print(reached.observed_at)
        if job.state is JobState.UNCERTAIN:
            await durable.decide(job.key, Adopt("t1"))
            await durable.decide(job.key, Resubmit())
            await durable.decide(job.key, Abandon())
        async for key, outcome in durable.outcomes("k"):
            print(key.upper(), outcome.tracks)


async def unplaced(notice: CallbackNotice) -> None:
    """Take a callback of another process."""
    print(notice.task_id, notice.stage)


RECEIVER = CallbackReceiver("https://h/suno", secret="s" * 16, on_unplaced=unplaced)


async def session() -> AsyncIterator[SunoSession]:
    """Give the session of the service."""
    async with SunoSession(
        os.environ["APIKLEY_API_KEY"],
        receiver=RECEIVER,
        limits=AccountLimits(submissions_per_window=(20, 10.0)),
        retry=RetryPolicy(),
        cadence=HazardPaced(minimise="mean"),
        observers=[note, Telemetry()],
        clock=VirtualClock(),
    ) as suno:
        yield suno


app = FastAPI()
app.mount("/suno", RECEIVER.asgi)


@app.post("/tracks")
async def order(
    body: AddInstrumentalRequest, suno: Annotated[SunoSession, Depends(session)]
) -> TaskDetails:
    """Serve."""
    return await suno.generate(body)


async def tested() -> None:
    """Test against the service, run locally."""
    async with Sandbox(time_scale=0) as sandbox:
        sandbox.inject(Call.SUBMIT, DropAfter())
        sandbox.script(TaskScript())
        async with sandbox.session() as suno:
            await many(suno)
            await one(suno)
        print(len(sandbox.ledger), sandbox.ledger[0].amount)
    print(parse_callback(b"{}", {}).kind)


if __name__ == "__main__":
    asyncio.run(tested())
