"""Jobs that upload their stem: once, again when the upload is old or gone, and never for money."""

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

from suno_async import AddInstrumentalRequest, InvalidRequest, SourceUnavailable
from suno_async.durable import STEM_URL, DurableSuno, JobState, Resubmit
from suno_async.durable.database import read_url
from suno_async.sandbox import Call, EnvelopeError, HttpError, Sandbox, sing
from tests.waiting import until
from tests.world import EAGER, song

from .using import tables

STEM_SONG = song(upload_url=STEM_URL)
GONE = EnvelopeError(451, "could not fetch the file")
REFUSED = EnvelopeError(409, "exists already")


@pytest.fixture
def stem(tmp_path: Path) -> Path:
    """A file with a voice in it."""
    path = tmp_path / "vocals.wav"
    path.write_bytes(sing(1.0))
    return path


def uploads(service: Sandbox) -> int:
    """Count the uploads that were asked for."""
    return sum("file-stream-upload" in seen.path for seen in service.requests)


def sent_urls(service: Sandbox) -> list[str]:
    """Give the URLs of stems that were submitted, in order."""
    return [str((seen.body or {}).get("uploadUrl")) for seen in service.submissions]


def make_older(database: str, hours: float) -> None:
    """Let the uploads of all jobs be from some hours earlier."""
    engine = sa.create_engine(read_url(database))
    with engine.begin() as connection:
        age = sa.text("UPDATE suno_jobs SET uploaded_s = uploaded_s - :age")
        connection.execute(age, {"age": hours * 3600})
    engine.dispose()


async def test_a_stem_is_uploaded_once(sqlite: str, service: Sandbox, stem: Path) -> None:
    """Its URL takes the place of the request's; the job's own request stays as it was."""
    async with DurableSuno(sqlite, service.session()) as durable:
        job = await durable.submit("one", STEM_SONG, stem)
        await job.result(60)
        again = await durable.submit("one", STEM_SONG, stem)
    assert again.request == STEM_SONG
    assert uploads(service) == 1
    (task,) = service.tasks.values()
    assert str(task.request["uploadUrl"]).startswith(service.base_url)
    assert task.stem.problem is None
    assert len(service.ledger) == 1


async def test_a_stem_of_many_jobs_is_uploaded_once(
    sqlite: str, service: Sandbox, stem: Path
) -> None:
    """Also by jobs that come later, until the file is changed."""
    async with DurableSuno(sqlite, service.session()) as durable:
        keys = [f"{number}" for number in range(12)]
        await durable.submit_many((key, STEM_SONG, stem) for key in keys)
        assert len([key async for key, outcome in durable.outcomes() if outcome.ok]) == 12
        assert uploads(service) == len(set(sent_urls(service))) == 1
        # it does not get younger by being shared
        assert len({row["uploaded_s"] for row in tables(sqlite)["suno_jobs"]}) == 1
        await asyncio.to_thread(stem.write_bytes, sing(1.5))
        await (await durable.submit("changed", STEM_SONG, stem)).result(60)
    assert uploads(service) == 2
    assert len(service.ledger) == 13


async def test_a_lost_upload_of_many_jobs_is_made_once_more(
    sqlite: str, service: Sandbox, stem: Path
) -> None:
    """The first job that the service refuses for it forgets it for all; nothing is charged."""
    async with DurableSuno(sqlite, service.session(max_concurrent_submissions=1)) as durable:
        await (await durable.submit("first", STEM_SONG, stem)).result(60)
        service.inject(Call.SUBMIT, GONE)
        await durable.submit_many((f"{number}", STEM_SONG, stem) for number in range(6))
        assert len([key async for key, outcome in durable.outcomes() if outcome.ok]) == 7
    assert uploads(service) == len(set(sent_urls(service))) == 2
    assert len(service.ledger) == 7


async def test_a_file_that_has_moved(sqlite: str, service: Sandbox, stem: Path) -> None:
    """Whoever resubmits a job may say where its stem is now."""
    async with DurableSuno(sqlite, service.session(), worker=False) as desk:
        await desk.submit("one", STEM_SONG, stem.with_name("gone.wav"))
        assert await desk.cancel("one")
        job = await desk.decide("one", Resubmit(stem=stem))
        assert (job.state, job.stem) == (JobState.WAITING, stem)
    async with DurableSuno(sqlite, service.session()) as durable:
        await (await durable.job("one")).result(60)
    assert uploads(service) == len(service.ledger) == 1


@pytest.mark.parametrize(("hours", "times"), [(19, 1), (21, 2)])
async def test_an_old_upload_is_made_again(
    hours: float, times: int, sqlite: str, service: Sandbox, stem: Path
) -> None:
    """Services delete uploads after a day; one of 20 hours is not relied upon."""
    service.inject(Call.SUBMIT, REFUSED)
    async with DurableSuno(sqlite, service.session()) as durable:
        job = await durable.submit("one", STEM_SONG, stem)
        with pytest.raises(Exception, match="exists already"):
            await job.result(60)
        make_older(sqlite, hours)
        await durable.decide("one", Resubmit())
        await job.result(60)
    assert uploads(service) == len(set(sent_urls(service))) == times
    assert len(service.ledger) == 1


async def test_uploads_that_fail_for_a_while(sqlite: str, service: Sandbox, stem: Path) -> None:
    """They are repeated, longer than the session's own policy does, and take nothing."""
    service.inject(Call.UPLOAD, HttpError(503), times=EAGER.attempts + 2)
    async with DurableSuno(sqlite, service.session(retry=EAGER)) as durable:
        job = await durable.submit("one", STEM_SONG, stem)
        await job.result(60)
    assert uploads(service) == EAGER.attempts + 3
    assert len(service.ledger) == 1


async def test_a_service_that_is_away_is_waited_for(
    sqlite: str, service: Sandbox, stem: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A job with a stem waits as one without does; it is not failed by a network that is down."""
    caplog.set_level("INFO", "suno_async.durable")
    async with DurableSuno(sqlite, service.session(retry=EAGER)) as durable:
        await service.stop()
        job = await durable.submit("one", STEM_SONG, stem)
        await until(lambda: "its stem is not uploaded yet" in caplog.text)
        await service.start()
        await job.result(60)
    assert len(service.ledger) == 1


async def test_a_stem_that_is_missing(sqlite: str, service: Sandbox, tmp_path: Path) -> None:
    """The job fails unsent and says which file; once it is there, the job can be resubmitted."""
    missing = tmp_path / "nothing.wav"
    async with DurableSuno(sqlite, service.session()) as durable:
        job = await durable.submit("one", STEM_SONG, missing)
        with pytest.raises(InvalidRequest, match=r"stem.*No such file.*nothing\.wav"):
            await job.result(60)
        assert (job.state, job.task_id) == (JobState.FAILED, None)
        assert not service.submissions
        assert not service.ledger
        missing.write_bytes(sing(1.0))
        await durable.decide("one", Resubmit())
        await job.result(60)
    assert len(service.ledger) == 1


async def test_an_upload_that_the_service_lost(sqlite: str, service: Sandbox, stem: Path) -> None:
    """Code 451 took nothing: the stem is uploaded once more, and the job sent once more."""
    service.inject(Call.SUBMIT, GONE)
    async with DurableSuno(sqlite, service.session()) as durable:
        job = await durable.submit("one", STEM_SONG, stem)
        await job.result(60)
    first, second = sent_urls(service)
    assert first != second
    assert len(service.ledger) == 1


@pytest.mark.parametrize(
    ("request_", "has_stem", "times"), [(STEM_SONG, True, 2), (song(), False, 1)]
)
async def test_a_stem_that_cannot_be_fetched_at_all(
    request_: AddInstrumentalRequest,
    has_stem: bool,
    times: int,
    sqlite: str,
    service: Sandbox,
    stem: Path,
) -> None:
    """The second 451 is believed, and the first of a URL that is the caller's own."""
    service.inject(Call.SUBMIT, GONE, times=None)
    async with DurableSuno(sqlite, service.session()) as durable:
        job = await durable.submit("one", request_, stem if has_stem else None)
        with pytest.raises(SourceUnavailable):
            await job.result(60)
    assert job.state is JobState.FAILED
    assert len(service.submissions) == times
    assert not service.ledger
