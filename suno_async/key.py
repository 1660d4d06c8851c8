"""The API key: masked wherever values are shown, and taken out of texts that echo it."""

import os
import re
from typing import cast

from suno_async.errors import InvalidRequest

# spec: the name in the authorisation's description
API_KEY_VARIABLE = "APIKLEY_API_KEY"

# what is shown in place of the key
SHOWN = "(key)"

# An echo may be cut off: so much of the key's beginning counts as the key.
_LEAST_ECHO = 8


class Masked(str):
    """Text whose `repr` does not show it: debuggers and loggers show a frame's locals so."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(SHOWN)


class _NoText:
    """Stands for a key that is no text, which must not be shown either."""

    def __repr__(self) -> str:
        return SHOWN


def mask(given: object) -> "Masked | _NoText | None":
    """Hide a key at once, before anything else is done with it; None stays None."""
    if given is None:
        return None
    return Masked(given) if isinstance(given, str) else _NoText()


def read_key(given: "Masked | _NoText | None") -> Masked:
    """Check a masked key; without one take it from the environment.

    Raises:
        InvalidRequest: There is none, or it could not be a header.
    """
    key = mask(os.environ.get(API_KEY_VARIABLE)) if given is None else given
    if isinstance(key, _NoText):
        raise InvalidRequest("api_key", "(hidden)", "must be text")
    if not key or not key.strip():
        rule = f"must be given, or be in the environment variable {API_KEY_VARIABLE}"
        raise InvalidRequest("api_key", None, rule)
    if not key.isascii() or not key.isprintable() or " " in key:
        raise InvalidRequest("api_key", "(hidden)", "must be printable ASCII without white space")
    return key


class Scrubber:
    """Takes the key out of what is going to be shown: whole or cut off, plain or as JSON writes it.

    Args:
        key: The key, printable ASCII.
    """

    def __init__(self, key: Masked) -> None:
        forms = [_json_forms(character) for character in key]
        self._echo = re.compile("".join(forms[:_LEAST_ECHO]))
        self._more = [re.compile(form) for form in forms[_LEAST_ECHO:]]

    def __call__(self, text: str) -> str:
        """Return the text with `(key)` in place of every echo."""
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

    def shown_by(self, error: BaseException) -> bool:
        """Tell whether an exception, or one behind it, shows the key."""
        seen: set[int] = set()
        behind: list[BaseException | None] = [error]
        while behind:
            told = behind.pop()
            if told is None or id(told) in seen:
                continue
            seen.add(id(told))
            if self._echo.search(_everything(told)):
                return True
            behind += told.__cause__, told.__context__
        return False


def _everything(error: BaseException) -> str:
    """Write all that an exception shows of itself, as far as its own methods work."""
    texts = list(map(str, cast("list[object]", getattr(error, "__notes__", []))))
    for write in (str, repr):
        try:
            texts.append(write(error))
        except Exception:  # noqa: BLE001, S112 - another library's method, or a caller's
            continue
    return " ".join(texts)


def _json_forms(character: str) -> str:
    """Write a pattern for the ways in which JSON may write an ASCII character."""
    plain = re.escape(character)
    # the longest first: a backslash begins the others
    return rf"(?:\\u(?i:{ord(character):04x})|\\{plain}|{plain})"
