"""Completion in shells, whatever process starts the command."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import suno_async

from .command import Command


@pytest.mark.parametrize(
    ("shell", "has"),
    [
        ("bash", "complete -o default -F _suno_async_completion suno-async"),
        ("zsh", "compdef _suno_async_completion suno-async"),
        ("fish", "complete --command suno-async"),
    ],
)
async def test_the_script_of_a_shell_is_shown(command: Command, shell: str, has: str) -> None:
    """The shell is the one that is named, not the one that happens to run."""
    ended = await command.run("--show-completion", shell, env={"SHELL": "/bin/none"})
    assert (ended.status, ended.err) == (0, "")
    assert has in ended.out


@pytest.mark.parametrize(
    ("shell", "file"),
    [
        ("bash", ".bash_completions/suno-async.sh"),
        ("zsh", ".zfunc/_suno-async"),
        ("fish", ".config/fish/completions/suno-async.fish"),
    ],
)
async def test_the_script_of_a_shell_is_installed(
    command: Command, tmp_path: Path, shell: str, file: str
) -> None:
    """It goes where the shell looks for it."""
    env = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    ended = await command.run("--install-completion", shell, env=env)
    assert (ended.status, ended.err) == (0, "")
    assert "_SUNO_ASYNC_COMPLETE" in (tmp_path / file).read_text()


async def test_no_shell_is_wrong_usage(command: Command) -> None:
    """It must be named."""
    ended = await command.run("--show-completion")
    assert ended.status == 2
    assert "requires an argument" in ended.err


async def test_a_shell_is_answered(command: Command) -> None:
    """Commands and options are completed, also where a configuration is broken."""
    (command.folder / "suno-async.toml").write_text("broken")
    bash = {"_SUNO_ASYNC_COMPLETE": "complete_bash", "COMP_CWORD": "1"}
    ended = await command.run(env={**bash, "COMP_WORDS": "suno-async cre"})
    assert (ended.status, ended.out.split(), ended.err) == (0, ["credits"], "")
    words = {"COMP_WORDS": "suno-async watch --sub", "COMP_CWORD": "2"}
    ended = await command.run(env={**bash, **words})
    assert (ended.status, ended.out.split(), ended.err) == (0, ["--submitted-at"], "")


@pytest.mark.skipif(shutil.which("bash") is None, reason="this machine has no bash")
async def test_bash_completes_with_the_script(command: Command, tmp_path: Path) -> None:
    """What is shown is what bash can use."""
    script = tmp_path / "completion.sh"
    script.write_text((await command.run("--show-completion", "bash")).out)
    started = tmp_path / "suno-async"
    root = Path(suno_async.__file__).parent.parent
    started.write_text(
        f'#!/bin/sh\nPYTHONPATH="{root}" exec "{sys.executable}" -m suno_async.cli\n'
    )
    started.chmod(0o700)
    asked = 'source "$1"; COMP_WORDS=(suno-async cred) COMP_CWORD=1; _suno_async_completion "$2"; '
    ended = subprocess.run(  # noqa: ASYNC221, S603 - nothing else runs meanwhile
        ["bash", "-c", f"{asked} echo ${{COMPREPLY[@]}}", "bash", script, started],  # noqa: S607 - as found
        capture_output=True,
        text=True,
        check=True,
    )
    assert (ended.stdout, ended.stderr) == ("credits\n", "")
