"""Pages on disk, rebuilt while somebody reads them."""

import errno
import os
import threading
from pathlib import Path

import pytest
from attrs import evolve

from suno_async.cli.page import PAGE, RowStatus, RowView, Run, StemView, Waveforms, write_page
from suno_async.cli.page.cache import FILE
from suno_async.cli.whole import replacing, sweep, write_whole

from .runs import MADE_AT, complete_row, mixed_run
from .test_render import data_of


def test_the_page_has_waveforms_and_lengths_of_the_files(tmp_path: Path) -> None:
    """Rows say which files are theirs; what the files hold is found out."""
    page = write_page(mixed_run(tmp_path), tmp_path)
    assert page == tmp_path / PAGE
    row = data_of(page.read_text(encoding="utf-8"))["rows"][0]
    assert [row["stem"]["duration"], *(track["duration"] for track in row["tracks"])] == [6, 6, 4.5]
    assert all(track["peaks"] for track in (row["stem"], *row["tracks"]))


def test_nothing_else_is_left_in_the_folder(tmp_path: Path) -> None:
    """The page, the files, and one file with what is known of them."""
    row = RowView(1, "t", RowStatus.COMPLETE)
    for _ in range(3):
        write_page(Run("t", (row,), MADE_AT), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [PAGE]
    write_page(mixed_run(tmp_path), tmp_path)
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith(".")} == {FILE}


def test_a_page_can_be_read_by_who_may_read_the_folder(tmp_path: Path) -> None:
    """It has the permissions that files here have."""
    other = tmp_path / "other"
    other.touch()
    page = write_page(Run("t", (), MADE_AT), tmp_path)
    assert page.stat().st_mode == other.stat().st_mode


def test_a_reader_never_sees_half_a_page(tmp_path: Path) -> None:
    """While it is rebuilt again and again, every look finds a whole one."""
    run = mixed_run(tmp_path)
    page = write_page(run, tmp_path)
    waveforms = Waveforms(tmp_path)
    over = threading.Event()

    def rebuild() -> None:
        try:
            for number in range(40):
                write_page(evolve(run, title="t" * number * 1_000), tmp_path, waveforms)
        finally:
            over.set()

    writer = threading.Thread(target=rebuild)
    writer.start()
    looks = 0
    while not over.is_set():
        text = page.read_text(encoding="utf-8")
        assert text.startswith("<!doctype html>")
        assert text.rstrip().endswith("</html>")
        looks += 1
    writer.join()
    assert looks > 0


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    """The error comes; the page that was there, and nothing beside it, is still there."""
    page = write_page(Run("old", (), MADE_AT), tmp_path)

    def fail() -> None:
        with replacing(page) as temporary:
            temporary.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left"):
        fail()
    assert "<h1><bdi>old</bdi></h1>" in page.read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == [PAGE]


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    """Of one file as it is written again, of all by a sweep; never what is being written."""
    with replacing(tmp_path / PAGE) as temporary:
        stem = temporary.name[:10]
    left, elsewhere, other = (
        tmp_path / name for name in (f"{stem}00000000.part", ".abcdef01-23456789.part", ".x.part")
    )
    for path in (left, elsewhere, other):
        path.touch()

    with replacing(tmp_path / PAGE) as writing, replacing(tmp_path / "cover.png") as painting:
        write_whole(tmp_path / PAGE, b"page")
        assert not left.exists()
        assert elsewhere.exists()
        sweep(tmp_path)
        assert not elsewhere.exists()
        assert {path.name for path in tmp_path.iterdir()} == {
            *(PAGE, writing.name, painting.name, other.name)
        }

    assert {path.name for path in tmp_path.iterdir()} == {PAGE, "cover.png", other.name}


def test_the_longest_name_can_be_replaced(tmp_path: Path) -> None:
    """The temporary name does not grow with it."""
    path = tmp_path / ("x" * 255)
    write_whole(path, b"1")
    write_whole(path, b"2")
    assert path.read_bytes() == b"2"


def test_only_files_within_the_folder_are_read(tmp_path: Path) -> None:
    """A track that lies elsewhere has no waveform; a stem may lie beside the folder."""
    folder = tmp_path / "run"
    folder.mkdir()
    row = complete_row(tmp_path, 1, "t")
    tracks = tuple(evolve(track, file=f"../{track.file}") for track in row.tracks)
    stem = StemView("../stems/voice.wav")
    run = Run("t", (evolve(row, stem=stem, tracks=tracks),), MADE_AT)
    shown = data_of(write_page(run, folder).read_text(encoding="utf-8"))["rows"][0]
    assert [track["peaks"] for track in shown["tracks"]] == ["", ""]
    assert shown["stem"]["peaks"]
