"""`suno-async open`: the page of a folder, in a browser or by its path."""

from pathlib import Path

import pytest

from .command import Command


@pytest.fixture
def page(folder: Path) -> Path:
    """A page in a folder."""
    path = folder / "my songs" / "index.html"
    path.parent.mkdir()
    path.write_text("the page")
    return path


async def test_the_browser_gets_the_page(
    command: Command, page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default browser is asked for the file's address."""
    monkeypatch.setenv("BROWSER", "sh -c 'echo $0 > opened' %s")
    ended = await command.run("open", "my songs", key="")
    assert (ended.status, ended.out, ended.err) == (0, "", "")
    assert (command.folder / "opened").read_text() == f"{page.as_uri()}\n"


async def test_without_a_browser_the_path_is_printed(
    command: Command, page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server has none: the path can be opened elsewhere."""
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "")
    ended = await command.run("open", "my songs", key="")
    assert (ended.status, ended.out, ended.err) == (0, f"{page}\n", "")


async def test_a_folder_without_a_page_is_one_sentence(command: Command) -> None:
    """It says how to get one; a name cannot move the cursor."""
    ended = await command.run("open", "no\x1b[2Jthing", key="")
    makes = "suno-async generate --out 'no [2Jthing' makes one"
    assert ended.err == f"suno-async: there is no page in no [2Jthing: {makes}\n"
    assert ended.status == 1
