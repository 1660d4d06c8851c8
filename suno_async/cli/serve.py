"""The sandbox as a server, until it is interrupted."""

import asyncio
from contextlib import suppress
from typing import Any

from suno_async.cli.board import Board
from suno_async.cli.failures import ending_clearly
from suno_async.cli.interruption import Interrupted, Interruption
from suno_async.cli.output import say
from suno_async.sandbox import Sandbox


def serve(**settings: Any) -> None:
    """Serve the sandbox until Ctrl-C.

    Args:
        settings: The arguments of `Sandbox`.

    Raises:
        SystemExit: It cannot listen.
    """
    with ending_clearly(Board()), suppress(Interrupted):  # that is how it ends
        asyncio.run(Interruption().guard(lambda: _serve(settings)))


async def _serve(settings: dict[str, Any]) -> None:
    async with Sandbox(**settings) as sandbox:
        try:
            say(_WELCOME.format(url=sandbox.base_url, key=sandbox.api_key))
            await asyncio.Event().wait()
        finally:
            charged = sum(entry.amount for entry in sandbox.ledger if entry.kind == "charge")
            say(f"stopped; {len(sandbox.tasks)} tasks, {charged:g} credits charged")


_WELCOME = """\
The sandbox answers at {url} to the key {key} until Ctrl-C. In another terminal:
  export APIKLEY_API_KEY={key}
  suno-async generate --base-url {url} --stem voice.wav \\
    --title "Morning Piano" --tags "relaxing, piano" --negative-tags "heavy metal\""""
