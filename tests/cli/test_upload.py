"""`suno-async upload`: stems to URLs."""

import json
import shutil

from suno_async.sandbox import Call, EnvelopeError

from .command import Command, Ended

LIFE = "suno-async: the service deletes uploads after 3 days, perhaps after 24 hours already\n"


async def upload(command: Command, *words: str) -> Ended:
    """Upload to the sandbox."""
    return await command.run("upload", "--base-url", command.sandbox.base_url, *words)


async def test_one_file_gives_its_url(command: Command) -> None:
    """The URL alone, for `$(…)`; how long it lives is said beside it."""
    ended = await upload(command, "short.wav")
    assert ended.status == 0
    assert ended.out.startswith("http")
    assert ended.out.count("\n") == 1
    assert ended.err == LIFE


async def test_several_files_are_named_and_equal_ones_go_out_once(command: Command) -> None:
    """A line has a path, a tab and a URL, in the order of the arguments."""
    shutil.copy(command.folder / "short.wav", command.folder / "same.wav")
    ended = await upload(command, "short.wav", "long.wav", "same.wav", "short.wav")
    lines = [line.split("\t") for line in ended.out.splitlines()]
    assert (ended.status, ended.err) == (0, LIFE)
    assert [name for name, _ in lines] == ["short.wav", "long.wav", "same.wav", "short.wav"]
    urls = [url for _, url in lines]
    assert urls[0] == urls[2] == urls[3] != urls[1]
    assert uploads(command) == 2


def uploads(command: Command) -> int:
    """Count what has arrived at the service."""
    return sum(request.path.startswith("/file-upload") for request in command.sandbox.requests)


async def test_a_bad_file_is_named_and_stops_no_other(command: Command) -> None:
    """Status 1, and the URLs of the others; names cannot move the cursor."""
    (command.folder / "empty.wav").touch()
    ended = await upload(command, "empty.wav", "short.wav", "no\x1bne.wav")
    assert ended.status == 1
    assert ended.out.startswith("short.wav\thttp")
    assert ended.out.count("\n") == 1
    assert ended.err == (
        "empty.wav: must not be an empty file\n"
        f"no ne.wav: must be a readable file (No such file or directory)\n{LIFE}"
    )


async def test_only_bad_files_ask_nothing_of_the_service(command: Command) -> None:
    """Not even for the balance."""
    ended = await upload(command, "none.wav")
    assert (ended.status, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert not command.sandbox.requests


async def test_json_has_every_file(command: Command) -> None:
    """One object a line, problems included."""
    command.sandbox.inject(Call.UPLOAD, EnvelopeError(413, "too\x1b long"))
    ended = await upload(command, "--json", "short.wav", "none.wav")
    first, second = map(json.loads, ended.out.splitlines())
    assert ended.status == 1
    assert first["file"] == "short.wav"
    assert r"too\x1b long" in first["error"]  # as every error writes it
    assert second == {
        "file": "none.wav",
        "error": "must be a readable file (No such file or directory)",
    }


async def test_a_wrong_key_is_one_sentence(command: Command) -> None:
    """It is found before anything is uploaded."""
    words = ("upload", "--base-url", command.sandbox.base_url, "short.wav", "long.wav")
    ended = await command.run(*words, key="wrong")
    assert (ended.status, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert uploads(command) == 0
