"""The help texts: what each says fits, and its example works as it is written."""

import re
import shlex
import signal
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from suno_async import SunoSession
from suno_async.cli.app import app
from tests.world import song

from .command import Command, printed_words

COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]  # a group
# whose examples go on with what another's has left
AFTER = {"open": "generate", "resume": "generate"}


def help_of(*words: str) -> str:
    """Show a help text as a narrow terminal does."""
    result = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0
    return result.stdout


def example_of(name: str) -> list[str]:
    """Find the example of a command, as somebody would copy it."""
    found = re.findall(r"^ Example: suno-async (.*?) *$", help_of(name), re.MULTILINE)
    assert len(found) == 1
    words = shlex.split(found[0])
    assert words[0] == name
    return words


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_a_narrow_terminal(name: str) -> None:
    """No line is longer than 80 columns, and the example is not broken."""
    assert max(map(len, help_of(name).splitlines())) <= 80
    assert example_of(name)


def test_help_documents_statuses_and_configuration() -> None:
    """The command's own help says what all of its commands have in common."""
    text = " ".join(help_of().split())
    assert "0 when all was done, 1 when something failed, 2 after wrong usage, 128 and" in text
    assert "options count before the environment (APIKLEY_API_KEY, APIKLEY_BASE_URL)" in text
    assert max(map(len, help_of().splitlines())) <= 80


@pytest.fixture
async def prepared(command: Command, tmp_path: Path) -> Command:
    """A folder in which every example can run: files, a task, and a browser."""
    (tmp_path / "voice.wav").write_bytes((tmp_path / "short.wav").read_bytes())
    (tmp_path / "songs.csv").write_text(
        "title,tags,negative_tags,stem\nOne,piano,drums,voice.wav\nTwo,jazz,drums,voice.wav\n"
    )
    (tmp_path / "suno-async.toml").write_text("interval = 0.34\n")
    address = command.sandbox.base_url
    async with SunoSession(command.sandbox.api_key, base_url=address) as session:
        await session.submit(song())
    return command


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "sandbox"])
async def test_the_example_works_as_it_is_written(prepared: Command, name: str) -> None:
    """Against the sandbox, whose first task has the id that examples name."""
    env = {"APIKLEY_BASE_URL": prepared.sandbox.base_url, "BROWSER": "true"}
    for each in (AFTER.get(name), name):
        if each is not None:
            ended = await prepared.run(*example_of(each), env=env)
            assert (ended.status, ended.out + ended.err) == (0, ended.out + ended.err)


async def test_the_sandbox_s_example_works_as_it_is_written(prepared: Command) -> None:
    """It serves until it is interrupted; its usual port may be taken on this machine."""
    words = ["0" if word == "8787" else word for word in example_of("sandbox")]
    running = await prepared.start(*words)
    await running.until("The sandbox answers at")
    running.process.send_signal(signal.SIGINT)
    assert (await running.end()).status == 0


def test_the_version_loads_next_to_nothing() -> None:
    """What talks to the network, draws pages or keeps databases is loaded by what needs it."""
    code = "from suno_async.cli import main\ntry: main()\nexcept SystemExit: pass\n"
    code += "import sys; print(*sys.modules)"
    loaded = printed_words("-c", code, "--version")
    assert "suno_async.cli.app" in loaded
    heavy = {"aiohttp", "jinja2", "dbos", "sqlalchemy", "openpyxl", "rich.live", "tomllib"}
    assert not loaded & (heavy | {"suno_async.session", "suno_async.sandbox"})
