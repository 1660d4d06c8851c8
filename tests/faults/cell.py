"""One cell of the table tried: a call under a fault, and a call after it."""

import asyncio
import weakref
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from suno_async import AddInstrumentalRequest, RetryPolicy, SunoSession
from tests.media.hosts import small_disk
from tests.waiting import until

from .calls import CALLS, Act, Call, files_in, named
from .faults import FAULTS, Fault
from .ground import QUICK, STEM, THEIRS, TIMEOUT_S, Ground, ground_for
from .table import Expected
from .tally import Tally, nothing_left_of

# a call that fails for good is over by then, whatever it meets
LONGEST_S = 25.0
# what may be taken of an endless answer: the largest that is read, and what sockets hold
MOST_TAKEN_BYTES = 24 * 1024**2


async def tried(expected: Expected, folder: Path) -> Tally:
    """Try one cell, and see that it leaves nothing.

    Args:
        expected: The cell.
        folder: An empty folder.
    """
    tally = Tally(cells=1)
    async with nothing_left_of(tally) as sessions:
        sessions.append(await on_ground(expected, folder, tally))
    return tally


async def on_ground(expected: Expected, folder: Path, tally: Tally) -> "weakref.ref[SunoSession]":
    """Make the call, lift the fault, make it again, leave, and look at the ledger."""
    fault = FAULTS[expected.fault]
    async with AsyncExitStack() as stack:
        place = folder / "files"
        disk = None
        if fault.name == "disk full":
            disk = stack.enter_context(small_disk(place))
        else:
            place.mkdir()
        settings = _settings_for(expected, fault, place)
        ground = await stack.enter_async_context(
            ground_for(
                expected.call,
                place,
                scheme=fault.scheme,
                named=fault.name == "unknown name",
                slow=fault.is_slow,
                settings=settings,
            )
        )
        ground.disk, ground.is_deaf = disk, fault.name == "deaf"
        await _meet(ground, CALLS[expected.call], expected, fault, tally)
        again = await _again(ground, CALLS[expected.call], times=3 if fault.is_slow else 1)
        tally.expect(again == "ok", f"afterwards: {again}")
        left = files_in(place)
        if expected.call != "submit":
            good = [".mp3"] if expected.call == "download" else []
            tally.expect(left == good, f"afterwards, files are left: {left}")
        await ground.suno.__aexit__(None, None, None)
        await _see_that_nothing_is_connected(ground, tally, most=2 if THEIRS else 0)
        session = weakref.ref(ground.suno)
        _look_at_the_ledger(ground, tally)
    return session


def _settings_for(expected: Expected, fault: Fault, place: Path) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if fault.is_slow:
        settings |= {"timeout": TIMEOUT_S, "retry": _tries(1)}
    if fault.once or fault.is_huge:
        settings |= {"retry": _tries(1)}
    if fault.name == "disk full" and expected.call == "submit":

        async def store(task_id: str, _: AddInstrumentalRequest, __: datetime) -> None:
            (place / "ids").write_bytes(task_id.encode() + STEM)

        settings["on_submitted"] = store
    return settings


def _tries(attempts: int) -> RetryPolicy:
    return RetryPolicy(attempts, QUICK.patience, QUICK.base, QUICK.cap)


async def _meet(ground: Ground, call: Call, expected: Expected, fault: Fault, tally: Tally) -> None:
    """Let the call meet the fault; see what its caller gets, and what is left."""
    await fault.begin(ground)
    while True:
        verdict = await _met(ground, call, fault)
        charged = ground.charges[ground.titles[-1]] if call.name == "submit" else None
        if (verdict, charged) not in expected.verdicts:
            tally.expect(False, f"{verdict}, charged {charged}; not {expected.verdicts}")
        if not fault.once or call.name == "watch" or ground.way >= ground.ways:
            break
    tally.injected += ground.line.struck or 1
    if fault.is_huge and call.name != "watch":
        taken = ground.line.said_bytes // ground.line.struck
        tally.expect(taken <= MOST_TAKEN_BYTES, f"{taken} bytes were taken of each answer")
    await fault.lift(ground)
    await _see_what_is_left(ground, call, expected, tally)


async def _see_that_nothing_is_connected(ground: Ground, tally: Tally, most: int = 0) -> None:
    """See that the session has no more connections; who reads nothing does not hear of it."""
    line = ground.line

    def left() -> int:
        return max((line.sockets if ground.is_deaf else line.connections) - most, 0)

    with suppress(TimeoutError):
        await until(lambda: not left())
    more = left()
    tally.leaked += more
    tally.expect(not more, f"{more} connections are open")


async def _see_what_is_left(ground: Ground, call: Call, expected: Expected, tally: Tally) -> None:
    """See that a call that is over holds no connection, but for one that is kept alive."""
    await _see_that_nothing_is_connected(ground, tally, most=2 if THEIRS else 1)
    if call.name == "download":
        parts = [".part", ".tag"] if expected.leaves_part else []
        allowed = [parts] if not _may_be_ok(expected) else [parts, [".mp3"]]
        left = files_in(ground.folder)
        tally.expect(left in allowed, f"files are left: {left}")


def _may_be_ok(expected: Expected) -> bool:
    return any(name == "ok" for name, _ in expected.verdicts)


async def _met(ground: Ground, call: Call, fault: Fault) -> str:
    """Make the call under the fault; a watch meets it twice, and then it is lifted."""
    if call.name != "watch":
        return await _outcome(ground, call.act)
    ending = asyncio.ensure_future(_outcome(ground, call.act))
    missed = asyncio.ensure_future(ground.missed_twice.wait())
    await asyncio.wait({ending, missed}, return_when=asyncio.FIRST_COMPLETED)
    missed.cancel()
    await fault.lift(ground)
    return await ending


async def _again(ground: Ground, call: Call, *, times: int) -> str:
    """Make the call when nothing is wrong; with a short time-out it may take another try."""
    again = ""
    for _ in range(times):
        again = await _outcome(ground, call.again)
        if again == "ok":
            break
    return again


async def _outcome(ground: Ground, act: Act) -> str:
    """Make a call, and name what comes of it."""
    ground.calling = calling = asyncio.ensure_future(act(ground))
    try:
        async with asyncio.timeout(LONGEST_S):
            await ground.run(calling)
    except asyncio.CancelledError:
        if not calling.cancelled():
            raise
        return "cancelled"
    except TimeoutError as error:
        if not calling.done() or calling.cancelled():
            return "hangs"
        return named(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, the table has another name for it
        _see_that_the_key_is_hidden(ground, error)
        return named(error) if not isinstance(error, AssertionError) else repr(error)
    finally:
        ground.calling = None
    return "ok"


def _see_that_the_key_is_hidden(ground: Ground, error: BaseException) -> None:
    cause: BaseException | None = error
    while cause is not None:
        assert ground.sandbox.api_key not in f"{cause} {cause!r}", "the key is shown"
        cause = cause.__cause__ or cause.__context__


def _look_at_the_ledger(ground: Ground, tally: Tally) -> None:
    """See what it cost, and that each charge is known to somebody."""
    tally.submissions += len(ground.sandbox.submissions)
    tally.charges += len(ground.sandbox.ledger)
    tally.lost += len(ground.lost)
    tally.doubled += len(ground.doubled)
    tally.expect(not ground.lost, f"lost: {ground.lost}")
    tally.expect(not ground.doubled, f"charged twice: {ground.doubled}")
    asked = b"".join(ground.heads).lower()
    tally.expect(b"authorization" not in asked, "another host was told the key")
    if ground.call != "download":
        tally.expect(not ground.heads, "another host was asked")
