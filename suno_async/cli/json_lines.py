r"""A run for a program: one JSON object a line, ASCII only, whose keys and values stay the same.

Every object has `event`. These tell of the run:

- `start`: `heading`, `rows` (how many songs), `counts`.
- `stopping`: nothing more is submitted; `counts`.
- `end`: the last line; `counts`, `seconds` since the start, `credits`.

`counts` has `saved`, `failed`, `uncertain`, `in_flight` and `waiting`; `credits` has `before` and
`after`, as far as they are known.

These tell of a song, each at most once for each thing that happens, and again after `start` for
what had happened before: `submitted`, `stage`, `saving`, `saved`, `failed`,
`uncertain`. They have, as far as they are known:

- `row`: its number within the run's folder, from 1; `title`; `source`, such as `songs.csv:7`.
- `task_id`; `seconds` since its submission.
- `stage` (with `stage` only): `text`, `first` or `complete`.
- `files` (with `saved` and `failed`): the paths of its tracks on disk.
- `reason` (with `failed` and `uncertain`): a sentence.

What is from outside is escaped by JSON, not changed, but for halves of surrogate pairs, which no
other program could read.
"""

import json
import math
import time
from typing import Any

from attrs import asdict

from suno_async.cli.board import Board, Entry
from suno_async.cli.counts import count
from suno_async.cli.events import Event, Events, Kind
from suno_async.cli.output import Background


class JsonLines:
    """Writes an object whenever something happens.

    Args:
        board: The songs.
        output: Where to write.
    """

    def __init__(self, board: Board, output: Background) -> None:
        self._board = board
        self._output = output
        self._events = Events(board)
        self._began_s = time.monotonic()

    def start(self, heading: str) -> None:
        """Write what the run is, and what happened to its songs before."""
        self._write("start", heading=heading, rows=len(self._board.entries), counts=self._counts())
        for event in self._events.so_far():
            self._tell(event)

    def changed(self, entry: Entry) -> None:
        """Write what has happened to a song."""
        for event in self._events.of(entry):
            self._tell(event)

    def stopping(self) -> None:
        """Write that nothing more is submitted."""
        self._write("stopping", counts=self._counts())

    def end(self) -> None:
        """Write how the run ended."""
        before, after = self._board.balance_before, self._board.balance_after
        credits = _known({"before": before, "after": after})
        passed = time.monotonic() - self._began_s
        self._write("end", counts=self._counts(), seconds=passed, credits=credits or None)

    def _tell(self, event: Event) -> None:
        entry = event.entry
        values: dict[str, Any] = {
            "row": event.row,
            "title": entry.title,
            "source": entry.source or None,
            "task_id": entry.task_id,
            "stage": event.stage.value if event.stage is not None else None,
            "seconds": event.seconds,
        }
        if event.kind in {Kind.SAVED, Kind.FAILED}:
            values["files"] = [str(path) for path in entry.files]
        if event.kind is Kind.FAILED:
            values["reason"] = entry.problem
        if event.kind is Kind.UNCERTAIN:
            values["reason"] = entry.doubt
        self._write(event.kind.value, **values)

    def _counts(self) -> dict[str, int]:
        counts = asdict(count(self._board.entries))
        del counts["uploading"]  # which no event tells of
        return counts

    def _write(self, event: str, **values: Any) -> None:
        text = json.dumps({"event": event, **_known(values)}, default=str)
        # JSON leaves this one as it is
        self._output.line(text.replace("\x7f", "\\u007f"))


def _known(values: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is not known, and write the rest so that any program can read it."""
    written = {name: _writable(value) for name, value in values.items()}
    return {name: value for name, value in written.items() if value is not None}


def _writable(value: object) -> object:
    match value:
        case float():
            return round(value, 3) if math.isfinite(value) else None
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case list():
            return [_writable(item) for item in value]
    return value
