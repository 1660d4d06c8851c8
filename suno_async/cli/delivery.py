"""From jobs to files: follow the jobs of a run, and save the tracks of each that ends."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

from suno_async import AuthenticationError, GenerationFailed, InsufficientCredits, SunoError
from suno_async.cli.board import Board, Entry, State
from suno_async.cli.failures import may_still_give, sentence
from suno_async.cli.saved_before import take_saved
from suno_async.cli.saving import Saving
from suno_async.cli.uploads import UploadsUnderWay
from suno_async.durable import DurableSuno, Job, JobState

# how often the jobs are counted after nothing more is submitted
_LOOK_EVERY_S = 0.2
# a claim that was under way may be recorded a moment later
_QUIET_LOOKS = 3
_ABANDONED = "abandoned: nobody looked further whether it was submitted"
_ENDED = (JobState.COMPLETE, JobState.FAILED, JobState.UNCERTAIN, JobState.ABANDONED)
_BUSY = (JobState.SENDING, JobState.RUNNING)
# what holds for all jobs: the next would be refused as well
_HOPELESS = (AuthenticationError, InsufficientCredits)


class Delivery:
    """Follows the jobs of a run until all have ended, or nothing that was paid for goes on.

    Args:
        durable: Works on the jobs.
        saving: Brings tracks to disk.
        board: Where to note what happens.
        entries: The songs, by the keys of their jobs.
        uploads: Is told of their jobs.
    """

    def __init__(
        self,
        durable: DurableSuno,
        saving: Saving,
        board: Board,
        entries: Mapping[str, Entry],
        uploads: UploadsUnderWay,
    ) -> None:
        self._durable = durable
        self._saving = saving
        self._board = board
        self._entries = entries
        self._uploads = uploads
        self._stopped = asyncio.Event()
        # by key: what became of a job is done once, and again only for another task
        self._done: dict[str, str | None] = {}

    def stop(self) -> None:
        """Submit nothing more; what is paid for is followed to its end and saved."""
        if not self._stopped.is_set():
            self._board.stop()
            self._durable.stop_submitting()
            self._stopped.set()

    async def run(self) -> None:
        """Follow the jobs and save their tracks; one that fails stops no other.

        Raises:
            DatabaseFailed: The jobs cannot be read any more.
        """
        async with asyncio.TaskGroup() as group:
            following = group.create_task(self._follow(group))
            draining = group.create_task(self._drained())
            await asyncio.wait({following, draining}, return_when=asyncio.FIRST_COMPLETED)
            following.cancel()
            draining.cancel()
            async for job in self._durable.jobs():  # the last changes may not have been told
                self._note(job, group)

    async def _follow(self, group: asyncio.TaskGroup) -> None:
        async with aclosing(self._durable.follow()) as jobs:
            async for job in jobs:
                self._note(job, group)

    async def _drained(self) -> None:
        """Wait until nothing more is submitted, and nothing that was goes on."""
        await self._stopped.wait()
        quiet = 0
        while quiet < _QUIET_LOOKS:
            await asyncio.sleep(_LOOK_EVERY_S)
            counted = (await self._durable.stats()).jobs
            quiet = 0 if any(state in counted for state in _BUSY) else quiet + 1

    def _note(self, job: Job, group: asyncio.TaskGroup) -> None:
        entry = self._entries.get(job.key)
        if entry is None or (entry.earlier and entry.state is State.SAVED):
            return
        if self._done.get(job.key, "") == job.task_id:
            return
        _note_task(self._board, entry, job)
        self._uploads.note(entry, job)
        if job.state in _ENDED:
            self._done[job.key] = job.task_id
            self._end(entry, job, group)

    def _end(self, entry: Entry, job: Job, group: asyncio.TaskGroup) -> None:
        error = job.outcome.error or SunoError()
        if job.state is JobState.COMPLETE:
            group.create_task(self._saving.save(entry, job.outcome.tracks))
        elif job.state is JobState.UNCERTAIN:
            self._board.doubt(entry, sentence(error))
        elif isinstance(error, GenerationFailed) and error.tracks:
            group.create_task(self._saving.save_finished(entry, error))
        elif job.state is JobState.ABANDONED:
            self._board.fail(entry, _ABANDONED, retrievable=False)
        else:
            self._board.fail(entry, sentence(error), retrievable=may_still_give(error))
            if job.task_id is None and isinstance(error, _HOPELESS):
                self.stop()


def _note_task(board: Board, entry: Entry, job: Job) -> None:
    """Note the job's task, and the stages that it has reached."""
    if job.task_id is None or job.submitted_at is None:
        return
    age_s = (datetime.now(UTC) - job.submitted_at).total_seconds()
    board.begin(entry, job.task_id, max(age_s, 0.0))
    for event in job.stages:
        after_s = (event.observed_at - job.submitted_at).total_seconds()
        board.reach(entry, event.stage, max(after_s, 0.0))


def note_earlier(
    board: Board, entry: Entry, job: Job, out: Path, saved: Mapping[tuple[str, str], str]
) -> None:
    """Note what an earlier run has found out of a song, before this one begins.

    Args:
        board: The songs.
        entry: The song.
        job: How its job stands.
        out: The folder of the tracks.
        saved: The files of tracks that were saved, by task and letter.
    """
    _note_task(board, entry, job)
    entry.earlier = True
    if job.state is JobState.COMPLETE and take_saved(entry, job.outcome.tracks, out, saved):
        entry.end(State.SAVED)
    elif job.state in {JobState.FAILED, JobState.ABANDONED}:
        entry.end(State.FAILED)
    elif job.state is JobState.UNCERTAIN:
        entry.end(State.UNCERTAIN)
    else:
        entry.earlier = False
