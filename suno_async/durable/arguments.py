"""What callers hand in: each is checked before anything happens, and refused by its name."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from suno_async.callbacks import CallbackReceiver
from suno_async.durable.store import Wanted
from suno_async.durable.values import Abandon, Adopt, Decision, JobState, Resubmit
from suno_async.errors import InvalidRequest
from suno_async.models import AddInstrumentalRequest

_LONGEST_KEY = 200


def check_receiver(receiver: CallbackReceiver) -> None:
    """Raise InvalidRequest unless every process can know its URLs."""
    try:
        receiver.expect(token=receiver.expect().token)
    except InvalidRequest as error:
        rule = "must have a secret, so that every process knows its URLs"
        raise InvalidRequest("receiver", receiver, rule) from error


def checked_key(key: str) -> str:
    """Take a key, if it is one."""
    rule = f"must be 1 to {_LONGEST_KEY} printable characters"
    if not isinstance(cast("object", key), str) or not 0 < len(key) <= _LONGEST_KEY:
        raise InvalidRequest("key", key, rule)
    if not key.isprintable() or key != key.strip():
        raise InvalidRequest("key", key, f"{rule}, without space at its ends")
    return key


def wanted_job(
    key: str,
    request: AddInstrumentalRequest,
    stem: str | os.PathLike[str] | None,
    save_to: str | os.PathLike[str] | None,
    covers: bool,
) -> Wanted:
    """Put together what is to be submitted."""
    if not isinstance(cast("object", request), AddInstrumentalRequest):
        raise InvalidRequest("request", request, "must be an AddInstrumentalRequest")
    paths = (_absolute("stem", stem), _absolute("save_to", save_to))
    return Wanted(checked_key(key), request, *paths, bool(covers))


def _absolute(name: str, path: str | os.PathLike[str] | None) -> Path | None:
    if path is None:
        return None
    try:
        absolute = Path(path).expanduser().absolute()
        str(absolute).encode()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidRequest(name, path, "must be a path") from error
    if "\0" in str(absolute):
        raise InvalidRequest(name, path, "must be a path")
    return absolute


def checked_prefix(prefix: str) -> str:
    """Take what a key could begin with."""
    if not isinstance(cast("object", prefix), str) or not prefix.isprintable():
        raise InvalidRequest("prefix", prefix, "must be printable text, such as a key begins with")
    return prefix


def checked_states(state: JobState | Iterable[JobState] | None) -> tuple[JobState, ...] | None:
    """Read a state, or several; None for all."""
    if state is None:
        return None
    try:
        return tuple(map(JobState, (state,) if isinstance(state, str) else state))
    except (TypeError, ValueError) as error:
        rule = f"must be a JobState, or several: {', '.join(JobState)}"
        raise InvalidRequest("state", state, rule) from error


def check_decision(decision: Decision) -> None:
    """Raise InvalidRequest unless it is one."""
    if not isinstance(cast("object", decision), Resubmit | Adopt | Abandon):
        raise InvalidRequest("decision", decision, "must be a Resubmit, Adopt or Abandon")
    if isinstance(decision, Adopt) and not decision.task_id.strip():
        raise InvalidRequest("task_id", decision.task_id, "must be text that is not blank")
