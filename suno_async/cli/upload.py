"""Upload stems and print their URLs."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import typer
from attrs import define, field

from suno_async import InvalidRequest, SunoError, SunoSession
from suno_async.cli.board import Board
from suno_async.cli.calls import carry_out
from suno_async.cli.failures import complain, printable, sentence
from suno_async.cli.service import Service
from suno_async.cli.stems import Stem, check_stem, stem_path

_CONCURRENT_UPLOADS = 4
# docs: 3 days; the page of one upstream says 24 hours
_LIFE = "suno-async: the service deletes uploads after 3 days, perhaps after 24 hours already"


def upload(names: Sequence[str], service: Service, as_json: bool) -> None:
    """Upload stems; equal content goes out once, and one that fails stops no other.

    Args:
        names: The files.
        service: Where they go.
        as_json: Whether to print a JSON object for each in place of its URL.

    Raises:
        SystemExit: Something failed.
    """
    told = _Told(as_json, several=len(names) > 1)

    async def work() -> bool:
        checked = [await asyncio.to_thread(_checked, name) for name in names]
        if not any(isinstance(stem, Stem) for stem in checked):
            for name, problem in zip(names, checked, strict=True):
                told.tell(name, problem)
            return False
        async with service.session(Board()) as session, asyncio.TaskGroup() as group:
            uploads = _Uploads(session, group)
            sent = [uploads.start(stem) if isinstance(stem, Stem) else stem for stem in checked]
            for name, result in zip(names, sent, strict=True):
                told.tell(name, await result if isinstance(result, asyncio.Task) else result)
        return not told.failed

    try:
        carry_out(work, lambda: None)
    finally:
        if told.uploaded:
            complain(_LIFE)


def _checked(name: str) -> Stem | InvalidRequest:
    try:
        return check_stem(stem_path(name, Path()))
    except InvalidRequest as error:
        return error


@define(eq=False)
class _Uploads:
    """Uploads stems, some at a time, and equal ones once."""

    _session: SunoSession
    _group: asyncio.TaskGroup
    _slots: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(_CONCURRENT_UPLOADS))
    _by_digest: dict[str, asyncio.Task[str | Exception]] = field(
        factory=dict[str, "asyncio.Task[str | Exception]"]
    )

    def start(self, stem: Stem) -> "asyncio.Task[str | Exception]":
        if stem.digest not in self._by_digest:
            self._by_digest[stem.digest] = self._group.create_task(self._upload(stem))
        return self._by_digest[stem.digest]

    async def _upload(self, stem: Stem) -> str | Exception:
        async with self._slots:
            try:
                return await self._session.upload(stem.path)
            except (SunoError, OSError) as error:
                return error


@define(eq=False)
class _Told:
    """Tells what became of each file: URLs on stdout, problems on stderr."""

    as_json: bool
    several: bool
    uploaded: bool = False
    failed: bool = False

    def tell(self, name: str, result: object) -> None:
        if isinstance(result, Exception):
            self._tell_problem(name, result)
            return
        self.uploaded = True
        url = str(result)
        if self.as_json:
            typer.echo(json.dumps({"file": name, "url": url}))
        elif self.several:
            typer.echo(f"{printable(name)}\t{printable(url)}")
        else:
            typer.echo(printable(url))

    def _tell_problem(self, name: str, error: Exception) -> None:
        self.failed = True
        problem = error.rule if isinstance(error, InvalidRequest) else sentence(error)
        complain(printable(f"{name}: {problem}"))
        if self.as_json:
            typer.echo(json.dumps({"file": name, "error": problem}))
