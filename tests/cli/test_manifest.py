"""Manifests in all their forms: what rows, problems and notes they give."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from suno_async import Model
from suno_async.cli.failures import Complaint
from suno_async.cli.manifest import read_manifest
from suno_async.cli.manifest.content import MAX_BYTES
from suno_async.cli.manifest.table import MAX_ROWS

from .manifests import COMMON, read, reasons, summary, titles

TOML = '[[songs]]\ntitle = "A"\n\n[[ "songs" ]]\ntitle = "B"\n'


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("a.jsonl", '{"title": "A"}\n\n{"title": "B"}\n', [1, 3]),
        ("a.ndjson", '{"title": "A"}\r\n{"title": "B"}', [1, 2]),
        ("a.json", '[\n  {"title": "A"},\n\n  {\n "title": "B"}]', [2, 4]),
        ("a.json", '{"v": 1,\n "songs" : [\n{"title": "A"},\n{"title": "B"}]}', [3, 4]),
        ("a.json", '{"title": "A"}\n{"title": "B"}\n', [1, 2]),
        ("a.txt", '[{"title": "A"}, {"title": "B"}]', [1, 1]),
        ("a.csv", 'title,tags\n"A",\n\nB,"x,\ny"\n', [2, 4]),
        ("a.CSV", "\ufefftitle;model\r\nA;V5\r\nB;\r\n", [2, 3]),
        ("a.csv", "title\rA\rB\r", [2, 3]),
        ("a.tsv", "title\ttags\nA\tjazz\nB\t\n", [2, 3]),
        ("a.toml", TOML, [1, 4]),
    ],
)
def test_every_form_tells_the_line_of_each_row(
    tmp_path: Path, name: str, text: str, lines: list[int]
) -> None:
    """All forms give the same rows, each with the line where it begins."""
    manifest = read(tmp_path, name, text)
    assert summary(manifest) == [
        (f"{name}:{line}", title) for line, title in zip(lines, "AB", strict=True)
    ]
    assert [row.line for row in manifest.rows] == lines


def test_a_single_object_may_span_lines(tmp_path: Path) -> None:
    """One song, written over several lines, is one row."""
    rows = read(tmp_path, "a.json", '\n{\n  "title": "A",\n  "tags": ["jazz"]\n}\n')
    assert summary(rows)[0][0] == "a.json:2"
    assert summary(read(tmp_path, "a.toml", 'title = "A"\n')) == [("a.toml:1", "A")]


def test_bad_rows_say_why_and_spoil_no_other(tmp_path: Path) -> None:
    """Each kind of bad row has its sentence and column, and good ones between them stay."""
    manifest = read(
        tmp_path,
        "a.jsonl",
        '{"title": "A"}\n{oops\n[1]\n{"tags": "x"}\n'
        '{"title": "C", "Style Weight": "high"}\n{"title": "D", "stem": "none.wav"}\n'
        '{"title": "E", "model": "V5"}\n{"title": "F", "style_weight": 0.333}\n',
    )
    assert titles(manifest) == ["A", "E"]
    assert manifest.rows[1].song.fields["model"] is Model.V5
    begin = [
        (2, None, "must be a JSON object (Expecting property name"),
        (3, None, "must be a JSON object"),
        (4, "title", "title is required"),
        (5, "Style Weight", "style_weight must be a number"),
        (6, "stem", "stem must be a readable file (No such file or directory)"),
        (8, "style_weight", "style_weight must be a number from 0 to 1 with at most two"),
    ]
    for problem, (line, column, reason) in zip(manifest.problems, begin, strict=True):
        assert (problem.line, problem.column) == (line, column)
        assert problem.reason.startswith(reason)
    assert [problem.title for problem in manifest.problems] == [None, None, None, "C", "D", "F"]
    assert [row.position for row in manifest.all_rows()] == list(range(8))


@pytest.mark.parametrize(
    "header",
    [
        "Negative Tags",
        "negativeTags",
        "negative_tags",
        "NEGATIVE-TAGS",
        " negative  tags ",
        "\ufeffnegativetags",
    ],
)
def test_headers_are_matched_as_people_write_them(tmp_path: Path, header: str) -> None:
    """Case, spaces, hyphens and underscores make no difference."""
    manifest = read(tmp_path, "a.csv", f"Title;{header};upload url\nA;drums;https://a.example/b\n")
    assert manifest.rows[0].song.fields == {
        "title": "A",
        "tags": "piano",
        "negative_tags": "drums",
        "upload_url": "https://a.example/b",
    }
    assert manifest.notes == ()


def test_unknown_columns_are_kept_and_told_once(tmp_path: Path) -> None:
    """They are part of the row, not of what is asked for; a likely slip is pointed out."""
    manifest = read(
        tmp_path,
        "a.jsonl",
        '{"title": "A", "BPM": 90, "stile_weight": 1, "ok": true, "x": {"y": [1.5]}}\n'
        '{"title": "B", "BPM": "fast", "none": null}\n',
    )
    assert manifest.rows[0].extra == {
        "BPM": "90",
        "stile_weight": "1",
        "ok": "true",
        "x": '{"y": [1.5]}',
    }
    assert manifest.rows[1].extra == {"BPM": "fast"}
    (note,) = manifest.notes
    assert note.startswith("columns that are no fields are kept and not sent: 'BPM', ")
    assert note.endswith("'stile_weight' (is it style_weight?), 'ok', 'x'")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("title,Tags,tags", "two columns are the field tags: 'Tags' and 'tags'"),
        ("title,negativeTags,Negative Tags", "two columns are the field negative_tags: "),
        ("title,BPM,bpm ", "two columns are the same column: 'BPM' and 'bpm '"),
    ],
)
def test_duplicated_columns_are_named(tmp_path: Path, header: str, said: str) -> None:
    """A column twice, by one spelling or two, is refused: which one counts cannot be known."""
    with pytest.raises(Complaint) as caught:
        read(tmp_path, "a.csv", f"{header}\nA,x,y\n")
    assert str(caught.value).startswith(f"a.csv:1: {said}")


@pytest.mark.parametrize(
    "row", ['{"title": "A", "title": "B"}', '{"title": "A", "Title": "B"}', '{"b": 1, "B": 1}']
)
def test_a_member_twice_is_a_problem_of_its_row(tmp_path: Path, row: str) -> None:
    """JSON takes the last of two in silence; here the row is refused, and the next is read."""
    manifest = read(tmp_path, "a.jsonl", f'{row}\n{{"title": "C"}}\n')
    assert titles(manifest) == ["C"]
    assert reasons(manifest)[0].startswith("two columns are the ")


def test_equal_rows_are_numbered_and_told(tmp_path: Path) -> None:
    """Rows that ask for the same have one content key and keys of their own."""
    text = '{"title": "A", "take": 1}\n{"title": "B"}\n{"title": "A", "take": 2}\n{"bad": 1}\n'
    manifest = read(tmp_path, "a.jsonl", text)
    first, other, second = manifest.rows
    assert first.content_key == second.content_key != other.content_key
    assert [row.key for row in manifest.rows] == [
        f"{first.content_key}-1",
        f"{other.content_key}-1",
        f"{first.content_key}-2",
    ]
    assert "lines 1, 3 ask for the same: each is made, and paid for" in manifest.notes


def test_a_content_key_stays_what_it_is(tmp_path: Path) -> None:
    """Stored runs know their rows by it: it must not change with versions, forms or spelling."""
    row = {"title": "A", "tags": "piano", "negative_tags": "", "audio_weight": "1"}
    header, cells = ";".join(row).upper(), ";".join(row.values())
    url = "https://example.com/a.wav"
    texts = {
        "a.csv": f"{header};upload url;note\n{cells};{url};x\n",
        "a.json": json.dumps([{**row, "audio_weight": 1.0, "uploadUrl": url, "note": [1]}]),
        "a.toml": f'callback_url = "https://a.example"\n[[s]]\nuploadUrl = "{url}"\n'
        'title = "A"\ntags = "piano"\naudio_weight = 1\n',
    }
    keys = {
        read(tmp_path, name, text, {"negative_tags": ""}).rows[0].content_key
        for name, text in texts.items()
    }
    assert keys == {"9d69ac4fc8ae97f6c0aa407472289993"}


def test_a_stem_is_relative_to_the_manifest_and_known_by_its_content(tmp_path: Path) -> None:
    """A row's own stem replaces the common URL; where it lies is no part of the row's key."""
    (tmp_path / "deep").mkdir()
    for name in ("voice.wav", "deep/copy.wav"):
        (tmp_path / name).write_bytes(b"RIFF....WAVE")
    (tmp_path / "other.wav").write_bytes(b"RIFF....WAVEfmt")
    text = "".join(
        f'{{"title": "A", "stem": "{name}"}}\n'
        for name in ("voice.wav", "./deep/copy.wav", "other.wav")
    )
    rows = read(tmp_path, "a.jsonl", text).rows
    stems = [row.song.stem for row in rows]
    assert all(stem is not None and stem.path.parent.is_relative_to(tmp_path) for stem in stems)
    assert rows[0].content_key == rows[1].content_key != rows[2].content_key
    assert "upload_url" not in rows[0].song.fields
    request = rows[0].song.request("https://files.example/1")
    assert request.upload_url == "https://files.example/1"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('{"stem": "a.wav", "upload_url": "https://a.example"}', "stem or upload_url is required"),
        ("{}", "stem or upload_url is required"),
        ('{"stem": "~nosuchuser/a.wav"}', "stem must not start from an unknown user's home"),
        (r'{"stem": "\ud800.wav"}', "stem must be a path that a file can have"),
        (r'{"stem": "a\u0000.wav"}', "stem must be the path of a file"),
        ('{"stem": "https://a.example/b.wav"}', "stem must be the path of a file; a URL is an"),
        ('{"stem": 7}', "stem must be the path of a file"),
        (r'{"title": "\ud800", "upload_url": "https://a.example"}', "title must be text that UTF"),
        ('{"upload_url": "http://a..b"}', "upload_url must be an http or https URL with a host"),
        ('{"upload_url": "https://a.example", "audio_weight": %s}' % ("9" * 5000), "audio_weight"),
        (
            '{"upload_url": "https://a.example", "audio_weight": NaN}',
            "audio_weight must be a number",
        ),
        (
            '{"upload_url": "https://a.example", "tags": "%s"}' % ("x" * 100_001),
            "tags must have at most",
        ),
        (
            '{"upload_url": "https://a.example", "bpm": "%s"}' % ("x" * 100_001),
            "bpm must have at most",
        ),
    ],
)
def test_an_impossible_value_is_a_problem_of_its_row(tmp_path: Path, row: str, said: str) -> None:
    """Whatever stands in a row, it is one short sentence, and the next row is read."""
    defaults = {"title": "A", "tags": "piano", "negative_tags": ""}
    text = row + '\n{"upload_url": "https://a.example"}\n'
    manifest = read(tmp_path, "a.jsonl", text, defaults)
    assert [row.line for row in manifest.rows] == [2]
    assert len(reasons(manifest)[0]) < 250
    assert reasons(manifest)[0].startswith(said)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b'title,"A', "a.csv:1: must be CSV (a quotation mark that opens here"),
        (
            "a.csv",
            b"A;piano\nB;folk\n",
            "a.csv:1: the header must name a field: stem, upload_url, ",
        ),
        ("a.csv", b"title\n", "a.csv: the manifest has no rows"),
        ("a.csv", b"", "a.csv: the manifest has no rows"),
        ("a.json", b'[{"title": "A"},\n{]', "a.json:2: must be JSON"),
        ("a.json", b'{"title": "A",\n"tags": }\n', "a.json:2: must be JSON"),
        ("a.json", b"[]", "a.json: the manifest has no rows"),
        ("a.json", b'{"songs": []}', "a.json: the manifest has no rows"),
        ("a.json", b'{"a": [{}], "b": [{}]}', "a.json: has several lists of rows: 'a', 'b'"),
        ("a.json", b'{"tags": "x", "Tags": "y", "b": [{}]}', "a.json: two columns are the field"),
        ("a.jsonl", b"\xff\xfe", "a.jsonl: the manifest has no rows"),
        ("a.json", b"[" * 200_000, "nested too deeply"),
        ("a.toml", b"[" * 200_000, "a.toml: "),
        ("a.toml", b"a = \n", "a.toml: must be TOML (Invalid value (at line 1, column 5))"),
        ("a.toml", b"a = " + b"9" * 5000, "a.toml: must be TOML (Exceeds the limit"),
        ("a.doc", b"title\nA\n", "the name of a manifest ends in one of .csv, .tsv, "),
        (
            "a.csv",
            b"title\nA\nB\xe9\n",
            "a.csv:3: byte 10 (0xE9) is no UTF-8: save it as UTF-8, or",
        ),
        ("a.csv", b"\xff\xfet\0\n\0\xff", "a.csv:2: byte 7 (0xFF) is no UTF-16-LE: "),
        ("a.csv", b"t\0i\0\n\0", "a.csv:1: a NUL is no text"),
    ],
)
def test_an_unreadable_manifest_is_one_sentence(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    """What is wrong with the file as a whole is said once, with the line."""
    with pytest.raises(Complaint) as caught:
        read(tmp_path, name, content)
    assert said in str(caught.value)


def test_an_encoding_is_told_or_named(tmp_path: Path) -> None:
    """Byte order marks are understood; other encodings are taken when named, not guessed."""
    text = "title\nCafé 夜\n"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert titles(read(tmp_path, "a.csv", text.encode(encoding))) == ["Café 夜"]
    for mark, codec in ((b"\xfe\xff", "utf-16-be"), (b"\xff\xfe", "utf-16-le")):
        assert titles(read(tmp_path, "a.csv", mark + text.encode(codec))) == ["Café 夜"]
    western = "title\nCafé “x”\n".encode("cp1252")
    assert titles(read(tmp_path, "a.csv", western, encoding="cp1252")) == ["Café “x”"]
    for wrong, said in (("no-such", "no-such is no encoding"), ("rot13", "rot13 is no encoding")):
        with pytest.raises(Complaint, match=said):
            read(tmp_path, "a.csv", western, encoding=wrong)
    with pytest.raises(Complaint, match=r"a.csv:2: byte 10 \(0xE9\) is no ASCII: save it as UTF-8"):
        read(tmp_path, "a.csv", western, encoding="ascii")


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    """A named pipe, a device, a folder and a name that none can have are refused at once."""
    os.mkfifo(tmp_path / "pipe.csv")
    for path, said in (
        (tmp_path / "pipe.csv", "pipe.csv is no regular file"),
        (Path("/dev/zero"), "/dev/zero is no regular file"),
        (tmp_path, "Is a directory"),
        (tmp_path / "none.csv", "No such file or directory"),
        (Path("\ud800.csv"), "cannot read the manifest"),
        (Path("a\0.csv"), "cannot read the manifest"),
    ):
        with pytest.raises(Complaint) as caught:
            read_manifest(path, COMMON)
        assert said in str(caught.value)


def test_a_manifest_is_bounded(tmp_path: Path) -> None:
    """A file that is too long, by rows or by bytes, is refused as a whole."""
    with pytest.raises(Complaint, match=f"a.csv:{MAX_ROWS + 2}: a manifest has at most 100,000"):
        read(tmp_path, "a.csv", "title\n" + "A\n" * (MAX_ROWS + 1))
    with (tmp_path / "b.csv").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(Complaint, match="a manifest has at most 64 MB"):
        read_manifest(tmp_path / "b.csv", COMMON)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "a.json",
            (
                '{"Tags": "jazz", "model": "V5", "by": 1, '
                '"songs": [{"title": "A"}, {"title": "B", "tags": "rock"}]}'
            ),
        ),
        (
            "a.toml",
            (
                'Tags = "jazz"\nmodel = "V5"\nby = 1\n'
                'songs = [{title = "A"}, {title = "B", tags = "rock"}]'
            ),
        ),
    ],
)
def test_what_stands_beside_the_rows_counts_for_all(tmp_path: Path, name: str, text: str) -> None:
    """Fields beside the list are defaults, before the options; the rest is said to be unused."""
    manifest = read(tmp_path, name, text)
    assert [row.song.fields["tags"] for row in manifest.rows] == ["jazz", "rock"]
    assert {row.song.fields["model"] for row in manifest.rows} == {Model.V5}
    assert manifest.notes == ("beside the rows, and not used: 'by'",)
    sources = [row.source for row in manifest.rows]
    assert sources[1] == ("a.json:1" if name == "a.json" else "a.toml, row 2")


def test_a_heading_in_a_text_does_not_shift_the_lines_of_toml(tmp_path: Path) -> None:
    """Where the lines are not certain, rows are told by their number."""
    text = '[[songs]]\ntitle = """\n[[songs]]\n"""\n[[songs]]\ntitle = 2024-05-01\n'
    assert summary(read(tmp_path, "a.toml", text)) == [
        ("a.toml, row 1", "[[songs]]\n"),
        ("a.toml, row 2", "title must be text that is not blank, not datetime.date(2024, 5, 1)"),
    ]


def test_defaults_fill_what_a_row_does_not_give(tmp_path: Path) -> None:
    """Each field can come from the options."""
    defaults: dict[str, Any] = {
        "title": "A",
        "tags": "t",
        "negative_tags": "",
        "model": Model.V5,
        "vocal_gender": "f",
        "style_weight": 0.1,
        "weirdness_constraint": 0.2,
        "audio_weight": None,
        "upload_url": "https://a.example/b",
    }
    given = read(tmp_path, "a.csv", "audio weight;title\n0,5;\n;B\n", defaults).rows
    assert [row.song.fields.get("audio_weight") for row in given] == [0.5, None]
    assert [row.title for row in given] == ["A", "B"]
    assert given[0].song.fields["vocal_gender"] == "f"
