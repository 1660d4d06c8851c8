"""Stems beside the tracks of a run."""

from pathlib import Path

import pytest

from suno_async.cli.stem_folder import StemFolder
from suno_async.cli.stems import check_stem


def placed(folder: Path) -> list[Path]:
    """List the stems that were put into a folder, and whatever else is there."""
    return sorted((folder / "out" / "stems").iterdir())


@pytest.fixture
def stems_of(folder: Path) -> StemFolder:
    """The stems of a run's folder."""
    (folder / "out").mkdir()
    return StemFolder(folder / "out")


def test_equal_content_is_there_once(folder: Path, stems_of: StemFolder) -> None:
    """Whatever its files are called; other content under the same name is another file."""
    (folder / "copy.wav").write_bytes((folder / "short.wav").read_bytes())
    (folder / "other").mkdir()
    (folder / "other" / "short.wav").write_bytes((folder / "long.wav").read_bytes())
    names = ("short.wav", "copy.wav", "other/short.wav")
    stems = [check_stem(folder / name) for name in names]
    stems_of.put(stems)
    paths = [folder / "out" / (stems_of.path(stem) or "") for stem in stems]
    assert placed(folder) == sorted(set(paths))
    assert [path.read_bytes() for path in paths] == [(folder / name).read_bytes() for name in names]


def test_a_symbolic_link_is_followed(folder: Path, stems_of: StemFolder) -> None:
    """What is in the folder is the stem itself, and plays when the link is gone."""
    (folder / "link.wav").symlink_to("short.wav")
    stems_of.put([check_stem(folder / "link.wav")])
    (path,) = placed(folder)
    assert not path.is_symlink()
    assert path.read_bytes() == (folder / "short.wav").read_bytes()


def test_a_second_run_finds_it(folder: Path, stems_of: StemFolder) -> None:
    """The name follows from the content; a file of another length is replaced."""
    stem = check_stem(folder / "short.wav")
    stems_of.put([stem])
    (path,) = placed(folder)
    path.unlink()
    path.write_bytes(b"half")
    again = StemFolder(folder / "out")
    again.put([stem])
    assert placed(folder) == [path]
    assert path.read_bytes() == (folder / "short.wav").read_bytes()


def test_one_that_cannot_be_put_there_has_no_path(folder: Path, stems_of: StemFolder) -> None:
    """The page then shows the row without it."""
    (folder / "out" / "stems").write_text("in the way")
    stem = check_stem(folder / "short.wav")
    stems_of.put([stem])
    assert stems_of.path(stem) is None
