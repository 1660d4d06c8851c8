"""`suno-async credits`: the balance."""

import json

import pytest

from suno_async.sandbox import Call, EnvelopeError

from .command import Command


async def test_the_balance_is_printed(command: Command) -> None:
    """One number, whole where it is whole, and not shortened."""
    ended = await command.run("credits", "--base-url", command.sandbox.base_url)
    assert (ended.status, ended.out, ended.err) == (0, "1000000\n", "")


async def test_the_balance_as_json(command: Command) -> None:
    """One JSON object; the address may come from the environment."""
    env = {"APIKLEY_BASE_URL": command.sandbox.base_url}
    ended = await command.run("credits", "--json", env=env)
    assert (ended.status, json.loads(ended.out), ended.err) == (0, {"credits": 1_000_000}, "")


async def test_a_wrong_key_is_one_sentence(command: Command) -> None:
    """It says where the key comes from, and never shows it."""
    ended = await command.run("credits", "--base-url", command.sandbox.base_url, key="wrong-key-1")
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith("suno-async: the service refused the API key (")
    assert ended.err.endswith("APIKLEY_API_KEY, or api_key in suno-async.toml\n")
    assert "wrong-key-1" not in ended.err
    assert ended.err.count("\n") == 1


async def test_an_unreachable_service_is_one_sentence(command: Command) -> None:
    """Nobody listens there."""
    await command.sandbox.stop()
    ended = await command.run("credits", "--base-url", command.sandbox.base_url)
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith("suno-async: cannot reach the service: ")
    assert ended.err.count("\n") == 1


async def test_what_the_service_says_cannot_move_the_cursor(command: Command) -> None:
    """Escapes in its messages are taken out."""
    command.sandbox.inject(Call.CREDITS, EnvelopeError(402, "\x1b[2Jno\rway"))
    ended = await command.run("credits", "--base-url", command.sandbox.base_url)
    assert ended.status == 1
    assert "\x1b" not in ended.err
    assert "\r" not in ended.err


@pytest.mark.parametrize("module", ["suno_async.cli", "suno_async.cli.__main__"])
async def test_it_is_a_module_too(command: Command, module: str) -> None:
    """`python -m suno_async.cli` is the same command."""
    env = {"APIKLEY_BASE_URL": command.sandbox.base_url}
    call = f"import runpy; runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    ended = await command.run("credits", env=env, call=call)
    assert (ended.status, ended.out) == (0, "1000000\n")
