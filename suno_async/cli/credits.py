"""Show the account's balance."""

import json

import typer

from suno_async.cli.calls import carry_out
from suno_async.cli.service import Service


def credits_(service: Service, as_json: bool) -> None:
    """Print the balance.

    Args:
        service: Whose account it is.
        as_json: Whether to print a JSON object.

    Raises:
        SystemExit: It is not known.
    """

    async def work() -> bool:
        async with service.unopened() as session:
            balance = await session.credits()
        typer.echo(json.dumps({"credits": balance}) if as_json else f"{balance}")
        return True

    carry_out(work, lambda: None)
