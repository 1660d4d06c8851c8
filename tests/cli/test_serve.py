"""`suno-async sandbox`: the service for other programs."""

import signal

from suno_async import SunoSession

from .command import Command


async def test_it_serves_until_it_is_interrupted(command: Command) -> None:
    """It tells its address and key, answers there, and says on Ctrl-C what it did."""
    running = await command.start("sandbox", "--port", "0", "--credits", "70", "--api-key", "mine")
    address = (await running.until("The sandbox answers at")).split()[4]
    async with SunoSession("mine", base_url=address) as session:
        assert await session.credits() == 70
    running.process.send_signal(signal.SIGINT)
    ended = await running.end()
    assert ended.status == 0
    assert ended.out.endswith("stopped; 0 tasks, 0 credits charged\n")
    assert f"--base-url {address}" in ended.out


async def test_a_taken_port_is_one_sentence(command: Command) -> None:
    """The port of another server cannot be had."""
    port = command.sandbox.base_url.rpartition(":")[2]
    ended = await command.run("sandbox", "--port", port)
    assert ended.status == 1
    assert "ddress already in use" in ended.err
    assert ended.err.count("\n") == 1
