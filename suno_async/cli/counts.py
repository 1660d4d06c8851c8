"""How many songs of a run stand where."""

from collections import Counter
from collections.abc import Iterable

from attrs import frozen

from suno_async.cli.board import Entry, State


@frozen
class Counts:
    """How many songs stand where.

    Attributes:
        saved: All of their tracks are on disk.
        failed: They ended without that.
        uncertain: Nobody knows whether they were paid for.
        in_flight: They are paid for and watched, or being downloaded.
        waiting: Nothing was submitted for them yet.
        uploading: So many of those wait for an upload of their stem that is under way.
    """

    saved: int = 0
    failed: int = 0
    uncertain: int = 0
    in_flight: int = 0
    waiting: int = 0
    uploading: int = 0

    @property
    def ended(self) -> int:
        """How many will not change any more in this run."""
        return self.saved + self.failed + self.uncertain

    @property
    def total(self) -> int:
        """All of them."""
        return self.ended + self.in_flight + self.waiting

    def sentence(self, waiting_for: str = "waiting") -> str:
        """List those that are not 0.

        Args:
            waiting_for: What those are called that wait for something else than an upload.
        """
        parts = {
            "saved": self.saved,
            "failed": self.failed,
            "uncertain": self.uncertain,
            "in flight": self.in_flight,
            "uploading": self.uploading,
            waiting_for: self.waiting - self.uploading,
        }
        return ", ".join(f"{number} {name}" for name, number in parts.items() if number)


def count(entries: Iterable[Entry]) -> Counts:
    """Count the songs of a run."""
    entries = tuple(entries)
    of = Counter(entry.state for entry in entries)
    return Counts(
        saved=of[State.SAVED],
        failed=of[State.FAILED],
        uncertain=of[State.UNCERTAIN],
        in_flight=of[State.RUNNING] + of[State.SAVING],
        waiting=of[State.WAITING],
        uploading=sum(it.uploading and it.state is State.WAITING for it in entries),
    )
