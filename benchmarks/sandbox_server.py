"""A sandbox without limits in a process of its own; it prints its address and runs until killed.

`/cpu-seconds` is answered by a second listener, whose address is the second word of the line.
"""

import asyncio
import time

from suno_async.sandbox import Sandbox, Timings

KEY = "benchmark-key"
STAGES_S = 0.5, 1.0, 1.5


async def _tell_cpu(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.write(f"{time.process_time()}\n".encode())
    writer.close()


async def main() -> None:
    """Serve, with tasks that take their stages' times exactly."""
    sandbox = Sandbox(
        api_key=KEY,
        credits=1e12,
        timings=Timings(*STAGES_S, sigma=0.0),
        submissions_per_window=None,
        polls_per_second=None,
        callbacks=False,
    )
    async with sandbox, await asyncio.start_server(_tell_cpu, "127.0.0.1", 0) as meter:
        port = meter.sockets[0].getsockname()[1]
        print(f"{sandbox.base_url} {port}", flush=True)
        await meter.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
