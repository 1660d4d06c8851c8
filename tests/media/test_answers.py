"""What the head of an answer means, as a table and for any headers."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from suno_async import ApiError, NotFound, RateLimited, ServerError, SunoError
from suno_async.media.answers import Head, Reading, Stale, read_head

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def read(status: int, offset: int = 0, **headers: str) -> Reading:
    """Read a head; underscores in names stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_head(Head(status, CIMultiDict(named), "cdn"), offset, '"1"', NOW)


@pytest.mark.parametrize(
    ("status", "offset", "headers", "reading"),
    [
        (200, 0, {}, Reading(0, None)),
        (200, 0, {"Content_Length": "5"}, Reading(0, 5)),
        (200, 0, {"Content_Length": "5", "Content_Encoding": "gzip"}, Reading(0, None)),
        (200, 0, {"Content_Length": "5", "Content_Encoding": "identity"}, Reading(0, 5)),
        (200, 0, {"Content_Length": "9" * 5000}, Reading(0, None)),
        (200, 3, {"Content_Length": "5"}, Reading(0, 5)),
        (206, 3, {"Content_Range": "bytes 3-9/10"}, Reading(3, 10)),
        (206, 3, {"Content_Range": "bytes 3-5/10"}, Reading(3, 10)),
        (206, 3, {"Content_Range": "bytes 3-9/*"}, Reading(3, 10)),
        (206, 3, {"Content_Range": "bytes 3-9/10", "ETag": '"1"'}, Reading(3, 10)),
        (206, 0, {"Content_Range": "bytes 0-9/10"}, Reading(0, 10)),
        (416, 10, {"Content_Range": "bytes */10"}, Reading(10, 10, ended=True)),
    ],
)
def test_an_answer_that_helps(
    status: int, offset: int, headers: dict[str, str], reading: Reading
) -> None:
    """Where the body belongs, and how long the file is."""
    assert read(status, offset, **headers) == reading


@pytest.mark.parametrize(
    ("status", "offset", "headers"),
    [
        (206, 0, {"Content_Range": "bytes 0-49/*"}),
        (206, 0, {"Content_Range": "bytes 0-49/100"}),
        (206, 0, {"Content_Range": "bytes 1-49/50"}),
        (206, 3, {"Content_Range": "bytes 3-9/10", "ETag": '"2"'}),
        (206, 3, {"Content_Range": "bytes 3-9/10", "Content_Encoding": "gzip"}),
        (206, 3, {"Content_Range": f"bytes 3-9/{'9' * 5000}"}),
        (206, 3, {}),
        (416, 10, {"Content_Range": "bytes */11"}),
        (416, 10, {}),
    ],
)
def test_an_answer_that_does_not_fit(status: int, offset: int, headers: dict[str, str]) -> None:
    """A part that was not asked for, or of another file, is never put into the file."""
    with pytest.raises(Stale):
        read(status, offset, **headers)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (204, ApiError),
        (304, ApiError),
        (400, ApiError),
        (401, ApiError),
        (402, ApiError),
        (403, ApiError),
        (404, NotFound),
        (410, NotFound),
        (416, ApiError),
        (429, RateLimited),
        (441, NotFound),
        (451, ApiError),
        (455, ApiError),
        (500, ServerError),
        (503, ServerError),
        (599, ServerError),
    ],
)
def test_an_answer_that_refuses(status: int, error: type[ApiError]) -> None:
    """A media host's status says nothing about the key, the credits or the service."""
    with pytest.raises(ApiError) as caught:
        read(status)
    assert type(caught.value) is error
    assert caught.value.code == status


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_wish_to_wait_is_kept(status: int) -> None:
    """`Retry-After` is in the error."""
    with pytest.raises(SunoError) as caught:
        read(status, Retry_After="7")
    assert isinstance(caught.value, RateLimited | ServerError)
    assert caught.value.retry_after == timedelta(seconds=7)


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({"ETag": '"a"'}, '"a"'),
        ({"ETag": 'W/"a"'}, ""),
        ({"Last-Modified": "yesterday"}, "yesterday"),
        ({"ETag": '"a"', "Content-Encoding": "gzip"}, ""),
        ({"ETag": '"\udcff"'}, ""),
        ({"ETag": '"ü"'}, ""),
        ({"ETag": "a" * 1025}, ""),
        ({}, ""),
    ],
)
def test_what_a_file_can_be_resumed_by(headers: dict[str, str], validator: str) -> None:
    """Only what promises the same bytes and can be sent back."""
    assert Head(200, CIMultiDict(headers), "cdn").validator == validator


TEXT = st.text(st.characters(codec=None, max_codepoint=0xDFFF), max_size=40)
NAMES = st.sampled_from(
    ["Content-Range", "Content-Length", "Content-Encoding", "ETag", "Last-Modified", "Retry-After"]
)


@given(st.integers(100, 999), st.integers(0, 50), st.dictionaries(NAMES, TEXT))
def test_any_head_is_a_reading_or_an_error_of_ours(
    status: int, offset: int, headers: dict[str, Any]
) -> None:
    """No header can raise anything else, nor place a body behind bytes that are not there."""
    try:
        reading = read_head(Head(status, CIMultiDict(headers), "cdn"), offset, '"1"', NOW)
    except SunoError:
        return
    assert reading.offset in {0, offset}
    assert reading.length is None or reading.length >= 0
