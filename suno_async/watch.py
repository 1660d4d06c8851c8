"""What is known of one watched task, and who reads it."""

import asyncio
import math
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Protocol
from weakref import ref

from attrs import define

from suno_async.cadence import EVERY_STAGE, Weights
from suno_async.errors import SunoError
from suno_async.models import CallbackNotice, TaskDetails
from suno_async.progress import Progress


class Expectation(Protocol):
    """A submission's callback URL, which is good as long as this is kept."""

    def follow(self, wake: Callable[[CallbackNotice], object]) -> None:
        """Call `wake` for every callback that comes to the URL."""
        ...


class Reader(Protocol):
    """Somebody who wants to know how a task goes on.

    Attributes:
        weights: How much it waits for each stage.
    """

    @property
    def weights(self) -> Weights:
        """How much it waits for `text`, `first` and `complete`."""
        ...

    def notify(self, watch: "Watch") -> None:
        """Take note that the task reached a stage or ended; must return at once."""
        ...


# what a look showed: details, why it told nothing, or None when its time was up before its turn
Seen = TaskDetails | SunoError | None


@define(eq=False)
class Watch(Progress):
    """What is known of one task; all who read the task share it.

    Attributes:
        model: Its model, for the cadence.
        fresh: Whether this session submitted it, so that its ages are exact.
        readers: Who is told of changes.
        looks: Who waits for a look of its own; None when nobody does.
        context: The context variables of its submission or first reader.
        ticket: Of the agenda.
        due_s: Of the agenda.
        polling: Whether a poll is under way.
        next_ask_s: When it may be asked again, on the monotonic clock.
        digest: Tells whether an answer is the same as the last.
        misses: How many looks in a row told nothing.
    """

    model: str = ""
    fresh: bool = False
    readers: tuple[Reader, ...] = ()
    looks: "list[asyncio.Future[Seen]] | None" = None
    context: Context | None = None
    ticket: int = 0
    due_s: float = 0.0
    polling: bool = False
    next_ask_s: float = -math.inf
    digest: int | None = None
    misses: int = 0

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for a look."""
        return bool(self.looks or (self.readers and not self.done))

    @property
    def weights(self) -> Weights:
        """The weights of the reader who is most eager for the first stage."""
        readers = self.readers
        if len(readers) == 1:
            return readers[0].weights
        return max((reader.weights for reader in readers), key=_eagerness, default=EVERY_STAGE)


def _eagerness(weights: Weights) -> float:
    return weights[0]


def in_context(watch: Watch) -> Context:
    """Give a copy of a watch's context, to tell something of its task in."""
    return watch.context.copy() if watch.context is not None else copy_context()


class Contexts:
    """Captures context variables for watches; those that are alike share one object."""

    def __init__(self) -> None:
        self._last: ref[Context] | None = None

    def capture(self) -> Context:
        """Give a copy of the present context, or the last one that was given if it is alike."""
        present = copy_context()
        last = self._last() if self._last is not None else None
        if last is not None and _are_alike(last, present):
            return last
        self._last = ref(present)
        return present


def _are_alike(one: Context, other: Context) -> bool:
    """Tell whether the same variables have the same objects; they may not be comparable."""
    missing = object()
    return len(one) == len(other) and all(
        other.get(variable, missing) is value for variable, value in one.items()
    )
