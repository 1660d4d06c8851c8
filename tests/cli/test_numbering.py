"""Which number a row of a run has, and how long it keeps it."""

from hypothesis import given
from hypothesis import strategies as st

from suno_async.cli.manifest import Problem, Row
from suno_async.cli.numbering import RunRow, number_rows
from suno_async.cli.songs import Song

FIELDS = {"title": "t", "tags": "piano", "negative_tags": "", "upload_url": "https://a.example/"}


def good(position: int, content: str, number: int = 1) -> Row:
    """A usable row."""
    song = Song({**FIELDS, "title": content})
    return Row(position, position + 2, f"songs.csv:{position + 2}", song, {}, content, number)


def bad(position: int) -> Problem:
    """A row that is not usable."""
    return Problem(position, position + 2, f"songs.csv:{position + 2}", "tags", "tags are missing")


def numbers(rows: tuple[RunRow, ...]) -> dict[str, int]:
    """Give the numbers by title."""
    return {row.title: row.number for row in rows}


def test_rows_have_the_numbers_of_their_places() -> None:
    """Good ones and bad ones, in the order of the manifest."""
    rows = number_rows([good(0, "a"), bad(1), good(2, "c")], []).rows
    assert [(row.number, row.key, row.problem) for row in rows] == [
        (1, "a-1", None),
        (2, "", "tags are missing"),
        (3, "c-1", None),
    ]
    assert rows[0].song.title == "a"


def test_a_row_that_is_mended_takes_its_place() -> None:
    """Nothing was made of it before, so nothing is called by its number."""
    before = number_rows([good(0, "a"), bad(1), good(2, "c")], []).rows
    after = number_rows([good(0, "a"), good(1, "b"), good(2, "c")], before)
    assert numbers(after.rows) == {"a": 1, "b": 2, "c": 3}
    assert (after.changed, after.gone) == ((), ())


def test_a_row_between_others_gets_a_number_of_its_own() -> None:
    """The files of the others have their numbers in their names."""
    before = number_rows([good(0, "a"), good(1, "b")], []).rows
    after = number_rows([good(0, "a"), good(1, "new"), good(2, "b")], before)
    assert numbers(after.rows) == {"a": 1, "b": 2, "new": 3}
    assert [row.number for row in after.rows] == [1, 2, 3]


def test_a_changed_row_is_a_new_one_and_said_so() -> None:
    """It will be paid for; the old one stays in the folder."""
    before = number_rows([good(0, "a"), good(1, "b")], []).rows
    after = number_rows([good(0, "a"), good(1, "B")], before)
    ((old, new),) = after.changed
    assert (old.title, old.number, new.title, new.number) == ("b", 2, "B", 3)
    assert {row.title: row.asked for row in after.rows} == {"a": True, "b": False, "B": True}
    again = number_rows([good(0, "a"), good(1, "B")], after.rows)
    assert (again.changed, again.gone) == ((), ())
    back = number_rows([good(0, "a"), good(1, "b")], after.rows)
    assert numbers(back.rows) == {"a": 1, "b": 2, "B": 3}


def test_a_row_that_is_not_asked_for_any_more_is_told_once() -> None:
    """Once only: it may have been left out on purpose."""
    before = number_rows([good(0, "a"), good(1, "b")], []).rows
    after = number_rows([good(0, "a")], before)
    assert [row.title for row in after.gone] == ["b"]
    assert number_rows([good(0, "a")], after.rows).gone == ()


def test_equal_rows_are_rows_of_their_own() -> None:
    """The second of two that ask for the same keeps its number when the first is left out."""
    before = number_rows([good(0, "a"), good(1, "a", 2)], []).rows
    assert [(row.key, row.number) for row in before] == [("a-1", 1), ("a-2", 2)]
    after = number_rows([good(0, "a")], before)
    assert [(row.key, row.asked) for row in after.rows] == [("a-1", True), ("a-2", False)]


@given(st.lists(st.lists(st.sampled_from("abcdef!"), max_size=8), max_size=5))
def test_numbers_never_meet_and_never_change(manifests: list[list[str]]) -> None:
    """Whatever manifests follow each other in a folder."""
    known: tuple[RunRow, ...] = ()
    ever: dict[str, int] = {}
    for content in manifests:
        seen: dict[str, int] = {}
        listed: list[Row | Problem] = []
        for position, name in enumerate(content):
            seen[name] = seen.get(name, 0) + 1
            listed.append(bad(position) if name == "!" else good(position, name, seen[name]))
        known = number_rows(listed, known).rows
        taken = [row.number for row in known]
        assert len(set(taken)) == len(taken)
        for row in known:
            if row.key:
                assert ever.setdefault(row.key, row.number) == row.number
        assert {row.key for row in known if row.asked and row.key} == {
            row.key for row in listed if isinstance(row, Row)
        }
        assert ever.keys() == {row.key for row in known if row.key}
