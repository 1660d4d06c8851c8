"""What the project promises about itself."""

import re
import tomllib
from pathlib import Path

import suno_async

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_readme_has_two_commands() -> None:
    """The first command runs the demo, the second one the tests; each is a single line."""
    blocks = re.findall(r"(?ms)^```bash\n(.*?)^```", (ROOT / "README.md").read_text())
    commands = [block.strip() for block in blocks]
    assert len(commands) == 2
    assert all("\n" not in command for command in commands)
    assert commands[0].endswith("suno-async demo")
    assert "-m pytest" in commands[1]


def test_the_version_is_the_same_everywhere() -> None:
    """Package, metadata and changelog agree on the version."""
    version = PROJECT["version"]
    assert suno_async.__version__ == version
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()
