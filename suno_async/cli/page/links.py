"""Addresses that a page may hold: files by relative path, and links to the web."""

from urllib.parse import quote, urlsplit

_WEB = ("http", "https")


def is_web(source: str) -> bool:
    """Tell whether a source is an http(s) URL and not a file's path."""
    try:
        parts = urlsplit(source)
        host = parts.hostname
    except ValueError:
        return False
    return (
        parts.scheme.lower() in _WEB and bool(host) and source.isprintable() and " " not in source
    )


def file_address(path: str, *, upwards: bool = False) -> str | None:
    """Write a relative path as an address that means this file and nothing else.

    It begins with a dot, so that no name can become a scheme or a host, and every character that
    has a meaning in a URL is percent-encoded.

    Args:
        path: Parts with `/` between them.
        upwards: Whether it may lead out of the page's folder.

    Returns:
        The address; None for a path that is empty, absolute, or leads where it may not.
    """
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if not parts or path.startswith("/") or (".." in parts and not upwards):
        return None
    return "/".join((".", *(_encoded(part) for part in parts)))


def _encoded(part: str) -> str:
    # a name that is no UTF-8 has its bytes as lone surrogates: they are what is asked for
    try:
        data = part.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        data = part.encode("utf-8", "replace")
    return quote(data, safe="")
