"""`tracks.csv` tells which row became which files, and no cell of it is a formula."""

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_async import Track
from suno_async.cli import page
from suno_async.cli.board import Board, Entry, SavedTrack, State
from suno_async.cli.manifest import read_manifest
from suno_async.cli.songs import make_song
from suno_async.cli.tracks_table import (
    COLUMNS,
    FORMULA,
    GAP,
    NAME,
    cell,
    tracks_csv,
    write_tracks,
)

openpyxl: Any = pytest.importorskip("openpyxl", reason="the extra `cli` brings it")

OUT = Path("out")
URL = "https://stems.example/voice.wav"
ASKED = {"title": "One", "tags": "piano", "negative_tags": "", "upload_url": URL, "model": "V5"}


def read(text: str) -> list[dict[str, str]]:
    """Read a table as scripts do."""
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def saved(letter: str, number: int = 1) -> SavedTrack:
    """Make a track on disk."""
    track = Track(id=f"id-{letter}", duration=187.25, model_name="chirp", tags="sung")
    return SavedTrack(OUT / "takes" / f"{number:02} One - {letter}.mp3", track, letter)


def test_every_file_has_a_line_and_so_has_a_row_without(tmp_path: Path) -> None:
    """The columns are filled with what is known; paths start from the folder."""
    song = make_song(ASKED, Path())
    board = Board(
        [
            Entry(
                "One",
                number=4,
                line=7,
                song=song,
                state=State.SAVED,
                task_id="t",
                tracks=[saved("B"), saved("A")],
            ),
            Entry("Two", state=State.FAILED, problem="out of credits"),
            Entry("Three", doubt="no answer came"),
        ]
    )
    one, other, two, three = read(tracks_csv(board, OUT))
    assert list(one) == list(COLUMNS)
    assert one == {
        "row": "4",
        "line": "7",
        "title": "One",
        "state": "saved",
        "track": "A",
        "file": "takes/01 One - A.mp3",
        "duration": "187.25",
        "task_id": "t",
        "track_id": "id-A",
        "model": "V5",
        "tags": "piano",
        "stem": URL,
        "reason": "",
    }
    assert (other["track"], other["file"]) == ("B", "takes/01 One - B.mp3")
    assert (two["row"], two["state"], two["reason"]) == ("2", "failed", "out of credits")
    assert (three["row"], three["state"], three["reason"]) == ("3", "uncertain", "no answer came")
    assert (two["file"], two["track"], two["stem"]) == ("", "", "")


def test_a_stem_on_disk_is_named_by_its_path(tmp_path: Path) -> None:
    """A row that uploads says which file; what the service chose is shown where nobody asked."""
    stem = tmp_path / "voice.mp3"
    stem.write_bytes(b"ID3" + bytes(100))
    asked = {"title": "One", "tags": "piano", "negative_tags": "", "stem": str(stem)}
    board = Board(
        [
            Entry("One", song=make_song(asked, Path()), tracks=[saved("A")]),
            Entry("Fetched", tracks=[saved("A", 2)]),
        ]
    )
    one, fetched = read(tracks_csv(board, OUT))
    assert (one["stem"], one["model"], one["tags"]) == (str(stem), "chirp", "piano")
    assert (fetched["stem"], fetched["model"], fetched["tags"]) == ("", "chirp", "sung")


def test_the_manifests_columns_come_behind_under_names_of_their_own() -> None:
    """A column that is called like one of the table's, or like another, is named apart."""
    rows = [{"Album": "a", "FILE": "b", "row": "c"}, {"album": "d", "": "e", "Row": "f"}]
    board = Board([Entry(str(n), extra=extra) for n, extra in enumerate(rows)])
    one, two = read(tracks_csv(board, OUT))
    further = list(one)[len(COLUMNS) :]
    assert further == [
        "Album",
        "FILE (manifest)",
        "row (manifest)",
        "album (manifest)",
        "(manifest)",
        "Row (manifest 2)",
    ]
    assert [one[name] for name in further] == ["a", "b", "c", "", "", ""]
    assert [two[name] for name in further] == ["", "", "", "d", "e", "f"]


def test_the_file_is_what_spreadsheets_and_scripts_read(tmp_path: Path) -> None:
    """UTF-8 with a byte order mark, lines end in CR LF; written again, it is replaced."""
    (tmp_path / NAME).write_text("old")
    write_tracks(Board([Entry("Häfen 🚢\nand, sea")]), tmp_path)
    data = (tmp_path / NAME).read_bytes()
    assert data.startswith(b"\xef\xbb\xbfrow,line,title,")
    assert data.count(b"\r\n") == 2
    with (tmp_path / NAME).open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["title"] == "Häfen 🚢\nand, sea"
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_the_table_can_be_a_manifest(tmp_path: Path) -> None:
    """What a spreadsheet reads, the command reads too: the rows' titles and tags come back."""
    titles = ["One; two", 'say "no"', "a\tb", "a\nb"]
    rows = [Entry(title, song=make_song({**ASKED, "title": title}, Path())) for title in titles]
    write_tracks(Board(rows), tmp_path)
    common = {"negative_tags": "", "upload_url": URL}
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes().replace(b",stem,", b",from,", 1))
    listed = read_manifest(path, common)
    assert [row.title for row in listed.rows] == titles
    assert not listed.problems


# the same as the page's export has to stand: tests/page/test_choosing.py
FORMULAS = (
    "=HYPERLINK(1)",
    "+1",
    "-1",
    "@SUM(1)",
    "\n",
    "  =1",
    "\u3000=1",
    "\ufeff=1",
    "\uff1d1",
    "\uff0b1",
    '="a","b"',
    "=cmd|' /C calc'!A0",
)
PLAIN = ("plain; text", 'a "quote", a comma\nand a line', "'quoted'", " x ", "1-1", "a=b", "\\=1")


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula(text: str) -> None:
    """What a spreadsheet would calculate begins with an apostrophe, in every column."""
    board = Board([Entry(text, task_id=text, problem=text, extra={text: text})])
    (row,) = read(tracks_csv(board, OUT))
    cells = [row["title"], row["task_id"], row["reason"], row[f"'{text}"]]
    assert cells == [f"'{text}"] * 4


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("\t=1", "'\t'=1"),
        ("\r=1", "'\r'=1"),
        ("a;=cmd|' /C calc'!A0;b", "a;'=cmd|' /C calc'!A0;b"),
        ("rock; -drums", "rock; '-drums"),
        ("a\n=1+1;", "a\n'=1+1;"),
        ("a\tb\t@SUM(1)", "a\tb\t'@SUM(1)"),
    ],
)
def test_no_part_of_a_cell_is_a_formula(text: str, written: str) -> None:
    """A spreadsheet that takes semicolons or tabs for the end of a cell calculates nothing."""
    (row,) = read(tracks_csv(Board([Entry(text)]), OUT))
    assert row["title"] == written
    line = f"1,{cell(text)},x"
    parts = [part for each in line.splitlines() for part in re.split("[;\t]", each)]
    assert not any(FORMULA.match(part) for part in parts)


@pytest.mark.parametrize("text", PLAIN)
def test_all_else_comes_back_as_it_was(text: str) -> None:
    """Commas, quotation marks, lines and spaces are the cell's own."""
    (row,) = read(tracks_csv(Board([Entry(text)]), OUT))
    assert row["title"] == text


def test_a_title_in_front_of_the_number_is_no_formula() -> None:
    """A file that is called like a formula is text as well."""
    track = SavedTrack(OUT / "=1 - 01 - A.mp3")
    (row,) = read(tracks_csv(Board([Entry("x", tracks=[track])]), OUT))
    assert row["file"] == "'=1 - 01 - A.mp3"


def test_the_pages_export_has_the_same_rules() -> None:
    """What counts as a formula is told by the same patterns, written in two languages."""
    script = Path(str(page.__file__)).parent / "assets" / "marks.js"
    text = script.read_text(encoding="utf-8")
    for name, pattern in (("FORMULA", FORMULA), ("GAP", GAP)):
        written = re.search(rf"^const {name} = /(.*)/g?;$", text, re.MULTILINE)
        assert written is not None
        assert written[1] == pattern.pattern


def test_a_cell_is_no_longer_than_a_spreadsheet_takes() -> None:
    """What is longer than Excel's 32,767 characters ends in an ellipsis."""
    (row,) = read(tracks_csv(Board([Entry("x" * 100_000)]), OUT))
    assert len(row["title"]) == 32_767
    assert row["title"].endswith("x…")


@given(st.text(st.characters(codec=None), max_size=200))
def test_any_text_is_one_cell(text: str) -> None:
    """Whatever it is: readable by csv under each usual delimiter, and fit for a workbook."""
    written = cell(text)
    written.encode()
    for delimiter in ",;\t":
        line = f"{delimiter.join([written, 'x', written])}\r\n"
        reader = csv.reader(io.StringIO(line, newline=""), delimiter=delimiter, strict=True)
        ((one, _, two),) = reader
        assert one == two
    assert not FORMULA.match(one)
    openpyxl.Workbook().create_sheet().append([one])
