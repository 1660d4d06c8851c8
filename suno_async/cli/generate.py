"""Songs from the real service: one from options, or many from a manifest."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from suno_async import InvalidRequest
from suno_async.cli.board import Board, Entry, State
from suno_async.cli.delivery import Delivery
from suno_async.cli.failures import Again, Complaint, complain, ending_clearly, sentence
from suno_async.cli.manifest import Row, read_manifest
from suno_async.cli.run import Run
from suno_async.cli.service import Service
from suno_async.cli.songs import Song, make_song


def generate(
    given: Mapping[str, Any],
    manifest: Path | None,
    out: Path,
    service: Service,
    max_in_flight: int | None,
) -> None:
    """Generate songs and save their tracks.

    Args:
        given: The fields of a song by name; with a manifest, what its rows do not give.
        manifest: Where many songs are listed; None makes one of the fields.
        out: The folder of the tracks.
        service: Who makes them.
        max_in_flight: How many tasks run at a time; None takes the session's own limit.

    Raises:
        SystemExit: Something failed.
    """
    run = Run("Generating accompaniments", out, Again(out, service.base_url))

    async def work() -> None:
        async with service.session(run.board) as session:
            await Delivery(session, run.board, out).generate(songs, max_in_flight)

    with ending_clearly(run.board, run.again):
        songs = _listed(run.board, manifest, given) if manifest else _single(run.board, given)
        if songs:
            run.perform(work)


def _single(board: Board, given: Mapping[str, Any]) -> list[tuple[Entry, Song]]:
    try:
        song = make_song(given, Path())
    except InvalidRequest as error:
        raise Complaint(f"--{sentence(error).replace('_', '-', error.field.count('_'))}") from error
    board.entries.append(Entry(song.title))
    return [(board.entries[0], song)]


def _listed(board: Board, manifest: Path, defaults: Mapping[str, Any]) -> list[tuple[Entry, Song]]:
    """Note all rows; name those that are not usable at once, while nothing is paid for yet."""
    songs: list[tuple[Entry, Song]] = []
    for row in read_manifest(manifest, _absolute(defaults)):
        entry = _entry(row)
        board.entries.append(entry)
        if row.song is not None:
            songs.append((entry, row.song))
        else:
            entry.told = True
            complain(f"{row.source}: {row.problem}")
    return songs


def _entry(row: Row) -> Entry:
    state = State.WAITING if row.song is not None else State.FAILED
    return Entry(row.title, row.source, state, problem=row.problem)


def _absolute(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Keep a common stem relative to where the command runs, not to the manifest."""
    values = dict(defaults)
    if values.get("stem") is not None:
        values["stem"] = Path(values["stem"]).expanduser().absolute()
    return values
