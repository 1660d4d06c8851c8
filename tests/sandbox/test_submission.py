"""What the sandbox takes as a submission, what it refuses, and what it charges."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from suno_async.sandbox import sing

from .caller import SUBMIT, Caller, calling, song


async def test_a_submission_is_answered_with_a_task_id(caller: Caller) -> None:
    """A valid body is answered with code 200 and a task id, and nothing else."""
    answer = await caller.post(SUBMIT, json=song())
    assert answer == {
        "code": 200,
        "msg": "success",
        "data": {"taskId": next(iter(caller.sandbox.tasks))},
    }


async def test_a_task_is_charged_once(caller: Caller) -> None:
    """Each task appears in the ledger exactly once, with the balance after it."""
    task_ids = [await caller.submit() for _ in range(3)]
    assert [charge.task_id for charge in caller.sandbox.ledger] == task_ids
    assert [charge.balance for charge in caller.sandbox.ledger] == [999_990, 999_980, 999_970]
    assert caller.sandbox.credits == 999_970


@pytest.mark.parametrize("key", ["", "Bearer wrong", "sandbox-key", "Bearer sandbox-keyy"])
async def test_a_wrong_key_is_a_401_in_the_envelope(caller: Caller, key: str) -> None:
    """The HTTP status stays 200 although the key is wrong, and nothing is charged."""
    url = caller.sandbox.base_url + SUBMIT
    async with caller.http.post(url, json=song(), headers={"Authorization": key}) as response:
        assert response.status == 200
        assert (await response.json())["code"] == 401
    assert not caller.sandbox.ledger


@pytest.mark.parametrize("weight", ["0", "1", "0.29", "0.57", "0.58", "0.290", "1.0", "5e-1"])
async def test_two_decimals_are_judged_on_the_decimal_value(caller: Caller, weight: str) -> None:
    """Weights with two decimals are legal even where binary arithmetic says otherwise."""
    text = json.dumps(song(styleWeight=0)).replace('"styleWeight": 0', f'"styleWeight": {weight}')
    answer = await caller.post(SUBMIT, data=text, headers={"Content-Type": "application/json"})
    assert answer["code"] == 200


@pytest.mark.parametrize("weight", ["0.295", "1.01", "-0.01", '"0.5"', "true", "null", "NaN"])
async def test_other_weights_are_refused_by_name(caller: Caller, weight: str) -> None:
    """Anything but a number of two decimals between 0 and 1 is a 422."""
    text = json.dumps(song(audioWeight=0)).replace('"audioWeight": 0', f'"audioWeight": {weight}')
    answer = await caller.post(SUBMIT, data=text, headers={"Content-Type": "application/json"})
    assert answer["code"] == 422
    if weight != "NaN":
        assert answer["msg"] == "audioWeight: must be a multiple of 0.01 between 0 and 1"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[
            (field, value)
            for field in ("uploadUrl", "title", "tags", "callBackUrl")
            for value in ("", "   ", None, 7)
        ],
        ("negativeTags", None),
        ("negativeTags", 7),
        ("uploadUrl", "ftp://example.com/a.wav"),
        ("uploadUrl", "https:///a.wav"),
        ("callBackUrl", "example.com/callback"),
        ("callBackUrl", "https://example.com/a b"),
        ("model", "V4"),
        ("model", None),
        ("vocalGender", "female"),
        ("vocalGender", None),
    ],
)
async def test_an_invalid_field_is_named(caller: Caller, field: str, value: object) -> None:
    """A 422 names the field; an optional field must not be null."""
    answer = await caller.post(SUBMIT, json=song(**{field: value}))
    assert answer["code"] == 422
    assert answer["msg"].startswith(f"{field}: ")
    assert answer["data"] is None
    assert not caller.sandbox.tasks


async def test_negative_tags_may_be_empty(caller: Caller) -> None:
    """The specification sets no least length: nothing to exclude is legal."""
    answer = await caller.post(SUBMIT, json=song(negativeTags=""))
    assert answer["code"] == 200


@pytest.mark.parametrize("field", ["uploadUrl", "title", "tags", "negativeTags", "callBackUrl"])
async def test_a_required_field_must_be_there(caller: Caller, field: str) -> None:
    """A required field that is missing is a 422 that names it."""
    body = song()
    del body[field]
    answer = await caller.post(SUBMIT, json=body)
    assert (answer["code"], answer["msg"].split(":")[0]) == (422, field)


async def test_unknown_fields_are_ignored(caller: Caller) -> None:
    """A field that is not in the specification does no harm."""
    assert await caller.submit(mood="calm")


async def test_a_title_too_long_is_a_413(caller: Caller) -> None:
    """100 characters are taken, 101 are not."""
    assert (await caller.post(SUBMIT, json=song(title="x" * 100)))["code"] == 200
    assert (await caller.post(SUBMIT, json=song(title="x" * 101)))["code"] == 413


@pytest.mark.parametrize("text", ["", "[]", "{", '"text"'])
async def test_a_body_that_is_no_object_is_a_422(caller: Caller, text: str) -> None:
    """Something that is not a JSON object is refused, not crashed on."""
    answer = await caller.post(SUBMIT, data=text, headers={"Content-Type": "application/json"})
    assert answer["code"] == 422


async def test_json_must_be_declared(caller: Caller) -> None:
    """A body that is not sent as JSON is refused."""
    answer = await caller.post(SUBMIT, data=json.dumps(song()).encode())
    assert answer["code"] == 422


async def test_the_window_slides(caller: Caller) -> None:
    """The 21st submission within ten seconds is a 429; one more fits when the first is gone."""
    await caller.submit()
    caller.clock.advance(4)
    for _ in range(19):
        await caller.submit()
    caller.clock.advance(5.9)
    assert (await caller.post(SUBMIT, json=song()))["code"] == 429
    caller.clock.advance(0.1)
    assert (await caller.post(SUBMIT, json=song()))["code"] == 200
    assert (await caller.post(SUBMIT, json=song()))["code"] == 429
    assert len(caller.sandbox.ledger) == 21


async def test_running_tasks_are_limited() -> None:
    """One submission too many is a 429 until a task has ended."""
    async with calling(max_running=2) as caller:
        await caller.submit()
        await caller.submit()
        assert (await caller.post(SUBMIT, json=song()))["code"] == 429
        caller.clock.advance(86_400)
        assert await caller.submit()


async def test_an_empty_account_is_a_402() -> None:
    """Credits are spent to the last; then nothing is created any more."""
    async with calling(credits=25, price=10) as caller:
        await caller.submit()
        await caller.submit()
        assert (await caller.post(SUBMIT, json=song()))["code"] == 402
        assert caller.sandbox.credits == 5
        caller.sandbox.credits = 10
        assert await caller.submit()


async def test_simultaneous_submissions_can_not_overdraw() -> None:
    """Submissions whose stems are being fetched at the same time pay one after the other."""

    async def slow(_: web.BaseRequest) -> web.Response:
        await asyncio.sleep(0.005)
        return web.Response(body=sing(0.1, sample_rate=8000))

    async with calling(credits=10, price=10) as caller:
        runner = web.ServerRunner(web.Server(slow))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/stem.wav"
        answers: list[Any] = await asyncio.gather(
            *(caller.post(SUBMIT, json=song(uploadUrl=url)) for _ in range(3))
        )
        await runner.cleanup()
        assert sorted(answer["code"] for answer in answers) == [200, 402, 402]
        assert caller.sandbox.credits == 0


async def test_a_stem_that_is_not_there_is_a_451(caller: Caller) -> None:
    """An address on this machine without a file is refused and not charged."""
    for url in (f"{caller.sandbox.base_url}/files/stems/none.wav", "http://127.0.0.1:9/a.wav"):
        assert (await caller.post(SUBMIT, json=song(uploadUrl=url)))["code"] == 451
    assert not caller.sandbox.ledger


async def test_every_submission_is_recorded(caller: Caller) -> None:
    """The log says what was sent, over which connection, and what became of it."""
    task_id = await caller.submit(title="One")
    await caller.post(SUBMIT, json=song(title=""))
    first, second = caller.sandbox.submissions
    assert (first.body or {})["title"] == "One"
    assert (first.code, first.task_id) == (200, task_id)
    assert (second.code, second.task_id) == (422, None)
    assert first.peer_port == second.peer_port is not None


async def test_the_same_seed_is_the_same_course() -> None:
    """Two sandboxes with one seed draw the same instants, and with another seed others."""
    courses = []
    for seed in (1, 1, 2):
        async with calling(seed=seed) as caller:
            task_id = await caller.submit()
            courses.append(caller.sandbox.tasks[task_id].moments)
    assert courses[0] == courses[1] != courses[2]
