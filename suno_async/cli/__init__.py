"""The command `suno-async` (extra `cli`)."""

from suno_async.cli.starting import INTERRUPTED, Starting

_LIBRARIES = ("typer", "rich", "jinja2")


def main() -> None:
    """Run the command; without its libraries say which extra brings them."""
    try:
        with Starting():
            _check_libraries()
            from suno_async.cli.app import made

            command = made()
        command()
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


def _check_libraries() -> None:
    from importlib.util import find_spec

    for name in _LIBRARIES:
        if find_spec(name) is None:
            raise SystemExit(
                f"suno-async: this command needs {name}: pip install 'suno-async[cli]'"
            )
