"""Tasks drawn from duration models, and the real watcher over a fake transport in virtual time.

Everything is deterministic: two runs give the same figures to the last digit.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from math import exp
from statistics import NormalDist
from typing import Any
from urllib.parse import unquote

from attrs import define, field, frozen

from suno_async.cadence import EVERY_STAGE, Cadence, Weights
from suno_async.clock import VirtualClock
from suno_async.limits import AccountLimits
from suno_async.observe import Counts, Observers
from suno_async.owner import Owner
from suno_async.retry import RetryPolicy, SharedPause
from suno_async.transport import Transport
from suno_async.watcher import Watch, Watcher
from suno_async.wire import Answer

STATUSES = ("PENDING", "TEXT_SUCCESS", "FIRST_SUCCESS", "SUCCESS")
AUDIO = '[{"audioUrl":"https://cdn/1"},{"audioUrl":"https://cdn/2"}]'
FAILED = "GENERATE_AUDIO_FAILED"


@frozen
class Life:
    """When a task reaches its stages, in seconds since its submission.

    Attributes:
        ends_s: The instants of `text`, `first` and `complete`.
        fails_after: How many stages it reaches before it fails; 3 for a task that does not fail.
    """

    ends_s: tuple[float, float, float]
    fails_after: int = 3

    def status(self, age_s: float) -> str:
        """Tell what the service answers at an age."""
        reached = sum(end_s <= age_s for end_s in self.ends_s)
        if reached > self.fails_after:
            return FAILED
        return STATUSES[reached]


@frozen
class Durations:
    """A model of how long the stages take.

    Attributes:
        medians_s: Of the three gaps between submission, `text`, `first` and `complete`.
        sigma: The spread of the lognormal gaps.
        slow_share: The share of tasks that are slow throughout.
        slow_factor: How much slower, at the median.
        slow_sigma: The spread of that factor.
        hours_share: The share of tasks whose last gap takes hours.
        failed_share: The share of tasks that fail at a stage.
        common: The share of the spread that a task's three gaps have in common, 0 to 1.
    """

    medians_s: tuple[float, float, float] = (21.0, 38.0, 62.0)
    sigma: float = 0.25
    slow_share: float = 0.05
    slow_factor: float = 3.0
    slow_sigma: float = 1.0
    hours_share: float = 0.003
    failed_share: float = 0.02
    common: float = 0.0

    def draw(self, count: int, seed: int = 1) -> list[Life]:
        """Draw tasks by Latin hypercube: every quantity is spread as evenly as can be."""
        rng = random.Random(seed)
        normal = NormalDist()
        gaps = [[normal.inv_cdf(u) for u in _strata(rng, count)] for _ in range(3)]
        shared = [normal.inv_cdf(u) for u in _strata(rng, count)]
        slow, hours, failed = (_strata(rng, count) for _ in range(3))
        which = _strata(rng, count)
        lives: list[Life] = []
        for i in range(count):
            at_s, ends_s = 0.0, []
            for stage in range(3):
                z = self.common**0.5 * shared[i] + (1 - self.common) ** 0.5 * gaps[stage][i]
                gap_s = self.medians_s[stage] * exp(self.sigma * z)
                if slow[i] < self.slow_share:
                    gap_s *= self.slow_factor * exp(self.slow_sigma * shared[i])
                if hours[i] < self.hours_share and stage == 2:
                    gap_s = 3600.0 * (1 + 4 * which[i])
                at_s += gap_s
                ends_s.append(at_s)
            fails_after = int(which[i] * 3) if failed[i] < self.failed_share else 3
            lives.append(Life((ends_s[0], ends_s[1], ends_s[2]), fails_after))
        return lives


def _strata(rng: random.Random, count: int) -> list[float]:
    values = [(i + rng.random()) / count for i in range(count)]
    rng.shuffle(values)
    return values


def scaled(lives: Sequence[Life], factor: Callable[[int], float]) -> list[Life]:
    """Make tasks slower or faster by a factor of their position: congestion."""
    return [Life(_times(life.ends_s, factor(i)), life.fails_after) for i, life in enumerate(lives)]


def _times(ends_s: tuple[float, float, float], factor: float) -> tuple[float, float, float]:
    text_s, first_s, complete_s = ends_s
    return text_s * factor, first_s * factor, complete_s * factor


class FakeTransport(Transport):
    """Answers polls from the tasks' lives; there is no network."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock_now = clock.monotonic
        self.lives: dict[str, tuple[float, Life]] = {}
        self.polls = 0
        self._bodies = {status: _body(status) for status in (*STATUSES, FAILED)}

    async def get(self, path: str, within_s: float | None = None) -> Answer:
        """Answer a poll."""
        self.polls += 1
        began_s, life = self.lives[unquote(path.rpartition("=")[2])]
        return Answer(200, self._bodies[life.status(self.clock_now() - began_s)])


def _body(status: str) -> bytes:
    tracks = AUDIO if status == "SUCCESS" else "[]"
    data = f'{{"status":"{status}","response":{{"sunoData":{tracks}}}}}'
    return f'{{"code":200,"data":{data}}}'.encode()


@define(eq=False)
class _Observer:
    """A reader that notes how late it learned of each stage."""

    life: Life
    began_s: float
    now: Callable[[], float]
    weights: Weights
    done: Callable[[], None]
    delays_s: list[float] = field(factory=list[float])

    def notify(self, watch: Watch) -> None:
        age_s = self.now() - self.began_s
        for stage in range(len(self.delays_s), watch.reached):
            self.delays_s.append(age_s - self.life.ends_s[stage])
        if watch.done:
            self.done()


@frozen
class Figures:
    """What a policy cost.

    Attributes:
        polls: Polls per task.
        delays_s: How late each stage of each task was seen, by task.
    """

    polls: float
    delays_s: list[list[float]]

    @property
    def all_delays_s(self) -> list[float]:
        """The delays of all stages of all tasks, sorted."""
        return sorted(delay for task in self.delays_s for delay in task)

    @property
    def mean_s(self) -> float:
        """The mean delay of a stage."""
        delays_s = self.all_delays_s
        return sum(delays_s) / len(delays_s)

    def quantile_s(self, q: float) -> float:
        """The delay that a share `q` of the stages does not exceed."""
        delays_s = self.all_delays_s
        return delays_s[min(int(q * len(delays_s)), len(delays_s) - 1)]


async def simulate(
    lives: Sequence[Life],
    cadence: Cadence | Callable[[], Cadence],
    *,
    spacing_s: float = 5.0,
    polls_per_second: float | None = None,
    weights: Weights = EVERY_STAGE,
    skip: int = 0,
    spare: int = 0,
) -> Figures:
    """Let the real watcher follow tasks that begin one after another.

    Args:
        lives: The tasks.
        cadence: The policy under test.
        spacing_s: The time between two submissions.
        polls_per_second: The budget of all tasks together.
        weights: What the readers wait for.
        skip: How many of the first tasks do not count.
        spare: How many of the last tasks do not count, so that the others meet a steady load.
    """
    clock = VirtualClock()
    transport = FakeTransport(clock)
    policy, owner, nobody = RetryPolicy(), Owner(clock), Observers()
    limits = AccountLimits(polls_per_second=polls_per_second)
    watcher = Watcher(
        transport=transport,
        cadence=cadence() if callable(cadence) else cadence,
        pause=SharedPause(clock, policy, limits, owner.sleep, nobody),
        policy=policy,
        clock=clock,
        owner=owner,
        limits=limits,
        observers=nobody,
        counts=Counts(),
        on_complete=lambda _: None,
    )
    left = len(lives)
    polls_at: dict[int, int] = {}
    observers: list[_Observer] = []
    watches: list[Watch] = []

    def finished() -> None:
        nonlocal left
        left -= 1

    def begin(position: int) -> None:
        polls_at[position] = transport.polls
        life = lives[position]
        task_id = str(position)
        transport.lives[task_id] = clock.monotonic(), life
        watch = watcher.watch(task_id, clock.now(), model="V5", fresh=True)
        observer = _Observer(life, clock.monotonic(), clock.monotonic, weights, finished)
        observers.append(observer)
        watches.append(watch)
        watcher.subscribe(watch, observer)

    for position in range(len(lives)):
        clock.call_at(position * spacing_s, partial(begin, position))
    while left:
        due_s = clock.next_deadline_s()
        assert due_s is not None, "tasks are left and nothing will happen"
        clock.advance(due_s - clock.monotonic())
        for _ in range(3):
            await asyncio.sleep(0)
    await watcher.aclose()
    end = len(lives) - spare
    polls = polls_at.get(end, transport.polls) - polls_at[skip]
    return Figures(polls / (end - skip), [observer.delays_s for observer in observers[skip:end]])


def run(lives: Sequence[Life], cadence: Cadence, **options: Any) -> Figures:
    """Simulate, from code that is not asynchronous."""
    return asyncio.run(simulate(lives, cadence, **options))


FOURTEEN_DAYS_S = timedelta(days=14).total_seconds()
