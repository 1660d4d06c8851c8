"""How record-info answers while a task goes through its stages."""

import json
from datetime import timedelta

import pytest

from suno_async.clock import VirtualClock
from suno_async.sandbox import Dialect, ScriptStage, TaskScript, Timings

from .caller import CREDITS, DETAILS, Caller, calling, song


async def test_a_pending_task_has_no_response(caller: Caller) -> None:
    """Right after the submission the record exists, in exactly the shape of a paid run."""
    task_id = await caller.submit()
    data = await caller.details(task_id)
    assert json.loads(data.pop("param")) == song()
    assert data == {
        "taskId": task_id,
        "parentMusicId": "",
        "response": None,
        "status": "PENDING",
        "type": "chirp-bluejay",
        "operationType": "underpainting",
        "errorCode": None,
        "errorMessage": None,
        "createTime": 1767225600000,
    }


async def test_the_documented_values_can_be_had() -> None:
    """Without what paid runs showed, records are those of the documentation."""
    async with calling(dialect=Dialect(values="documented"), timings=Timings(sigma=0)) as caller:
        task_id = await caller.submit()
        caller.clock.advance(130)
        data = await caller.details(task_id)
    assert (data["type"], data["operationType"]) == ("GENERATE", "generate")
    assert "createTime" not in data
    assert {track["modelName"] for track in data["response"]["sunoData"]} == {"chirp-v4-5-plus"}


async def test_tracks_grow_stage_by_stage(caller: Caller) -> None:
    """Streams come with the text, the first audio with `first`, both with `complete`."""
    task_id = await caller.submit()
    seen = []
    for advance in (22, 43, 65):
        caller.clock.advance(advance)
        data = await caller.details(task_id)
        tracks = data["response"]["sunoData"]
        assert all(track["streamAudioUrl"] for track in tracks)
        seen.append((data["status"], [bool(t["audioUrl"]) for t in tracks]))
        assert [t["duration"] is not None for t in tracks] == seen[-1][1]
    assert seen == [
        ("TEXT_SUCCESS", [False, False]),
        ("FIRST_SUCCESS", [True, False]),
        ("SUCCESS", [True, True]),
    ]


async def test_a_stage_is_reached_on_the_second(caller: Caller) -> None:
    """A moment before its time the stage is not reached."""
    task_id = await caller.submit()
    caller.clock.advance(129.9)
    assert (await caller.details(task_id))["status"] == "FIRST_SUCCESS"
    caller.clock.advance(0.2)
    assert (await caller.details(task_id))["status"] == "SUCCESS"
    assert caller.sandbox.tasks[task_id].status(caller.clock.now()) == "SUCCESS"


async def test_a_track_has_the_documented_fields(caller: Caller) -> None:
    """Every field of a finished track has its documented name and form."""
    task_id = await caller.submit(model="V5")
    caller.clock.advance(130)
    track = (await caller.tracks(task_id))[1]
    media = f"{caller.sandbox.base_url}/cdn"
    assert track == {
        "id": track["id"],
        "audioUrl": f"{media}/{track['id']}.wav",
        "streamAudioUrl": f"{media}/stream/{track['id']}.wav",
        "imageUrl": f"{media}/{track['id']}.png",
        "prompt": "[Verse] Take 2 of Relaxing Piano",
        "modelName": "chirp-crow",
        "title": "Relaxing Piano",
        "tags": "relaxing, piano",
        "createTime": "2026-01-01 00:00:00",
        "duration": 6.0,
    }


async def test_equal_states_are_equal_bytes() -> None:
    """Two polls between which nothing changed are answered with the same bytes."""
    async with calling(dialect="mixed") as caller:
        task_id = await caller.submit()
        url = f"{caller.sandbox.base_url}{DETAILS}?taskId={task_id}"
        key = {"Authorization": "Bearer sandbox-key"}
        bodies = [(await caller.fetch(url, **key))[1] for _ in range(2)]
        assert bodies[0] == bodies[1]


async def test_a_fourth_poll_within_a_second_is_a_429(caller: Caller) -> None:
    """Three looks a second are answered, per task and not in all."""
    busy, quiet = await caller.submit(), await caller.submit()
    codes = [(await caller.get(DETAILS, taskId=busy))["code"] for _ in range(4)]
    assert codes == [200, 200, 200, 429]
    assert (await caller.get(DETAILS, taskId=quiet))["code"] == 200
    caller.clock.advance(1)
    assert (await caller.get(DETAILS, taskId=busy))["code"] == 200
    assert (caller.sandbox.poll_count(busy), caller.sandbox.poll_count(quiet)) == (5, 1)


async def test_the_record_may_lag() -> None:
    """Until the lag is over the record does not exist, in the form that was seen."""
    async with calling(record_lag_s=5.0) as caller:
        task_id = await caller.submit()
        answer = await caller.get(DETAILS, taskId=task_id)
        assert answer == {"code": 422, "msg": "recordInfo is null", "data": None}
        caller.clock.advance(5)
        assert (await caller.details(task_id))["status"] == "PENDING"


@pytest.mark.parametrize(
    ("form", "code", "data"), [("422", 422, None), ("404", 404, None), ("empty", 200, None)]
)
async def test_an_unknown_task_has_three_forms(form: str, code: int, data: None) -> None:
    """A dialect chooses how a record that does not exist is answered."""
    async with calling(dialect=Dialect(missing_record=form)) as caller:  # type: ignore[arg-type]
        answer = await caller.get(DETAILS, taskId="nobody")
        assert (answer["code"], answer["data"]) == (code, data)


async def test_a_task_id_must_be_given(caller: Caller) -> None:
    """record-info without a task id is a 422."""
    assert (await caller.get(DETAILS))["code"] == 422


async def test_after_fourteen_days_record_and_files_are_gone(caller: Caller) -> None:
    """A minute before its time everything is there; then the record is null and files are 404."""
    task_id = await caller.submit()
    caller.clock.advance(timedelta(days=14).total_seconds() - 60)
    track = (await caller.tracks(task_id))[0]
    assert (await caller.fetch(track["imageUrl"]))[0] == 200
    caller.clock.advance(61)
    assert (await caller.get(DETAILS, taskId=task_id))["msg"] == "recordInfo is null"
    for name in ("audioUrl", "streamAudioUrl", "imageUrl"):
        assert (await caller.fetch(track[name]))[0] == 404


@pytest.mark.parametrize(
    ("status", "code"),
    [("CREATE_TASK_FAILED", 500), ("GENERATE_AUDIO_FAILED", 501), ("SENSITIVE_WORD_ERROR", 400)],
)
async def test_failures_are_scripted(caller: Caller, status: str, code: int) -> None:
    """A scripted failure shows its usual code and a message, and is not refunded."""
    caller.sandbox.script(TaskScript(stages=[(status, 5.0)]))
    task_id = await caller.submit()
    assert (await caller.details(task_id))["errorCode"] is None
    caller.clock.advance(5)
    data = await caller.details(task_id)
    assert (data["status"], data["errorCode"]) == (status, code)
    assert data["errorMessage"]
    assert caller.sandbox.credits == 999_990


@pytest.mark.parametrize("code", [531, "531"])
async def test_code_531_refunds_when_the_task_fails(caller: Caller, code: object) -> None:
    """The credits come back at the moment of the failure, in either form of the code."""
    caller.sandbox.script(TaskScript(stages=[("GENERATE_AUDIO_FAILED", 9.0)], error_code=code))
    task_id = await caller.submit()
    assert caller.sandbox.credits == 999_990
    caller.clock.advance(60)
    assert caller.sandbox.credits == 1_000_000
    refund = caller.sandbox.ledger[-1]
    assert (refund.task_id, refund.kind, refund.at) == (task_id, "refund", 9.0)
    assert (await caller.details(task_id))["errorCode"] == code


async def test_stages_can_be_skipped(caller: Caller) -> None:
    """PENDING may be followed by SUCCESS at once."""
    caller.sandbox.script(TaskScript(stages=[("SUCCESS", 9.0)]))
    task_id = await caller.submit()
    caller.clock.advance(8.9)
    assert (await caller.details(task_id))["status"] == "PENDING"
    caller.clock.advance(0.1)
    assert (await caller.details(task_id))["status"] == "SUCCESS"


@pytest.mark.parametrize(("finished", "audio"), [(2, [True, True]), (1, [True, False])])
async def test_a_callback_exception_may_have_tracks(
    caller: Caller, finished: int, audio: list[bool]
) -> None:
    """CALLBACK_EXCEPTION comes with as many finished tracks as the script says."""
    caller.sandbox.script(TaskScript(stages=[("CALLBACK_EXCEPTION", 9.0, finished)]))
    task_id = await caller.submit()
    caller.clock.advance(9)
    data = await caller.details(task_id)
    assert data["status"] == "CALLBACK_EXCEPTION"
    assert [bool(track["audioUrl"]) for track in data["response"]["sunoData"]] == audio


async def test_a_callback_exception_may_have_no_tracks(caller: Caller) -> None:
    """CALLBACK_EXCEPTION right after PENDING has none, and the task may go on."""
    caller.sandbox.script(TaskScript(stages=[("CALLBACK_EXCEPTION", 9.0), ("SUCCESS", 20.0)]))
    task_id = await caller.submit()
    caller.clock.advance(9)
    assert (await caller.details(task_id))["response"] is None
    caller.clock.advance(11)
    assert len(await caller.tracks(task_id)) == 2


async def test_an_unknown_status_keeps_what_was_reached(caller: Caller) -> None:
    """A status that nobody knows shows the tracks that were there before."""
    caller.sandbox.script(
        TaskScript(stages=[ScriptStage("FIRST_SUCCESS", 5), ScriptStage("REMIXING", 6)])
    )
    task_id = await caller.submit()
    caller.clock.advance(6)
    data = await caller.details(task_id)
    assert data["status"] == "REMIXING"
    assert [bool(track["audioUrl"]) for track in data["response"]["sunoData"]] == [True, False]


async def test_a_script_without_stages_never_ends(caller: Caller) -> None:
    """An empty script is pending until the record is gone."""
    caller.sandbox.script(TaskScript(stages=()))
    task_id = await caller.submit()
    caller.clock.advance(13 * 86_400)
    assert (await caller.details(task_id))["status"] == "PENDING"


async def test_extra_fields_are_put_in(caller: Caller) -> None:
    """A script may add fields to the record and to its tracks, or replace them."""
    caller.sandbox.script(
        TaskScript(stages=[("SUCCESS", 1)], extra={"type": "NEW"}, track_extra={"duration": "6"})
    )
    task_id = await caller.submit()
    caller.clock.advance(1)
    assert (await caller.details(task_id))["type"] == "NEW"
    assert (await caller.tracks(task_id))[0]["duration"] == "6"


def test_a_script_must_be_in_the_order_of_time() -> None:
    """A stage before the one it follows is a mistake of the test, and said so."""
    with pytest.raises(ValueError, match="order of time"):
        TaskScript(stages=[("TEXT_SUCCESS", 5), ("SUCCESS", 4)])


async def test_time_can_be_scaled() -> None:
    """At time_scale 0.01 a task takes a hundredth, and at 0 it is done at once."""
    for scale, wait_s in ((0.01, 1.3), (0, 0)):
        async with calling(time_scale=scale, timings=Timings(sigma=0)) as caller:
            task_id = await caller.submit()
            caller.clock.advance(wait_s)
            assert (await caller.details(task_id))["status"] == "SUCCESS"


async def test_tasks_take_different_times() -> None:
    """Drawn instants are strictly increasing and spread around their medians."""
    async with calling(submissions_per_window=None) as caller:
        for _ in range(200):
            await caller.submit()
        courses = [
            [moment.after_s for moment in task.moments] for task in caller.sandbox.tasks.values()
        ]
    assert all(text < first < complete for text, first, complete in courses)
    middle = sorted(complete for _, _, complete in courses)[100]
    assert 115 < middle < 150


async def test_a_share_of_tasks_fails_or_skips() -> None:
    """The population has about as many failures and skipped stages as it was told to have."""
    async with calling(
        submissions_per_window=None, failure_rate=0.3, skip_rate=0.5, clock=VirtualClock()
    ) as caller:
        for _ in range(200):
            await caller.submit()
        tasks = list(caller.sandbox.tasks.values())
    assert 35 < sum(task.failed for task in tasks) < 85
    succeeded = [task for task in tasks if not task.failed]
    assert 0.3 < sum(len(task.moments) < 3 for task in succeeded) / len(succeeded) < 0.95


async def test_a_dialect_changes_forms_only() -> None:
    """One task in the least usual dialect: every documented variant at once."""
    spoken = Dialect(
        snake_case=True,
        code_as_text=True,
        text_key="message",
        response_as_text=True,
        create_time="epoch_ms",
        absent_url=None,
        source_urls=True,
        extra_fields=True,
    )
    async with calling(dialect=spoken, timings=Timings(sigma=0)) as caller:
        answer = await caller.post("/api/v1/generate/add-instrumental", json=song())
        assert (answer["code"], answer["message"]) == ("200", "success")
        caller.clock.advance(22)
        data = await caller.details(answer["data"]["taskId"])
        track = json.loads(data["response"])["sunoData"][0]
        assert track["audio_url"] is None
        assert track["source_audio_url"] is None
        assert track["create_time"] == 1767225600000
        assert "progress" in data


@pytest.mark.parametrize("path", [CREDITS, "/api/v1/generate/credit"])
async def test_the_balance_is_an_integer_when_it_is_whole(caller: Caller, path: str) -> None:
    """Both paths answer with the balance, a fraction only where there is one."""
    assert await caller.get(path) == {"code": 200, "msg": "success", "data": 1_000_000}
    caller.sandbox.credits = 12.5
    assert (await caller.get(path))["data"] == 12.5


async def test_an_unknown_path_is_a_404(caller: Caller) -> None:
    """A path or method that does not exist is an HTTP 404 with an envelope."""
    url = f"{caller.sandbox.base_url}/api/v1/generate/add-instrumental"
    assert (await caller.fetch(url))[0] == 404
