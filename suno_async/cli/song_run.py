"""A run of songs: from the rows that are asked for to files, going on from what its folder has."""

import asyncio
import secrets
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, evolve, field

from suno_async.cli.board import Board, Entry, State
from suno_async.cli.cost import confirm, estimate, learned_price
from suno_async.cli.decisions import decided
from suno_async.cli.delivery import Delivery, note_earlier
from suno_async.cli.estimate import Capacity
from suno_async.cli.failures import Complaint, complain, ending_clearly, printable
from suno_async.cli.file_names import DEFAULT, Template
from suno_async.cli.live_page import LivePage
from suno_async.cli.numbering import Numbered, RunRow
from suno_async.cli.options import RunOptions
from suno_async.cli.orders import KnownJob, Orders, make_orders
from suno_async.cli.rehearsal import rehearse
from suno_async.cli.run import Run
from suno_async.cli.run_db import RunDb, Settings
from suno_async.cli.run_folder import RunFolder
from suno_async.cli.run_rest import RunRest
from suno_async.cli.saving import Saving
from suno_async.cli.service import SongService, last_balance, may_get_key
from suno_async.cli.uploads import UploadsUnderWay
from suno_async.durable import DurableSuno, Job, JobState

_NAMED = 10
_OVER = (JobState.COMPLETE, JobState.FAILED, JobState.CANCELLED, JobState.ABANDONED)


@define
class SongRun:
    """Brings rows to files.

    Args:
        folder: Where.
        service: Who makes them.
        options: How.
        title: The heading of the page; None takes what the folder has.
    """

    folder: RunFolder
    service: SongService
    options: RunOptions
    title: str | None = None
    _stopped: bool = False
    _told: bool = False
    _delivery: Delivery | None = None
    _board: Board = field(init=False, factory=Board)
    _page: LivePage = field(init=False)
    _entries: dict[str, Entry] = field(init=False, factory=dict[str, Entry])

    def __attrs_post_init__(self) -> None:
        self._page = LivePage(self._board, self.folder.out, quiet=self.options.as_json)

    def perform(self, numbered: Callable[[list[RunRow]], Numbered]) -> None:
        """Do it; what was begun by an earlier run goes on.

        Args:
            numbered: Gives the rows, from those that the folder has; tells what is wrong with them.

        Raises:
            SystemExit: Something failed, or is not finished.
        """
        if self.options.dry_run:
            with ending_clearly(self._board):
                self._rehearse(numbered(self.folder.db.rows()))
            return
        # the page comes last: what is paid for and not on disk is to be told first
        with self._page.finished(), ending_clearly(self._board, self._rest):
            name = self.options.name
            template = Template(name) if name is not None else None  # a bad one costs nothing
            with self.folder.held():
                known = self.folder.db.rows()
                self._go_on(numbered(known), template)

    def _rehearse(self, numbered: Numbered) -> None:
        """Show what would be done; nothing is recorded, nor sent."""
        if self.options.name is not None:
            Template(self.options.name)
        jobs = asyncio.run(self.folder.jobs(recover=False))
        orders = make_orders(numbered.rows, _known(jobs), decided(self.options), {})
        self._tell_changes(numbered, jobs)
        price = self.options.price
        if price is None:
            price = self.folder.db.settings().price
        self._add_entries(numbered.rows, jobs, orders)
        as_json = self.options.as_json
        rehearse(self.service, self._board, orders, price, as_json=as_json)

    def _go_on(self, numbered: Numbered, template: Template | None) -> None:
        rows = numbered.rows
        jobs = asyncio.run(self.folder.jobs())
        settings = self._settings(rows, jobs)
        template = template or Template(settings.name or DEFAULT)
        template.check_columns({name for row in rows if row.asked for name in row.extra})
        stems = self.folder.put_stems([row for row in rows if row.asked and row.key])
        orders = make_orders(rows, _known(jobs), decided(self.options), stems)
        self._tell_changes(numbered, jobs)
        price = self.options.price if self.options.price is not None else settings.price
        self._confirm(len(orders.paying), price)
        self.folder.db.save(settings, rows)
        self._page.about(settings.title, settings.page_key)
        self._add_entries(rows, jobs, orders)
        if self._board.entries:
            self._run(orders, stems, settings, template)

    def _settings(self, rows: Sequence[RunRow], jobs: Mapping[str, Job]) -> Settings:
        """Take what the folder has, and what was asked for now in its place.

        Raises:
            Complaint: The folder has jobs that go on at another service.
        """
        stored = self.folder.db.settings()
        given: dict[str, Any] = {
            "title": self.title,
            "max_in_flight": self.options.max_in_flight,
            "name": self.options.name,
        }
        settings = evolve(stored, **{key: it for key, it in given.items() if it is not None})
        if stored.base_url != self.service.base_url and any(
            job.state not in _OVER for job in jobs.values()
        ):
            was = f"--base-url {stored.base_url}" if stored.base_url else "no --base-url"
            rule = f"has songs that go on at another service, with {was}"
            raise Complaint(f"{self.folder.out} {rule}: give another --out")
        settings = evolve(settings, base_url=self.service.base_url)
        largest = stored.largest or max((row.number for row in rows), default=0)
        return evolve(settings, page_key=stored.page_key or secrets.token_hex(8), largest=largest)

    def _confirm(self, songs: int, price: float | None) -> None:
        if songs > self.options.confirm_above and not self.options.yes:
            asyncio.run(self._ask_balance())
        cost = estimate(songs, price, self._board.balance_before)
        confirm(songs, self.options.confirm_above, cost, agreed=self.options.yes)

    async def _ask_balance(self) -> None:
        async with self.service.session(self._board):
            pass

    def _add_entries(self, rows: Sequence[RunRow], jobs: Mapping[str, Job], orders: Orders) -> None:
        saved = self.folder.db.saved() if jobs else dict[tuple[str, str], str]()
        for row in rows:
            job = jobs.get(row.key)
            never_sent = job is None or job.state is JobState.CANCELLED or row in orders.cancel
            if not row.asked and never_sent:
                continue
            entry = _entry(row)
            self._board.entries.append(entry)
            if row.key:
                self._entries[row.key] = entry
            if job is not None and row not in orders.again:
                note_earlier(self._board, entry, job, self.folder.out, saved)

    def _tell_changes(self, numbered: Numbered, jobs: Mapping[str, Job]) -> None:
        for old, new in numbered.changed[:_NAMED]:
            was = jobs[old.key].state if old.key in jobs else JobState.WAITING
            complain(
                printable(
                    f"{new.source} has changed: it is a new row, number {new.number}; "
                    f"row {old.number} ({old.title}) is {was}"
                )
            )
        if numbered.changed[_NAMED:]:
            complain(f"and so have {len(numbered.changed) - _NAMED} more rows")
        for row in numbered.gone[:_NAMED]:
            if row.key in jobs and jobs[row.key].state is JobState.WAITING:
                why = "is not asked for any more: it is not submitted"
                complain(printable(f"row {row.number} ({row.title}) {why}"))

    def _run(
        self, orders: Orders, stems: Mapping[str, Path], settings: Settings, template: Template
    ) -> None:
        board, out = self._board, self.folder.out
        run = Run(
            _heading(board, orders),
            out,
            board,
            self._page,
            stop=self._stop,
            leave=self._leave,
            as_json=self.options.as_json,
            capacity=Capacity(
                settings.max_in_flight or Capacity().in_flight, interval_s=self.service.interval_s
            ),
        )
        before = {entry.task_id for entry in board.entries}

        def name(entry: Entry, letter: str) -> str:
            return template.name(entry, letter, settings.largest)

        async def work() -> None:
            needed = bool(orders.paying or orders.adopt) or any(
                entry.state is State.RUNNING for entry in board.entries
            )
            async with self.service.session(
                board, max_in_flight=settings.max_in_flight, check=needed
            ) as session:
                await self.folder.carry_out(orders, stems, session)
                board.began = True
                uploads = UploadsUnderWay()
                session.add_observer(uploads.observe)
                async with DurableSuno(self.folder.db.url, session) as durable:
                    saving = Saving(session, board, out, name, self.folder.db)
                    await self._deliver(Delivery(durable, saving, board, self._entries, uploads))
                if needed:
                    board.balance_after = await last_balance(session)

        try:
            run.perform(work)
        finally:
            self._learn_price(before, settings)

    async def _deliver(self, delivery: Delivery) -> None:
        self._delivery = delivery
        if self._stopped:
            delivery.stop()
        await delivery.run()

    def _stop(self) -> None:
        self._stopped = True
        self._board.stop()
        if self._delivery is not None:
            self._delivery.stop()

    def _leave(self) -> None:
        for line in self._rest(self._board):
            complain(printable(line))

    def _rest(self, board: Board) -> Sequence[str]:
        """Say how the run goes on, once."""
        told, self._told = self._told, True
        if told:
            return []
        url = self.service.base_url
        return RunRest(self.folder.out, None if may_get_key(url) else url)(board)

    def _learn_price(self, before: set[str | None], settings: Settings) -> None:
        """Keep what a song has cost, if no refund blurs it."""
        entries = [it for it in self._board.entries if it.task_id not in before]
        if any(entry.state in {State.FAILED, State.UNCERTAIN} for entry in self._board.entries):
            return
        balances = (self._board.balance_before, self._board.balance_after)
        price = learned_price(*balances, len(entries))
        if price is not None:
            self.folder.db.save(evolve(settings, price=price))


def _known(jobs: Mapping[str, Job]) -> dict[str, KnownJob]:
    return {key: KnownJob(job.state, job.task_id, job.stem) for key, job in jobs.items()}


def _entry(row: RunRow) -> Entry:
    entry = Entry(row.title, row.source, line=row.line, extra=row.extra, number=row.number)
    if row.key:
        entry.song = row.song
    else:
        entry.state, entry.problem, entry.told = State.FAILED, row.problem, True
    return entry


def _heading(board: Board, orders: Orders) -> str:
    """Say what the run is going to do."""
    songs = len(orders.paying)
    there = sum(entry.earlier for entry in board.entries)
    going = sum(entry.state is State.RUNNING for entry in board.entries)
    parts = [f"{songs} {'song' if songs == 1 else 'songs'} to submit"]
    parts += [f"{going} being made"] if going else []
    parts += [f"{there} there already"] if there else []
    return ", ".join(parts)


def open_folder(out: Path) -> RunFolder:
    """Find the folder of an earlier run.

    Raises:
        Complaint: There is none.
    """
    if not RunDb(out).path.is_file():
        begin = shlex.join(["suno-async", "generate", "--out", str(out)])
        raise Complaint(f"there is no run in {out}: {begin} begins one")
    return RunFolder(out)
