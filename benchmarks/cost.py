"""CPU of a typed poll over that of plain aiohttp.

In one process, blocks of polls by each client alternate; a client's cost is the CPU time of a block
over the number of polls that the server answered in it, divided by the same of plain aiohttp in the
same round. The median over rounds, and then over processes, is the figure. Plain aiohttp is in the
race twice: a process in which it differs from itself is thrown away.

*Busy* is a hundred polls under way all the time; *at leisure* is 600 tasks that are polled every
0.34 s, so that nearly every poll wakes the event loop by itself.

What counts in the end is a whole watch: fewer polls, each at its cost, against a fixed poller on
plain aiohttp that tells of stages as late on average. The share of polls is `cadence`'s.
"""

import argparse
import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack
from statistics import median
from typing import Any

import aiohttp
from attrs import frozen

from benchmarks import report

CONTROL = 0.96, 1.04
ROUNDS = 30
BLOCK_S = {"busy": 0.2, "at leisure": 0.6}
OURS = ("aiohttp", "control", "unchanged", "changed")
OTHERS = {"httpx": "httpx", "fal-client": "fal_client", "suno-easy": "suno-easy"}
LABELS = {
    "unchanged": "suno_async, body as before",
    "changed": "suno_async, body changed",
    "httpx": "httpx",
    "fal-client": "fal-client, status()",
    "suno-easy": "suno-easy, get_task_info() in threads",
    "control": "plain aiohttp again (control)",
}
AIMS = {True: 0.90, False: 1.00}

# of about so many looks at a task, so many show another body than the look before
LOOKS = 30
CHANGED = 4
WATCH_AIM = 0.50


@frozen
class Block:
    """What a client did in one block."""

    cpu_s: float
    polls: int
    server_cpu_s: float
    wall_s: float

    @property
    def cost_s(self) -> float:
        """CPU seconds per poll."""
        return self.cpu_s / self.polls


def measure(
    base_url: str, names: list[str], speed: bool, manner: str, rounds: int
) -> dict[str, Any]:
    """Race the clients in this process; with or without orjson, busy or at leisure."""
    if not speed:
        sys.modules["orjson"] = None  # type: ignore[assignment]  # the import fails from now on
    return asyncio.run(_race(base_url, names, manner, rounds))


async def _race(base_url: str, names: list[str], manner: str, rounds: int) -> dict[str, Any]:
    from benchmarks.clients import Client, clients  # after the decision on orjson

    blocks: dict[str, list[Block]] = {name: [] for name in names}
    async with AsyncExitStack() as stack:
        asking = await stack.enter_async_context(aiohttp.ClientSession())
        running: dict[str, Client] = {}
        for name in names:
            client = clients(base_url, manner == "busy")[name]()
            running[name] = await stack.enter_async_context(client)
            await _block(client, asking, base_url, BLOCK_S[manner])
        for turn in range(rounds):
            for name in names if turn % 2 else reversed(names):
                blocks[name].append(await _block(running[name], asking, base_url, BLOCK_S[manner]))
    return _summary(blocks)


async def _block(
    client: Any, asking: aiohttp.ClientSession, base_url: str, block_s: float
) -> Block:
    async with client.polling():
        before = await _counts(asking, base_url)
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        await asyncio.sleep(block_s)
        after = await _counts(asking, base_url)
        cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
    return Block(cpu_s, after[0] - before[0], after[1] - before[1], wall_s)


async def _counts(asking: aiohttp.ClientSession, base_url: str) -> tuple[int, float]:
    async with asking.get(base_url + "/counts") as response:
        polls, cpu_s = await response.json()
    return polls, cpu_s


def _summary(blocks: dict[str, list[Block]]) -> dict[str, Any]:
    baseline = blocks["aiohttp"]
    return {
        "ratios": {
            name: median(b.cost_s / base.cost_s for b, base in zip(own, baseline, strict=True))
            for name, own in blocks.items()
            if name != "aiohttp"
        },
        "aiohttp_us": median(block.cost_s for block in baseline) * 1e6,
        "server_busy": max(
            sum(block.server_cpu_s for block in own) / sum(block.wall_s for block in own)
            for own in blocks.values()
        ),
    }


def main(argv: list[str]) -> None:
    """Measure with orjson and without; print, and write the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks cost", description=__doc__)
    parser.add_argument("--processes", type=int, default=5, help="how many must pass the control")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help="blocks of each client; a third of it at leisure"
    )
    options = parser.parse_args(argv)
    installed = [name for name, package in OTHERS.items() if report.versions(package)]
    figures = {}
    for speed in (True, False):
        for manner in BLOCK_S:
            title = f"{'with' if speed else 'without'} speed, {manner}"
            names = [*OURS, *installed] if speed and manner == "busy" else [*OURS]
            if figure := _passed(names, speed, manner, options):
                figures[title] = figure
                _print(title, figure, AIMS[speed])
    watches = whole_watches(figures)
    _print_watches(watches)
    clients = report.versions(*OTHERS.values())
    report.save("cost", {"clients": clients, **figures, "whole_watch": watches})


def _passed(
    names: list[str], speed: bool, manner: str, options: argparse.Namespace
) -> dict[str, Any]:
    """Repeat in fresh processes until enough have passed the control."""
    rounds = options.rounds if manner == "busy" else max(options.rounds // 3, 1)
    passed: list[dict[str, Any]] = []
    thrown_away: list[float] = []
    with report.server_process("benchmarks.record_server") as base_url:
        while len(passed) < options.processes:
            if len(thrown_away) > 3 * options.processes:
                print(f"this machine is too busy: the controls were {thrown_away}", file=sys.stderr)
                break
            one = report.in_fresh_process(measure, base_url, names, speed, manner, rounds)
            control = one["ratios"]["control"]
            if CONTROL[0] <= control <= CONTROL[1]:
                passed.append(one)
            else:
                thrown_away.append(control)
    if not passed:
        return {}
    return {
        "processes": len(passed),
        "ratios": {
            name: _spread([one["ratios"][name] for one in passed])
            for name in LABELS
            if name in names
        },
        "aiohttp_us": median(one["aiohttp_us"] for one in passed),
        "server_busy": max(one["server_busy"] for one in passed),
        "thrown_away": thrown_away,
    }


def whole_watches(figures: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Multiply a poll's cost by the share of polls that our cadence needs at equal mean delay."""
    shares = _shares_of_polls()
    if not shares:
        print(
            "the share of polls is not known: run `python -m benchmarks cadence`", file=sys.stderr
        )
    return [
        {
            "title": title,
            "exponent": exponent,
            "polls": share,
            "cpu_of_a_poll": (cost := _cost_of_a_look(figure["ratios"])),
            "product": share * cost,
        }
        for title, figure in figures.items()
        for exponent, share in shares.items()
    ]


def _cost_of_a_look(ratios: dict[str, dict[str, float]]) -> float:
    changed = CHANGED / LOOKS
    same = ratios["unchanged"]["median"]
    return (1 - changed) * same + changed * ratios["changed"]["median"]


def _shares_of_polls() -> dict[str, float]:
    """Give `cadence`'s share of a fixed 3 s poller's polls, base model, by exponent."""
    try:
        written = json.loads((report.RESULTS / "cadence.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return {
        row["exponent"]: float(row["3 s"])
        for row in written["polls_as_share_of_fixed"]
        if row["durations"] == "base" and row["hours"] == "no" and "exponent" in row
    }


def _print_watches(watches: list[dict[str, Any]]) -> None:
    rows = [
        (
            watch["title"],
            watch["exponent"],
            f"{watch['polls']:.2f}",
            f"{watch['cpu_of_a_poll']:.2f}",
            f"{watch['product']:.2f}",
            f"{WATCH_AIM:.2f}",
        )
        for watch in watches
    ]
    report.table(
        "polls x CPU of a whole watch ÷ a fixed poller on plain aiohttp at equal mean delay",
        ("measured", "exponent", "polls", "CPU of a poll", "polls x CPU", "aim"),
        rows,
    )


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": median(values), "least": min(values), "most": max(values)}


def _print(title: str, figure: dict[str, Any], aim: float) -> None:
    rows = [
        (
            LABELS[name],
            f"{ratio['median']:.2f}",
            f"{ratio['least']:.2f}-{ratio['most']:.2f}",
            f"{aim:.2f}" if name == "unchanged" else "",
        )
        for name, ratio in figure["ratios"].items()
    ]
    report.table(
        f"CPU of a poll ÷ plain aiohttp, {title}", ("client", "median", "range", "aim"), rows
    )
    print(
        f"  plain aiohttp: {figure['aiohttp_us']:.0f} µs a poll; server at most"
        f" {figure['server_busy']:.0%} of a core; {len(figure['thrown_away'])} runs thrown away"
    )
