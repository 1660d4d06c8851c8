"""Options that are declared once, as the fields of a class, for several commands."""

from typing import Annotated

import attrs
import typer
from typer.testing import CliRunner

from suno_async.cli.expanded import Without, expanded


@attrs.frozen
class Shared:
    """What two commands have in common."""

    first: Annotated[int, typer.Option(min=1, help="The first.")]
    second: Annotated[str | None, typer.Option("--other", "-o", help="The second.")] = None
    third: bool = False


def made() -> typer.Typer:
    """Make two commands; the second has one option less."""
    app = typer.Typer()

    @app.command()
    @expanded
    def all_of(*, name: str = "nobody", shared: Shared) -> None:
        """Show all."""
        typer.echo((name, shared))

    @app.command()
    @expanded
    def some_of(*, shared: Annotated[Shared, Without("second")], count: int = 7) -> None:
        """Show some."""
        typer.echo((shared, count))

    return app


def test_a_command_gets_the_object() -> None:
    """The fields are options as any other, with their defaults and bounds."""
    run = CliRunner().invoke
    given = run(made(), ["all-of", "--first", "3", "-o", "x", "--name", "me", "--third"])
    assert given.stdout == f"{('me', Shared(3, 'x', True))}\n"
    assert run(made(), ["all-of", "--first", "3"]).stdout == f"{('nobody', Shared(3))}\n"
    for words in (["--first", "0"], []):
        assert run(made(), ["all-of", *words]).exit_code == 2


def test_a_command_may_leave_options_out() -> None:
    """What it does not offer keeps its default."""
    run = CliRunner().invoke
    assert run(made(), ["some-of", "--first", "3"]).stdout == f"{(Shared(3), 7)}\n"
    assert run(made(), ["some-of", "--first", "3", "--other", "x"]).exit_code == 2


def test_help_lists_them_in_the_order_of_the_fields() -> None:
    """Where the class stands among the parameters, and under the command's own text."""
    text = CliRunner().invoke(made(), ["some-of", "--help"]).stdout
    assert "Show some." in text
    assert "--other" not in text
    assert text.index("--first") < text.index("--third") < text.index("--count")
