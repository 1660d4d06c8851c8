"""Every evidence in every harmless surrounding: the same verdict, and at most one charge."""

import asyncio
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from attrs import evolve

from suno_async import (
    CallbackReceiver,
    InstrumentalTask,
    RetryPolicy,
    SubmissionUncertain,
    SunoError,
)
from suno_async.sandbox import Call, EnvelopeError, Sandbox
from tests.world import EAGER, song

from .evidence import ALL, PACKED, REPEATED, UNCERTAIN, Evidence
from .surroundings import HARMLESS, client, receiving, session


async def submitted(
    sandbox: Sandbox,
    http: aiohttp.ClientSession | None,
    receiver: CallbackReceiver | None = None,
    **settings: Any,
) -> InstrumentalTask | SunoError:
    """Submit once; return what comes of it."""
    async with session(sandbox, client_session=http, receiver=receiver, **settings) as suno:
        try:
            return await suno.submit(song())
        except SunoError as error:
            return error


def wrong(evidence: Evidence, sandbox: Sandbox, ended: InstrumentalTask | SunoError) -> str:
    """Tell what contradicts the evidence's verdict; "" when nothing does."""
    posts, charged = len(sandbox.submissions), [charge.task_id for charge in sandbox.ledger]
    if len(charged) > 1 or posts > (2 if evidence.due == "repeated" else 1):
        return f"{posts} posts, {len(charged)} charges"
    if isinstance(ended, InstrumentalTask):
        right = evidence.due in {"accepted", "repeated"}
        return "" if right and charged == [ended.task_id] else f"task {ended.task_id}, {charged}"
    told = ended
    if isinstance(ended, SubmissionUncertain):
        if evidence.due != "uncertain" or not isinstance(ended.__cause__, SunoError):
            return f"uncertain: {ended.__cause__!r}"
        told = ended.__cause__
    elif evidence.due != "refused" or charged:
        return repr(ended)
    if evidence.error is None or type(told) is not evidence.error:
        return f"is a {type(told)}"
    if evidence.shows not in str(ended):
        return str(ended)
    return "" if getattr(told, "request_sent", True) else "it says that nothing was sent"


@pytest.mark.parametrize("name", HARMLESS)
async def test_invariant_1_every_evidence_has_one_verdict(name: str) -> None:
    """Invariant 1: whoever's client session carries it, an answer proves the same."""
    faults = {}
    async with client(HARMLESS[name]) as http:
        for evidence in ALL:
            async with Sandbox(time_scale=0, submissions_per_window=None) as sandbox:
                evidence.strike(sandbox)
                ended = await submitted(sandbox, http)
                if found := wrong(evidence, sandbox, ended):
                    faults[evidence.name] = found
    assert faults == {}


@pytest.mark.parametrize("name", ["own", "plain", "raise_for_status", "default headers"])
async def test_invariant_1_with_a_receiver_what_was_paid_is_found(name: str) -> None:
    """Invariant 1: a callback proves an uncertain submission, and changes no other verdict."""
    faults = {}
    async with client(HARMLESS[name]) as http, receiving() as receiver:
        for evidence in ALL:
            async with Sandbox(time_scale=0, submissions_per_window=None) as sandbox:
                evidence.strike(sandbox)
                due = "accepted" if evidence.paid else evidence.due
                patience = timedelta(seconds=5 if evidence.paid else 0.01)
                ended = await submitted(sandbox, http, receiver, reconcile_for=patience)
                if found := wrong(evolve(evidence, due=due), sandbox, ended):
                    faults[evidence.name] = found
    assert faults == {}


@pytest.mark.parametrize("name", ["own", "plain", "auto_decompress=False", "default headers"])
@pytest.mark.parametrize("evidence", PACKED, ids=lambda evidence: evidence.name)
async def test_invariant_1_an_id_is_found_in_what_is_packed_unasked(
    sandbox: Sandbox, name: str, evidence: Evidence
) -> None:
    """Invariant 1: an encoding that nobody asked for hides no task, cut off or called otherwise."""
    evidence.strike(sandbox)
    async with client(HARMLESS[name]) as http:
        ended = await submitted(sandbox, http)
    assert isinstance(ended, InstrumentalTask), ended
    assert ended.task_id == "a-packed-id"


async def test_an_answer_is_asked_for_unpacked(sandbox: Sandbox) -> None:
    """`Accept-Encoding: identity`, also over the headers of a caller's session."""
    asked = []

    async def note(_: Any, __: Any, sent: aiohttp.TraceRequestHeadersSentParams) -> None:
        asked.append(sent.headers.getall("Accept-Encoding"))

    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(note)
    headers = {"Accept-Encoding": "gzip"}
    async with aiohttp.ClientSession(headers=headers, trace_configs=[trace]) as http:
        await submitted(sandbox, http)
    assert asked == [["identity"]]


OWN_FAILURES = [EnvelopeError(500), EnvelopeError("500"), EnvelopeError(500, http_status=500)]


@pytest.mark.parametrize("fault", OWN_FAILURES, ids=str)
async def test_the_services_own_500_is_repeated_when_it_is_declared_to_take_nothing(
    sandbox: Sandbox, fault: EnvelopeError
) -> None:
    """`repeat_server_errors` sends it again, and pays once."""
    sandbox.inject(Call.SUBMIT, fault)
    policy = RetryPolicy(base=EAGER.base, repeat_server_errors=True)
    ended = await submitted(sandbox, None, retry=policy)
    assert isinstance(ended, InstrumentalTask)
    assert (len(sandbox.submissions), len(sandbox.ledger)) == (2, 1)


async def test_repeat_server_errors_repeats_nothing_else() -> None:
    """Of all that is uncertain, only the service's own 500 can be declared to take nothing."""
    policy = RetryPolicy(base=EAGER.base, repeat_server_errors=True)
    repeated = set()
    for evidence in UNCERTAIN:
        async with Sandbox(time_scale=0, submissions_per_window=None) as sandbox:
            evidence.strike(sandbox)
            await submitted(sandbox, None, retry=policy)
            if len(sandbox.submissions) > 1:
                repeated.add(evidence.name)
    assert repeated == {"own 500"}


async def test_what_is_not_taken_is_repeated_within_patience_alone(sandbox: Sandbox) -> None:
    """A limit that does not end is told as what it is, and nothing was charged."""
    policy = RetryPolicy(patience=timedelta(seconds=0.05), base=EAGER.base, cap=EAGER.cap)
    for evidence in REPEATED:
        assert evidence.fault is not None
        sandbox.inject(Call.SUBMIT, evidence.fault, times=None)
        ended = await asyncio.wait_for(submitted(sandbox, None, retry=policy), 2)
        assert not isinstance(ended, InstrumentalTask | SubmissionUncertain)
        sandbox.clear_faults()
    assert len(sandbox.submissions) > len(REPEATED)
    assert sandbox.ledger == []
