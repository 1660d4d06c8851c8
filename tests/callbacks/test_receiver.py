"""What every receiver answers: in aiohttp.web, in FastAPI on uvicorn, and serving by itself."""

import asyncio
import gzip
import logging
import zlib
from collections.abc import AsyncIterator

import aiohttp
import pytest

from suno_async import CallbackReceiver, SunoSession, VirtualClock
from suno_async.callbacks import LARGEST_BODY_BYTES, LONGEST_WAIT_S
from suno_async.sandbox import Sandbox
from tests.following import STAGES, collect, names
from tests.waiting import HANGS_AFTER_S, until
from tests.world import session_for, song

from .hosting import HOSTS, TAKEN, Host, callback, connection, head, post, status_of


async def test_a_callback_is_taken(receiver: CallbackReceiver) -> None:
    """The right token is answered with 200 and the body that the specification asks for."""
    expected = receiver.expect()
    assert await post(expected.url) == TAKEN
    assert expected.notice is not None
    assert (expected.notice.kind, expected.notice.task_id) == ("complete", "some-task")


async def test_the_right_token_is_taken_twice(receiver: CallbackReceiver) -> None:
    """Deliveries are repeated: the second is answered like the first."""
    expected = receiver.expect()
    assert [await post(expected.url) for _ in range(2)] == [TAKEN, TAKEN]


WRONG_TOKENS = ("", "x", "x" * 3000, "%C3%A4", "%FF", "%ED%A0%80", "%00", "..%2F", "a/b")


async def test_a_wrong_token_is_not_found(receiver: CallbackReceiver) -> None:
    """404, whatever the token looks like."""
    receiver.expect()
    for token in WRONG_TOKENS:
        async with connection(receiver.public_url) as (reader, writer):
            writer.write(head(f"{receiver.public_url}/{token}", "Content-Length: 2") + b"{}")
            assert (token, await status_of(reader)) == (token, 404)


async def test_a_token_must_be_whole(receiver: CallbackReceiver) -> None:
    """A part of a token, or one with something behind it, is another token."""
    expected = receiver.expect()
    for token in (expected.token[:-1], expected.token + "x", expected.token + "//"):
        assert (await post(f"{receiver.public_url}/{token}"))[0] == 404
    assert expected.notice is None


async def test_a_token_that_nobody_holds_is_not_found(receiver: CallbackReceiver) -> None:
    """A URL is good as long as its expectation is kept, and leaves no memory behind."""
    url = receiver.expect().url
    assert (await post(url))[0] == 404
    assert repr(receiver) == f"<CallbackReceiver at {receiver.public_url}, 0 tokens>"


async def test_a_trailing_slash_is_served(receiver: CallbackReceiver) -> None:
    """Senders add one; the token is the same."""
    expected = receiver.expect()
    assert await post(f"{expected.url}/") == TAKEN
    assert expected.notice is not None


METHODS = ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS")


async def test_another_method_is_refused(receiver: CallbackReceiver) -> None:
    """405, and only with the right token: who guesses learns nothing."""
    expected = receiver.expect()
    for method in METHODS[2:]:
        status, answer = await post(expected.url, method=method)
        assert (method, status, answer["code"]) == (method, 405, 405)
    for method in METHODS:
        assert (await post(f"{receiver.public_url}/x", method=method))[0] == 404
    assert expected.notice is None


async def test_a_refused_method_is_told_the_right_ones(receiver: CallbackReceiver) -> None:
    """With the header `Allow` that HTTP asks for."""
    expected = receiver.expect()
    async with aiohttp.ClientSession() as client, client.put(expected.url) as got:
        assert (got.status, got.headers["Allow"]) == (405, "GET, HEAD, POST")


async def test_a_url_may_be_tried_first(receiver: CallbackReceiver) -> None:
    """200 to GET and HEAD, whatever they carry, on one connection; nothing is believed."""
    expected = receiver.expect()
    async with aiohttp.ClientSession() as client:
        for url in (expected.url, f"{expected.url}/"):
            async with client.get(url, data=callback()) as got:
                assert (got.status, await got.json()) == TAKEN
            async with client.head(url) as got:
                assert (got.status, await got.read()) == (200, b"")
    assert expected.notice is None


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("Application/JSON ; charset=UTF-8", 200),
        ("application/cloudevents+json", 200),
        ("text/json", 200),
        ("text/plain", 200),
        ("Text/Plain; charset=utf-8", 200),
        (None, 200),
        ("", 200),
        ("application/x-www-form-urlencoded", 415),
        ("application/json-patch", 415),
        ("text/html", 415),
    ],
)
async def test_the_content_type_must_not_say_otherwise(
    receiver: CallbackReceiver, content_type: str | None, status: int
) -> None:
    """Plain text and nothing at all are not held against a callback; 415 for anything else."""
    expected = receiver.expect()
    assert (await post(expected.url, content_type=content_type))[0] == status
    assert (expected.notice is not None) is (status == 200)


PACKED = {
    "gzip": gzip.compress(callback()),
    "x-gzip": gzip.compress(callback()),
    "deflate": zlib.compress(callback()),
}


@pytest.mark.parametrize("encoding", PACKED)
async def test_a_compressed_body_is_unpacked(receiver: CallbackReceiver, encoding: str) -> None:
    """Also where the server in front unpacks by itself, as aiohttp does."""
    expected = receiver.expect()
    assert await post(expected.url, PACKED[encoding], Content_Encoding=encoding) == TAKEN
    assert expected.notice is not None


async def test_a_compressed_body_may_be_a_mebibyte(receiver: CallbackReceiver) -> None:
    """Unpacked; one byte more is refused, and so is a bomb."""
    expected = receiver.expect()
    whole = gzip.compress(callback().ljust(LARGEST_BODY_BYTES))
    assert await post(expected.url, whole, Content_Encoding="gzip") == TAKEN
    for size in (LARGEST_BODY_BYTES + 1, 100 * LARGEST_BODY_BYTES):
        bomb = gzip.compress(callback().ljust(size))
        assert len(bomb) < LARGEST_BODY_BYTES
        assert (size, (await post(expected.url, bomb, Content_Encoding="gzip"))[0]) == (size, 413)


async def test_a_body_that_is_packed_badly_is_refused(receiver: CallbackReceiver) -> None:
    """400 when it is cut off or damaged; 415 for what is packed in another way."""
    expected = receiver.expect()
    whole = gzip.compress(callback())
    for body in (whole[:20], whole[:20] + b"\xff" * 30 + whole[50:]):
        assert (await post(expected.url, body, Content_Encoding="gzip"))[0] == 400
    assert (await post(expected.url, b"{}", Content_Encoding="compress"))[0] == 415
    assert expected.notice is None


async def test_a_sender_may_wait_for_100_continue(receiver: CallbackReceiver) -> None:
    """It is told to go on before it sends the body."""
    expected = receiver.expect()
    body = callback()
    async with connection(expected.url) as (reader, writer):
        length = f"Content-Length: {len(body)}"
        writer.write(head(expected.url, length, "Expect: 100-continue"))
        async with asyncio.timeout(HANGS_AFTER_S):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(body)
        assert await status_of(reader) == 200
    assert expected.notice is not None


async def test_a_body_may_be_a_mebibyte(receiver: CallbackReceiver) -> None:
    """The limit itself is allowed, declared and in chunks."""
    expected = receiver.expect()
    body = callback().ljust(LARGEST_BODY_BYTES)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 100_000):
            yield body[start : start + 100_000]

    assert await post(expected.url, body) == TAKEN
    assert await post(expected.url, chunks()) == TAKEN


async def test_a_larger_body_is_refused_by_its_length(receiver: CallbackReceiver) -> None:
    """413 before a byte of the body was sent."""
    expected = receiver.expect()
    async with connection(expected.url) as (reader, writer):
        writer.write(head(expected.url, f"Content-Length: {LARGEST_BODY_BYTES + 1}"))
        assert await status_of(reader) == 413
    assert expected.notice is None


async def test_a_larger_body_in_chunks_is_refused(receiver: CallbackReceiver) -> None:
    """413 as soon as it is too much, although the end never comes."""
    expected = receiver.expect()
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    async with connection(expected.url) as (reader, writer):
        writer.write(head(expected.url, "Transfer-Encoding: chunked") + chunk * 16)
        writer.write(b"1\r\n \r\n")
        assert await status_of(reader) == 413
    assert expected.notice is None


NO_CALLBACKS = (
    *(b"", b"{", b"\xff\xfe", b"[]", b'"text"', b"null", b"{}", b'{"data": null}'),
    b"[" * 100_000,
)


async def test_what_is_no_callback_is_refused(receiver: CallbackReceiver) -> None:
    """400, and nobody is woken."""
    expected = receiver.expect()
    for body in NO_CALLBACKS:
        assert (body[:20], (await post(expected.url, body))[0]) == (body[:20], 400)
    assert expected.notice is None


async def test_a_body_that_ends_with_its_connection_is_not_taken(
    receiver: CallbackReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    """What came until then may look whole: it is not. Nothing is logged as an error."""
    expected, after = receiver.expect(), receiver.expect()
    caplog.set_level(logging.WARNING)
    async with connection(expected.url) as (_, writer):
        writer.write(head(expected.url, f"Content-Length: {len(callback()) + 1}") + callback())
        await writer.drain()
    async with connection(expected.url) as (_, writer):
        chunk = f"{len(callback()):x}\r\n".encode() + callback() + b"\r\n"
        writer.write(head(expected.url, "Transfer-Encoding: chunked") + chunk)
        await writer.drain()
    assert await post(after.url) == TAKEN
    for _ in range(20):
        await asyncio.sleep(0)
    assert expected.notice is None
    assert not caplog.records


async def test_a_length_that_is_too_short_leaves_half_a_callback(
    receiver: CallbackReceiver,
) -> None:
    """As many bytes are read as were declared."""
    expected = receiver.expect()
    async with connection(expected.url) as (reader, writer):
        writer.write(head(expected.url, "Content-Length: 20") + callback())
        assert await status_of(reader) == 400
    assert expected.notice is None


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
async def test_a_body_that_does_not_come_is_given_up(host: Host) -> None:
    """408 after 10 s on the receiver's clock, long before the service's own 15 s."""
    clock = VirtualClock()
    async with host(clock=clock) as receiver:
        expected = receiver.expect()
        async with connection(expected.url) as (reader, writer):
            writer.write(head(expected.url, "Content-Length: 100") + b"{")
            await until(lambda: clock.next_deadline_s() is not None)
            assert clock.next_deadline_s() == LONGEST_WAIT_S
            clock.advance(LONGEST_WAIT_S)
            assert await status_of(reader) == 408
        assert expected.notice is None


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
async def test_what_is_not_signed_is_refused(host: Host) -> None:
    """401 with `hmac_key`, also for a signature that is no text, and the key stays secret."""
    async with host(hmac_key="the-signing-key") as receiver:
        expected = receiver.expect()
        assert (await post(expected.url))[0] == 401
        signature = "X-Webhook-Signature: \xff\xe4"
        async with connection(expected.url) as (reader, writer):
            length = f"Content-Length: {len(callback())}"
            writer.write(head(expected.url, length, signature) + callback())
            assert await status_of(reader) == 401
        assert expected.notice is None
        assert "the-signing-key" not in repr(receiver)


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
async def test_what_the_sandbox_signs_is_taken(host: Host) -> None:
    """The signature of a real delivery is accepted."""
    async with (
        Sandbox(time_scale=0, submissions_per_window=None, callback_key="k" * 20) as sandbox,
        host(hmac_key="k" * 20) as receiver,
        session_for(sandbox, receiver=receiver) as suno,
    ):
        await (await suno.submit(song())).result()
        await until(lambda: len(sandbox.deliveries) == 3)
        assert {delivery.status for delivery in sandbox.deliveries} == {200}


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
async def test_callbacks_carry_a_task_to_its_end(host: Host) -> None:
    """In every kind of web service: submitted, called back, and read from record-info."""
    async with (
        Sandbox(time_scale=0.002, submissions_per_window=None) as sandbox,
        host() as receiver,
        session_for(sandbox, receiver=receiver) as suno,
    ):
        events = await collect(await suno.submit(song()))
        assert names(events) == STAGES
        assert len(sandbox.polls) <= 4
        await until(lambda: len(sandbox.deliveries) == 3)
        assert {delivery.status for delivery in sandbox.deliveries} == {200}


async def test_each_submission_has_a_url_of_its_own(receiver: CallbackReceiver) -> None:
    """Unguessable: 144 random bits behind `public_url`; a request's own URL is left alone."""
    async with Sandbox(time_scale=1, submissions_per_window=None) as sandbox:
        suno: SunoSession
        async with session_for(sandbox, receiver=receiver) as suno:
            tasks = [await suno.submit(song()) for _ in range(3)]
            await suno.submit(song(callback_url="https://example.com/mine"))
        urls = [str((sent.body or {})["callBackUrl"]) for sent in sandbox.submissions]
        assert len(tasks) == 3
    assert urls.pop() == "https://example.com/mine"
    assert len(set(urls)) == 3
    assert all(url.startswith(f"{receiver.public_url}/") for url in urls)
    assert all(len(url.rpartition("/")[2]) == 24 for url in urls)


async def test_tokens_are_not_told(
    receiver: CallbackReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the library's log nor a `repr` has a token."""
    caplog.set_level(logging.DEBUG)
    expected = receiver.expect()
    await post(expected.url)
    await post(expected.url, b"{")
    logged = [record for record in caplog.records if record.name.startswith("suno_async")]
    told = [record.getMessage() for record in logged] + [repr(expected), repr(receiver)]
    assert logged
    assert expected.token not in f"{told} {expected.notice!r}"
