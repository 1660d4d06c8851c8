"""What a reader finds in the moment in which it is told that a job is complete."""

from pathlib import Path

from suno_async import Stage
from suno_async.durable import DurableSuno, JobState
from suno_async.sandbox import Call, HttpError, Sandbox
from tests.world import EAGER, song


async def test_whoever_is_told_finds_the_job_complete(database: str, service: Sandbox) -> None:
    """The last stage and the outcome are recorded in one transaction."""
    async with DurableSuno(database, service.session()) as durable:
        job = await durable.submit("one", song())
        stages: list[Stage] = []
        async for event in job.events():
            stages.append(event.stage)
            if event.stage is Stage.COMPLETE:
                assert job.state is JobState.COMPLETE
                assert job.outcome.tracks == event.tracks
        assert stages == [*Stage]


async def test_readers_do_not_wait_for_files(sqlite: str, service: Sandbox, tmp_path: Path) -> None:
    """With `save_to` the last stage is told at once, and the job is complete when all is saved."""
    service.inject(Call.MEDIA, HttpError(503), times=None)
    async with DurableSuno(sqlite, service.session(retry=EAGER)) as durable:
        job = await durable.submit("one", song(), save_to=tmp_path / "music")
        async for event in job.events():
            assert job.state is JobState.RUNNING
            if event.stage is Stage.COMPLETE:
                service.clear_faults()
        assert job.state is JobState.COMPLETE
        assert len(job.files) == 2
