"""CSV and TSV, in every dialect that a spreadsheet or Python writes."""

import codecs
import csv
import io
import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_async.cli.failures import Complaint
from suno_async.cli.manifest import Manifest

from .manifests import read, reasons, summary, titles

HEADER = ("Title", "tags", "Negative Tags", "Catalogue No", "notes")
URL = {"upload_url": "https://example.com/a.wav"}
# a NUL is no text, and surrogates are no characters
CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
NASTY = st.sampled_from(
    ['"', '""', ",", ";", "\t", "\r\n", "\n", "\r", "\u2028", "\x85", "\f\v", "'", "\\", " x "]
)
CELL = st.lists(CELLS | NASTY, max_size=4).map("".join)
MARKED = {
    "utf-8": b"",
    "utf-8-sig": b"",
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
}


def written(rows: list[list[str]], delimiter: str, quote_all: bool, terminator: str) -> str:
    """Write a table with Python's csv."""
    # before Python 3.13, csv leaves the other half of a line's end without quotation marks
    half = {"\n": "\r", "\r": "\n"}.get(terminator, "\0")
    quote_all = quote_all or any(half in cell for row in rows for cell in row)
    file = io.StringIO(newline="")
    quoting: Literal[0, 1] = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    writer = csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator=terminator)
    writer.writerows([HEADER, *rows])
    return file.getvalue()


def cells(manifest: Manifest) -> list[list[str]]:
    """Collect the cells of all rows: fields lose the space around them, other columns nothing."""
    return [
        [
            row.title,
            row.song.fields["tags"],
            row.song.fields["negative_tags"],
            row.extra.get("Catalogue No", ""),
            row.extra.get("notes", ""),
        ]
        for row in manifest.rows
    ]


@given(
    rows=st.lists(
        st.tuples(*[CELL.filter(str.strip)] * 3, CELL, CELL).map(list), min_size=1, max_size=6
    ),
    delimiter=st.sampled_from(",;\t"),
    quote_all=st.booleans(),
    terminator=st.sampled_from(["\r\n", "\n", "\r"]),
    encoding=st.sampled_from(list(MARKED)),
    ending=st.sampled_from([".csv", ".tsv"]),
)
def test_what_csv_writes_is_read_back_equal(
    rows: list[list[str]],
    delimiter: str,
    quote_all: bool,
    terminator: str,
    encoding: str,
    ending: str,
) -> None:
    """Any cells, in any dialect and encoding, whatever stands inside them."""
    text = written(rows, delimiter, quote_all, terminator)
    content = MARKED[encoding] + text.encode(encoding)
    with tempfile.TemporaryDirectory() as folder:
        manifest = read(Path(folder), f"a{ending}", content, URL)
    assert manifest.problems == ()
    blank = [[cell if cell.strip() else "" for cell in row] for row in rows]
    assert cells(manifest) == [[*map(str.strip, row[:3]), *row[3:]] for row in blank]


@given(
    text=st.lists(CELLS | NASTY | st.sampled_from(["title", "tags,", "\nA,b\n"]), max_size=30).map(
        "".join
    ),
    ending=st.sampled_from([".csv", ".json", ".jsonl", ".toml", ".txt"]),
)
def test_any_text_is_read_or_complained_about(text: str, ending: str) -> None:
    """Whatever a file holds, there are rows, problems, or one complaint."""
    with tempfile.TemporaryDirectory() as folder, suppress(Complaint):
        assert read(Path(folder), f"a{ending}", text).all_rows()


def test_the_cases_seen_in_real_life(tmp_path: Path) -> None:
    """A line separator in a cell; headers as people write them."""
    case = '{"text": "title,tags,negative_tags\\nA,\\"folk\\u2028quiet\\",metal\\n"}'
    (row,) = read(tmp_path, "a.csv", json.loads(case)["text"], URL).rows
    assert row.song.fields["tags"] == "folk\u2028quiet"
    manifest = read(tmp_path, "a.csv", "Title;Tags;Negative Tags;BPM\nA;folk;metal;90\n", URL)
    assert cells(manifest) == [["A", "folk", "metal", "", ""]]
    assert manifest.rows[0].extra == {"BPM": "90"}


@pytest.mark.parametrize(
    "separator", ["\u2028", "\u2029", "\x85", "\f", "\v", "\x1c", "\r\n", "\n"]
)
def test_a_separator_inside_a_cell_is_text(tmp_path: Path, separator: str) -> None:
    """It ends no row, and the lines of later rows are those that an editor counts."""
    lines = 1 + separator.count("\n")
    manifest = read(tmp_path, "a.csv", f'title,n\n"A{separator}B",1\nC,2\n')
    assert titles(manifest) == [f"A{separator}B", "C"]
    assert [row.line for row in manifest.rows] == [2, 2 + lines]


def test_a_row_with_too_many_cells_is_named(tmp_path: Path) -> None:
    """A stray comma must not shift values into other fields; empty cells at the end are nothing."""
    manifest = read(tmp_path, "a.csv", "title,tags\nA,jazz\nB,jazz,rock\nC,x,,\nD\n")
    assert titles(manifest) == ["A", "C", "D"]
    assert summary(manifest)[1] == ("a.csv:3", "has 3 cells under a header of 2")


def test_a_broken_quotation_is_one_bad_row(tmp_path: Path) -> None:
    """Where the quotation marks of its line are whole, the next line is a row again."""
    manifest = read(tmp_path, "a.csv", 'title,tags\n"A"x,jazz\n"say ""hi""",x\n"B" c,"d"\nE,f\n')
    assert titles(manifest) == ['say "hi"', "E"]
    assert [problem.line for problem in manifest.problems] == [2, 4]
    assert reasons(manifest)[0] == "must be CSV (',' expected after '\"')"


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ('"She said "hi" to\nme, and you, then", folk\nC,d\n', "',' expected after"),
        ('"open,folk\nC,d\n', "a quotation mark that opens here is never closed"),
        (f'"{"x" * 140_000}\nC,d\n', "field larger than field limit"),
    ],
)
def test_the_rest_of_a_broken_cell_is_never_taken_for_rows(
    tmp_path: Path, rows: str, reason: str
) -> None:
    """Nobody pays for the second line of a text: behind an open quotation mark nothing is read."""
    manifest = read(tmp_path, "a.csv", f"title,tags\nA,jazz\n{rows}")
    assert titles(manifest) == ["A"]
    (problem,) = manifest.problems
    assert problem.line == 3
    assert reason in problem.reason
    assert problem.reason.endswith("no row behind it is read")


@pytest.mark.parametrize(
    ("text", "extra"),
    [
        ("title;note\nA;1,2,3,4\n", "1,2,3,4"),
        ("title,note\nA,1;2;3;4;5\n", "1;2;3;4;5"),
        ("title\tnote\nA\t1,2;3\n", "1,2;3"),
        ('"title","note, or remark; or both"\nA,x\n', "x"),
        ('"note\nof; many","title"\nx,A\n', "x"),
        ("\n\n;;\ntitle;note\nA;x\n", "x"),
        ("sep=;\ntitle;note\nA;x\n", "x"),
        ('"sep=\t"\r\ntitle\tnote\r\nA\tx\r\n', "x"),
    ],
)
def test_the_delimiter_is_the_headers(tmp_path: Path, text: str, extra: str) -> None:
    """Cells have no say in it, nor what stands inside quotation marks."""
    manifest = read(tmp_path, "a.csv", text)
    assert titles(manifest) == ["A"]
    assert list(manifest.rows[0].extra.values()) == [extra]
    assert manifest.rows[0].line == text.rstrip().count("\n") + 1


def test_columns_without_a_name_are_kept(tmp_path: Path) -> None:
    """Several of them are no repetition; those that are empty are nothing."""
    manifest = read(tmp_path, "a.csv", "title,,\nA,,x\nB,,\n")
    assert [dict(row.extra) for row in manifest.rows] == [{"column 3": "x"}, {}]
    assert manifest.notes == ("columns that are no fields are kept and not sent: 'column 3'",)


@pytest.mark.parametrize(
    ("cell", "weight"),
    [("0,5", 0.5), ("0.5", 0.5), (" ,25 ", 0.25), ("1", 1), ("1,", 1), ("5E-01", 0.5), ("+0", 0)],
)
def test_numbers_have_a_point_or_a_comma(tmp_path: Path, cell: str, weight: float) -> None:
    """No weight has thousands, so a comma is always a decimal one."""
    manifest = read(tmp_path, "a.csv", f"title;style weight\nA;{cell}\n")
    assert manifest.rows[0].song.fields["style_weight"] == weight


@pytest.mark.parametrize(
    "cell", ["50 %", "0,3,3", "1.000,5", "nan", "inf", "\u0660", "1_0", "9" * 5000, "1e999"]
)
def test_what_is_no_number_is_refused(tmp_path: Path, cell: str) -> None:
    """It is named, and not guessed."""
    manifest = read(tmp_path, "a.csv", f"title;Style Weight\nA;{cell}\nB;\n")
    assert titles(manifest) == ["B"]
    assert manifest.problems[0].column == "Style Weight"
    assert reasons(manifest)[0].startswith("style_weight must be a number from 0 to 1")
    assert len(reasons(manifest)[0]) < 200
