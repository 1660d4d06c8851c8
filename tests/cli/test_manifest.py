"""Manifests in all their forms."""

from pathlib import Path

import pytest

from suno_async import Model
from suno_async.cli.failures import Complaint
from suno_async.cli.manifest import Row, read_manifest

COMMON = {"tags": "piano", "negative_tags": "metal", "upload_url": "https://example.com/a.wav"}


def read(folder: Path, name: str, text: str) -> list[Row]:
    """Write a manifest and read it."""
    path = folder / name
    path.write_bytes(text.encode())
    return read_manifest(path, COMMON)


def summary(rows: list[Row]) -> list[tuple[str, str]]:
    """Tell where each row stands, and its title or its problem."""
    return [(row.source, row.problem or row.title) for row in rows]


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("a.jsonl", '{"title": "A"}\n\n{"title": "B"}\n', [1, 3]),
        ("a.json", '[\n  {"title": "A"},\n\n  {\n "title": "B"}]', [2, 4]),
        ("a.txt", '[{"title": "A"}, {"title": "B"}]', [1, 1]),
        ("a.csv", 'title,tags\n"A",\n\nB,"x,\ny"\n', [2, 4]),
        ("a.CSV", "\ufefftitle;model\r\nA;V5\r\nB;\r\n", [2, 3]),
        ("a.tsv", "title\ttags\nA\tjazz\nB\t\n", [2, 3]),
    ],
)
def test_every_form_tells_the_line_of_each_row(
    tmp_path: Path, name: str, text: str, lines: list[int]
) -> None:
    """JSON Lines, an array and CSV in its dialects give the same rows, each with its line."""
    rows = read(tmp_path, name, text)
    assert summary(rows) == [
        (f"{name}:{line}", title) for line, title in zip(lines, "AB", strict=True)
    ]


def test_a_single_object_may_span_lines(tmp_path: Path) -> None:
    """One song, written over several lines, is one row."""
    rows = read(tmp_path, "a.json", '{\n  "title": "A",\n  "tags": "jazz"\n}\n')
    assert summary(rows) == [("a.json:1", "A")]


def test_bad_rows_say_why_and_spoil_no_other(tmp_path: Path) -> None:
    """Each kind of bad row has its sentence, and good ones between them stay."""
    rows = read(
        tmp_path,
        "a.jsonl",
        '{"title": "A"}\n{oops\n[1]\n{"title": "B", "stile_weight": 1}\n{"tags": "x"}\n'
        '{"title": "C", "style_weight": "high"}\n{"title": "D", "stem": "none.wav"}\n'
        '{"title": "E", "model": "V5"}\n',
    )
    problems = [row.problem or "" for row in rows]
    assert [row.title for row in rows if row.song] == ["A", "E"]
    assert problems[1].startswith("must be a JSON object (Expecting property name")
    assert problems[2] == "must be a JSON object"
    assert problems[3].startswith("field must be one of stem, upload_url, title, ")
    assert problems[3].endswith("not 'stile_weight'")
    assert problems[4] == "title is required"
    assert problems[5].startswith("style_weight must be a number")
    assert problems[6].startswith("stem must be a readable file")
    assert rows[7].song is not None
    assert rows[7].song.fields["model"] is Model.V5


def test_a_row_with_too_many_cells_is_named(tmp_path: Path) -> None:
    """A stray comma must not shift values into other fields."""
    rows = read(tmp_path, "a.csv", "title,tags\nA,jazz\nB,jazz,rock\n")
    assert summary(rows)[1] == ("a.csv:3", "has 3 cells under a header of 2")


def test_a_stem_is_relative_to_the_manifest(tmp_path: Path) -> None:
    """A row's own stem replaces the common URL, and its path starts from the manifest."""
    (tmp_path / "voice.wav").write_bytes(b"RIFF")
    rows = read(tmp_path, "a.jsonl", '{"title": "A", "stem": "voice.wav"}')
    assert rows[0].song is not None
    assert rows[0].song.stem is not None
    assert rows[0].song.stem.path == tmp_path / "voice.wav"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"title,speed\nA,1\n", "a.csv:1: field must be one of"),
        ("a.csv", b'title\n"A', "a.csv:2: must be CSV"),
        ("a.csv", b"title\n", "the manifest has no rows"),
        ("a.json", b'[{"title": "A"},\n{]', "a.json:2: must be JSON"),
        ("a.json", b"[]", "the manifest has no rows"),
        ("a.jsonl", b"\xff\xfe", "must be UTF-8 text"),
        ("a.json", b"[" * 200_000, "nested too deeply"),
    ],
)
def test_an_unreadable_manifest_is_one_sentence(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    """What is wrong with the file as a whole is said once, with the line."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Complaint) as caught:
        read_manifest(tmp_path / name, COMMON)
    assert said in str(caught.value)
