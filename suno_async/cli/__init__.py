"""The command `suno-async` (extra `cli`)."""

import sys
from importlib.util import find_spec

_LIBRARIES = ("typer", "rich", "jinja2")


def main() -> None:
    """Run the command; without its libraries say which extra brings them."""
    for name in _LIBRARIES:
        if find_spec(name) is None:
            sys.exit(f"suno-async: this command needs {name}: pip install 'suno-async[cli]'")
    from suno_async.cli.app import run

    run()
