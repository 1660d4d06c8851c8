"""The wrong versions that `python -m benchmarks mutations` tries are those of today's code."""

from pathlib import Path

from benchmarks.wrong_versions import ALL

ROOT = Path(__file__).parents[1]


def test_every_wrong_version_still_applies() -> None:
    """Its old text is there once, what comes of it is Python, and there are tests to notice it."""
    for mutation in ALL:
        compile(mutation.applied(ROOT), mutation.file, "exec")
        assert mutation.tests, mutation.name
        assert [test for test in mutation.tests if not (ROOT / test).exists()] == []


def test_no_two_wrong_versions_are_alike() -> None:
    """In what they are called, and in what they change."""
    assert len({mutation.name for mutation in ALL}) == len(ALL)
    assert len({(mutation.file, mutation.old, mutation.new) for mutation in ALL}) == len(ALL)
