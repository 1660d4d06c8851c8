"""The command under all that ends it: whether a row is paid for twice, or a file is lost.

A batch of 40 rows, five of them bad, is struck at random moments: killed, hung up, its pipe closed,
its network cut; the same command is started after each, until the batch is over. What is uncertain
then is decided as a person would who sees the account's history. Some five minutes.
"""

import argparse
import asyncio
import random
import shutil
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.command_batch import STRIKES, Batch
from suno_async.sandbox import Sandbox, Timings
from tests.cli.albums import mixed_rows, write_album
from tests.line import line_to

_GOOD = 35
_EQUAL = 3
# a command takes some two seconds to start, more on a busy machine
_LIVES_S = (0.0, 5.0)
# for another submission
_PATIENCE_S = 8.0
_PACE = Timings(0.8, 2.0, 4.0)
_PROGRESS = ("runs", "strikes", "seconds")


async def _some_moment(trial: Batch, rng: random.Random) -> None:
    """Wait for a random moment: of the start, of the work, or while a submission is on its way."""
    where, before = rng.choice(("start", "work", "submission")), trial.line.submissions
    after_s = rng.uniform(*_LIVES_S)
    if where == "submission":
        deadline_s = time.monotonic() + _PATIENCE_S
        last = before + rng.randrange(1, 6)
        while trial.line.submissions < last and time.monotonic() < deadline_s:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.002)
        return
    if where == "work":
        while not trial.works():  # noqa: ASYNC110 - another process sets no event
            await asyncio.sleep(0.02)
    await asyncio.sleep(after_s)


async def batch(kind: str, folder: Path, rng: random.Random, strikes: int) -> dict[str, Any]:
    """Run one batch to its end, struck so many times at the most.

    Args:
        kind: What strikes it; one of `STRIKES`.
        folder: An empty folder.
        rng: Chooses the moments.
        strikes: How often; none gives the control.
    """
    rows = len(write_album(folder, mixed_rows(_GOOD, _EQUAL)))
    sandbox = Sandbox(timings=_PACE, callbacks=False, seed=rng.randrange(1 << 30))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(sandbox)
        line = await stack.enter_async_context(line_to(sandbox.base_url))
        trial = Batch(folder, sandbox, line, most=strikes)
        stack.push_async_callback(trial.aclose)
        began_s = time.monotonic()
        while trial.strikes < strikes:
            if not await STRIKES[kind](trial, lambda: _some_moment(trial, rng), rng):
                break
        await trial.run()
        seconds = time.monotonic() - began_s
        submitted_unseen = line.swallowed
        adopted, again = await trial.decide()
        status = await trial.run()
        figures = await trial.check(2 * _GOOD)
    return {
        "manifest_rows": rows,
        **dict(zip(_PROGRESS, (trial.runs, trial.strikes, round(seconds, 1)), strict=True)),
        **figures,
        "answers_swallowed": submitted_unseen,
        "uncertain_adopted": adopted,
        "uncertain_submitted_again": again,
        "last_status": status,
        "statuses": dict(Counter(map(str, trial.statuses))),
        "problems": trial.problems,
    }


def batches(kind: str, kills: int, seed: int, keep: Path | None) -> dict[str, Any]:
    """Run as many batches as it takes to strike so many times; add up what came of them."""
    rng = random.Random(f"{seed}/{kind}")
    total: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    problems: list[str] = []
    while total["strikes"] < kills or not total:
        with tempfile.TemporaryDirectory(prefix="command-", ignore_cleanup_errors=True) as name:
            found = asyncio.run(batch(kind, Path(name), rng, kills - total["strikes"]))
            if found["problems"] and keep is not None:
                shutil.copytree(name, keep / f"{kind} {total['batches']}")
        statuses.update(found.pop("statuses"))
        if (status := found.pop("last_status")) != 1:
            problems.append(f"the last command ended with {status}, although five rows are bad")
        problems += found.pop("problems")
        total.update({"batches": 1, **found})
        print(f"{kind}: {found}", flush=True)
    return {
        **total,
        "seconds": round(total["seconds"], 1),
        "statuses": statuses,
        "problems": problems,
    }


def main(argv: list[str]) -> None:
    """Run all kinds or those that are named; print, and write their figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks command", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(STRIKES))
    parser.add_argument("--kills", type=int, default=10, help="how many strikes of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="where to keep folders with problems")
    options = parser.parse_args(argv)
    figures: dict[str, Any] = {}
    for kind in options.kinds or list(STRIKES):
        figures[kind] = batches(kind, options.kills, options.seed, options.keep)
        report.table(f"{kind}", ("figure", "measured"), list(figures[kind].items()))
    if not options.kinds:
        control = batches("kill -9", 0, options.seed, options.keep)
        report.save("command", {"seed": options.seed, "undisturbed": control, **figures})
