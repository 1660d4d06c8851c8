"""What a run would do: its rows, whether their stems are there, and what they would cost."""

import asyncio
import json
from collections.abc import Sequence

import aiohttp

from suno_async.cli.board import Board, Entry
from suno_async.cli.cost import estimate
from suno_async.cli.failures import complain, printable, sentence
from suno_async.cli.orders import Orders
from suno_async.cli.output import say
from suno_async.cli.service import SongService

_CONCURRENT = 8
_LONGEST_S = 15.0
# a host that does not know this method may know the other
_NO_METHOD = (405, 501)


def rehearse(
    service: SongService, board: Board, orders: Orders, price: float | None, *, as_json: bool
) -> None:
    """Show what would be submitted, after a look at each stem and at the balance.

    Args:
        service: Asked for the balance.
        board: The rows.
        orders: What would be done.
        price: What a song costs; None when that is not known.
        as_json: Whether a program reads it: an object a row, and one for the cost.

    Raises:
        SunoError: The service does not take the key, or cannot be reached.
    """
    paying = {row.number for row in orders.paying}
    entries = [entry for entry in board.entries if entry.number in paying]
    asyncio.run(_look(service, board, entries))
    cost = estimate(len(entries), price, board.balance_before)
    if as_json:
        for entry in board.entries:
            _say_json(row=entry.number, would=_would(entry, paying), **_about(entry))
        _say_json(songs=len(entries), price=price, credits=board.balance_before)
        return
    for entry in board.entries:
        about = " | ".join(str(value) for value in _about(entry).values() if value)
        say(printable(f"{entry.number:>4}  {_would(entry, paying):<9} {about}"))
    say(f"{cost}. Nothing was submitted")


def _would(entry: Entry, paying: set[int]) -> str:
    """Say in a word what would become of a row, or has become of it."""
    if entry.number in paying:
        return "submit"
    return "refused" if entry.song is None else entry.state.value


def _about(entry: Entry) -> dict[str, str | None]:
    if entry.song is None:
        return {"title": entry.title, "reason": f"{entry.source}: {entry.problem}"}
    fields, stem = entry.song.fields, entry.song.stem
    where = stem.path.name if stem is not None else str(fields["upload_url"])
    return {"title": entry.title, "tags": str(fields["tags"]), "stem": where}


def _say_json(**values: object) -> None:
    say(json.dumps({name: value for name, value in values.items() if value is not None}))


async def _look(service: SongService, board: Board, entries: Sequence[Entry]) -> None:
    """Ask for the balance, and for the stems that are somewhere in the network."""
    async with service.session(board):
        pass
    urls = {str(it.song.fields["upload_url"]) for it in entries if it.song and not it.song.stem}
    slots = asyncio.Semaphore(_CONCURRENT)
    timeout = aiohttp.ClientTimeout(total=_LONGEST_S)
    async with aiohttp.ClientSession(timeout=timeout) as client:
        ordered = sorted(urls)
        found = await asyncio.gather(*(_problem(client, slots, url) for url in ordered))
    for url, problem in zip(ordered, found, strict=True):
        if problem is not None:
            complain(printable(f"{url}: {problem}; the service may see it otherwise"))


async def _problem(client: aiohttp.ClientSession, slots: asyncio.Semaphore, url: str) -> str | None:
    """Tell why a stem cannot be fetched from here; None when it can."""
    async with slots:
        try:
            status = await _status(client, "HEAD", url)
            if status in _NO_METHOD:
                status = await _status(client, "GET", url)
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            return f"it cannot be reached ({sentence(error)})"
    return None if status < 400 else f"its host answers {status}"


async def _status(client: aiohttp.ClientSession, method: str, url: str) -> int:
    async with client.request(method, url) as response:
        return response.status
