"""Secrets: masked wherever values are shown, and taken out of texts that echo them."""

import os
import re
from collections.abc import Awaitable, Callable, Iterator
from itertools import chain
from typing import TypeAlias, cast

from suno_async.errors import InvalidRequest

# what is asked for the key: a plain function, or one that is awaited
AskForKey: TypeAlias = Callable[[], str | Awaitable[str]]

# spec: the name in the authorisation's description
API_KEY_VARIABLE = "APIKLEY_API_KEY"

# what is shown in place of the key
SHOWN = "(key)"

# An echo may be cut off: so much of the key's beginning counts as the key.
_LEAST_ECHO = 8

# so many keys are remembered, the latest: those that were replaced long ago are not echoed
_MOST_ADDED = 8

_RULE = "must be printable ASCII without white space"


class Masked(str):
    """Text whose `repr` does not show it: debuggers and loggers show a frame's locals so."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(SHOWN)


class _NoText:
    """Stands for a key that is no text, which must not be shown either."""

    def __repr__(self) -> str:
        return SHOWN


class Asked:
    """Holds what is asked for the key: as a function made of the key, its `repr` would show it.

    Args:
        ask: A plain function, or one that is awaited.
    """

    __slots__ = ("ask",)

    def __init__(self, ask: AskForKey) -> None:
        self.ask: AskForKey = ask

    def __repr__(self) -> str:
        return SHOWN


def mask(given: object) -> "Masked | Asked | _NoText | None":
    """Hide a key at once, before anything else is done with it; None stays None."""
    if given is None:
        return None
    if isinstance(given, str):
        return Masked(given)
    return Asked(cast("AskForKey", given)) if callable(given) else _NoText()


def read_key(given: "Masked | Asked | _NoText | None") -> "Masked | Asked":
    """Check a masked key; without one take it from the environment.

    Raises:
        InvalidRequest: There is none, or it could not be a header.
    """
    key = mask(os.environ.get(API_KEY_VARIABLE)) if given is None else given
    if isinstance(key, Asked):
        return key
    if isinstance(key, _NoText):
        raise InvalidRequest("api_key", "(hidden)", "must be text, or a function that returns it")
    if not key or not key.strip():
        rule = f"must be given, or be in the environment variable {API_KEY_VARIABLE}"
        raise InvalidRequest("api_key", None, rule)
    if not _fits_a_header(key):
        raise InvalidRequest("api_key", "(hidden)", _RULE)
    return key


def read_answer(given: object) -> Masked:
    """Check what was given as the key by what was asked for it.

    White space around it is left out: a file that holds a secret often ends with a new line.

    Raises:
        InvalidRequest: It is no text that could be a header.
    """
    key = Masked(given.strip()) if isinstance(given, str) else Masked()
    del given  # loggers show locals
    if not key or not _fits_a_header(key):
        raise InvalidRequest("api_key", "(hidden)", f"was asked for the key: what it gives {_RULE}")
    return key


def _fits_a_header(key: str) -> bool:
    return key.isascii() and key.isprintable() and " " not in key


class Scrubber:
    """Takes secrets out of what is going to be shown: whole or cut off, plain or as JSON has them.

    Args:
        secrets: What is secret from first to last, printable ASCII.
    """

    def __init__(self, *secrets: Masked) -> None:
        self._always = [_Secret(secret) for secret in secrets]
        self._latest: dict[Masked, _Secret] = {}

    def add(self, secret: Masked) -> None:
        """Take one more out from now on, and forget the oldest of many that were added."""
        self._latest.pop(secret, None)
        self._latest[secret] = _Secret(secret)
        if len(self._latest) > _MOST_ADDED:
            del self._latest[next(iter(self._latest))]

    def _secrets(self) -> "Iterator[_Secret]":
        return chain(self._always, self._latest.values())

    def __call__(self, text: str) -> str:
        """Return the text with `(key)` in place of every echo."""
        for secret in self._secrets():
            text = secret.taken_out(text)
        return text

    def shown_by(self, error: BaseException) -> bool:
        """Tell whether an exception, or one behind it, shows a secret."""
        seen: set[int] = set()
        behind: list[BaseException | None] = [error]
        while behind:
            told = behind.pop()
            if told is None or id(told) in seen:
                continue
            seen.add(id(told))
            text = _everything(told)
            if any(secret.is_in(text) for secret in self._secrets()):
                return True
            behind += told.__cause__, told.__context__
        return False


class _Secret:
    """One secret, as it may be echoed."""

    def __init__(self, secret: Masked) -> None:
        forms = [_json_forms(character) for character in secret]
        self._echo = re.compile("".join(forms[:_LEAST_ECHO]))
        self._more = [re.compile(form) for form in forms[_LEAST_ECHO:]]

    def is_in(self, text: str) -> bool:
        return self._echo.search(text) is not None

    def taken_out(self, text: str) -> str:
        shown: list[str] = []
        at = 0
        while found := self._echo.search(text, at):
            shown += text[at : found.start()], SHOWN
            at = self._end(text, found.end())
        shown.append(text[at:])
        return "".join(shown)

    def _end(self, text: str, at: int) -> int:
        for character in self._more:
            if not (found := character.match(text, at)):
                break
            at = found.end()
        return at


def take_frames_off(error: BaseException, kinds: tuple[type[BaseException], ...]) -> None:
    """Take the frames off exceptions of some kinds, the ones behind too: their locals are secret.

    Args:
        error: The exception.
        kinds: Those whose frames' locals are what was on the way.
    """
    seen: set[int] = set()
    behind: list[BaseException | None] = [error]
    while behind:
        one = behind.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, kinds):
            one.__traceback__ = None
        behind += one.__cause__, one.__context__
        if isinstance(one, BaseExceptionGroup):
            behind += cast("BaseExceptionGroup[BaseException]", one).exceptions


def _everything(error: BaseException) -> str:
    """Write all that an exception shows of itself, as far as its own methods work."""
    texts = list(map(str, cast("list[object]", getattr(error, "__notes__", []))))
    for write in (str, repr):
        try:
            texts.append(write(error))
        except Exception:  # noqa: BLE001, S112 # nosec B112 # somebody else's method
            continue
    return " ".join(texts)


def _json_forms(character: str) -> str:
    """Write a pattern for the ways in which JSON may write an ASCII character."""
    plain = re.escape(character)
    # the longest first: a backslash begins the others
    return rf"(?:\\u(?i:{ord(character):04x})|\\{plain}|{plain})"
