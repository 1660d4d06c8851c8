"""Looks that lie once, and records that say less or more than they should."""

import pytest

from suno_async.sandbox import (
    Altered,
    Call,
    Dialect,
    EnvelopeError,
    OtherRecord,
    ScriptStage,
    Stale,
    TaskScript,
    Timings,
)

from .caller import CREDITS, DETAILS, Caller, calling


async def _statuses(caller: Caller, task_id: str, looks: int) -> list[str]:
    return [(await caller.details(task_id))["status"] for _ in range(looks)]


async def test_one_look_is_altered(caller: Caller) -> None:
    """The fields that were named are others, the rest and the next look are the task's."""
    task_id = await caller.submit()
    caller.clock.advance(22)
    lie = Altered({"status": None, "errorCode": 413, "response": {"sunoData": []}})
    caller.sandbox.inject(Call.DETAILS, lie)
    stray, good = [await caller.details(task_id) for _ in range(2)]
    assert (stray["taskId"], stray["status"], stray["errorCode"]) == (task_id, None, 413)
    assert stray["response"] == {"sunoData": []}
    assert (good["status"], good["errorCode"]) == ("TEXT_SUCCESS", None)


async def test_a_record_can_be_of_many_megabytes(caller: Caller) -> None:
    """A field of any length is sent like any other."""
    task_id = await caller.submit()
    caller.sandbox.inject(Call.DETAILS, Altered({"noise": "x" * 9_000_000}))
    assert len((await caller.details(task_id))["noise"]) == 9_000_000


async def test_one_look_shows_another_task(caller: Caller) -> None:
    """The record is that of another task of the sandbox, as it is now."""
    mine, other = await caller.submit(title="Mine"), await caller.submit(title="Other")
    caller.clock.advance(130)
    caller.sandbox.inject(Call.DETAILS, OtherRecord())
    stray, good = [await caller.details(mine) for _ in range(2)]
    assert (stray["taskId"], stray["response"]["sunoData"][0]["title"]) == (other, "Other")
    assert good["taskId"] == mine


@pytest.mark.parametrize("named", [None, "t2"])
async def test_another_task_can_be_made_up(caller: Caller, named: str | None) -> None:
    """A sandbox with one task answers with a record that has another id."""
    task_id = await caller.submit()
    caller.sandbox.inject(Call.DETAILS, OtherRecord(named))
    assert (await caller.details(task_id))["taskId"] == (named or task_id[::-1])


async def test_a_fault_can_be_about_one_task(caller: Caller) -> None:
    """Others do not meet it, and do not use it up."""
    one, two = await caller.submit(), await caller.submit()
    caller.sandbox.inject(Call.DETAILS, EnvelopeError(401), about=one)
    codes = [(await caller.get(DETAILS, taskId=task_id))["code"] for task_id in (two, one, one)]
    assert codes == [200, 401, 200]


async def test_success_may_come_before_its_tracks_and_their_audio() -> None:
    """Tracks are listed later than the status, and have their URLs later still."""
    stages = [
        ScriptStage("SUCCESS", 10, listed_tracks=0),
        ScriptStage("SUCCESS", 20, finished_tracks=0),
        ScriptStage("SUCCESS", 30, finished_tracks=1),
        ScriptStage("SUCCESS", 40),
    ]
    async with calling(dialect=Dialect(pending_response="no_list")) as caller:
        caller.sandbox.script(TaskScript(stages=stages))
        task_id = await caller.submit()
        seen = []
        for _ in stages:
            caller.clock.advance(10)
            data = await caller.details(task_id)
            tracks = data["response"].get("sunoData", [])
            seen.append((data["status"], [bool(track["audioUrl"]) for track in tracks]))
    assert seen == [
        ("SUCCESS", []),
        ("SUCCESS", [False, False]),
        ("SUCCESS", [True, False]),
        ("SUCCESS", [True, True]),
    ]


@pytest.mark.parametrize("status", ["PENDING", None, "WARMING_UP"])
async def test_tracks_may_be_finished_under_any_status(caller: Caller, status: str | None) -> None:
    """Two tracks have their audio although the status says nothing of it."""
    caller.sandbox.script(TaskScript(stages=[(status, 10, 2)]))
    task_id = await caller.submit()
    caller.clock.advance(10)
    data = await caller.details(task_id)
    assert data["status"] == status
    assert all(track["audioUrl"] for track in data["response"]["sunoData"])


async def test_a_refusal_may_hide_under_a_status_that_lingers(caller: Caller) -> None:
    """`errorCode` and its text are there long before the status says so, if ever."""
    hidden = ScriptStage("TEXT_SUCCESS", 10, error_code="531", error_message="refunded")
    caller.sandbox.script(TaskScript(stages=[hidden]))
    task_id = await caller.submit()
    assert (await caller.details(task_id))["errorCode"] is None
    caller.clock.advance(10)
    data = await caller.details(task_id)
    assert (data["status"], data["errorCode"], data["errorMessage"]) == (
        "TEXT_SUCCESS",
        "531",
        "refunded",
    )


async def test_stale_looks_and_good_ones_alternate(caller: Caller) -> None:
    """Half of the replicas lag."""
    task_id = await caller.submit()
    caller.clock.advance(65)
    caller.sandbox.inject(Call.DETAILS, Stale(), times=2)
    assert await _statuses(caller, task_id, 3) == [
        "TEXT_SUCCESS",
        "TEXT_SUCCESS",
        "FIRST_SUCCESS",
    ]


async def test_tracks_may_be_in_other_places() -> None:
    """The list is under one of three names, or the response itself."""
    for under in ("data", "suno_data"):
        dialect = Dialect(tracks_under=under)
        async with calling(dialect=dialect, time_scale=0) as caller:
            data = await caller.details(await caller.submit())
            assert len(data["response"][under]) == 2
    async with calling(dialect=Dialect(tracks_under="list"), time_scale=0) as caller:
        data = await caller.details(await caller.submit())
        assert len(data["response"]) == 2


async def test_the_text_of_a_failure_may_be_elsewhere() -> None:
    """It is under another name, or in the response."""
    script = TaskScript(stages=[("FAILED", 1), ("GENERATE_AUDIO_FAILED", 2)], error_message="no")
    for under in ("errorMsg", "response"):
        dialect = Dialect(error_text_under=under)
        async with calling(dialect=dialect) as caller:
            caller.sandbox.script(script)
            task_id = await caller.submit()
            caller.clock.advance(2)
            data = await caller.details(task_id)
            assert data["errorMessage"] is None
            place = data if under == "errorMsg" else data["response"]
            assert place["errorMsg" if under == "errorMsg" else "errorMessage"] == "no"


async def test_no_error_and_the_balance_have_other_forms() -> None:
    """Code 0 says nothing, and the balance may be an object."""
    dialect = Dialect(no_error=0, credits_as_object=True)
    async with calling(dialect=dialect, timings=Timings(sigma=0)) as caller:
        assert (await caller.get(CREDITS))["data"] == {"credits": 1_000_000}
        assert (await caller.details(await caller.submit()))["errorCode"] == 0
