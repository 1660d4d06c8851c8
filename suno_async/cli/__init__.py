"""The command `suno-async` (extra `cli`)."""

import sys

_LIBRARIES = {"typer", "rich"}


def main() -> None:
    """Run the command; without its libraries say which extra brings them."""
    try:
        from suno_async.cli.app import run
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _LIBRARIES:
            raise
        sys.exit(f"suno-async: this command needs {missing}: pip install 'suno-async[cli]'")
    run()
