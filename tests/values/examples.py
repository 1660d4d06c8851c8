"""One of every value and error, with all that it can carry."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from attrs import frozen

from suno_async import (
    BatchProgress,
    CallbackNotice,
    InsufficientCredits,
    InvalidRequest,
    Model,
    Outcome,
    RateLimited,
    SessionStats,
    Stage,
    StageEvent,
    SubmissionUncertain,
    SunoError,
    TaskDetails,
    TaskStatus,
    Track,
    VocalGender,
    WatchTimeout,
    observe,
)
from suno_async.durable import (
    Abandon,
    Adopt,
    DatabaseFailed,
    DurableStats,
    JobCancelled,
    JobConflict,
    JobNotFound,
    JobState,
    JobTimeout,
    JobUndecidable,
    Resubmit,
    WorkerRefused,
)
from tests.test_errors import ERRORS as CORE_ERRORS
from tests.world import song

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

REQUEST = song(
    model=Model.V5,
    vocal_gender=VocalGender.FEMALE,
    style_weight=0.29,
    weirdness_constraint=0,
    audio_weight=1.0,
    callback_url="https://my.service/suno",
)
TRACK = Track(
    id="e231",
    audio_url="https://cdn.example/e231.mp3",
    stream_audio_url="https://cdn.example/e231",
    image_url="https://cdn.example/e231.jpeg",
    prompt="[Verse] …",
    model_name="chirp-crow",
    title="Iron Man",
    tags="electrifying, rock",
    create_time=AT,
    duration=198.44,
    source_audio_url="https://source.example/e231.mp3",
    source_stream_audio_url="https://source.example/e231",
    source_image_url="https://source.example/e231.jpeg",
)
DETAILS = TaskDetails(
    "5c79",
    TaskStatus.FIRST_SUCCESS,
    (TRACK,),
    531,
    "refunded",
    "GENERATE",
    "underpainting",
    {"taskId": "5c79", "new": [1, None]},
)
EVENT = StageEvent(Stage.FIRST, "5c79", (TRACK,), DETAILS, AT, inferred=True)
NOTICE = CallbackNotice("first", "5c79", 200, "done", (TRACK,), "token", {"code": 200})
OUTCOME = Outcome(3, REQUEST, "5c79", DETAILS, WatchTimeout("5c79", timedelta(seconds=1.5)))
PROGRESS = BatchProgress(3, REQUEST, "5c79", AT, Stage.FIRST, 10, 4, 2, 1, 1)
STATS = SessionStats(in_flight=1, pause_left_s=0.5, sent=3, refusals={429: 2})
UNCERTAIN = SubmissionUncertain("One", "reset", AT, timedelta(minutes=5), "5c79")
LIMITED = RateLimited(429, "slowly", 200, None, timedelta(seconds=3))

VALUES: list[Any] = [REQUEST, TRACK, DETAILS, EVENT, NOTICE, OUTCOME, PROGRESS, STATS]
DURABLE_VALUES: list[Any] = [
    Resubmit(Path("stems/one.wav")),
    Adopt("5c79"),
    Abandon(),
    DurableStats({JobState.RUNNING: 2}, 20, 1),
]
OBSERVATIONS: list[Any] = [
    observe.Sent(REQUEST, 1, 0.1, 0.2, 0.3),
    observe.Accepted("5c79", REQUEST, AT, awaited=False, attempt=2, seconds=0.5),
    observe.Refused(REQUEST, LIMITED, "took nothing", 3.0),
    observe.Uncertain(REQUEST, UNCERTAIN),
    observe.Found("5c79", REQUEST, AT),
    observe.Watched("5c79", AT, "V5", fresh=True),
    observe.Polled("5c79", 0.02, InsufficientCredits(402, "no credits")),
    observe.StageReached(EVENT, 30.5),
    observe.Left("5c79"),
    observe.Ended("5c79", DETAILS, None, 130.0),
    observe.Paused(3.0, LIMITED),
    observe.Balance(100),
    observe.Uploading(Path("stems/one.wav")),
    observe.Uploaded("https://h/one.wav", None, 0.5),
    observe.Downloading("https://h/one.mp3", Path("One 1.mp3"), 5, 10),
    observe.Downloaded("https://h/one.mp3", Path("One 1.mp3"), 10, 0.5),
]
DURABLE_ERRORS: list[SunoError] = [
    JobConflict("k", '{"title":"a"}', '{"title":"b"}'),
    JobNotFound("k"),
    JobUndecidable("k", JobState.RUNNING, "Abandon()"),
    JobCancelled("k"),
    JobTimeout("k", JobState.RUNNING, timedelta(seconds=2)),
    DatabaseFailed("disk full"),
    WorkerRefused("one is there"),
]
ERRORS: list[SunoError] = [*CORE_ERRORS, *DURABLE_ERRORS, InvalidRequest("title", [1], "must be")]


@frozen
class Own:
    """A value of somebody who has ours in it."""

    outcome: Outcome
