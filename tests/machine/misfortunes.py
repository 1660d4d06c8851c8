"""What befalls calls and tasks: faults of every kind, and the courses that tasks take."""

from typing import Any

from attrs import frozen

from suno_async.doubts import Doubt
from suno_async.sandbox import (
    Altered,
    CallbackScript,
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
    ScriptStage,
    Stale,
    TaskScript,
    Truncated,
)

KEY = "K3y-of-the-machine-that-stays-at-home"

# longer than any call may take: before the work is done, and before its answer
SILENCES = [Delay(400.0), Delay(400.0, processed=True), Delay(90_000.0, processed=True)]

_ID: dict[str, Any] = {"code": 200, "msg": "success", "data": {"taskId": "{task_id}"}}
# is answered with what it must not show
_ECHO = f"Bearer {KEY} may not do that"


@frozen
class Lie:
    """An answer to a look that says something untrue.

    Attributes:
        fault: The answer.
        doubt: What it would prove if it persisted.
    """

    fault: Fault
    doubt: Doubt


def submission_faults(elsewhere: str) -> list[Fault]:
    """List what befalls submissions; `elsewhere` is a host that is none of the service's."""
    return [
        DropBefore(),
        DropBefore(reset=True),
        DropAfter(),
        DropAfter(),
        DropAfter(reset=True),
        Delay(3.0),
        Delay(3.0, processed=True),
        *SILENCES,
        HttpError(502, processed=True),
        HttpError(504),
        HttpError(408, processed=True),
        HttpError(429),
        HttpError(429, headers={"Retry-After": "7"}),
        HttpError(403),
        *(EnvelopeError(code) for code in (405, 429, 430, 455, "429")),
        *(EnvelopeError(code, _ECHO) for code in (401, 402, 409, 422, 500, 777)),
        EnvelopeError(429, "not enough credits"),
        EnvelopeError(429, retry_after="30"),
        EnvelopeError(455, retry_after="86400"),
        Truncated(),
        Truncated(cut=True),
        Html200(),
        Html200(processed=True),
        Redirect(f"{elsewhere}/taken"),
        Reply(500, {**_ID, "code": 500, "msg": _ECHO}, processed=True),
        Reply(200, {**_ID, "code": 409}, processed=True),
        Reply(200, _ID, processed=True, frame="chunked-cut"),
        Reply(200, _ID, processed=True, frame="short"),
        Reply(200, {"code": 408, "msg": "timeout", "data": None}, processed=True),
        Reply(200, {"code": 500, "msg": _ECHO, "data": None}, processed=True),
    ]


def look_faults(elsewhere: str) -> list[Fault | Lie]:
    """List what befalls looks at tasks."""
    return [
        DropBefore(),
        DropAfter(reset=True),
        Delay(2.0),
        *SILENCES,
        HttpError(403),
        HttpError(404),
        HttpError(502),
        HttpError(429, headers={"Retry-After": "3"}),
        *(EnvelopeError(code, _ECHO) for code in (429, 455, 500)),
        EnvelopeError(429, retry_after="45"),
        *(Lie(EnvelopeError(code, _ECHO), Doubt.REFUSED) for code in (401, 402, 451, 777)),
        *(Lie(NullRecord(form), Doubt.NO_RECORD) for form in ("422", "404", "empty")),
        Lie(OtherRecord(), Doubt.ANOTHER_TASK),
        Lie(Altered({"status": "PENDING", "response": None, "errorCode": "531"}), Doubt.FAILED),
        Lie(Altered({"status": "FAILED"}), Doubt.FAILED),
        Stale(),
        Stale(),
        Truncated(),
        Truncated(cut=True),
        Html200(),
        Redirect(f"{elsewhere}/taken"),
        Reply(200, b"[" * 50_000),
        Reply(200, b'{"code": 200, "data": [NaN, 1e400]}'),
    ]


# told in the end, when everything is delivered, unless they were told before
LAST_LIES = [
    Lie(OtherRecord(), Doubt.ANOTHER_TASK),
    Lie(NullRecord(), Doubt.NO_RECORD),
    Lie(EnvelopeError(401), Doubt.REFUSED),
]

_QUIET = CallbackScript(send=False)
COURSES: list[TaskScript] = [
    TaskScript(),
    TaskScript(stages=()),
    TaskScript(stages=[("SUCCESS", 40)], callbacks=CallbackScript(copies=2)),
    TaskScript(stages=[("TEXT_SUCCESS", 5), ("GENERATE_AUDIO_FAILED", 30)]),
    TaskScript(stages=[("SENSITIVE_WORD_ERROR", 3)], callbacks=CallbackScript(null_data=True)),
    TaskScript(stages=[("FIRST_SUCCESS", 20), ("GENERATE_AUDIO_FAILED", 50)], error_code=531),
    TaskScript(stages=[ScriptStage("PENDING", 15, error_code=413, error_message="matches")]),
    TaskScript(stages=[("TEXT_SUCCESS", 5), ("CALLBACK_EXCEPTION", 60, 2)]),
    TaskScript(stages=[("SUCCESS", 30, 0), ("SUCCESS", 200, 2)], callbacks=_QUIET),
    TaskScript(stages=[("SUCCESS", 30, 1)]),
    TaskScript(stages=[("SUCCESS", 30, 0)]),
    TaskScript(stages=[(None, 10, 2)], callbacks=_QUIET),
    TaskScript(stages=[("TEXT_SUCCESS", 9), ("SUCCESS", 3_600)]),
    TaskScript(callbacks=_QUIET),
    TaskScript(callbacks=CallbackScript(late_s=90, reverse=True)),
    TaskScript(callbacks=CallbackScript(late_s=-4, upper_case=True, add_slash=True)),
    TaskScript(callbacks=CallbackScript(compress=True, probe="HEAD", copies=3)),
    TaskScript(track_count=1),
]
