"""A host that does everything wrong, disks that hang and are full: whole files or clear errors."""

from pathlib import Path

import pytest

from benchmarks import cdn, downloads


@pytest.fixture(scope="session")
def connections() -> downloads.Connections:
    """What the interpreter reports cannot be turned off again, so it is asked once."""
    return downloads.Connections()


async def test_whatever_hosts_and_disks_do(
    tmp_path: Path, connections: downloads.Connections
) -> None:
    """Invariant 9: each file is identical or its error clear; nothing is left, nobody else asked.

    `python -m benchmarks downloads` does the same two thousand times.
    """
    figures = await downloads.run(6 * len(cdn.WAYS), 1, tmp_path, connections)
    assert figures["wrong"] == []
    assert figures["left"] == []
    assert figures["connected"] == ["127.0.0.1"]
    assert figures["strange"] == []
    assert list(figures["agents"]) == ["suno-async"]
    assert figures["hung_disk"]["hung"] > 0
    assert figures["hung_disk"]["half_files"] == []
    assert figures["hung_disk"]["left_in_s"] < 1
    assert all(figures["ways"][way] > 0 for way in cdn.WAYS)
