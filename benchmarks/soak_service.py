"""The service of a soak in a process of its own, with faults on each call: `SETTINGS` are JSON.

It prints its address and the port of a second listener. There, each line is a word that is answered
with a line of JSON: `account` tells what was charged and counts requests and faults, `faultless`
lets everything work from now on.
"""

import asyncio
import json
import logging
import random
import sys
from typing import Any

from benchmarks.paid_call import FAULTS
from suno_async.sandbox import (
    Call,
    CutAfter,
    DropAfter,
    DropBefore,
    EnvelopeError,
    Fault,
    Html200,
    HttpError,
    IgnoreRange,
    NullRecord,
    OtherRecord,
    Sandbox,
    Served,
    Stale,
    Truncated,
)

_FREE: list[Fault] = [DropBefore(), DropAfter(reset=True), HttpError(502), Html200(), Truncated()]
_MEDIA: list[Fault] = [
    DropBefore(),
    HttpError(503),
    Html200(),
    CutAfter(2_000),
    IgnoreRange(),
    Served(etag="none", cut_after_bytes=5_000),
    Served(length=False, gzip=True),
]
# 402 is left out: it would end every batch
BY_CALL: dict[Call, list[Fault]] = {
    Call.SUBMIT: [fault for fault in FAULTS if fault != EnvelopeError(402)],
    Call.DETAILS: [
        *_FREE,
        HttpError(429),
        EnvelopeError(429),
        EnvelopeError(455),
        EnvelopeError(500),
        Stale(),
        NullRecord(),
        OtherRecord(),
    ],
    Call.CREDITS: _FREE,
    Call.UPLOAD: _FREE,
    Call.MEDIA: _MEDIA,
    Call.SOURCE_MEDIA: _MEDIA,
}


def account(sandbox: Sandbox) -> dict[str, Any]:
    """Tell what was charged, by task, and how much was asked for."""
    tasks = sandbox.tasks
    charged = [each.task_id for each in sandbox.ledger if each.kind == "charge"]
    return {
        "charges": {task_id: str(tasks[task_id].request["title"]) for task_id in charged},
        "submissions": len(sandbox.submissions),
        "requests": len(sandbox.requests),
        "faults": {call.value: sandbox.fault_count(call) for call in Call},
    }


async def serve(settings: dict[str, Any]) -> None:
    """Serve until killed."""
    sandbox = Sandbox(
        credits=1e12,
        time_scale=settings["time_scale"],
        seed=settings["seed"],
        submissions_per_window=None,
        callback_attempts=2,
        callback_timeout_s=5.0,
        default_stem_s=0.3,
        failure_rate=0.02,
        skip_rate=0.1,
        dialect="mixed",
    )
    rng = random.Random(settings["seed"])
    for call, faults in BY_CALL.items():
        for fault in rng.sample(faults, len(faults)):
            sandbox.inject(call, fault, times=None, rate=settings["rate"] / len(faults))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while word := (await reader.readline()).decode().strip():
            if word == "faultless":
                sandbox.clear_faults()
            writer.write(json.dumps(account(sandbox)).encode() + b"\n")
            await writer.drain()
        writer.close()

    async with sandbox, await asyncio.start_server(answer, "127.0.0.1", 0) as line:
        print(f"{sandbox.base_url} {line.sockets[0].getsockname()[1]}", flush=True)
        await line.serve_forever()


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # it complains of who hangs up
    asyncio.run(serve(json.loads(sys.argv[1])))
