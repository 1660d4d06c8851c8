"""The end of a history: all that was paid is called back, attached, and delivered."""

import asyncio
from datetime import timedelta

from attrs import evolve

from suno_async import TaskExpired
from suno_async.doubts import DOUBTFUL_LOOKS
from suno_async.sandbox import Call

from .callers import Caller, awaiting
from .drive import Drive
from .misfortunes import LAST_LIES


async def conclude(drive: Drive) -> None:
    """Let everything end well: all that was paid is called back, attached, and delivered."""
    if not drive.plugged:
        await drive.plug(plugged=True)
    drive.sandbox.clear_faults()
    await drive.settle()
    drive.check_quiet()
    if drive.choices.cadence == "slow":
        await drive.pass_time(14.1 * 86_400)
        drive.check()
    drive.clock.wrong = timedelta(0)
    for place in list(drive.open):
        await drive.leave_session(place)
    drive.check_quiet()
    if drive.choices.receiver:
        await _call_everything_back(drive)
    await drive.pass_time(max(drive.limits.paused_until_s - drive.clock.monotonic(), 0) + 1)
    drive.choices = evolve(drive.choices, cadence="hazard")
    await drive.enter_session(0)
    for lie in LAST_LIES:
        if not drive.knowledge.lies[lie.doubt]:
            drive.inject(Call.DETAILS, lie, DOUBTFUL_LOOKS - 1)
    await _deliver_everything(drive)
    await drive.leave_session(0)
    drive.check_quiet()


async def _call_everything_back(drive: Drive) -> None:
    charged = drive.knowledge.charged
    taken = {task_id for task_id in charged if await drive.call_back(task_id, "text") == 200}
    called_back = {task_id: charged[task_id] for task_id in taken}
    drive.knowledge.check_late_callbacks(called_back)


async def _deliver_everything(drive: Drive) -> None:
    """Wait for every task that was paid for, by its stored id and time."""
    before = len(drive.callers)
    for task_id in drive.sandbox.tasks:
        task = drive.attach(0, task_id, dated=True, followed=False)
        caller = Caller(0, "result", task_id=task_id, timeout_s=5_000)
        drive.call(0, caller, awaiting(task))
    readers = drive.callers[before:]
    await drive.world.run(_all_of(readers))
    for caller in readers:
        _check_delivered(drive, caller)


def _check_delivered(drive: Drive, caller: Caller) -> None:
    """See that a task whose audio is there was delivered."""
    assert caller.task_id is not None
    task = drive.sandbox.tasks[caller.task_id]
    age_s = caller.ended_at.true_s - task.submitted_s
    moment = task.moment(task.position(age_s))
    whole = moment.finished_tracks == moment.listed_tracks > 1 and not task.failed
    # a stored time may be wrong, then the end of the 14 days is; that is checked below
    if age_s < 14 * 86_400 and whole and not isinstance(caller.error, TaskExpired):
        assert caller.error is None, f"not delivered: {caller.error!r}"
    drive.knowledge.check_caller(caller)


async def _all_of(callers: list[Caller]) -> None:
    await asyncio.gather(*(each.running for each in callers if each.running is not None))
