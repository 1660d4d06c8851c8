"""The configuration file, `suno-async.toml`: found, read and parsed, with the key kept apart."""

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from attrs import field, frozen

from suno_async.cli.at_once import open_at_once
from suno_async.cli.failures import Complaint
from suno_async.key import Masked

NAME = "suno-async.toml"
KEY = "api_key"
_LARGEST_BYTES = 1 << 20
_OTHERS_MAY_READ = stat.S_IRGRP | stat.S_IROTH
_POSITION = re.compile(r"\(at (line \d+, column \d+|end of document)\)\Z")


@frozen
class Config:
    """What a configuration file says.

    Attributes:
        path: The file; None when there is none.
        values: What it has, without the key.
        api_key: The API key, if it has one.
        chosen: Whether the user chose it: named it, or put it into the folder of the user's
            configurations. One that lies in the current folder may have come with the folder.
        readable_by_others: Whether other users of this machine can read it.
    """

    path: Path | None = None
    values: Mapping[str, Any] = field(factory=dict[str, Any], repr=False)
    api_key: Masked | None = None
    chosen: bool = True
    readable_by_others: bool = False


def find_config(given: Path | None) -> Config:
    """Read the file that is named, else the current folder's, else the user's own.

    Raises:
        Complaint: It cannot be read, or is no TOML.
    """
    if given is not None:
        return read_config(given)
    if os.path.lexists(NAME):
        return read_config(Path(NAME), chosen=False)
    own = user_config()
    return read_config(own) if os.path.lexists(own) else Config()


def user_config() -> Path:
    """Name the user's own file: `~/.config/suno-async.toml` on Linux, its like elsewhere."""
    return Path(f"{typer.get_app_dir('suno-async')}.toml")


def read_config(path: Path, *, chosen: bool = True) -> Config:
    """Read a configuration file; nothing that it has is shown in what is raised.

    Raises:
        Complaint: It cannot be read, or is no TOML.
    """
    text, mode = _read(path)
    values = _parse(path, text)
    key = values.pop(KEY, None)
    spelled_otherwise = values.pop(KEY.replace("_", "-"), None)
    key = key if key is not None else spelled_otherwise
    if key is not None and (not isinstance(key, str) or not key.strip()):
        raise Complaint(f"{path}: {KEY}: must be text that is not blank")
    masked = Masked(key) if key is not None else None
    return Config(
        path, values, masked, chosen, os.name == "posix" and bool(mode & _OTHERS_MAY_READ)
    )


def _read(path: Path) -> tuple[str, int]:
    """Read a regular file of a sensible size; return its text and its mode."""
    try:
        with open_at_once(path) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise Complaint(f"{path}: must be a regular file")
            content = file.read(_LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Complaint(f"cannot read the configuration {path}: {reason}") from error
    if len(content) > _LARGEST_BYTES:
        raise Complaint(f"{path}: must not be larger than 1 MiB")
    try:
        return content.decode("utf-8-sig"), found.st_mode
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        # without its cause, which has the whole content
        raise Complaint(f"{path}: line {line}: must be UTF-8") from None


def _parse(path: Path, text: str) -> dict[str, Any]:
    # without their causes and their words, which may have the key
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Complaint(f"{path}: {_place(str(error), text)}: this is no TOML") from None
    except (ValueError, RecursionError):
        raise Complaint(f"{path}: has a number that is too long, or is nested too deeply") from None


def _place(said: str, text: str) -> str:
    found = _POSITION.search(said)
    if found is not None and found[1].startswith("line"):
        return found[1]
    lines = text.split("\n")
    return f"line {len(lines)}, column {len(lines[-1]) + 1}"
