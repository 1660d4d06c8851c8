"""Songs from the real service: one from options, or many from a manifest."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from suno_async import InvalidRequest
from suno_async.cli.board import Board, Entry, State
from suno_async.cli.delivery import Delivery
from suno_async.cli.failures import Again, Complaint, complain, ending_clearly, printable, sentence
from suno_async.cli.live_page import LivePage
from suno_async.cli.manifest import Problem, Row, read_manifest
from suno_async.cli.run import Run
from suno_async.cli.service import Service
from suno_async.cli.songs import Song, check_defaults, make_song
from suno_async.cli.stems import stem_path


def generate(
    given: Mapping[str, Any],
    manifest: Path | None,
    out: Path,
    service: Service,
    max_in_flight: int | None,
    encoding: str | None = None,
) -> None:
    """Generate songs and save their tracks.

    Args:
        given: The fields of a song by name; with a manifest, what its rows do not give.
        manifest: Where many songs are listed; None makes one of the fields.
        out: The folder of the tracks.
        service: Who makes them.
        max_in_flight: How many tasks run at a time; None takes the session's own limit.
        encoding: How the manifest is encoded, when that is not UTF-8 or UTF-16 with a mark.

    Raises:
        SystemExit: Something failed.
    """
    board, again = Board(), Again(out, service.base_url)
    page = LivePage(board, out, _page_title(given, manifest))
    run = Run("Generating accompaniments", out, again, board, page)

    async def work() -> None:
        async with service.session(board) as session:
            await Delivery(session, board, out).generate(songs, max_in_flight)

    # the page comes last: what is paid for and not on disk is to be told first
    with page.finished(), ending_clearly(board, again):
        if manifest is None:
            songs = _single(board, given)
        else:
            songs = _listed(board, manifest, given, encoding)
        if songs:
            run.perform(work)


def _page_title(given: Mapping[str, Any], manifest: Path | None) -> str:
    return manifest.name if manifest is not None else str(given.get("title") or "")


def _single(board: Board, given: Mapping[str, Any]) -> list[tuple[Entry, Song]]:
    with _naming_the_option():
        song = make_song(given, Path())
    board.entries.append(Entry(song.title, song=song))
    return [(board.entries[0], song)]


@contextmanager
def _naming_the_option() -> Iterator[None]:
    try:
        yield
    except InvalidRequest as error:
        raise Complaint(f"--{sentence(error).replace('_', '-', error.field.count('_'))}") from error


def _listed(
    board: Board, manifest: Path, defaults: Mapping[str, Any], encoding: str | None
) -> list[tuple[Entry, Song]]:
    """Note all rows; name those that are not usable at once, while nothing is paid for yet."""
    with _naming_the_option():
        check_defaults(defaults)
        defaults = _absolute(defaults)
    listed = read_manifest(manifest, defaults, encoding=encoding)
    for note in listed.notes:
        complain(printable(f"{manifest.name}: {note}"))
    songs: list[tuple[Entry, Song]] = []
    for row in listed.all_rows():
        entry = _entry(row)
        board.entries.append(entry)
        if isinstance(row, Row):
            songs.append((entry, row.song))
        else:
            complain(printable(f"{row.source}: {row.reason}"))
    return songs


def _entry(row: Row | Problem) -> Entry:
    if isinstance(row, Row):
        return Entry(row.title, row.source, song=row.song, line=row.line, extra=row.extra)
    return Entry(
        row.title or row.source,
        row.source,
        State.FAILED,
        line=row.line,
        problem=row.reason,
        told=True,
    )


def _absolute(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Keep a common stem relative to where the command runs, not to the manifest."""
    values = dict(defaults)
    if values.get("stem") is not None:
        values["stem"] = stem_path(values["stem"], Path.cwd())
    return values
