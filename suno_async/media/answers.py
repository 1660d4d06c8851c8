"""What the head of a media host's answer means. Pure: headers in, a reading or an error out."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from attrs import frozen

from suno_async.errors import (
    ApiError,
    ConnectionFailed,
    NotFound,
    RateLimited,
    ServerError,
    SunoError,
)
from suno_async.retry import read_retry_after

_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_LENGTH = re.compile(r"\d{1,18}")
_LONGEST_VALIDATOR = 1024


@frozen
class Head:
    """The head of an answer.

    Attributes:
        status: The HTTP status.
        headers: The headers; names in any case.
        host: Who answered.
    """

    status: int
    headers: Mapping[str, str]
    host: str

    @property
    def content_type(self) -> str:
        """What the host calls the body."""
        return self.headers.get("Content-Type", "")

    @property
    def content_encoding(self) -> str:
        """What the host says that it did to the body, in lower case; "" for nothing."""
        name = self.headers.get("Content-Encoding", "").strip().lower()
        return "" if name == "identity" else name

    @property
    def validator(self) -> str:
        """What names the file's content, to be resumed by; "" if that cannot be promised.

        A weak tag does not promise the same bytes, and a range of an encoded body is no range of
        the file.
        """
        found = self.headers.get("ETag") or self.headers.get("Last-Modified") or ""
        if self.content_encoding or found.startswith("W/") or not fits_header(found):
            return ""
        return found


def fits_header(validator: str) -> bool:
    """Tell whether a validator can be sent back as it is."""
    return len(validator) <= _LONGEST_VALIDATOR and validator.isascii() and validator.isprintable()


@frozen
class Reading:
    """How to read an answer's body.

    Attributes:
        offset: Where in the file it begins: 0, or behind what is there already.
        length: The whole file's length; None if it is not known before its end.
        ended: Whether what is there already is the whole file, and the body is nothing.
    """

    offset: int
    length: int | None
    ended: bool = False


class Stale(ConnectionFailed):
    """What is there already does not belong to what the host has now."""


def read_head(head: Head, offset: int, validator: str, now: datetime) -> Reading:
    """Decide what an answer is.

    Args:
        head: The answer.
        offset: From where on the file was asked for; 0 when all of it was.
        validator: What the bytes before that are a part of.
        now: The time, for `Retry-After`.

    Raises:
        Stale: The file must be fetched from its beginning.
        SunoError: There is no file in the answer.
    """
    if head.status == 200:
        return Reading(0, _length(head))
    if head.status == 206:
        return _read_part(head, offset, validator)
    if head.status == 416 and offset:
        if head.headers.get("Content-Range") == f"bytes */{offset}":
            return Reading(offset, offset, ended=True)
        raise Stale("the server has another file now, or none to resume")
    raise refusal(head, now)


def _length(head: Head) -> int | None:
    text = head.headers.get("Content-Length", "")
    if head.content_encoding or not _LENGTH.fullmatch(text):
        return None
    return int(text)


def _read_part(head: Head, offset: int, validator: str) -> Reading:
    found = _RANGE.fullmatch(head.headers.get("Content-Range", ""))
    fits = found is not None and int(found[1]) == offset and not head.content_encoding
    if found is None or not fits or head.validator not in {"", validator}:
        raise Stale("the server has another file now, or none to resume")
    end = int(found[2]) + 1
    if found[3] == "*":
        if not offset:
            raise Stale("the server sent a part that was not asked for")
        return Reading(offset, end)
    if end != int(found[3]) and not offset:
        raise Stale("the server sent a part that was not asked for")
    return Reading(offset, int(found[3]))


def refusal(head: Head, now: datetime) -> SunoError:
    """Make an error of an answer that holds no file.

    The codes of the service do not apply: 401 of a media host says nothing about the key.
    """
    status = head.status
    text = f"{head.host} does not give the audio (HTTP {status})"
    # seen: 441, the audio has expired
    if status in {404, 410, 441}:
        return NotFound(status, text, status)
    if status == 429:
        return RateLimited(status, text, status, None, _asked(head, now))
    if 500 <= status <= 599:
        return ServerError(status, text, status, None, _asked(head, now))
    return ApiError(status, text, status)


def _asked(head: Head, now: datetime) -> timedelta | None:
    return read_retry_after(head.headers.get("Retry-After"), now)
