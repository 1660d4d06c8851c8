"""What no client should send: every answer is the service's refusal, and nothing is charged."""

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any, Literal

import pytest

from suno_async.sandbox import Call, Reply
from tests.waiting import HANGS_AFTER_S

from .caller import CREDITS, DETAILS, SUBMIT, UPLOAD, UPLOAD_URL, Caller, calling, song

UPLOAD_BASE64 = "/file-upload/api/file-base64-upload"
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
FOLDER = b'--x\r\nContent-Disposition: form-data; name="uploadPath"\r\n\r\nstems\r\n'
FILE = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'


def _text(**changes: object) -> bytes:
    return json.dumps(song(**changes)).encode()


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"[" * 100_000 + b"]" * 100_000, "too deep"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "too deep"),
        (_text(x=json.loads("[" * 100 + "]" * 100)), "x: is nested too deep"),
        (_text(title="\ud800"), "title: must be valid Unicode"),
        (_text(x=["\udfff"]), "x: must be valid Unicode"),
        (_text(**{"\ud800": 1}), "valid Unicode"),
        (_text(uploadUrl="http://127.0.0.1:99999/a"), "uploadUrl"),
        (_text(uploadUrl="https://example.com:99999/a"), "uploadUrl"),
        (_text(uploadUrl="http://[::1"), "uploadUrl"),
        (_text(uploadUrl="http://127.0.0.1\x00/a"), "uploadUrl"),
        (_text(callBackUrl="http://localhost:-1/"), "callBackUrl"),
        (_text()[:-1] + b', "styleWeight": 1e999}', "styleWeight"),
        (_text()[:-1] + b', "styleWeight": 1e99999999999999999999}', "out of range"),
        (_text()[:-1] + b', "x": ' + b"9" * 5000 + b"}", "must be JSON"),
        (_text()[:-1] + b', "x": NaN}', "must be JSON"),
        (b"\xff\xfe{", "must be JSON"),
        (b"", "must be JSON"),
    ],
    ids=str,
)
async def test_a_submission_of_garbage_is_a_422(caller: Caller, body: bytes, named: str) -> None:
    """It is refused before a charge, in words."""
    answer = await caller.post(SUBMIT, data=body, headers=JSON)
    assert (answer["code"], answer["data"]) == (422, None)
    assert named in answer["msg"]
    assert not caller.sandbox.ledger


async def test_a_body_that_is_too_large_is_a_413(caller: Caller) -> None:
    """A megabyte of request is more than anybody needs."""
    answer = await caller.post(SUBMIT, data=BytesIO(_text(x="x" * 2_000_000)), headers=JSON)
    assert answer["code"] == 413


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize(("path", "headers"), [(SUBMIT, JSON), (UPLOAD, FORM)])
async def test_a_plain_body_that_is_called_packed_is_a_422(
    caller: Caller, path: str, headers: dict[str, str], encoding: str
) -> None:
    """It can not be read, and the next call works."""
    headers = {**headers, "Content-Encoding": encoding}
    answer = await caller.post(path, data=b"plain", headers=headers)
    assert (answer["code"], "can not be read" in answer["msg"]) == (422, True)
    assert (await caller.get(CREDITS))["code"] == 200


@pytest.mark.parametrize("frame", ["whole", "short"])
async def test_a_gateway_does_not_care_for_the_body(
    caller: Caller, frame: Literal["whole", "short"]
) -> None:
    """It answers by itself whatever it passes over, and the next call works."""
    caller.sandbox.inject(Call.CREDITS, Reply(503, {"code": 14}, frame=frame))
    url, headers = caller.sandbox.base_url + CREDITS, {"Content-Encoding": "gzip"}
    async with caller.http.request("GET", url, data=b"plain", headers=headers) as response:
        assert response.status == 503
        assert (await response.content.read(12)) == b'{"code": 14}'
    assert (await caller.get(CREDITS))["code"] == 200


async def test_a_gateway_answers_before_the_body_has_come(caller: Caller) -> None:
    """An upload that is refused on the way need not be sent to its end."""
    caller.sandbox.inject(Call.UPLOAD, Reply(413, b"too much"))
    more = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"x"
        await more.wait()

    url = caller.sandbox.base_url + UPLOAD
    async with asyncio.timeout(HANGS_AFTER_S), caller.http.post(url, data=body()) as response:
        assert (response.status, await response.read()) == (413, b"too much")
    more.set()


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"abc", {"Content-Type": "multipart/form-data"}),
        (b"abc", {"Content-Type": "multipart/form-data; boundary=" + "x" * 100}),
        (b"abc", {"Content-Type": "multipart/form-data; bound\udcffary=x"}),
        (b"abc", FORM),
        (FOLDER + FILE + b"abc", FORM),
        (FOLDER + FILE, FORM),
        (FOLDER + FILE + b"abc\r\n--x", FORM),
        (FOLDER + b"--x\r\nContent-Dispo", FORM),
        (FOLDER.replace(b"stems", b"\xff\xfe") + FILE + b"abc\r\n--x--\r\n", FORM),
        (b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y--\r\n--x--\r\n", FORM),
        (b"--x\r\n: : \x00\r\n\r\nabc\r\n--x--\r\n", FORM),
    ],
)
async def test_a_broken_form_is_a_422(caller: Caller, body: bytes, headers: dict[str, str]) -> None:
    """Without a boundary, cut anywhere, in no charset, nested, or with a broken header."""
    answer = await caller.post(UPLOAD, data=body, headers=headers)
    assert (answer["success"], answer["code"]) == (False, 422)


@pytest.mark.parametrize("charset", ["klingon", "hex", "utf-16"])
async def test_a_form_in_an_unknown_charset_is_a_422(caller: Caller, charset: str) -> None:
    """Also one that Python knows and that is none of text."""
    kind = f"\r\nContent-Type: text/plain; charset={charset}\r\n\r\n".encode()
    body = FOLDER.replace(b"\r\n\r\n", kind) + FILE + b"abc\r\n--x--\r\n"
    assert (await caller.post(UPLOAD, data=body, headers=FORM))["code"] == 422


async def test_a_type_of_garbage_is_no_type(caller: Caller) -> None:
    """A file is kept, and what its sender calls it is forgotten if no header can hold it."""
    odd = FILE.replace(b"a.wav", b"a").replace(b"\r\n\r\n", b"\r\nContent-Type: \xff\r\n\r\n")
    answer = await caller.post(UPLOAD, data=FOLDER + odd + b"abc\r\n--x--\r\n", headers=FORM)
    _, body, headers = await caller.fetch(answer["data"]["downloadUrl"])
    assert (body, headers["Content-Type"]) == (b"abc", "application/octet-stream")


@pytest.mark.parametrize("url", ["http://[::1", "http://127.0.0.1:99999/", "http://a..b/", "x"])
async def test_a_link_that_is_none_is_refused(caller: Caller, url: str) -> None:
    """An upload by URL says that it can not be fetched."""
    answer = await caller.post(UPLOAD_URL, json={"fileUrl": url, "uploadPath": "a"})
    assert answer["code"] in {422, 451}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"base64Data": "a"},
        {"base64Data": "####"},
        {"base64Data": "é"},
        {"base64Data": 5},
        {"base64Data": "YWJj", "uploadPath": "/a"},
        {"base64Data": "YWJj", "fileName": "\ud800"},
    ],
)
async def test_base64_that_is_none_is_a_422(caller: Caller, fields: dict[str, object]) -> None:
    """What can not be decoded or named is refused."""
    body = json.dumps({"uploadPath": "a", **fields}).encode()
    answer = await caller.post(UPLOAD_BASE64, data=body, headers=JSON)
    assert (answer["success"], answer["code"]) == (False, 422)


@pytest.mark.parametrize("prefix", ["", "data:audio/wav;base64,"])
async def test_a_file_is_uploaded_as_base64(caller: Caller, prefix: str) -> None:
    """Plain or as a data URL, it is kept like any other upload; large ones too."""
    data = bytes(range(256)) * 20_000
    body = {
        "base64Data": prefix + base64.b64encode(data).decode(),
        "uploadPath": "stems",
        "fileName": "voice.wav",
    }
    sent = BytesIO(json.dumps(body).encode())
    answer = await caller.post(UPLOAD_BASE64, data=sent, headers=JSON)
    assert (answer["success"], answer["data"]["filePath"]) == (True, "stems/voice.wav")
    assert (await caller.fetch(answer["data"]["downloadUrl"]))[1] == data


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer"])
async def test_the_name_of_the_scheme_has_no_case(caller: Caller, scheme: str) -> None:
    """`bearer` is as good as `Bearer`; the key itself is what it is."""
    url = caller.sandbox.base_url + CREDITS
    _, body, _ = await caller.fetch(url, Authorization=f"{scheme} sandbox-key")
    assert json.loads(body)["code"] == 200
    for wrong in (f"{scheme} SANDBOX-KEY", f"{scheme}sandbox-key", "Basic sandbox-key", scheme):
        _, body, _ = await caller.fetch(url, Authorization=wrong)
        assert json.loads(body)["code"] == 401


@pytest.mark.parametrize("first", ["9" * 5000, "٣"])
async def test_a_range_of_garbage_is_ignored(caller: Caller, first: str) -> None:
    """The whole file is served."""
    url = await caller.upload(b"abc")
    status, body, _ = await caller.fetch(url, Range=f"bytes={first}-")
    assert (status, body) == (200, b"abc")


@pytest.mark.parametrize("task_id", ["\x00", "a" * 7000, "ä"])
async def test_an_id_of_garbage_is_unknown(caller: Caller, task_id: str) -> None:
    """There is no such record."""
    answer: Any = await caller.get(DETAILS, taskId=task_id)
    assert answer["code"] == 422


PIECES = (
    b"\\ud800",
    b"\x00",
    b"1e999",
    b"[",
    b"{",
    b"\xff\xfe",
    b"\r\n\r\n",
    b":99999",
    b"--x\r\n",
)


def _spoiled(body: bytes, rng: random.Random) -> bytes:
    """Put in, take out or exchange some bytes, at up to three places."""
    spoiled = bytearray(body)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(spoiled))
        piece = rng.choice((b"", *PIECES, bytes([rng.randrange(256)])))
        spoiled[at : at + rng.randrange(6)] = piece
    return bytes(spoiled)


# aiohttp warns of names that it can not read, and then there is no name
@pytest.mark.filterwarnings("ignore::aiohttp.BadContentDispositionHeader")
@pytest.mark.filterwarnings("ignore::aiohttp.BadContentDispositionParam")
@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        (SUBMIT, _text(styleWeight=0.5, model="V5"), JSON),
        (UPLOAD, FOLDER + FILE + b"abc\r\n--x--\r\n", FORM),
        (UPLOAD_BASE64, b'{"base64Data": "YWJj", "uploadPath": "a", "fileName": "b"}', JSON),
    ],
)
async def test_spoiled_bodies_are_answered_by_the_service(
    path: str, body: bytes, headers: dict[str, str]
) -> None:
    """Of three hundred spoiled bodies each gets an envelope, and each task can be looked at."""
    rng = random.Random(path)
    async with calling(submissions_per_window=None) as caller:
        for _ in range(300):
            answer = await caller.post(path, data=_spoiled(body, rng), headers=headers)
            assert answer["code"] in {200, 413, 422, 451}
        for task_id in caller.sandbox.tasks:
            assert (await caller.get(DETAILS, taskId=task_id))["code"] == 200
