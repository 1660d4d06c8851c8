"""The URL of a submission can be expected again, in this or another process, by its token."""

import gc
import logging
from typing import Any

import pytest

from suno_async import CallbackNotice, CallbackReceiver, InvalidRequest
from suno_async.expectations import Listener

from .hosting import TAKEN, by_itself, changed, post

SECRET = "a secret of the service"
ELSEWHERE = "https://my.service/suno"


async def test_a_token_of_another_process_is_expected_here() -> None:
    """The same URL, and what comes to it is told."""
    told: list[CallbackNotice] = []
    async with by_itself(secret=SECRET) as receiver:
        before = CallbackReceiver(receiver.public_url, secret=SECRET).expect()
        expected = receiver.expect(told.append, token=before.token)
        assert (expected.url, expected.token) == (before.url, before.token)
        assert await post(before.url) == TAKEN
        assert [notice.task_id for notice in told] == ["some-task"]
        assert expected.notice is not None
        assert before.notice is None


async def test_one_that_lives_is_returned() -> None:
    """Nobody takes it from who has it: all are told, and woken."""
    told: list[str] = []

    def note(who: str, result: Any = None) -> Listener:
        def take(notice: CallbackNotice) -> Any:
            told.append(f"{who} {notice.kind}")
            return result

        return take

    async with by_itself(secret=SECRET) as receiver:
        first = receiver.expect(note("first"))
        first.follow(note("follower"))
        again = receiver.expect(note("second"), token=first.token)
        assert again is first
        assert receiver.expect(token=first.token) is first
        again.follow(note("leaving", False))
        assert await post(first.url) == TAKEN
        assert told == [f"{who} complete" for who in ("first", "second", "follower", "leaving")]
        told.clear()
        assert await post(first.url) == TAKEN
        assert told == [f"{who} complete" for who in ("first", "second", "follower")]


async def test_what_came_while_nobody_followed_is_told_to_the_next() -> None:
    """A follower that left does not count as one."""
    told: list[CallbackNotice] = []
    async with by_itself() as receiver:
        expected = receiver.expect()
        expected.follow(lambda _: False)
        assert await post(expected.url) == TAKEN
        expected.follow(told.append)
        assert [notice.task_id for notice in told] == ["some-task"]


async def test_one_that_is_held_by_nobody_is_made_anew() -> None:
    """The receiver keeps nothing of it."""
    async with by_itself(secret=SECRET) as receiver:
        expected = receiver.expect()
        token = expected.token
        assert await post(expected.url) == TAKEN
        del expected
        gc.collect()
        again = receiver.expect(token=token)
        assert again.notice is None
        assert await post(again.url) == TAKEN
        assert again.notice is not None


TOKEN = CallbackReceiver(ELSEWHERE, secret=SECRET).expect().token


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        TOKEN[:-1],
        changed(TOKEN, 0),
        CallbackReceiver(ELSEWHERE, secret=SECRET + "!").expect().token,
        CallbackReceiver(ELSEWHERE).expect().token,
        "\ud800" * 56,
        TOKEN.encode(),
        7,
    ],
    ids=[
        "empty",
        "short",
        "cut",
        "changed",
        "another secret",
        "no secret",
        "no text",
        "bytes",
        "number",
    ],
)
def test_a_token_that_is_not_ours_is_refused(token: Any, caplog: pytest.LogCaptureFixture) -> None:
    """And is not shown: it may be another's."""
    caplog.set_level(logging.DEBUG)
    receiver = CallbackReceiver(ELSEWHERE, secret=SECRET)
    with pytest.raises(InvalidRequest, match="same `secret`") as raised:
        receiver.expect(token=token)
    assert raised.value.field == "token"
    assert len(str(token)) < 2 or str(token) not in str(raised.value) + caplog.text


def test_without_a_secret_no_token_can_be_told_from_another() -> None:
    """It says what is missing."""
    receiver = CallbackReceiver(ELSEWHERE)
    with pytest.raises(InvalidRequest, match="without a `secret`"):
        receiver.expect(token=receiver.expect().token)


def test_its_repr_hides_the_token() -> None:
    """Who knows the URL can call it."""
    expected = CallbackReceiver(ELSEWHERE, secret=SECRET).expect()
    assert expected.token not in repr(expected)
    assert "my.service" in repr(expected)
