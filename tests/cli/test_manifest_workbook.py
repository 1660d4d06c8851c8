"""Excel workbooks."""

import io
import sys
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_async.cli.failures import Complaint

from .manifests import read, reasons, summary, titles

openpyxl: Any = pytest.importorskip("openpyxl", reason="the extra `cli` brings it")


def workbook(*rows: list[Any], more: Callable[[Any], object] | None = None) -> bytes:
    """Make a workbook of one sheet; `more` does something to it."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    if more is not None:
        more(book)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def changed(content: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    """Change one part of a workbook."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for part in old.namelist():
            data = old.read(part)
            new.writestr(part, change(data) if part == name else data)
    return file.getvalue()


SHEET = "xl/worksheets/sheet1.xml"


def test_rows_are_told_by_their_number(tmp_path: Path) -> None:
    """The header is the first row that is not blank; rows have the sheet's own numbers."""
    content = workbook(
        [],
        ["Title", "Negative Tags", "Style Weight", None, "BPM"],
        [],
        ["A", "x", 0.29, None, 90],
        [None, " "],
        ["B"],
    )
    manifest = read(tmp_path, "a.xlsx", content)
    assert summary(manifest) == [("a.xlsx:4", "A"), ("a.xlsx:6", "B")]
    assert manifest.rows[0].song.fields["style_weight"] == 0.29
    assert manifest.rows[0].song.fields["negative_tags"] == "x"
    assert manifest.rows[0].extra == {"BPM": "90"}


def test_cells_of_every_kind(tmp_path: Path) -> None:
    """Numbers are text where text is wanted; what a date shows depends on its format: refused."""
    rows: list[list[Any]] = [
        ["title", "tags", "audio weight", "free"],
        [1999, 1.5, "0,5", datetime(2024, 5, 1, 2, 3)],
        ["A\u2028B", 7.0, 1, date(2024, 5, 1)],
        ["C", None, None, time(1, 2)],
        ["D", None, None, timedelta(hours=30)],
        ["E", None, None, True],
        [date(2024, 5, 1), None, None, None],
        [True, None, None, None],
        ["F", None, True, None],
        ["G", None, date(2024, 5, 1), None],
        ["H", None, 0.295, None],
    ]
    manifest = read(tmp_path, "a.xlsx", workbook(*rows))
    assert titles(manifest) == ["1999", "A\u2028B", "C", "D", "E"]
    assert [row.song.fields["tags"] for row in manifest.rows][:2] == ["1.5", "7"]
    assert [row.song.fields.get("audio_weight") for row in manifest.rows][:3] == [0.5, 1, None]
    assert [row.extra["free"] for row in manifest.rows] == [
        "2024-05-01 02:03:00",
        "2024-05-01",
        "01:02:00",
        "1 day, 6:00:00",
        "true",
    ]
    assert [problem.line for problem in manifest.problems] == [7, 8, 9, 10, 11]
    dated, yes, *weights = reasons(manifest)
    assert (
        dated == "title must be text, and the cell holds a date or a time (format the cell as text)"
    )
    assert yes.startswith("title must be text, and the cell holds yes or no")
    assert all(reason.startswith("audio_weight must be a number") for reason in weights)


def test_formulas_count_by_their_results(tmp_path: Path) -> None:
    """A result is a value; a formula without one, or with an error, is no empty cell."""
    content = workbook(
        ["title", "tags", "free"], ["=B2", "x", 1], ["=B3", "x", 1], ["C", "x", "=1/0"]
    )
    with_result = changed(
        content,
        SHEET,
        lambda xml: xml.replace(
            b'<c r="A2"><f>B2</f><v />', b'<c r="A2" t="str"><f>B2</f><v>A</v>'
        ),
    )
    manifest = read(tmp_path, "a.xlsx", with_result)
    assert titles(manifest) == ["A", "C"]
    assert manifest.rows[1].extra["free"].startswith("a formula without its result in C4")
    (reason,) = reasons(manifest)
    assert reason.startswith(
        "title must be a value, and the cell holds a formula without its result in A3"
    )
    manifest = read(tmp_path, "a.xlsx", workbook(["title", "tags"], ["A", "#N/A"], ["B", None]))
    assert titles(manifest) == ["B"]
    assert reasons(manifest) == ["tags must be a value, and the cell holds the error #N/A in B2"]


def test_the_first_visible_sheet_is_read(tmp_path: Path) -> None:
    """The others are named, since their songs are not made."""

    def add_sheets(book: Any) -> None:
        book.active.title = "Songs"
        book.create_sheet("Old").append(["title"])
        book.create_sheet("Hidden", 0).sheet_state = "hidden"
        book.create_chartsheet("Chart", 0).add_chart(openpyxl.chart.BarChart())

    manifest = read(tmp_path, "a.xlsx", workbook(["title"], ["A"], more=add_sheets))
    assert titles(manifest) == ["A"]
    assert manifest.notes == ("of its sheets 'Songs' is read, and not 'Hidden', 'Old'",)


def test_a_stray_cell_far_away_costs_nothing(tmp_path: Path) -> None:
    """Neither a cell in the last corner nor a false size makes a table of billions."""

    def far(book: Any) -> None:
        book.active["XFD20000"] = "x"

    content = workbook(["title"], ["A"], more=far)
    huge = changed(
        content, SHEET, lambda xml: xml.replace(b'ref="A1:XFD20000"', b'ref="A1:XFD1048576"')
    )
    assert huge != content
    manifest = read(tmp_path, "a.xlsx", huge)
    assert summary(manifest) == [
        ("a.xlsx:2", "A"),
        ("a.xlsx:20000", "has 16384 cells under a header of 1"),
    ]


def zeros(name: str) -> bytes:
    """Make a file of a megabyte or so that unpacks to far more."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed, packed.open(name, "w") as part:
        for _ in range(257):
            part.write(bytes(1024**2))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "must be an Excel workbook without a password (.xlsx)"),
        (b"title\nA\n", "must be an Excel workbook without a password (.xlsx)"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "must be an Excel workbook without"),
        (workbook(), "the manifest has no rows"),
        (workbook(["title"]), "the manifest has no rows"),
        (workbook(["title", "Title "], ["A", "B"]), "a.xlsx:1: two columns are the field title"),
        (workbook(["A"], ["B"]), "a.xlsx:1: the header must name a field"),
        (changed(workbook(["title"], ["A"]), SHEET, lambda xml: xml[:-40]), "must be an Excel"),
        (
            changed(workbook(["title"], ["A"]), "xl/workbook.xml", lambda _: b"<"),
            "must be an Excel",
        ),
    ],
)
def test_an_unreadable_workbook_is_one_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    """Whatever is wrong with the file as a whole is said once."""
    check_that_it_is_one_sentence(tmp_path, content, said)


def test_a_workbook_that_unpacks_to_far_more_is_not_unpacked(tmp_path: Path) -> None:
    """It is refused by its size."""
    check_that_it_is_one_sentence(tmp_path, zeros("xl/workbook.xml"), "has at most 256 MB")


def check_that_it_is_one_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    """Read it, and be refused."""
    with pytest.raises(Complaint) as caught:
        read(tmp_path, "a.xlsx", content)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.data())
def test_a_damaged_workbook_is_read_or_complained_about(data: st.DataObject) -> None:
    """Whatever became of its parts, there are rows, problems, or one complaint."""
    content = workbook(["title", "n"], ["A", 1], ["=B2", date(2024, 5, 1)])
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        name = data.draw(st.sampled_from(packed.namelist()))
        size = len(packed.read(name))
    begin, length = data.draw(st.integers(0, size)), data.draw(st.integers(0, 40))
    junk = data.draw(st.sampled_from([b"", b"<", b'"', b"0", b"\0", b"<c/>", b"9999999"]))
    damaged = changed(content, name, lambda part: part[:begin] + junk + part[begin + length :])
    with tempfile.TemporaryDirectory() as folder, suppress(Complaint):
        assert read(Path(folder), "a.xlsx", damaged).all_rows()


def test_a_missing_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a workbook needs it."""
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    assert titles(read(tmp_path, "a.csv", "title\nA\n")) == ["A"]
    with pytest.raises(Complaint, match=r"needs openpyxl: pip install 'suno-async\[cli\]'"):
        read(tmp_path, "a.xlsx", b"")
