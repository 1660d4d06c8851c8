"""Uploading files, by form and by URL."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from .caller import UPLOAD, UPLOAD_URL, Caller


def _form(data: object, **texts: str) -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("file", data, filename="voice.wav")
    for name, text in texts.items():
        form.add_field(name, text)
    return form


async def test_an_upload_is_described_and_can_be_fetched(caller: Caller) -> None:
    """The answer has every documented field, and the file behind its URL is the same."""
    data = bytes(range(256)) * 8
    answer = await caller.post(UPLOAD, data=_form(data, uploadPath="stems/a"))
    url = f"{caller.sandbox.base_url}/files/stems/a/voice.wav"
    assert answer["success"] is True
    assert answer["code"] == 200
    assert answer["data"] == {
        "fileName": "voice.wav",
        "filePath": "stems/a/voice.wav",
        "downloadUrl": url,
        "fileSize": 2048,
        "mimeType": answer["data"]["mimeType"],
        "uploadedAt": "2026-01-01T00:00:00.000Z",
    }
    assert answer["data"]["mimeType"] in {"audio/wav", "audio/x-wav"}
    assert (await caller.fetch(url))[1] == data


async def test_a_streamed_upload_of_some_megabytes_arrives(caller: Caller) -> None:
    """A body without known length is taken chunk by chunk."""

    async def stream() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b"x" * 100_000

    answer = await caller.post(UPLOAD, data=_form(stream(), uploadPath="stems"))
    assert answer["data"]["fileSize"] == 5_000_000


async def test_a_name_can_be_given_and_is_overwritten(caller: Caller) -> None:
    """`fileName` wins over the part's own name, and the last upload of a name counts."""
    for data in (b"one", b"second"):
        form = _form(data, uploadPath="stems", fileName="мой голос.wav")
        url = (await caller.post(UPLOAD, data=form))["data"]["downloadUrl"]
    assert (await caller.fetch(url))[1] == b"second"


@pytest.mark.parametrize(
    "texts",
    [
        {},
        {"uploadPath": "/stems"},
        {"uploadPath": "stems/"},
        {"uploadPath": "../stems"},
        {"uploadPath": "stems", "fileName": "../x"},
        {"uploadPath": "stems", "fileName": "a/b"},
    ],
)
async def test_folder_and_name_are_checked(caller: Caller, texts: dict[str, str]) -> None:
    """A folder with a slash at an end, and anything that climbs, is a 422."""
    answer = await caller.post(UPLOAD, data=_form(b"x", **texts))
    assert (answer["success"], answer["code"], answer["data"]) == (False, 422, None)


async def test_a_form_without_a_file_is_a_422(caller: Caller) -> None:
    """The file is required, and so is a form."""
    form = aiohttp.FormData({"uploadPath": "stems"}, default_to_multipart=True)
    assert (await caller.post(UPLOAD, data=form))["code"] == 422
    assert (await caller.post(UPLOAD, json={"uploadPath": "stems"}))["code"] == 422


async def test_uploads_need_the_key(caller: Caller) -> None:
    """Without the key nothing is stored."""
    url = caller.sandbox.base_url + UPLOAD
    async with caller.http.post(url, data=_form(b"x", uploadPath="stems")) as response:
        assert (await response.json())["code"] == 401


async def test_an_upload_is_gone_after_three_days(caller: Caller) -> None:
    """It serves until its time is over, and is a 451 as a stem from then on."""
    url = await caller.upload(b"x")
    caller.clock.advance(3 * 86_400 - 1)
    assert (await caller.fetch(url))[0] == 200
    caller.clock.advance(1)
    assert (await caller.fetch(url))[0] == 404


@pytest.fixture
async def elsewhere() -> AsyncIterator[str]:
    """Another server on this machine, with a file and a redirect."""

    async def handle(request: web.BaseRequest) -> web.Response:
        if request.path == "/away":
            return web.Response(status=302, headers={"Location": "/a"})
        return web.Response(body=b"from elsewhere", status=200 if request.path == "/a" else 404)

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_file_is_uploaded_by_url(caller: Caller, elsewhere: str) -> None:
    """The service fetches it and names it after the URL unless told otherwise."""
    body = {"fileUrl": f"{elsewhere}/a?x=1", "uploadPath": "stems"}
    answer = await caller.post(UPLOAD_URL, json=body)
    assert (answer["data"]["filePath"], answer["data"]["fileSize"]) == ("stems/a", 14)
    assert (await caller.fetch(answer["data"]["downloadUrl"]))[1] == b"from elsewhere"
    named = await caller.post(UPLOAD_URL, json={**body, "fileName": "b.wav"})
    assert named["data"]["fileName"] == "b.wav"


@pytest.mark.parametrize("path", ["/none", "/away"])
async def test_a_url_that_gives_no_file_is_a_451(caller: Caller, elsewhere: str, path: str) -> None:
    """A missing file is none, and no redirect is followed: it could lead off this machine."""
    body = {"fileUrl": elsewhere + path, "uploadPath": "stems"}
    assert (await caller.post(UPLOAD_URL, json=body))["code"] == 451


async def test_other_hosts_are_never_contacted(caller: Caller) -> None:
    """A URL that leads off this machine is a 451 without any attempt."""
    body = {"fileUrl": "http://192.0.2.1/a.wav", "uploadPath": "stems"}
    answer = await caller.post(UPLOAD_URL, json=body)
    assert (answer["code"], "this machine only" in answer["msg"]) == (451, True)
