"""Reading what callers send, however broken: garbage is refused, and is no failure of ours."""

import base64
import binascii
import contextlib
import re

import aiohttp
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from attrs import frozen

from suno_async.sandbox.validation import Refusal, parse_object

_JSON_LIMIT_BYTES = 1024 * 1024
_UPLOAD_LIMIT_BYTES = 200 * 1024 * 1024
_BROKEN = (
    ValueError,
    LookupError,
    RuntimeError,
    HttpProcessingError,
    web.RequestPayloadError,
    # warnings, which are errors where a test run says so
    aiohttp.BadContentDispositionHeader,
    aiohttp.BadContentDispositionParam,
)
_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^,]*)?,", re.ASCII)


@frozen
class SentFile:
    """A file as it was sent.

    Args:
        folder: Where it is to be kept.
        name: What it is to be called; may be empty.
        data: What is in it.
        mime_type: What the sender calls it.
    """

    folder: str
    name: str
    data: bytes
    mime_type: str | None = None


async def read_object(
    request: web.BaseRequest, limit_bytes: int = _JSON_LIMIT_BYTES
) -> dict[str, object]:
    """Read a JSON object.

    Raises:
        Refusal: 422 for anything else, 413 when it is too large.
    """
    return parse_object(await read_body(request, limit_bytes))


async def read_body(request: web.BaseRequest, limit_bytes: int = _JSON_LIMIT_BYTES) -> bytes:
    """Read a body.

    Raises:
        Refusal: 422 when it is not what its headers say, 413 when it is too large.
    """
    data = bytearray()
    try:
        async for chunk in request.content.iter_any():
            data += chunk
            if len(data) > limit_bytes:
                raise Refusal(413, f"body: must have at most {limit_bytes} bytes")
    except _BROKEN as error:
        raise _unreadable(error) from error
    return bytes(data)


async def read_off(request: web.BaseRequest) -> None:
    """Read what is left of a body and forget it."""
    with contextlib.suppress(*_BROKEN):
        async for _ in request.content.iter_any():
            pass


async def read_form(request: web.BaseRequest) -> SentFile:
    """Read a multipart form with a file.

    Raises:
        Refusal: 422 for anything else, 413 when the file is too large.
    """
    if not request.content_type.startswith("multipart/"):
        raise Refusal(422, "body: must be multipart/form-data")
    try:
        return await _read_parts(request)
    except _BROKEN as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> Refusal:
    return Refusal(422, f"body: can not be read ({' '.join(str(error).split())})")


async def _read_parts(request: web.BaseRequest) -> SentFile:
    data: bytearray | None = None
    given_name, mime_type = "", None
    texts: dict[str, str] = {}
    async for part in await request.multipart():
        if not isinstance(part, aiohttp.BodyPartReader):
            raise Refusal(422, "body: parts must not be nested")
        if part.name == "file":
            data, given_name = await _read_part(part), part.filename or ""
            mime_type = part.headers.get("Content-Type")
        elif part.name in {"uploadPath", "fileName"}:
            texts[part.name] = await part.text()
    if data is None:
        raise Refusal(422, "file: must be given")
    name = texts.get("fileName") or given_name
    return SentFile(texts.get("uploadPath", ""), name, bytes(data), mime_type)


async def _read_part(part: aiohttp.BodyPartReader) -> bytearray:
    data = bytearray()
    while chunk := await part.read_chunk(65_536):
        data += chunk
        if len(data) > _UPLOAD_LIMIT_BYTES:
            raise Refusal(413, f"file: must have at most {_UPLOAD_LIMIT_BYTES} bytes")
    return data


async def read_base64(request: web.BaseRequest) -> SentFile:
    """Read JSON with the file as Base64, with or without `data:…;base64,` before it.

    Raises:
        Refusal: 422 for anything else, 413 when it is too large.
    """
    texts = _texts(await read_object(request, _UPLOAD_LIMIT_BYTES))
    text = texts.get("base64Data", "")
    if not text:
        raise Refusal(422, "base64Data: must be given")
    prefix = _DATA_URL.match(text)
    try:
        data = base64.b64decode(text[prefix.end() :] if prefix else text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(422, f"base64Data: must be Base64 ({error})") from error
    mime_type = prefix.group(1) if prefix else None
    return SentFile(texts.get("uploadPath", ""), texts.get("fileName", ""), data, mime_type)


async def read_link(request: web.BaseRequest) -> tuple[str, SentFile]:
    """Read JSON with the file's URL; return it and what is to become of the file.

    Raises:
        Refusal: 422 for anything else.
    """
    texts = _texts(await read_object(request))
    url = texts.get("fileUrl", "")
    if not url:
        raise Refusal(422, "fileUrl: must be given")
    name = texts.get("fileName") or url.partition("?")[0].rsplit("/", 1)[-1]
    return url, SentFile(texts.get("uploadPath", ""), name, b"")


def _texts(body: dict[str, object]) -> dict[str, str]:
    return {name: value for name, value in body.items() if isinstance(value, str)}
