"""FastAPI takes the values as bodies and answers: nobody has to write models beside them."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, TypeAdapter, ValidationError

from suno_async import (
    AddInstrumentalRequest,
    BatchProgress,
    CallbackNotice,
    Outcome,
    SessionStats,
    StageEvent,
    SunoError,
    TaskDetails,
    Track,
    WatchTimeout,
    to_dict,
    to_json,
)
from suno_async.durable import Adopt, DurableStats
from tests.callbacks.hosting import listener, uvicorn_server

from .examples import DETAILS, DURABLE_VALUES, ERRORS, EVENT, OUTCOME, REQUEST, STATS, VALUES

app = FastAPI()
TAKEN = [AddInstrumentalRequest, TaskDetails, StageEvent, Outcome, Track, BatchProgress]
TAKEN += [CallbackNotice, SessionStats, Adopt, DurableStats]


@app.post("/tracks", status_code=202)
async def order(body: AddInstrumentalRequest) -> TaskDetails:
    """Take a request, and answer with details, as an endpoint of a service does."""
    return TaskDetails("5c79", "PENDING", raw={"title": body.title})


@app.get("/details")
async def details() -> TaskDetails:
    """Answer with details."""
    return DETAILS


@app.get("/outcomes")
async def outcomes() -> list[Outcome]:
    """Answer with a list."""
    return [OUTCOME]


@app.get("/stats")
async def stats() -> SessionStats:
    """Answer with statistics, as a health page does."""
    return STATS


@app.get("/error")
async def last_error() -> SunoError | None:
    """Answer with an error as a value."""
    return WatchTimeout("5c79")


class Album(BaseModel):
    """Somebody's own model that has our values in it."""

    name: str
    wanted: list[AddInstrumentalRequest]
    heard: dict[str, StageEvent] = {}


@app.post("/albums")
async def album(body: Album) -> Album:
    """Take and give a model that has values in it."""
    assert all(isinstance(each, AddInstrumentalRequest) for each in body.wanted)
    return body.model_copy(update={"heard": {"one": EVENT}})


@app.post("/two")
async def two(first: AddInstrumentalRequest, second: AddInstrumentalRequest) -> str:
    """Take two bodies at a time: each is under its name."""
    return first.title + second.title


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the service, which runs in a real server."""
    with listener() as opened:
        host, port = opened.getsockname()
        async with (
            uvicorn_server(app, opened),
            aiohttp.ClientSession(f"http://{host}:{port}") as session,
        ):
            yield session


async def test_a_request_is_a_body(client: aiohttp.ClientSession) -> None:
    """What a browser sends becomes a request that was checked."""
    body = {"upload_url": "https://h/a.wav", "title": "One", "tags": "piano", "negative_tags": ""}
    async with client.post("/tracks", json={**body, "style_weight": 0.29}) as answer:
        assert answer.status == 202
        given = await answer.json()
    assert given == to_dict(TaskDetails("5c79", "PENDING", raw={"title": "One"}))


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"title": " "}, "title", "must be text that is not blank"),
        ({"title": 7}, "title", "valid string"),
        ({"tags": None}, "tags", "valid string"),
        ({"upload_url": "ftp://h/a"}, "upload_url", "must be an http or https URL"),
        ({"callback_url": "no"}, "callback_url", "must be an http or https URL"),
        ({"style_weight": 0.291}, "style_weight", "at most two decimals"),
        ({"audio_weight": "0.5"}, "audio_weight", "valid number"),
        ({"weirdness_constraint": True}, "weirdness_constraint", "valid number"),
        ({"model": "V9"}, "model", "'V4_5PLUS' or 'V5'"),
        ({"vocal_gender": "x"}, "vocal_gender", "'m' or 'f'"),
        ({"titel": "One"}, "titel", "not permitted"),
    ],
    ids=repr,
)
async def test_a_refusal_names_the_field(
    client: aiohttp.ClientSession, change: dict[str, Any], field: str, words: str
) -> None:
    """A body that breaks a rule is answered with 422: the field, the value and the rule."""
    body = json.loads(to_json(REQUEST)) | change
    async with client.post("/tracks", json=body) as answer:
        assert answer.status == 422
        (problem,) = (await answer.json())["detail"]
    assert problem["loc"] == ["body", field]
    assert words in problem["msg"]
    assert problem["input"] == change[field]


async def test_everything_that_is_wrong_is_named_at_once(client: aiohttp.ClientSession) -> None:
    """Who fills a form in is not sent back once for each field."""
    async with client.post("/tracks", json={"title": "", "style_weight": 2}) as answer:
        problems = (await answer.json())["detail"]
    named = {problem["loc"][-1] for problem in problems}
    assert named == {"upload_url", "title", "tags", "negative_tags", "style_weight"}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/details", to_json(DETAILS)),
        ("/outcomes", f"[{to_json(OUTCOME)}]"),
        ("/stats", to_json(STATS)),
        ("/error", to_json(WatchTimeout("5c79"))),
    ],
)
async def test_an_answer_is_what_to_json_writes(
    client: aiohttp.ClientSession, path: str, text: str
) -> None:
    """The same names, times and numbers, so that `from_json` reads a service's answers."""
    async with client.get(path) as answer:
        assert await answer.text() == text


async def test_values_are_fields_of_models(client: aiohttp.ClientSession) -> None:
    """A service's own model may have ours in it, and a refusal names the way to the field."""
    wanted = json.loads(to_json(REQUEST))
    async with client.post("/albums", json={"name": "a", "wanted": [wanted]}) as answer:
        assert await answer.json() == {
            "name": "a",
            "wanted": [wanted],
            "heard": {"one": to_dict(EVENT)},
        }
    bad = {"name": "a", "wanted": [wanted, wanted | {"title": ""}]}
    async with client.post("/albums", json=bad) as answer:
        (problem,) = (await answer.json())["detail"]
    assert problem["loc"] == ["body", "wanted", 1, "title"]
    async with client.post("/two", json={"first": wanted, "second": wanted}) as answer:
        assert await answer.json() == REQUEST.title * 2


async def test_the_service_describes_them(client: aiohttp.ClientSession) -> None:
    """OpenAPI has a schema for each, with its fields, their rules and what they mean."""
    async with client.get("/openapi.json") as answer:
        schemas = (await answer.json())["components"]["schemas"]
    asked = schemas["AddInstrumentalRequest-Input"]
    assert asked["required"] == ["upload_url", "title", "tags", "negative_tags"]
    assert asked["description"].startswith("What one submission asks for")
    assert asked["additionalProperties"] is False
    assert asked["properties"]["upload_url"]["format"] == "uri"
    weight = asked["properties"]["style_weight"]
    assert (weight["minimum"], weight["maximum"], weight["multipleOf"]) == (0, 1, 0.01)
    assert weight["description"].startswith("How closely to follow the style")
    assert asked["properties"]["model"]["anyOf"][0] == {"$ref": "#/components/schemas/Model"}
    given = schemas["TaskDetails-Output"]
    assert given["required"] == list(to_dict(DETAILS))
    tracks = given["properties"]["tracks"]
    assert tracks["items"] == {"$ref": "#/components/schemas/Track-Output"}
    created = schemas["Track-Output"]["properties"]["create_time"]["anyOf"][0]
    assert created == {"type": "string", "format": "date-time"}


@pytest.mark.parametrize("cls", TAKEN)
def test_each_is_a_body_without_more_words(cls: type[Any]) -> None:
    """FastAPI does not take it for a part of the query."""
    service = FastAPI()

    async def take(body: cls) -> cls:  # type: ignore[valid-type]  # it is FastAPI that reads it
        return body

    service.post("/")(take)
    operation = service.openapi()["paths"]["/"]["post"]
    assert "parameters" not in operation
    assert "$ref" in operation["requestBody"]["content"]["application/json"]["schema"]


@pytest.mark.parametrize("value", [*VALUES, *DURABLE_VALUES], ids=lambda v: type(v).__name__)
def test_pydantic_reads_what_it_writes(value: Any) -> None:
    """In both of its modes, and an instance is taken as it is."""
    adapter = TypeAdapter[Any](type(value))
    assert adapter.validate_python(value) is value
    assert adapter.dump_json(value).decode() == to_json(value)
    assert adapter.validate_json(to_json(value)) == value
    assert adapter.validate_python(adapter.dump_python(value)) == value


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_pydantic_reads_errors(error: SunoError) -> None:
    """By the name of the class; what is none of them is refused as pydantic refuses."""
    again = TypeAdapter(SunoError).validate_json(to_json(error))
    assert type(again) is type(error)
    assert vars(again) == vars(error)
    with pytest.raises(ValidationError, match="must be the JSON of a value"):
        TypeAdapter(SunoError).validate_python({"error": "Exception"})


@pytest.mark.parametrize(
    ("title", "told"), [("a\ud800b", "a?b"), ("\\ud800", "\\ud800"), ("🎵", "🎵")]
)
def test_half_a_character_breaks_no_answer(title: str, told: str) -> None:
    """An answer is UTF-8: what it cannot carry is a question mark there, and there alone."""
    track = Track(title=title)
    assert json.loads(TypeAdapter(Track).dump_json(track))["title"] == told
    assert to_dict(track)["title"] == title


def test_a_status_and_a_code_keep_their_kind() -> None:
    """A known status is a member, an unknown one text; a code in text stays text."""
    read = TypeAdapter(TaskDetails).validate_python
    known = read({"task_id": "t", "status": "SUCCESS", "error_code": "531"})
    assert known == TaskDetails("t", "SUCCESS", error_code="531")
    assert type(known.status).__name__ == "TaskStatus"
    assert type(read({"task_id": "t", "status": "NEW"}).status) is str
    with pytest.raises(ValidationError):
        TypeAdapter(Outcome).validate_python({"position": "1", "request": REQUEST})
    with pytest.raises(ValidationError):
        TypeAdapter(StageEvent).validate_python({**to_dict(EVENT), "stage": "last"})
    assert TypeAdapter(Track).validate_python({"duration": "inf"}).duration == float("inf")
