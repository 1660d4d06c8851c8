"""A worker's session may be used for other things beside."""

from suno_async.durable import DurableSuno, JobState
from suno_async.sandbox import Call, DropAfter, Sandbox
from tests.world import song

from .using import becomes


async def test_what_else_is_submitted_is_no_jobs_task(sqlite: str, service: Sandbox) -> None:
    """Tasks that the session's owner submits beside are never taken for those of jobs.

    A request that is gone may have had the address of one that a job sends later.
    """
    session = service.session()
    async with DurableSuno(sqlite, session) as durable:
        for number in range(4):
            for _ in range(20):
                await session.submit(song(title="beside"))
            service.inject(Call.SUBMIT, DropAfter())
            job = await durable.submit(f"job/{number}", song(title="a job's"))
            await becomes(job, JobState.UNCERTAIN, JobState.RUNNING, JobState.COMPLETE)
            assert (job.state, job.task_id) == (JobState.UNCERTAIN, None)
