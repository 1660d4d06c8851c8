"""What a run's folder remembers beside its jobs."""

from pathlib import Path

import pytest
from attrs import evolve

from suno_async import Model
from suno_async.cli.failures import Complaint
from suno_async.cli.numbering import RunRow
from suno_async.cli.run_db import RunDb, Settings
from suno_async.cli.stems import Stem
from suno_async.durable import DurableSuno

ROWS = (
    RunRow(
        1,
        "abc-1",
        "One \N{MUSICAL SYMBOL G CLEF}",
        "songs.csv:2",
        2,
        {"title": "One", "model": Model.V5, "style_weight": 0.5},
        Stem(Path("/somewhere/a\udcff.wav"), 12, "d" * 64),
        {"BPM": "90"},
    ),
    RunRow(2, "", "songs.csv:3", "songs.csv:3", 3, problem="tags are missing"),
    RunRow(7, "abc-2", "Old", asked=False),
)


def test_rows_and_settings_come_back(tmp_path: Path) -> None:
    """As they were, in the order of their numbers; new rows replace the old ones."""
    db = RunDb(tmp_path)
    settings = Settings(title="songs.csv", page_key="k", base_url="http://x", price=12.5, largest=7)
    db.save(settings, ROWS)
    assert tuple(RunDb(tmp_path).rows()) == ROWS
    assert RunDb(tmp_path).rows()[0].song.fields["model"] == "V5"
    assert RunDb(tmp_path).settings() == settings
    db.save(evolve(settings, base_url=None))
    assert (len(db.rows()), db.settings().base_url) == (3, None)
    db.save(settings, ROWS[:1])
    assert len(db.rows()) == 1


def test_a_folder_without_a_run_has_nothing(tmp_path: Path) -> None:
    """Looking does not make the file."""
    db = RunDb(tmp_path)
    assert (db.rows(), db.settings()) == ([], Settings())
    assert not list(tmp_path.iterdir())


def test_saved_tracks_come_back(tmp_path: Path) -> None:
    """By their task and letter; noted again, the last name counts."""
    db = RunDb(tmp_path)
    for name in ("01 One - A.mp3", "01 One - A.wav"):
        db.note_saved("task", "A", name)
    assert db.saved() == {("task", "A"): "01 One - A.wav"}


async def test_it_shares_its_file_with_the_jobs(tmp_path: Path) -> None:
    """Whoever comes first, and while a worker has it."""
    db = RunDb(tmp_path)
    db.save(Settings(title="t"), ROWS)
    async with DurableSuno(db.url) as desk:
        db.note_saved("task", "A", "a.mp3")
        assert (await desk.stats()).jobs == {}
    assert tuple(db.rows()) == ROWS


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + b"\xff" * 4096])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """A sentence names it; it is not touched."""
    (tmp_path / "run.db").write_bytes(content)
    with pytest.raises(Complaint, match=r"run\.db cannot be used"):
        RunDb(tmp_path).rows()
    assert (tmp_path / "run.db").read_bytes() == content
