"""The service, run locally: real HTTP, real audio, a ledger of charges, faults on demand.

It is written from the protocol and shares no code with the client, so that a misreading shows.
"""

from suno_async.sandbox.callbacks import Delivery
from suno_async.sandbox.dialect import Dialect
from suno_async.sandbox.faults import (
    Altered,
    Call,
    Delay,
    DropAfter,
    DropBefore,
    EnvelopeError,
    Fault,
    Html200,
    HttpError,
    NullRecord,
    OtherRecord,
    Redirect,
    Reply,
    Stale,
    Truncated,
)
from suno_async.sandbox.ledger import Charge
from suno_async.sandbox.log import FaultMet, Poll, RequestSeen, Submission
from suno_async.sandbox.media_faults import (
    CutAfter,
    IgnoreRange,
    NeedsCookie,
    Served,
    Throttle,
    Unavailable,
)
from suno_async.sandbox.server import Sandbox
from suno_async.sandbox.tasks import (
    CallbackScript,
    SandboxTask,
    SandboxTrack,
    ScriptStage,
    TaskScript,
    Timings,
)
from suno_async.sandbox.voice import sing

__all__ = [
    "Altered",
    "Call",
    "CallbackScript",
    "Charge",
    "CutAfter",
    "Delay",
    "Delivery",
    "Dialect",
    "DropAfter",
    "DropBefore",
    "EnvelopeError",
    "Fault",
    "FaultMet",
    "Html200",
    "HttpError",
    "IgnoreRange",
    "NeedsCookie",
    "NullRecord",
    "OtherRecord",
    "Poll",
    "Redirect",
    "Reply",
    "RequestSeen",
    "Sandbox",
    "SandboxTask",
    "SandboxTrack",
    "ScriptStage",
    "Served",
    "Stale",
    "Submission",
    "TaskScript",
    "Throttle",
    "Timings",
    "Truncated",
    "Unavailable",
    "sing",
]
