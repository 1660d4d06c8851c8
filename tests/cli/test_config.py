"""`suno-async.toml`: where it is found, what it sets, and that it never shows the key."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from suno_async.cli.app import app

from .command import Command, Ended

KEY = "sk-a-secret-of-mine"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Write the file of an empty current folder; nothing else configures anything."""
    for name in ("APIKLEY_API_KEY", "APIKLEY_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> Path:
        path = Path("suno-async.toml")
        path.write_text(text)
        path.chmod(0o600)
        return path

    return write


def run(*words: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(app, list(words))


def refusal(*words: str) -> str:
    """Run the command, which finds something wrong in its file; return the sentence."""
    result = run(*words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("suno-async: ")
    assert result.stderr.count("\n") == 1
    assert "secret" not in result.stderr
    return result.stderr.removeprefix("suno-async: ").strip()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("outt = 'x'", "outt: is no option that can be set here: did you mean out?"),
        ("[generate]\nwhat = 1", "[generate] what: is no option that can be set here"),
        ("[generat]\nout = 'x'", "[generat]: is no command: did you mean generate?"),
        ("[watch]\nout = 'x'", "[watch] out: is no option that can be set here"),
        ("config = 'x'", "config: is no option that can be set here"),
        ("version = true", "version: is no option that can be set here"),
        ("install_completion = 'bash'", "install_completion: is no option that can be set here"),
        ("[fetch]\ntask_ids = ['x']", "[fetch] task_ids: is no option that can be set here"),
        (f"[generate]\napi_key = '{KEY}'", "[generate] api_key: belongs above all tables"),
        ("[sandbox]\napi-key = 'a'\napi_key = 'b'", "[sandbox] api_key: is there twice"),
        ("api_key = 3", "api_key: must be text that is not blank"),
        ("api_key = ' '", "api_key: must be text that is not blank"),
        ("interval = [1]", "interval: must be a number, and is a list"),
        ("interval = 2026-01-31", "interval: must be a number, and is a time"),
        ("interval = '1'", "interval: must be a number, and is text"),
        ("json = 'yes'", "json: must be true or false, and is text"),
        ("out = 3", "out: must be a path, and is a number"),
        (f"tags = ['{KEY}']", "tags: must be text, and is a list"),
        ("[watch]\ntimeout = -1", "[watch] timeout: must be a number of at least 0"),
        ("[generate.out]\na = 1", "[generate] out: must be a path, and is a table"),
        (
            "[generate]\nmax-in-flight = true",
            "[generate] max_in_flight: must be a whole number of at least 1, and is true or false",
        ),
        (
            "[sandbox]\nport = 99999",
            "[sandbox] port: must be a whole number of at least 0, at most 65535",
        ),
        ("[demo]\ncount = 1.5", "[demo] count: must be a whole number of at least 1, and is a nu"),
        (f"[generate]\nmodel = '{KEY}'", "[generate] model: must be one of V4_5PLUS, V5"),
    ],
)
def test_what_breaks_a_rule_is_named(config: Callable[[str], Path], text: str, said: str) -> None:
    """The sentence names the file, the key and the rule, whichever command runs."""
    config(text)
    assert refusal("credits").startswith(f"suno-async.toml: {said}")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"\napi_key = {KEY}", "line 2, column 11"),
        (f"api_key = '{KEY}", "line 1, column 31"),
        (f"api_key = '{KEY}'\napi_key = '{KEY}'", "line 2, column 32"),
        ("out = ", "line 1, column 7"),
    ],
)
def test_broken_toml_names_line_and_column(
    config: Callable[[str], Path], text: str, place: str
) -> None:
    """It shows nothing of the line, which may have the key."""
    config(text)
    assert refusal("credits") == f"suno-async.toml: {place}: this is no TOML"


@pytest.mark.parametrize("text", ["port = " + "1" * 5000, "out = " + "[" * 5000])
def test_what_a_parser_chokes_on_is_one_sentence(config: Callable[[str], Path], text: str) -> None:
    """Numbers without end, and nesting without end."""
    config(text)
    assert refusal("credits").startswith("suno-async.toml: has a number that is too long, or is n")


def test_a_file_that_is_none_is_refused_at_once(config: Callable[[str], Path]) -> None:
    """A pipe has perhaps no writer, and a device no end."""
    path = config("")
    assert refusal("--config", "/dev/zero", "credits") == "/dev/zero: must be a regular file"
    assert refusal("--config", "no.toml", "credits") == (
        "cannot read the configuration no.toml: No such file or directory"
    )
    path.write_bytes(b"#" * (1 << 20) + b"#")
    assert refusal("credits") == "suno-async.toml: must not be larger than 1 MiB"
    path.write_bytes(b"\n# caf\xe9")
    assert refusal("credits") == "suno-async.toml: line 2: must be UTF-8"
    path.unlink()
    os.mkfifo(path)
    assert refusal("credits") == "suno-async.toml: must be a regular file"


def test_names_from_outside_cannot_move_the_cursor(config: Callable[[str], Path]) -> None:
    """Keys of TOML may have any characters."""
    config('"a\\u001b[2Jb\\n" = 1')
    assert refusal("credits") == "suno-async.toml: a [2Jb : is no option that can be set here"


@pytest.mark.parametrize("key", ["max_in_flight", "max-in-flight"])
def test_help_shows_what_the_file_sets(config: Callable[[str], Path], key: str) -> None:
    """A table counts before what is above it, which is for all commands."""
    config(f"out = 'everywhere'\n{key} = 3\n[generate]\nout = 'here'\n")
    assert "[default: here]" in run("generate", "--help").stdout
    assert "[default: 3]" in run("generate", "--help").stdout
    assert "[default: everywhere]" in run("fetch", "--help").stdout


def test_a_file_of_the_current_folder_sends_no_other_key_away(
    config: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have come with the folder: whoever made it must not get the environment's key."""
    config("base_url = 'http://198.51.100.1'")
    monkeypatch.setenv("APIKLEY_API_KEY", KEY)
    said = refusal("credits")
    assert said.startswith("suno-async.toml would have your key sent to http://198.51.100.1")
    assert said.endswith("if that is right, give --config suno-async.toml")


# --- with a service ------------------------------------------------------------------------------


def write(command: Command, text: str, folder: str = ".") -> None:
    """Write the configuration of a folder."""
    path = command.folder / folder / "suno-async.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)


def says(command: Command, **more: str) -> str:
    """Write what leads to the sandbox."""
    values = {"base_url": command.sandbox.base_url, "api_key": command.sandbox.api_key, **more}
    return "".join(f"{key} = {value!r}\n" for key, value in values.items())


def shows_the_balance(ended: Ended) -> bool:
    """Tell whether the sandbox was reached with its key."""
    return (ended.status, ended.out, ended.err) == (0, "1000000\n", "")


@pytest.mark.parametrize("where", [".", "config"])
async def test_address_and_key_may_be_in_the_file(command: Command, where: str) -> None:
    """In the current folder, or among the user's configurations; an empty variable is none."""
    write(command, says(command), where)
    assert shows_the_balance(await command.run("credits", key=""))


async def test_the_current_folder_comes_first_and_a_named_file_before_it(command: Command) -> None:
    """Only one file is read."""
    write(command, says(command, api_key="another"), "config")
    write(command, says(command))
    assert shows_the_balance(await command.run("credits", key=""))
    ended = await command.run("--config", "config/suno-async.toml", "credits", key="")
    assert ended.status == 1


async def test_the_environment_counts_before_the_file(command: Command) -> None:
    """For the key and for the address."""
    write(command, says(command, api_key="another", base_url="http://127.0.0.1:1"))
    env = {"APIKLEY_BASE_URL": command.sandbox.base_url}
    assert shows_the_balance(await command.run("credits", env=env))


async def test_options_count_before_the_environment(command: Command) -> None:
    """The address of an option, whatever else is said."""
    write(command, says(command, base_url="http://127.0.0.1:1"))
    words = ("credits", "--base-url", command.sandbox.base_url)
    env = {"APIKLEY_BASE_URL": "http://127.0.0.1:2"}
    assert shows_the_balance(await command.run(*words, env=env))


async def test_a_file_that_is_named_is_trusted_with_the_key(command: Command) -> None:
    """As is one that leads to this machine, which needs no naming."""
    write(command, f"base_url = {command.sandbox.base_url!r}")
    assert shows_the_balance(await command.run("credits"))
    write(command, "base_url = 'http://nowhere.invalid'")
    ended = await command.run("--config", "suno-async.toml", "credits")
    assert ended.err.startswith("suno-async: cannot reach the service: ")


async def test_a_key_that_others_can_read_is_said_to_be(command: Command) -> None:
    """It works all the same, and is not shown."""
    write(command, says(command))
    (command.folder / "suno-async.toml").chmod(0o640)
    ended = await command.run("credits", key="")
    assert (ended.status, ended.out) == (0, "1000000\n")
    assert ended.err == "suno-async: suno-async.toml has the key, and others can read it\n"
    assert command.sandbox.api_key not in ended.err


async def test_options_of_commands_work_from_the_file(command: Command) -> None:
    """A whole run without any option beside the song's own."""
    style = "tags = 'piano'\nnegative_tags = ''\nstem = 'short.wav'\n"
    write(command, f"{says(command)}interval = 0.34\n[generate]\nout = 'music'\n{style}")
    ended = await command.run("generate", "--title", "From a file", key="")
    assert ended.status == 0
    assert list((command.folder / "music").glob("* From a file *"))
