"""Invariants 1, 2, 8, 9: cancelled at any suspension, a call leaves the session as it was.

Each public coroutine of a session is cancelled at each of its own suspension points in turn, and
at each of those of the tasks that it starts: at once, together with what it waits for, and twice.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from attrs import evolve, frozen

from suno_async import AddInstrumentalRequest, CallbackReceiver, SessionClosed, Track, VirtualClock
from suno_async.observe import Accepted, Found
from suno_async.sandbox import (
    Call,
    CutAfter,
    DropAfter,
    EnvelopeError,
    Fault,
    HttpError,
    TaskScript,
)
from tests.callbacks.hosting import callback
from tests.following import nothing_left, open_files
from tests.media.hosts import everything_in, finished
from tests.waiting import HANGS_AFTER_S, until

from .interrupting import Interruption, at_every_suspension
from .passes import Ground, Seen, ground, passes

Work: TypeAlias = Callable[["Scene"], Awaitable[Any]]


@frozen
class Scene:
    """What one call has to do with.

    Attributes:
        seen: Its session, and all by which a charge can be known.
        folder: Where its files go.
        track: A track that is finished.
        task_id: A task that is complete.
    """

    seen: Seen
    folder: Path
    track: Track
    task_id: str

    @property
    def request(self) -> AddInstrumentalRequest:
        """A request that no other scene makes."""
        return self.seen.request()


# --- the calls ------------------------------------------------------------------------------------


async def submit(scene: Scene) -> None:
    """Submit a request."""
    scene.seen.returned.add((await scene.seen.suno.submit(scene.request)).task_id)


async def submit_in_time(scene: Scene) -> None:
    """Submit a request within some seconds."""
    task = await scene.seen.suno.submit(scene.request, send_within=5)
    scene.seen.returned.add(task.task_id)


async def generate(scene: Scene) -> None:
    """Generate one."""
    scene.seen.returned.add((await scene.seen.suno.generate(scene.request, timeout=5)).task_id)


async def generate_many(scene: Scene) -> None:
    """Take the outcomes of a batch whose requests come one by one."""

    async def requests() -> AsyncIterator[AddInstrumentalRequest]:
        for _ in range(3):
            await passes(1)
            yield scene.request

    async with aclosing(scene.seen.suno.generate_many(requests(), max_in_flight=2)) as outcomes:
        async for outcome in outcomes:
            if outcome.task_id is not None:
                scene.seen.returned.add(outcome.task_id)
            assert outcome.error is None


async def events(scene: Scene) -> None:
    """Read the events of a task that was submitted earlier."""
    stages = [event.stage async for event in scene.seen.suno.task(scene.task_id).events()]
    assert stages == ["text", "first", "complete"]


async def result(scene: Scene) -> None:
    """Wait for the result of a task that was submitted earlier."""
    assert len((await scene.seen.suno.task(scene.task_id).result(5)).tracks) == 2


async def task_details(scene: Scene) -> None:
    """Look at a task."""
    assert len((await scene.seen.suno.task(scene.task_id).details()).tracks) == 2


async def details(scene: Scene) -> None:
    """Look at a task by its id."""
    assert len((await scene.seen.suno.details(scene.task_id)).tracks) == 2


async def ask_for_credits(scene: Scene) -> None:
    """Ask for the balance."""
    assert await scene.seen.suno.credits() > 0


async def upload_bytes(scene: Scene) -> None:
    """Upload what is in memory."""
    assert await scene.seen.suno.upload(b"audio" * 50_000)


async def upload_file(scene: Scene) -> None:
    """Upload a file."""
    assert await scene.seen.suno.upload(scene.folder.parent / "stem.wav")


async def upload_stream(scene: Scene) -> None:
    """Upload what comes bit by bit."""

    async def singing() -> AsyncIterator[bytes]:
        for _ in range(3):
            await passes(1)
            yield b"la" * 100

    assert await scene.seen.suno.upload(singing())


async def download(scene: Scene) -> None:
    """Download audio."""
    assert (await scene.seen.suno.download(scene.track, scene.folder)).exists()


async def download_cover(scene: Scene) -> None:
    """Download a cover."""
    path = await scene.seen.suno.download_cover(scene.track, scene.folder / "Harbour.mp3")
    assert path.exists()


async def download_all(scene: Scene) -> None:
    """Download audio and covers."""
    other = evolve(scene.track, id="another-track-of-it")
    tracks = (scene.track, other)
    assert len(await scene.seen.suno.download_all(tracks, scene.folder, covers=True)) == 4


async def asked_for_key() -> str:
    """Give the key after a while."""
    await passes(2)
    return "sandbox-key"


async def submit_with_asked_key(scene: Scene) -> None:
    """Submit a request, for which the key is asked."""
    await submit(scene)


async def ask_for_credits_with_asked_key(scene: Scene) -> None:
    """Ask for the balance, for which the key is asked."""
    await ask_for_credits(scene)


# each call, and what befalls it so that it has more to wait for
LIMITED = (Call.SUBMIT, EnvelopeError(429))
CALLS: list[tuple[Work, list[tuple[Call, Fault]]]] = [
    (submit, []),
    (submit, [LIMITED, LIMITED]),
    (submit, [(Call.SUBMIT, DropAfter())]),
    (submit_in_time, [LIMITED]),
    (generate, [(Call.DETAILS, HttpError(502))]),
    (generate_many, [LIMITED]),
    (events, [(Call.DETAILS, EnvelopeError(429))]),
    (result, []),
    (task_details, [(Call.DETAILS, HttpError(502))]),
    (details, []),
    (ask_for_credits, [(Call.CREDITS, HttpError(502))]),
    (submit_with_asked_key, []),
    (ask_for_credits_with_asked_key, []),
    (upload_bytes, [(Call.UPLOAD, DropAfter())]),
    (upload_file, [(Call.UPLOAD, HttpError(503))]),
    (upload_stream, []),
    (download, [(Call.MEDIA, CutAfter(20_000))]),
    (download_cover, []),
    (download_all, []),
]


@pytest.fixture
async def here() -> AsyncIterator[Ground]:
    """What all scenes of a test share; no descriptor is left of it."""
    files = open_files()
    async with ground() as shared:
        yield shared
    await until(lambda: len(open_files()) <= len(files))


async def settled(seen: Seen) -> None:
    """Wait until what goes on without its caller has ended."""
    async with asyncio.timeout(HANGS_AFTER_S):
        while seen.suno.stats().sending:  # noqa: ASYNC110 - sockets set no event
            await asyncio.sleep(0.001)
    await passes(3)


def name_of(call: tuple[Work, list[tuple[Call, Fault]]]) -> str:
    """Name a call and what befalls it."""
    work, faults = call
    return " ".join([work.__name__, *(type(fault).__name__ for _, fault in faults)])


@pytest.mark.parametrize("call", CALLS, ids=name_of)
async def test_a_call_is_cancelled_at_every_suspension(
    here: Ground, tmp_path: Path, call: tuple[Work, list[tuple[Call, Fault]]]
) -> None:
    """What was paid is known, nothing is held, the session works, and no file is half."""
    work, faults = call
    (tmp_path / "stem.wav").write_bytes(b"audio" * 20_000)
    track, _ = await finished(here.sandbox)
    task_id = next(iter(here.sandbox.tasks))
    whole: list[bytes] = []

    async def attempt(interruption: Interruption) -> None:
        settings = {"api_key": asked_for_key} if "asked_key" in work.__name__ else {}
        seen = here.prepare(receiver=True, hook_passes=2, **settings)
        folder = tmp_path / seen.title
        for each, fault in faults:
            here.sandbox.inject(each, fault)
        async with seen.suno:
            await interruption.run(_coroutine(work, Scene(seen, folder, track, task_id)))
            here.sandbox.clear_faults()
            if interruption.error is not None:
                seen.errors.append(interruption.error)
            await settled(seen)
            seen.check_nothing_is_held()
            assert sorted(seen.hooked) == sorted(seen.ids(Accepted, Found))
            seen.hook_passes = None  # which counts answers alone
            seen.check_charges()
            seen.check_errors(asyncio.CancelledError)
            assert await seen.suno.credits() > 0
            if "download" in work.__name__:
                await _download_again(work, Scene(seen, folder, track, task_id), whole)

    assert await at_every_suspension(attempt) >= 3


async def _coroutine(work: Work, scene: Scene) -> None:
    await work(scene)


async def _download_again(work: Work, scene: Scene, whole: list[bytes]) -> None:
    """See that a download that was cut off leaves nothing that the next one cannot use."""
    await work(scene)
    files = sorted(scene.folder.iterdir())
    assert not any(name.endswith((".part", ".tag")) for name in everything_in(scene.folder))
    found = [path.read_bytes() for path in files if not path.name.startswith(".")]
    whole[:] = whole or found
    assert found == whole


# --- the session itself ---------------------------------------------------------------------------


async def test_entering_is_cancelled_at_every_suspension(here: Ground) -> None:
    """Nothing is left, whether or not it was entered."""

    async def attempt(interruption: Interruption) -> None:
        seen = here.prepare(receiver=True, hook_passes=2)
        await interruption.run(_coroutine(_entering, Scene(seen, Path(), Track(), "")))
        if seen.suno.is_open:
            await seen.suno.__aexit__(None, None, None)

    await at_every_suspension(attempt)


async def _entering(scene: Scene) -> None:
    await scene.seen.suno.__aenter__()


async def test_leaving_is_cancelled_at_every_suspension(here: Ground, tmp_path: Path) -> None:
    """While a submission, a watch and a download are under way: it ends all the same."""
    track, _ = await finished(here.sandbox)

    async def leaving(scene: Scene) -> None:
        await scene.seen.suno.__aexit__(None, None, None)

    async def attempt(interruption: Interruption) -> None:
        seen = here.prepare(receiver=True, hook_passes=2)
        here.sandbox.script(TaskScript(stages=()))
        here.sandbox.inject(Call.SUBMIT, DropAfter())
        scene = Scene(seen, tmp_path / seen.title, track, "")
        await seen.suno.__aenter__()
        others = [
            asyncio.create_task(_coroutine(work, scene))
            for work in (generate, submit, download, ask_for_credits)
        ]
        await passes(12)
        await interruption.run(_coroutine(leaving, scene))
        here.sandbox.clear_faults()
        assert not seen.suno.is_open
        _, hanging = await asyncio.wait(others, timeout=HANGS_AFTER_S)
        assert not hanging
        for other in others:
            if (error := other.exception()) is not None:
                seen.errors.append(error)
        with pytest.raises(SessionClosed):
            await seen.suno.credits()
        seen.check_nothing_is_held()
        seen.check_charges()

    assert await at_every_suspension(attempt) >= 3


# --- receivers ------------------------------------------------------------------------------------


async def test_a_handler_of_callbacks_is_cancelled_at_every_suspension() -> None:
    """The server may hang up at any time: the next request is answered, and nothing runs on."""
    clock, taken = VirtualClock(), list[str]()

    async def unplaced(notice: Any) -> None:
        await passes(2)
        taken.append(notice.task_id)

    receiver = CallbackReceiver(
        "http://127.0.0.1/suno", secret="a secret of letters", on_unplaced=unplaced, clock=clock
    )
    receiver.add_unplaced(lambda notice: unplaced(notice))
    token = receiver.expect().token
    body = callback()

    async def request() -> int:
        pieces, sent = iter([body[:20], body[20:]]), list[Any]()

        async def receive() -> dict[str, Any]:
            await passes(1)
            piece = next(pieces)
            return {"type": "http.request", "body": piece, "more_body": len(piece) == 20}

        async def send(message: Any) -> None:
            await passes(1)
            sent.append(message)

        headers = [(b"content-type", b"application/json")]
        path = f"/suno/{token}"
        scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
        await receiver.asgi(scope, receive, send)
        return int(sent[0]["status"])

    async def attempt(interruption: Interruption) -> None:
        await interruption.run(request())
        assert clock.next_deadline_s() is None, "a timer is left"
        before = len(taken)
        assert await request() == 200
        assert len(taken) == before + 2

    async with nothing_left():
        assert await at_every_suspension(attempt) >= 6


async def test_serving_callbacks_is_cancelled_at_every_suspension() -> None:
    """The port is free again, and can be listened on."""
    receiver = CallbackReceiver("http://127.0.0.1/suno")

    async def serve() -> None:
        async with receiver.serve("127.0.0.1", 0):
            await passes(2)

    async def attempt(interruption: Interruption) -> None:
        await interruption.run(serve())

    async with nothing_left():
        assert await at_every_suspension(attempt) >= 2
