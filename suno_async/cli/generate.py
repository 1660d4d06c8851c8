"""Songs from the real service: one from options, or many from a manifest."""

import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import evolve

from suno_async import InvalidRequest
from suno_async.cli.board import Board
from suno_async.cli.failures import Complaint, complain, ending_clearly, printable, sentence
from suno_async.cli.manifest import Problem, Row, read_manifest
from suno_async.cli.numbering import Numbered, RunRow, number_rows
from suno_async.cli.options import RunOptions
from suno_async.cli.run_folder import RunFolder
from suno_async.cli.service import Service, may_get_key
from suno_async.cli.song_run import SongRun, open_folder
from suno_async.cli.songs import check_defaults, make_song
from suno_async.cli.stems import Stem, check_stem, stem_path


def generate(
    given: Mapping[str, Any],
    manifest: Path | None,
    out: Path,
    service: Service,
    options: RunOptions,
    encoding: str | None = None,
) -> None:
    """Generate songs and save their tracks; go on with what an earlier run has begun.

    Args:
        given: The fields of a song by name; with a manifest, what its rows do not give.
        manifest: Where many songs are listed; None makes one of the fields.
        out: The run's folder.
        service: Who makes them.
        options: How.
        encoding: How the manifest is encoded, when that is not UTF-8 or UTF-16 with a mark.

    Raises:
        SystemExit: Something failed, or is not finished.
    """

    def numbered(known: list[RunRow]) -> Numbered:
        check = _remembering(known)
        if manifest is None:
            return number_rows([_single(given, check)], known)
        return number_rows(_listed(manifest, given, encoding, check), known)

    title = manifest.name if manifest is not None else str(given.get("title") or "")
    SongRun(RunFolder(out), service, options, title).perform(numbered)


def resume(out: Path, service: Service, options: RunOptions) -> None:
    """Go on with a run, with the rows that it was asked for the last time.

    Args:
        out: Its folder.
        service: Who makes the songs, if that is not to be as it was.
        options: How.

    Raises:
        SystemExit: Something failed, or is not finished.
    """
    with ending_clearly(Board()):
        folder = open_folder(out)
        stored = folder.db.settings()
        service = evolve(service, base_url=service.base_url or _address(out, stored.base_url))
    SongRun(folder, service, options).perform(lambda known: Numbered(tuple(known)))


def _address(out: Path, stored: str | None) -> str | None:
    """Give the address that a folder has, unless it could be one to which somebody lures the key.

    Raises:
        Complaint: It could.
    """
    if stored is None or may_get_key(stored):
        return stored
    raise Complaint(
        f"{out} would have your key sent to {stored}, and may be somebody else's folder: if that "
        f"is right, give --base-url {shlex.quote(stored)}"
    )


def _remembering(known: list[RunRow]) -> Callable[[Path], Stem]:
    """Check stems as always; of one that is gone take what the run knows, and has in its folder."""
    stems = {row.stem.path: row.stem for row in known if row.stem is not None}

    def check(path: Path) -> Stem:
        path = path.absolute()
        if path in stems and not path.exists():
            return stems[path]
        return check_stem(path)

    return check


def _single(given: Mapping[str, Any], check: Callable[[Path], Stem]) -> Row:
    with _naming_the_option():
        song = make_song(given, Path(), check)
    return Row(0, 0, "", song, {}, song.content_key, 1)


@contextmanager
def _naming_the_option() -> Iterator[None]:
    try:
        yield
    except InvalidRequest as error:
        raise Complaint(f"--{sentence(error).replace('_', '-', error.field.count('_'))}") from error


def _listed(
    manifest: Path,
    defaults: Mapping[str, Any],
    encoding: str | None,
    check: Callable[[Path], Stem],
) -> list[Row | Problem]:
    """Read all rows; name those that are not usable at once, while nothing is paid for yet."""
    with _naming_the_option():
        check_defaults(defaults, check)
        defaults = _absolute(defaults)
    listed = read_manifest(manifest, defaults, encoding=encoding, check=check)
    for note in listed.notes:
        complain(printable(f"{manifest.name}: {note}"))
    for problem in listed.problems:
        complain(printable(f"{problem.source}: {problem.reason}"))
    return listed.all_rows()


def _absolute(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Keep a common stem relative to where the command runs, not to the manifest."""
    values = dict(defaults)
    if values.get("stem") is not None:
        values["stem"] = stem_path(values["stem"], Path.cwd())
    return values
