"""JSON, however it is laid out."""

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from suno_async.cli.manifest.columns import field_of

from .manifests import COMMON, read

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OTHERS = st.dictionaries(
    st.from_regex(r"[a-m]{1,3}[0-9]", fullmatch=True), VALUES, max_size=3
).filter(lambda others: not any(map(field_of, others)))
ROWS = st.lists(st.tuples(TEXT.filter(str.strip), OTHERS), min_size=1, max_size=5)


def lines_of(text: str, rows: list[dict[str, Any]]) -> list[int]:
    """Tell the line where each row begins: its first member names its number."""
    places = [text.index(f'"n{number}"') for number in range(len(rows))]
    return [text.count("\n", 0, text.rindex("{", 0, place)) + 1 for place in places]


@given(
    listed=ROWS,
    indent=st.sampled_from([None, 0, 1, 3]),
    ascii_only=st.booleans(),
    inside=st.booleans(),
    ending=st.sampled_from([".json", ".txt"]),
)
def test_what_json_writes_is_read_back_equal(
    listed: list[tuple[str, dict[str, Any]]],
    indent: int | None,
    ascii_only: bool,
    inside: bool,
    ending: str,
) -> None:
    """Rows, other members and lines are right in any layout, in a list or in an object with one."""
    rows = [
        {f"n{number}": number, "title": title, **others}
        for number, (title, others) in enumerate(listed)
    ]
    value = {"before": {"a": [1, {}]}, "songs": rows, "after": "]}"} if inside else rows
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    with tempfile.TemporaryDirectory() as folder:
        manifest = read(Path(folder), f"a{ending}", text)
    assert manifest.problems == ()
    assert [row.title for row in manifest.rows] == [title for title, _ in listed]
    assert [row.line for row in manifest.rows] == lines_of(text, rows)
    for row, (_, others) in zip(manifest.rows, listed, strict=True):
        assert row.extra.keys() - {f"n{row.position}"} == others.keys()


@given(listed=ROWS, ascii_only=st.booleans(), end=st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_json_lines_are_read_back_equal(
    listed: list[tuple[str, dict[str, Any]]], ascii_only: bool, end: str
) -> None:
    """Only a line feed ends a line, whatever separators of Unicode stand inside texts."""
    texts = (
        json.dumps({**others, "TITLE": title}, ensure_ascii=ascii_only) for title, others in listed
    )
    with tempfile.TemporaryDirectory() as folder:
        manifest = read(Path(folder), "a.jsonl", "".join(text + end for text in texts), COMMON)
    assert [row.title for row in manifest.rows] == [title for title, _ in listed]
    assert [row.line for row in manifest.rows] == [
        1 + number * end.count("\n") for number in range(len(listed))
    ]
