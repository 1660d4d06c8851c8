"""What the command refuses by itself, and what it tells about itself."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import suno_async
from suno_async.cli.app import app

SONG = ["--title", "One", "--tags", "piano", "--negative-tags", "metal"]


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("APIKLEY_API_KEY", "a-key")
    monkeypatch.delenv("APIKLEY_BASE_URL", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    monkeypatch.chdir(folder)


def refusal(*words: str) -> str:
    """Run the command, which must refuse; return the sentence."""
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.count("\n") == 1
    return result.stderr.strip()


def test_a_missing_key_says_how_to_give_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, nothing sent."""
    monkeypatch.delenv("APIKLEY_API_KEY")
    said = refusal("generate", "--upload-url", "https://example.com/a.wav", *SONG)
    assert said == (
        "suno-async: no API key: set the environment variable APIKLEY_API_KEY, "
        "or api_key in suno-async.toml"
    )


@pytest.mark.parametrize(
    ("stem", "reason"),
    [
        ("none.wav", "must be a readable file (No such file or directory)"),
        (".", "must be a readable file (Is a directory)"),
        ("empty.wav", "must not be an empty file"),
        ("~nosuchuser/a.wav", "must not start from an unknown user's home"),
        ("/dev/zero", "must be a regular file, and this is a device"),
        ("https://example.com/a.wav", "must be the path of a file; a URL is an upload_url"),
    ],
)
@pytest.mark.parametrize("words", [("demo",), ("generate", *SONG)])
def test_an_unreadable_stem_is_one_sentence(
    folder: Path, words: tuple[str, ...], stem: str, reason: str
) -> None:
    """A stem that is missing, a folder, or empty is refused before anything is sent."""
    (folder / "empty.wav").touch()
    assert f"stem {reason}" in refusal(*words, "--stem", stem)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--style-weight", "0.333"], "--style-weight must be a number from 0 to 1"),
        (["--audio-weight", "2"], "--audio-weight must be a number from 0 to 1"),
        (["--title", " "], "--title must be text that is not blank"),
        (["--upload-url", "ftp://x/y"], "--stem or upload_url is required, and not both"),
        (["--callback-url", "nowhere"], "--callback-url must be an http or https URL"),
        (["--base-url", "nowhere"], "base_url must be an http or https URL"),
        (["--manifest", "none.csv"], "cannot read the manifest: none.csv: No such file"),
    ],
)
def test_a_bad_option_is_named(options: list[str], said: str) -> None:
    """The sentence begins with the option and its rule."""
    words = ("generate", "--stem", "short.wav", *SONG, *options)
    assert refusal(*words).startswith(f"suno-async: {said}")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--style-weight", "2"], "--style-weight must be a number from 0 to 1"),
        (["--stem", "none.wav"], "--stem must be a readable file (No such file or directory)"),
        (["--stem", "~nosuchuser/a.wav"], "--stem must not start from an unknown user's home"),
        (["--stem", "short.wav", "--upload-url", "https://a.example"], "--stem or upload_url is"),
        (["--encoding", "none"], "songs.csv: none is no encoding of text that is known"),
    ],
)
def test_a_bad_default_is_named_once(folder: Path, options: list[str], said: str) -> None:
    """What all rows share is checked before any of them, and not told for each."""
    (folder / "songs.csv").write_text("title\nA\nB\n")
    assert refusal("generate", "--manifest", "songs.csv", *options).startswith(
        f"suno-async: {said}"
    )


def test_a_bad_time_is_named() -> None:
    """`--submitted-at` takes ISO 8601."""
    said = refusal("fetch", "some-task", "--submitted-at", "yesterday")
    assert said.endswith("must be a time such as 2026-01-31T12:00:00Z, not 'yesterday'")


def test_a_log_that_cannot_be_written_is_named() -> None:
    """A log that is a folder is refused before anything else."""
    said = refusal("--log", ".", "demo")
    assert said == "suno-async: cannot write the log .: Is a directory"


def test_the_version() -> None:
    """`--version` prints the package's version."""
    result = CliRunner().invoke(app, ["--version"])
    assert result.stdout == f"suno-async {suno_async.__version__}\n"


@pytest.mark.parametrize("name", ["generate", "fetch", "watch", "upload", "credits"])
def test_no_option_takes_the_key(name: str) -> None:
    """A key on the command line would show in the list of processes."""
    assert "api-key" not in CliRunner().invoke(app, [name, "--help"]).stdout


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_a_missing_library_names_the_extra(missing: str) -> None:
    """Without the extra, the command says in one sentence how to get it."""
    call = f"import sys; sys.modules[{missing!r}] = None; from suno_async.cli import main; main()"
    root = Path(suno_async.__file__).parent.parent
    ended = subprocess.run(  # noqa: S603
        [sys.executable, "-c", call], capture_output=True, text=True, cwd=root, check=False
    )
    assert ended.returncode == 1
    said = f"suno-async: this command needs {missing}: pip install 'suno-async[cli]'\n"
    assert ended.stderr == said
