"""The service's own answers with one value of another type, each in turn."""

import json
from collections.abc import Iterator
from itertools import product
from typing import Any, TypeAlias

Path: TypeAlias = tuple[str | int, ...]

# JSON has no others; the number is beyond every float
WRONG: list[Any] = [None, True, 10**400, "x", [{}], {"a": []}]

HEADERS = [
    "Content-Length: x",
    "Content-Length: -5",
    "Content-Type: \xff",
    "Content-Encoding: br",
    "Content-Range: bytes x-y/z",
    "ETag: " + "e" * 5_000,
    "Last-Modified: yesterday",
    "Retry-After: soon",
    "Transfer-Encoding: nonsense",
    "Location: http://[",
    "Set-Cookie: a=b; Max-Age=nonsense",
]


def paths_of(value: Any, path: Path = ()) -> Iterator[Path]:
    """List where the values of a JSON value are; of a list, its first item's."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths_of(inner, (*path, key))
    if isinstance(value, list) and value:
        yield from paths_of(value[0], (*path, 0))


def mistyped(value: Any, path: Path, wrong: Any) -> bytes:
    """Write a JSON value with another value in one place."""
    again = json.loads(json.dumps(value))
    place = again
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = wrong
    return json.dumps(again).encode()


def ways_of(body: bytes) -> list[tuple[Path, Any]]:
    """List what can be wrong with an answer: each wrong value in each place."""
    return list(product(paths_of(json.loads(body)), WRONG))


def mistyped_head(head: bytes, header: str) -> bytes:
    """Put another header into a head, in place of the one of that name."""
    name = header.partition(":")[0].lower().encode()
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(name)]
    lines.insert(1, header.encode("latin-1"))
    return b"\r\n".join(lines)
