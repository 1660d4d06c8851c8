"""Jobs that save their audio: whole, once, whatever is killed or refused on the way."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from suno_async import GenerationFailed
from suno_async.durable import DurableSuno, Job, JobState
from suno_async.observe import Downloading, Observation
from suno_async.sandbox import Call, HttpError, Sandbox, TaskScript, Throttle, Unavailable
from tests.media.hosts import sizes_of_parts
from tests.world import EAGER, song

from .service.worker import killed_worker

TWO = ["Relaxing Piano 1.wav", "Relaxing Piano 2.wav"]


def everything_in(folder: Path) -> list[str]:
    """List a folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir())


def names(job: Job) -> list[str]:
    """Name the files of a job, in its order."""
    return [path.name for path in job.files]


async def served(job: Job) -> list[bytes]:
    """Fetch the audio of a job's tracks, as the service has it."""
    audio: list[bytes] = []
    async with aiohttp.ClientSession() as http:
        for track in job.outcome.tracks:
            async with http.get(str(track.audio_url)) as answer:
                audio.append(await answer.read())
    return audio


async def until_slowly(holds: Callable[[], object]) -> None:
    """Wait for what another process brings about."""
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - another process sets no event
            await asyncio.sleep(0.01)


# --- saved ----------------------------------------------------------------------------------------


async def test_a_complete_job_has_its_files(
    database: str, service: Sandbox, tmp_path: Path
) -> None:
    """They have the tracks' order and the service's bytes, and nothing else is there."""
    async with DurableSuno(database, service.session()) as durable:
        job = await durable.submit("one", song(), save_to=tmp_path / "deep" / "er")
        assert names(job) == []
        await job.result(60)
        assert names(job) == everything_in(tmp_path / "deep" / "er") == TWO
        assert [path.read_bytes() for path in job.files] == await served(job)
        assert job.files_error is None


async def test_covers_come_after_the_audio(sqlite: str, service: Sandbox, tmp_path: Path) -> None:
    """`files` has the audio in the tracks' order, then the covers in the same."""
    async with DurableSuno(sqlite, service.session()) as durable:
        job = await durable.submit("one", song(), save_to=tmp_path / "music", covers=True)
        await job.result(60)
    assert names(job) == [*TWO, "Relaxing Piano 1.png", "Relaxing Piano 2.png"]
    assert everything_in(tmp_path / "music") == sorted(names(job))


async def test_jobs_of_one_title_share_a_folder(
    sqlite: str, service: Sandbox, tmp_path: Path
) -> None:
    """Each track has a file of its own, and nothing is overwritten."""
    async with DurableSuno(sqlite, service.session()) as durable:
        keys = [f"album/{number}" for number in range(3)]
        await durable.submit_many([(key, song(tags=key)) for key in keys], save_to=tmp_path / "m")
        jobs = [await durable.job(key) for key in keys]
        for job in jobs:
            await job.result(60)
            assert [path.read_bytes() for path in job.files] == await served(job)
    files = [name for job in jobs for name in names(job)]
    assert len(set(files)) == 6
    assert everything_in(tmp_path / "m") == sorted(files)


async def test_what_a_failed_task_has_finished_is_saved(
    sqlite: str, service: Sandbox, tmp_path: Path
) -> None:
    """One track was finished and is paid for; the job is failed all the same."""
    service.script(
        TaskScript(stages=(("FIRST_SUCCESS", 10), ("GENERATE_AUDIO_FAILED", 20))),
        TaskScript(stages=(("GENERATE_AUDIO_FAILED", 20),)),
    )
    async with DurableSuno(sqlite, service.session()) as durable:
        job = await durable.submit("one", song(), save_to=tmp_path / "music")
        with pytest.raises(GenerationFailed):
            await job.result(60)
        assert (job.state, names(job), job.files_error) == (JobState.FAILED, TWO[:1], None)
        job = await durable.submit("two", song(), save_to=tmp_path / "nothing")
        with pytest.raises(GenerationFailed):
            await job.result(60)
        assert (job.files, job.files_error) == ((), None)
    assert everything_in(tmp_path / "music") == TWO[:1]
    assert not (tmp_path / "nothing").exists()


# --- killed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_killed_download_is_resumed(
    seed: int, sqlite: str, service: Sandbox, tmp_path: Path
) -> None:
    """The next worker goes on where the dead one was; in the end two whole files are there."""
    dice = random.Random(seed)
    folder = tmp_path / "music"
    told: list[Downloading] = []

    def observe(what: Observation) -> None:
        if isinstance(what, Downloading):
            told.append(what)

    def some(least: int) -> bool:
        sizes = sizes_of_parts(folder)
        return len(sizes) == 2 and min(sizes) >= least

    async with DurableSuno(sqlite) as client:
        job = await client.submit("one", song(), save_to=folder)
        service.inject(Call.MEDIA, Throttle(chunk_bytes=4096, pause_s=0.1), times=None)
        least = 0
        for _ in range(2):
            least += dice.randrange(4096, 16384)
            async with killed_worker(sqlite, service):
                await until_slowly(lambda: some(least))  # noqa: B023 - awaited in its turn
            assert not list(folder.glob("[!.]*"))
        service.clear_faults()
        async with DurableSuno(sqlite, service.session(observers=[observe])):
            await job.result(60)
        assert min(what.received_bytes for what in told) > least
        assert [path.read_bytes() for path in job.files] == await served(job)
    assert names(job) == everything_in(folder) == TWO
    assert len(service.ledger) == 1


async def test_what_was_saved_before_the_crash_is_found_again(
    sqlite: str, service: Sandbox, tmp_path: Path
) -> None:
    """A worker that dies when one file has its name, and the other not: no second copy."""
    folder = tmp_path / "music"

    def saved() -> list[Path]:
        return list(folder.glob("[!.]*")) if any(folder.glob(".*.part")) else []

    service.inject(Call.MEDIA, Throttle(chunk_bytes=4096, pause_s=0.5), times=1)
    async with DurableSuno(sqlite) as client:
        job = await client.submit("one", song(), save_to=folder)
        async with killed_worker(sqlite, service):
            await until_slowly(saved)
        (found,) = saved()
        before = found.stat()
        service.clear_faults()
        async with DurableSuno(sqlite, service.session()):
            await job.result(60)
    assert names(job) == everything_in(folder) == TWO
    assert found.stat() == before


# --- not saved ------------------------------------------------------------------------------------


async def test_a_folder_that_cannot_be_made(sqlite: str, service: Sandbox, tmp_path: Path) -> None:
    """The job is complete, with its details; `files_error` says why nothing is saved, soon."""
    (tmp_path / "music").write_text("in the way")
    async with DurableSuno(sqlite, service.session()) as durable:
        job = await durable.submit("one", song(), save_to=tmp_path / "music")
        details = await job.result(20)
    assert len(details.tracks) == 2
    assert (job.state, job.files) == (JobState.COMPLETE, ())
    assert str(tmp_path / "music") in str(job.files_error)


async def test_dead_audio_is_told_and_the_rest_is_saved(
    sqlite: str, service: Sandbox, tmp_path: Path
) -> None:
    """A host that says "gone" is not asked for ever; the other track's file is there."""

    async def lose_one(task_id: str, *_: object) -> None:
        lost = service.tasks[task_id].tracks[0].track_id
        for call in (Call.MEDIA, Call.SOURCE_MEDIA):
            service.inject(call, Unavailable(status=410), times=None, about=lost)

    async with DurableSuno(sqlite, service.session(on_submitted=lose_one)) as durable:
        job = await durable.submit("one", song(), save_to=tmp_path / "music")
        await job.result(20)
    assert job.state is JobState.COMPLETE
    assert names(job) == everything_in(tmp_path / "music") == TWO[1:]
    assert "410" in str(job.files_error)


async def test_a_host_that_fails_for_a_while_is_asked_again(
    sqlite: str, service: Sandbox, tmp_path: Path
) -> None:
    """Longer than the session's own policy is patient."""
    service.inject(Call.MEDIA, HttpError(503), times=2 * EAGER.attempts)
    async with DurableSuno(sqlite, service.session(retry=EAGER)) as durable:
        job = await durable.submit("one", song(), save_to=tmp_path / "music")
        await job.result(60)
    assert (names(job), job.files_error) == (TWO, None)
    assert everything_in(tmp_path / "music") == TWO
