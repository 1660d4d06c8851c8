"""URLs, as people write them, made the URIs that the service takes (RFC 3986)."""

import re
from ipaddress import AddressValueError, IPv6Address
from unicodedata import category
from urllib.parse import SplitResult, quote, urlsplit

from yarl import URL

from suno_async.errors import InvalidRequest

RULE = "must be an http or https URL with a host"

# RFC 3986: what path, query and fragment may hold; an escape that is there stays as it is
_FOREIGN = re.compile(r"%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~!$&'()*+,;=:@/?%]")
_FOREIGN_TO_USERS = re.compile(r"%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~!$&'()*+,;=:%]")
_HOST_CHARACTERS = re.compile(r"[A-Za-z0-9\-_.]+")
_PORT = re.compile(r":[0-9]*$")
# RFC 1035
_LONGEST_LABEL = 63
_LONGEST_HOST = 253
# what cannot be seen is a slip of copying; but joiners make one emoji of several, and one word
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"})
_JOINERS = "\u200c\u200d"


def uri_of(name: str, value: object) -> str:
    """Make a URI of an absolute http or https URL; one that is a URI comes back byte for byte.

    International hosts become IDNA; characters that no URI has, a lone `%` among them, are
    percent-encoded; escapes that are there already stay as they are, so that signatures hold.
    A user and a password are part of a URI and stay.

    Args:
        name: The argument that the value is for, to name it in the error.
        value: The URL.

    Raises:
        InvalidRequest: It cannot be made one: no http or https, no host, white space or what
            cannot be seen in it, a host whose labels do not have 1 to 63 letters, digits, `-` or
            `_`, or a port out of 1 to 65535.
    """
    if not isinstance(value, str):
        raise InvalidRequest(name, value, RULE)
    if any(ch.isspace() or (category(ch) in _UNSEEN and ch not in _JOINERS) for ch in value):
        raise InvalidRequest(name, value, f"{RULE}, without white space")
    try:
        parts = urlsplit(value)
    except ValueError as error:
        raise InvalidRequest(name, value, RULE) from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InvalidRequest(name, value, RULE)
    try:
        authority = _authority(parts)
    except ValueError as error:
        raise InvalidRequest(name, value, f"{RULE}: {error}") from error
    prefix = value[: len(parts.scheme)] + "://"
    behind, hash_sign, fragment = value[len(prefix) + len(parts.netloc) :].partition("#")
    return f"{prefix}{authority}{_encoded(behind)}{hash_sign}{_encoded(fragment)}"


def _encoded(text: str, foreign: "re.Pattern[str]" = _FOREIGN) -> str:
    return text if foreign.search(text) is None else foreign.sub(_escape, text)


def _escape(found: "re.Match[str]") -> str:
    return quote(found[0], safe="")


def _authority(parts: SplitResult) -> str:
    _check_port(parts)
    user, at, place = parts.netloc.rpartition("@")
    port = _PORT.search(place)
    host = place[: port.start()] if port else place
    if host.startswith("["):
        _check_address(host)
    else:
        host = host if host.isascii() else _idna(host)
        _check_labels(host)
    return f"{_encoded(user, _FOREIGN_TO_USERS)}{at}{host}{port[0] if port else ''}"


def _check_port(parts: SplitResult) -> None:
    try:
        outside = parts.port == 0
    except ValueError:
        outside = True
    if outside:
        raise ValueError("its port is not from 1 to 65535")


def _check_address(host: str) -> None:
    try:
        IPv6Address(host.removeprefix("[").removesuffix("]"))
    except AddressValueError as error:
        raise ValueError("its host is no IPv6 address") from error
    if "%" in host:
        raise ValueError("its host has a zone, which means nothing elsewhere")


def _idna(host: str) -> str:
    try:
        return str(URL.build(scheme="http", host=host).raw_host)
    except ValueError as error:
        raise ValueError("its host is no international name") from error


def _check_labels(host: str) -> None:
    if not _HOST_CHARACTERS.fullmatch(host):
        raise ValueError("its host has characters that no host has")
    named = host.removesuffix(".")
    if len(named) > _LONGEST_HOST:
        raise ValueError(f"its host is longer than {_LONGEST_HOST} characters")
    if any(not 1 <= len(label) <= _LONGEST_LABEL for label in named.split(".")):
        raise ValueError(f"its host has a label that is empty or over {_LONGEST_LABEL} characters")
