"""What a soak comes to: charges against what is known, and memory over time."""

import json
import os
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from benchmarks import report

_MIB = 1024 * 1024
# samples of each process that go into the file of figures
_KEPT = 60


@frozen
class Journals:
    """What the callers of the core have written down.

    Attributes:
        tasks: The ids that they were told.
        uncertain: The titles of what was sent without an ending that says what became of it, be it
            that they were told so or were killed before.
        left: What was left behind by each session: tasks, descriptors and memory, by caller.
        files: How many files were saved.
        broke: What surprised them.
        sent: How many bodies went out.
    """

    tasks: frozenset[str]
    uncertain: frozenset[str]
    left: Mapping[str, list[dict[str, int]]]
    files: int
    broke: tuple[str, ...]
    sent: int


def read_journals(paths: Iterable[Path]) -> Journals:
    """Read the journals of all callers."""
    tasks: set[str] = set()
    uncertain: set[str] = set()
    left: dict[str, list[dict[str, int]]] = {}
    broke: list[str] = []
    files = sent = 0
    for path in paths:
        for line in path.read_text().splitlines():
            told = json.loads(line)
            match told["what"]:
                case "sent":
                    sent += 1
                    uncertain.add(told["title"])
                case "task":
                    tasks.add(told["task_id"])
                    uncertain.discard(told["title"])
                case "refused":
                    uncertain.discard(told["title"])
                case "left":
                    left.setdefault(path.stem, []).append(told)
                case "saved":
                    files += told["files"]
                case "broke":
                    broke.append(told["error"])
    return Journals(frozenset(tasks), frozenset(uncertain), left, files, tuple(broke), sent)


@frozen
class Money:
    """Charges against what is known of them.

    Attributes:
        charges: How many there were.
        lost: The tasks that were charged, and of which nobody knows: neither an id was told, nor
            is it recorded that something uncertain was sent.
        doubled: The titles that were charged once more than was declared.
        unproved: How many charges are recorded as uncertain alone, without their id.
    """

    charges: int
    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    unproved: int


def judge(
    charges: Mapping[str, str],
    known: frozenset[str],
    uncertain: frozenset[str],
    resubmitted: Counter[str],
) -> Money:
    """Hold the account against what is known.

    Args:
        charges: The title of each task that was charged.
        known: The ids that were told to somebody, or recorded.
        uncertain: The titles of what is recorded as uncertain.
        resubmitted: How often each title was declared to be submitted again.
    """
    doubtful = uncertain | resubmitted.keys()
    unknown = [(task_id, title) for task_id, title in charges.items() if task_id not in known]
    counts = Counter(charges.values())
    return Money(
        len(charges),
        tuple(f"{title}: {task_id}" for task_id, title in unknown if title not in doubtful),
        tuple(title for title, count in counts.items() if count > 1 + resubmitted[title]),
        sum(title in doubtful for _, title in unknown),
    )


# --- memory ---------------------------------------------------------------------------------------


@define
class Samples:
    """Memory and descriptors of processes over time.

    Attributes:
        began_s: When it began (monotonic).
        of: By a process's name: seconds, MiB, descriptors.
    """

    began_s: float = field(factory=time.monotonic)
    of: dict[str, list[tuple[float, float, int]]] = field(factory=dict)

    def take(self, name: str, pid: int) -> None:
        """Look at a process; one that has just ended is left out."""
        try:
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        except (OSError, IndexError):
            return
        mib = pages * os.sysconf("SC_PAGE_SIZE") / _MIB
        seconds = round(time.monotonic() - self.began_s, 1)
        self.of.setdefault(name, []).append((seconds, round(mib, 1), descriptors))

    def thinned(self) -> dict[str, list[tuple[float, float, int]]]:
        """Give some samples of each process, evenly spread."""
        return {name: all_of[:: len(all_of) // _KEPT + 1] for name, all_of in self.of.items()}

    def growth(self, name: str) -> dict[str, float]:
        """Tell a process's memory and descriptors after the warm-up, and at the end."""
        samples = self.of.get(name, [])
        fifth = max(len(samples) // 5, 1)
        early, late = samples[fifth : 2 * fifth] or samples, samples[-fifth:] or samples
        if not samples:
            return {}
        return {
            "mib_early": statistics.median(mib for _, mib, _ in early),
            "mib_late": statistics.median(mib for _, mib, _ in late),
            "descriptors_early": statistics.median(count for *_, count in early),
            "descriptors_late": statistics.median(count for *_, count in late),
        }


def plot(samples: Samples, strikes_s: list[float]) -> None:
    """Draw memory over time, with the moments of strikes, if matplotlib is there."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        print("no picture: matplotlib is not installed")
        return
    figure, axes = plt.subplots(figsize=(8, 4.5))
    for moment_s in strikes_s:
        axes.axvline(moment_s, color="0.85", linewidth=0.8)
    for name, points in samples.of.items():
        seconds, mib, _ = zip(*points, strict=True)
        axes.plot(seconds, mib, label=name, linewidth=1.5)
    axes.set(
        xlabel="seconds",
        ylabel="resident memory [MiB]",
        ylim=(0, None),
        title="Memory during the soak; grey: a process was killed or stopped",
    )
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize=8)
    figure.tight_layout()
    report.RESULTS.mkdir(exist_ok=True)
    figure.savefig(report.RESULTS / "soak.png", dpi=110, metadata={"Software": ""})


def leaks(left: Mapping[str, list[dict[str, int]]]) -> dict[str, Any]:
    """Tell what sessions of the core left behind: tasks, and descriptors beyond the first's."""
    sessions = [each for one in left.values() for each in one]
    more = [each["descriptors"] - one[0]["descriptors"] for one in left.values() for each in one]
    return {
        "sessions": len(sessions),
        "leaked_tasks": sum(each["tasks"] for each in sessions),
        "leaked_descriptors": max(more, default=0),
    }
