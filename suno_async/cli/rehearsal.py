"""What a run would do: its rows, whether their stems are there, and what they would cost."""

import asyncio
from collections.abc import Sequence

import aiohttp
from rich.console import Console

from suno_async.cli.board import Board, Entry
from suno_async.cli.cost import estimate
from suno_async.cli.failures import complain, printable, sentence
from suno_async.cli.orders import Orders
from suno_async.cli.service import SongService

_CONCURRENT = 8
_LONGEST_S = 15.0
# a host that does not know this method may know the other
_NO_METHOD = (405, 501)


def rehearse(service: SongService, board: Board, orders: Orders, price: float | None) -> None:
    """Show what would be submitted, after a look at each stem and at the balance.

    Args:
        service: Asked for the balance.
        board: The rows; those whose stem is not there are noted as failed.
        orders: What would be done.
        price: What a song costs; None when that is not known.

    Raises:
        SunoError: The service does not take the key, or cannot be reached.
    """
    paying = {row.number for row in orders.paying}
    entries = [entry for entry in board.entries if entry.number in paying]
    asyncio.run(_look(service, board, entries))
    console = Console()
    for entry in board.entries:
        line = f"{entry.number:>4}  {_what(entry, paying)}  {_about(entry)}"
        console.print(printable(line), markup=False, highlight=False, soft_wrap=True)
    cost = estimate(len(entries), price, board.balance_before)
    line = f"{cost}. Nothing was submitted"
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _what(entry: Entry, paying: set[int]) -> str:
    if entry.number in paying:
        return "submit  "
    return "refused " if entry.song is None else f"{entry.state.value:<8}"


def _about(entry: Entry) -> str:
    if entry.song is None:
        return f"{entry.source}: {entry.problem}"
    fields = entry.song.fields
    stem = entry.song.stem.path.name if entry.song.stem is not None else fields["upload_url"]
    return f"{entry.title} | {fields['tags']} | {stem}"


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
