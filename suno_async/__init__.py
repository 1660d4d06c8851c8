"""Submit safely, watch cheaply, deliver whole files, never lose or pay twice.

An asyncio client for the Add Instrumental endpoint of the Apikley Suno API: a vocal stem goes in,
two accompaniments come out minutes later.

    async with SunoSession() as suno:  # the key is in APIKLEY_API_KEY
        task = await suno.submit(AddInstrumentalRequest(upload_url, title, tags, negative_tags))
        async for event in task.events():  # text, first, complete
            print(event.stage, event.tracks)

Begin with `SunoSession`: it submits, watches, uploads and downloads. Then, as they are needed:

    AddInstrumentalRequest      what is asked; checked when it is made
    InstrumentalTask            follow one task: its events, its result
    StageEvent, TaskDetails, Track, Outcome, BatchProgress
                                what comes back; to_json, to_dict and back for storing it
    SunoError                   the root of all errors; each carries what is needed to act
    CallbackReceiver            callbacks wake watches and prove uncertain submissions
    AccountLimits, RetryPolicy, HazardPaced
                                what the account allows, how stubborn to be, when to look

Rooms of their own, to be imported by name: `suno_async.observe` (what observers are told),
`suno_async.durable` (jobs that outlive the process; extra `durable`), `suno_async.telemetry`
(OpenTelemetry; extra `otel`), `suno_async.sandbox` (the service, run locally, to test against).
"""

from importlib import import_module

# as type checkers know it; the command takes signals only after this module, and `typing` is slow
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from suno_async.cadence import Cadence, FixedInterval, Growing, HazardPaced
    from suno_async.callbacks import CallbackReceiver
    from suno_async.clock import Clock, SystemClock, VirtualClock
    from suno_async.errors import (
        ApiError,
        AudioMissing,
        AuthenticationError,
        CallbackRejected,
        Conflict,
        ConnectionFailed,
        ContentRejected,
        GenerationFailed,
        InsufficientCredits,
        InvalidRequest,
        Maintenance,
        NotFound,
        NotSubmitted,
        ProtocolError,
        RateLimited,
        ServerError,
        SessionClosed,
        SourceUnavailable,
        SubmissionUncertain,
        SunoError,
        TaskError,
        TaskExpired,
        TaskNotFound,
        UnexpectedError,
        ValidationFailed,
        WatchTimeout,
    )
    from suno_async.limits import AccountLimits
    from suno_async.models import (
        AddInstrumentalRequest,
        CallbackNotice,
        Model,
        Stage,
        StageEvent,
        TaskDetails,
        TaskStatus,
        Track,
        VocalGender,
    )
    from suno_async.observe import Observation, Observer, SessionStats
    from suno_async.outcomes import BatchProgress, Outcome
    from suno_async.retry import RetryPolicy
    from suno_async.session import SunoSession
    from suno_async.storage import from_dict, from_json, to_dict, to_json
    from suno_async.task import InstrumentalTask
    from suno_async.webhook import ReplayGuard, parse_callback

__version__ = "0.2.0"

__all__ = [
    "AccountLimits",
    "AddInstrumentalRequest",
    "ApiError",
    "AudioMissing",
    "AuthenticationError",
    "BatchProgress",
    "Cadence",
    "CallbackNotice",
    "CallbackReceiver",
    "CallbackRejected",
    "Clock",
    "Conflict",
    "ConnectionFailed",
    "ContentRejected",
    "FixedInterval",
    "GenerationFailed",
    "Growing",
    "HazardPaced",
    "InstrumentalTask",
    "InsufficientCredits",
    "InvalidRequest",
    "Maintenance",
    "Model",
    "NotFound",
    "NotSubmitted",
    "Observation",
    "Observer",
    "Outcome",
    "ProtocolError",
    "RateLimited",
    "ReplayGuard",
    "RetryPolicy",
    "ServerError",
    "SessionClosed",
    "SessionStats",
    "SourceUnavailable",
    "Stage",
    "StageEvent",
    "SubmissionUncertain",
    "SunoError",
    "SunoSession",
    "SystemClock",
    "TaskDetails",
    "TaskError",
    "TaskExpired",
    "TaskNotFound",
    "TaskStatus",
    "Track",
    "UnexpectedError",
    "ValidationFailed",
    "VirtualClock",
    "VocalGender",
    "WatchTimeout",
    "from_dict",
    "from_json",
    "parse_callback",
    "to_dict",
    "to_json",
]

# where the public names are, in the order in which they are looked for
_HOMES = (
    "errors",
    "models",
    "outcomes",
    "clock",
    "observe",
    "limits",
    "cadence",
    "retry",
    "storage",
    "webhook",
    "callbacks",
    "session",
    "task",
)


def __getattr__(name: str) -> "Any":
    """Load a public name when it is first asked for: every run of pytest imports the package."""
    if name in _HOMES:
        return import_module(f"{__name__}.{name}")
    if name in __all__:
        # a session needs neither storage nor callbacks, and should not load them
        for home in ("session",) if name == "SunoSession" else _HOMES:
            found = getattr(import_module(f"{__name__}.{home}"), name, None)
            if found is not None:
                globals()[name] = found
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
