"""Which songs of a run wait for an upload of their stem that is under way."""

from pathlib import Path

from suno_async.cli.board import Entry, State
from suno_async.durable import Job
from suno_async.observe import Observation, Uploaded, Uploading


class UploadsUnderWay:
    """Marks the songs whose stems are being uploaded; jobs with the same stem share an upload."""

    def __init__(self) -> None:
        self._entries: dict[Path, set[Entry]] = {}
        self._under_way: set[Path] = set()

    def note(self, entry: Entry, job: Job) -> None:
        """Take note of the job that a song has."""
        if job.stem is None:
            return
        self._entries.setdefault(job.stem, set()).add(entry)
        self._mark(entry, job.stem)

    def observe(self, observation: Observation) -> None:
        """Take note of what the session does."""
        match observation:
            case Uploading(path=Path() as path):
                self._under_way.add(path)
            case Uploaded(path=Path() as path):
                self._under_way.discard(path)
            case _:
                return
        for entry in self._entries.get(path, ()):
            self._mark(entry, path)

    def _mark(self, entry: Entry, stem: Path) -> None:
        entry.uploading = entry.state is State.WAITING and stem in self._under_way
