"""What observers are told: frozen values of everything that happens, in order, never awaited."""

import asyncio
import inspect
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from contextvars import Context, copy_context
from datetime import datetime
from pathlib import Path
from typing import TypeAlias, cast

from attrs import define, field, frozen

from suno_async.errors import InvalidRequest, SubmissionUncertain, SunoError
from suno_async.models import AddInstrumentalRequest, StageEvent, TaskDetails
from suno_async.value import Value

_log = logging.getLogger(__name__)


@frozen
class Sent:
    """A submission's body is being handed to a connection: from here on it may cost money.

    Attributes:
        request: What is asked.
        attempt: How often it has been sent or tried to be sent, this time included; from 1.
        slot_s: How many seconds it waited for a slot before this attempt.
        window_s: How many seconds it then waited for a place in the window.
        pause_s: How many seconds it then waited for the end of a pause.
    """

    request: AddInstrumentalRequest
    attempt: int
    slot_s: float = field(default=0.0, eq=False)
    window_s: float = field(default=0.0, eq=False)
    pause_s: float = field(default=0.0, eq=False)


@frozen
class Accepted:
    """An answer gave a submission's task id; told before `on_submitted` is called.

    Attributes:
        task_id: The task.
        request: What was asked.
        submitted_at: When it was sent (aware, UTC).
        awaited: Whether its caller still waits; False when it was cancelled meanwhile.
        attempt: Which attempt it was, from 1.
        seconds: How long ago it was sent; None when that is not known.
    """

    task_id: str
    request: AddInstrumentalRequest
    submitted_at: datetime
    awaited: bool = True
    attempt: int = field(default=1, eq=False)
    seconds: float | None = field(default=None, eq=False)


@frozen
class Refused:
    """A submission certainly created no task.

    Attributes:
        request: What was asked.
        error: Why.
        verdict: `not sent`, `took nothing` or `refused`.
        retry_in_s: Seconds until it is sent again; None when it is given up.
        attempt: Which attempt it was, from 1.
        seconds: How long ago it was sent; None when this attempt sent nothing.
    """

    request: AddInstrumentalRequest
    error: SunoError
    verdict: str
    retry_in_s: float | None = None
    attempt: int = field(default=1, eq=False)
    seconds: float | None = field(default=None, eq=False)


@frozen
class Uncertain:
    """A submission was sent, and no answer says what became of it; it is not repeated.

    Attributes:
        request: What was asked.
        error: What its caller gets, unless a callback proves the task first.
        attempt: Which attempt it was, from 1.
        seconds: How long ago it was sent; None when that is not known.
    """

    request: AddInstrumentalRequest
    error: SubmissionUncertain
    attempt: int = field(default=1, eq=False)
    seconds: float | None = field(default=None, eq=False)


@frozen
class Found:
    """A callback to its own URL proved an uncertain submission, however late.

    Attributes:
        task_id: The task.
        request: What was asked.
        submitted_at: When it was sent (aware, UTC).
        awaited: Whether its caller still waits and gets the task.
        attempt: Which attempt it was, from 1.
        seconds: How long ago it was sent; None when that is not known.
    """

    task_id: str
    request: AddInstrumentalRequest
    submitted_at: datetime
    awaited: bool = False
    attempt: int = field(default=1, eq=False)
    seconds: float | None = field(default=None, eq=False)


@frozen
class Watched:
    """A watch began: the first reader of a task came, or the first after the last one left.

    Attributes:
        task_id: The task.
        submitted_at: When it was submitted (aware, UTC); None when nobody knows.
        model: Its model; empty when nobody knows.
        fresh: Whether this session submitted it; False when it was re-attached.
    """

    task_id: str
    submitted_at: datetime | None = None
    model: str = ""
    fresh: bool = False


@frozen
class Left:
    """The last reader of a task left before its end; the task goes on at the service.

    Attributes:
        task_id: The task.
    """

    task_id: str


@frozen
class Polled:
    """A task was looked at.

    Attributes:
        task_id: The task.
        seconds: How long the answer took.
        error: Why the look told nothing; None when it was answered.
    """

    task_id: str
    seconds: float
    error: SunoError | None = None


@frozen
class StageReached:
    """A task reached a stage, as its readers are told.

    Attributes:
        event: The stage and its tracks.
        seconds: How long after the submission it was seen; None when nobody knows.
    """

    event: StageEvent
    seconds: float | None = field(default=None, eq=False)


@frozen
class Ended:
    """A watch ended.

    Attributes:
        task_id: The task.
        details: The answer that ended it; None when none did.
        error: Why it did not become complete; None when it did.
        seconds: How long after the submission; None when nobody knows.
    """

    task_id: str
    details: TaskDetails | None = None
    error: SunoError | None = None
    seconds: float | None = field(default=None, eq=False)


@frozen
class Paused:
    """The account's calls pause, since one was made too often or was told to wait.

    Attributes:
        seconds: How long from now on.
        error: The answer that said so.
    """

    seconds: float
    error: SunoError


@frozen
class Balance:
    """The account's balance was asked for.

    Attributes:
        credits: How many credits are left.
    """

    credits: float


@frozen
class Uploading:
    """A stem begins to be uploaded, however often that is tried; `Uploaded` follows if it works.

    Attributes:
        path: The file; None for bytes and for a stream.
    """

    path: Path | None


@frozen
class Uploaded:
    """A stem was uploaded.

    Attributes:
        url: Where the service has it.
        size_bytes: Its length; None for a stream.
        seconds: How long it took.
        path: The file; None for bytes and for a stream.
    """

    url: str
    size_bytes: int | None
    seconds: float
    path: Path | None = None


@frozen
class Downloading:
    """Some more of a file has come; told twice a second at most for each file.

    Attributes:
        url: Where it comes from: its preferred place, when there are several.
        path: Where it is to be; the ending may change when the file shows what it is.
        received_bytes: How much is there.
        total_bytes: Its length; None when the host does not tell.
    """

    url: str
    path: Path
    received_bytes: int
    total_bytes: int | None


@frozen
class Downloaded:
    """A file was downloaded and has its final name.

    Attributes:
        url: Where it came from.
        path: Where it is.
        size_bytes: Its length.
        seconds: How long it took.
    """

    url: str
    path: Path
    size_bytes: int
    seconds: float


Observation: TypeAlias = (
    Sent
    | Accepted
    | Refused
    | Uncertain
    | Found
    | Watched
    | Polled
    | StageReached
    | Left
    | Ended
    | Paused
    | Balance
    | Uploading
    | Uploaded
    | Downloading
    | Downloaded
)
Observer: TypeAlias = Callable[[Observation], object]


@frozen
class SessionStats(Value):
    """How a session stands, and what it has done since it was entered.

    Attributes:
        in_flight: How many requests of `generate` and `generate_many` have room now.
        waiting: How many submissions wait for a slot or a place in the window.
        sending: How many submissions are on their way, or wait to be reconciled.
        watched: How many tasks somebody reads now.
        window_left: How many submissions could be sent at once.
        pause_left_s: Seconds until the account's pause ends; 0 without one.
        sent: How many submissions were handed to a connection, repetitions included.
        accepted: How many tasks were created, those found later included.
        uncertain: How many submissions were uncertain, whatever became of them later.
        found: How many of these a callback proved.
        retries: How many calls were repeated, polls that failed included.
        polls: How many looks were made.
        refusals: How many refusals, by the service's code.
    """

    in_flight: int = 0
    waiting: int = 0
    sending: int = 0
    watched: int = 0
    window_left: int = 0
    pause_left_s: float = 0.0
    sent: int = 0
    accepted: int = 0
    uncertain: int = 0
    found: int = 0
    retries: int = 0
    polls: int = 0
    refusals: Mapping[int, int] = field(factory=dict[int, int])


@define(eq=False)
class Counts:
    """The counters behind `SessionStats`; who does a thing counts it."""

    sent: int = 0
    accepted: int = 0
    uncertain: int = 0
    found: int = 0
    retries: int = 0
    polls: int = 0
    refusals: Counter[int] = field(factory=Counter[int])


class Observers:
    """Tells every observer of everything, one thing after the other.

    What an observer causes by itself while it is told is told afterwards, so that all of them
    see the same order, each in the context in which it happened. What becomes of a submission or a
    watch happens in a copy of the context in which it was submitted or re-attached. An observer
    that raises is logged and disturbs nothing. It is false when nobody observes:
    then nothing has to be made for it.

    Args:
        observers: Plain functions of one argument.

    Raises:
        InvalidRequest: One of them cannot be called, or would have to be awaited.
    """

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._observers = _checked(observers)
        self._untold: deque[tuple[Observation, Context | None]] = deque()
        self._telling = False

    def __bool__(self) -> bool:
        return bool(self._observers)

    def add(self, observer: Observer) -> None:
        """Tell one more of what happens from now on; one that is there already is not added again.

        Raises:
            InvalidRequest: It cannot be called, or would have to be awaited.
        """
        (added,) = _checked([observer])
        if added not in self._observers:
            self._observers = (*self._observers, added)

    def remove(self, observer: Observer) -> None:
        """Tell one no more, from the next thing on; an unknown one does nothing."""
        self._observers = tuple(other for other in self._observers if other != observer)

    def tell(self, observation: Observation) -> None:
        """Tell what has happened; never raises."""
        self._untold.append((observation, copy_context() if self._telling else None))
        if self._telling:
            return
        self._telling = True
        try:
            while self._untold:
                told, context = self._untold.popleft()
                if context is None:
                    self._tell_all(told)
                else:
                    context.run(self._tell_all, told)
        finally:
            self._telling = False

    def _tell_all(self, told: Observation) -> None:
        for observer in self._observers:
            _tell(observer, told)


def _checked(observers: Iterable[Observer]) -> tuple[Observer, ...]:
    rule = "must be plain functions of one argument"
    if not isinstance(cast("object", observers), Iterable):
        raise InvalidRequest("observers", observers, rule)
    given = tuple(observers)
    for observer in given:
        if not is_plain_function(observer):
            raise InvalidRequest("observers", observer, rule)
    return given


def is_plain_function(given: object) -> bool:
    """Tell whether something can be called, and what comes of it need not be awaited."""
    call = getattr(given, "__call__", None)  # noqa: B004 - an object's method may be async
    return callable(given) and not any(map(inspect.iscoroutinefunction, (given, call)))


def _tell(observer: Observer, observation: Observation) -> None:
    try:
        told = observer(observation)
        if inspect.iscoroutine(told):  # a lambda round a coroutine function: nothing awaits it
            told.close()
            # logged below, with whatever else an observer raises
            raise TypeError("an observer is a plain function, and is never awaited")  # noqa: TRY301
    except (KeyboardInterrupt, SystemExit) as error:
        # the program is to end, and not in the middle of what is being told
        asyncio.get_running_loop().call_soon(_raise, error)
    except BaseException:  # noqa: BLE001 - a caller's function: it may raise anything
        _log.exception("an observer failed at %s", type(observation).__name__)


def _raise(error: BaseException) -> None:
    raise error
