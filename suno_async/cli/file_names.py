"""What the tracks of a run are called on disk, as a template says."""

import hashlib
import re
import string
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

from attrs import Factory, field, frozen

from suno_async.cli.board import Entry
from suno_async.cli.failures import Complaint, printable
from suno_async.media.formats import AUDIO
from suno_async.media.names import LONGEST_TITLE_BYTES, safe_text

DEFAULT = "{number:02} {title} - {letter}"
FIELDS = ("number", "title", "letter", "tags", "model", "line", "task_id", "column")
_TEXTS = frozenset({"title", "tags", "model", "column"})
_TELL_ROWS_APART = frozenset({"number", "line", "task_id"})
_NUMBERS = frozenset({"number", "line"})
_WIDTH = re.compile(r"0[1-9]")
_LONGEST_TEMPLATE = 500
# what is left for titles and other texts, at the least
_LEAST_TEXT_BYTES = 30
_LONGEST_TASK_ID = 40
_MOST_BYTES = {"number": 10, "line": 10, "letter": 1, "task_id": _LONGEST_TASK_ID}
_PLAIN_TASK_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,39}")
_JOINER = "\u200d"
_EMOJI_MODIFIERS = frozenset(map(chr, range(0x1F3FB, 0x1F400)))
# marks pile up without end in hostile titles
_LONGEST_CHARACTER = 24


@frozen
class _Piece:
    """A field of a template, and the text before it; the text behind the last has no field."""

    literal: str
    field: str = ""
    spec: str = ""

    def __str__(self) -> str:
        inner = f"{self.field}:{self.spec}" if self.spec else self.field
        return f"{self.literal}{{{inner}}}" if inner else self.literal


@frozen
class Template:
    """How files are named, checked when it is made.

    Names of one run differ also where case and the forms of Unicode do not count: by the row's
    number (or line, or task) and by the track's letter. Where text stands on both sides of the
    number, another row's text can imitate it; the download then adds the track's id to the name.

    Args:
        text: A format of the fields `number`, `title`, `letter`, `tags`, `model`, `line`,
            `task_id`, and `column:NAME` for a column of the manifest that is no field; numbers
            may have a least width, such as `{number:02}`.

    Raises:
        Complaint: It breaks a rule, which is named; or two tracks could get one name.
    """

    text: str = DEFAULT
    _pieces: tuple[_Piece, ...] = field(
        init=False,
        eq=False,
        repr=False,
        default=Factory(lambda made: _parsed(made.text), takes_self=True),
    )

    def check_columns(self, known: Iterable[str]) -> None:
        """Refuse columns that a manifest has not.

        Raises:
            Complaint: One is named that is none of these.
        """
        there = {_column(name) for name in known}
        for piece in self._pieces:
            if piece.field == "column" and _column(piece.spec) not in there:
                rule = f"names the column {piece.spec!r}, and no row has one that is no field"
                raise _complaint(self.text, rule)

    def name(self, entry: Entry, letter: str, largest: int = 0) -> str:
        """Name a track's file, without its ending: what `SunoSession.download` takes as it is.

        Args:
            entry: The row.
            letter: What the track is called within its row: A, B.
            largest: The largest number of the run; where numbers have a width, all have its, so
                that names sort. A run that goes on keeps its names if it is told the same again.
        """
        columns = {_column(name): value for name, value in entry.extra.items()}
        values = [_value(piece, entry, letter, largest, columns) for piece in self._pieces]
        parts = _fitted(self._pieces, values)
        return _without_ending(safe_text(re.sub(" {2,}", " ", "".join(parts))))


def _parsed(text: str) -> tuple[_Piece, ...]:
    try:
        pieces = tuple(_pieces(text))
        _check(pieces)
    except ValueError as error:
        raise _complaint(text, str(error)) from error
    return pieces


def _complaint(text: str, rule: str) -> Complaint:
    shown = text if len(text) <= _LONGEST_TEMPLATE else f"{text[:60]}…"
    return Complaint(printable(f"--name {shown!r} {rule}"))


def _pieces(text: str) -> Iterator[_Piece]:
    """Take a template apart.

    Raises:
        ValueError: It is none; the text says which rule it breaks.
    """
    if len(text) > _LONGEST_TEMPLATE:
        raise ValueError(f"must have at most {_LONGEST_TEMPLATE} characters")
    try:
        parsed = list(string.Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"is no template ({error}); a brace is written twice") from error
    for literal, name, spec, conversion in parsed:
        _check_literal(literal)
        literal = unicodedata.normalize("NFC", literal)
        if name is None:
            yield _Piece(literal)
            continue
        if name not in FIELDS or conversion:
            shown = f"{name}!{conversion}" if conversion else name
            raise ValueError(f"has no field {{{shown}}}: there are {_listed(FIELDS)}")
        _check_spec(name, spec or "")
        yield _Piece(literal, name, spec or "")


def _listed(names: Iterable[str]) -> str:
    return ", ".join("{column:NAME}" if name == "column" else f"{{{name}}}" for name in names)


def _check_literal(literal: str) -> None:
    if "/" in literal or "\\" in literal:
        raise ValueError("must not name a folder: all tracks are in the run's own")
    composed = f"_{unicodedata.normalize('NFC', literal)}_"
    if len(composed.encode(errors="replace")) > LONGEST_TITLE_BYTES:
        raise _too_long()
    if safe_text(composed) != composed:
        raise ValueError(f"has {literal!r}, which not every system takes in the name of a file")


def _check_spec(name: str, spec: str) -> None:
    if name == "column":
        if not spec.strip() or "{" in spec:
            raise ValueError("must say which column, such as {column:album}")
    elif spec and not (name in _NUMBERS and _WIDTH.fullmatch(spec)):
        raise ValueError("may give only numbers a width, such as {number:02}")


def _check(pieces: tuple[_Piece, ...]) -> None:
    names = {piece.field for piece in pieces}
    if "letter" not in names:
        raise ValueError("must have {letter}: a row gives two tracks")
    if not names & _TELL_ROWS_APART:
        raise ValueError("must have {number}, {line} or {task_id}: two rows can have one title")
    for before, after in pairwise((_Piece(""), *pieces)):
        if _run_together(before, after):
            both = f"{before}{after}"
            raise ValueError(f"must keep fields apart, such as by a space: {both!r}")
    last = pieces[-1]
    if not last.field and _without_ending(last.literal) != last.literal:
        raise ValueError("must not have an ending: the audio's own is added")
    fixed = sum(len(piece.literal.encode()) + _MOST_BYTES.get(piece.field, 0) for piece in pieces)
    if fixed > LONGEST_TITLE_BYTES - _LEAST_TEXT_BYTES:
        raise _too_long()


def _too_long() -> ValueError:
    return ValueError("is too long: it leaves no room for titles")


def _run_together(before: _Piece, after: _Piece) -> bool:
    """Tell whether one cannot see where a field ends, so that 1 and 11 could give one name."""
    if after.literal:
        begins, ends = after.literal[0], after.literal[-1]
        return _runs_on(before.field, begins) or _runs_on(after.field, ends)
    both = {before.field, after.field}
    if "" in both or not both & _TELL_ROWS_APART:
        return False
    return "letter" not in both or "task_id" in both


def _runs_on(name: str, neighbour: str) -> bool:
    """Tell whether a character beside a field could be a part of it."""
    return (name in _NUMBERS and neighbour.isdigit()) or (name == "task_id" and neighbour.isalnum())


def _column(name: str) -> str:
    return name.strip().casefold()


def _value(
    piece: _Piece, entry: Entry, letter: str, largest: int, columns: Mapping[str, str]
) -> str:
    asked = entry.song.fields if entry.song is not None else {}
    match piece.field:
        case "number":
            return _number(entry.number, piece.spec, largest)
        case "line":
            return _number(entry.line or 0, piece.spec, 0)
        case "letter":
            return letter
        case "task_id":
            return _task_id(entry.task_id or "0")
        case "title":
            return _clean(entry.title) or "track"
        case "column":
            return _clean(columns.get(_column(piece.spec), ""))
        case name:
            return _clean(str(asked.get(name) or "")) if name else ""


def _number(number: int, spec: str, largest: int) -> str:
    width = max(int(spec), len(str(largest))) if spec else 0
    return f"{number:0{width}}"


def _task_id(task_id: str) -> str:
    if _PLAIN_TASK_ID.fullmatch(task_id):
        return task_id
    return hashlib.sha256(task_id.encode(errors="surrogatepass")).hexdigest()[:32]


def _clean(text: str) -> str:
    """Make text harmless within a name."""
    # behind another character, what a name must not begin with may stay
    cleaned = safe_text("_" + " ".join(text.split()))[1:].strip(" ")
    begin = next((n for n, ch in enumerate(cleaned) if not _is_mark(ch)), len(cleaned))
    # marks at the beginning would change what stands before them
    return cleaned[begin:]


def _fitted(pieces: tuple[_Piece, ...], values: list[str]) -> Iterator[str]:
    """Cut texts, the longest ones first, so that all the rest survives."""
    texts = [n for n, piece in enumerate(pieces) if piece.field in _TEXTS]
    literals = sum(len(piece.literal.encode()) for piece in pieces)
    others = sum(len(values[n].encode()) for n in range(len(values)) if n not in texts)
    left = LONGEST_TITLE_BYTES - literals - others
    fitted = list(values)
    for done, n in enumerate(sorted(texts, key=lambda n: len(values[n].encode()))):
        fitted[n] = _cut(values[n], left // (len(texts) - done))
        left -= len(fitted[n].encode())
    for piece, value in zip(pieces, fitted, strict=True):
        yield piece.literal + value


def _cut(text: str, most_bytes: int) -> str:
    """Cut text where a character begins, as a reader sees characters."""
    kept = len(text.encode()[:most_bytes].decode(errors="ignore"))
    if kept == len(text):
        return text
    ends = range(kept, max(kept - _LONGEST_CHARACTER, 0), -1)
    end = next((end for end in ends if not _goes_on(text, end)), kept)
    return text[:end].rstrip(" .")


def _goes_on(text: str, at: int) -> bool:
    """Tell whether what stands there belongs to the character before."""
    here = text[at]
    return (
        _is_mark(here)
        or here == _JOINER
        or here in _EMOJI_MODIFIERS
        or (at > 0 and text[at - 1] == _JOINER)
    )


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


def _without_ending(name: str) -> str:
    """Keep a name from bringing along an ending, which would then be taken for the file's."""
    stem, _, ending = name.rpartition(".")
    return f"{stem}_{ending}" if f".{ending.lower()}" in AUDIO.endings else name
