"""The options that several commands share, and what a configuration file makes of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from attrs import frozen

from suno_async import Model, VocalGender
from suno_async.cli.starting import Starting

if TYPE_CHECKING:
    from suno_async.cli.service import Service

WRONG_USAGE = 2

Out = Annotated[Path, typer.Option("--out", "-o", help="The folder of the tracks.")]
OUT = Path("accompaniments")
SubmittedAt = Annotated[
    str | None,
    typer.Option(
        help="When the oldest was submitted, such as 2026-01-31T12:00:00Z (UTC without a zone)."
    ),
]
TaskIds = Annotated[list[str], typer.Argument(metavar="TASK_ID", help="The tasks.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]


@frozen
class ServiceOptions:
    """Which service is asked, and how often: see `service_of`."""

    base_url: Annotated[
        str | None,
        typer.Option(
            help="The service's address, to use a sandbox in its place.", envvar="APIKLEY_BASE_URL"
        ),
    ] = None
    interval: Annotated[
        float | None,
        typer.Option(help="Seconds between looks at a task; without it the library decides."),
    ] = None


@frozen
class SongOptions:
    """What is asked for; with a manifest, what its rows do not give."""

    stem: Annotated[Path | None, typer.Option(help="The stem on this disk.")] = None
    upload_url: Annotated[str | None, typer.Option(help="The stem's URL, if it has one.")] = None
    title: Annotated[str | None, typer.Option(help="The title.")] = None
    tags: Annotated[str | None, typer.Option(help="Styles to include.")] = None
    negative_tags: Annotated[str | None, typer.Option(help="Styles to exclude.")] = None
    model: Annotated[Model | None, typer.Option(help="The model.")] = None
    vocal_gender: Annotated[VocalGender | None, typer.Option(help="A preference only.")] = None
    style_weight: Annotated[
        float | None, typer.Option(help="How closely to follow the style: 0 to 1, two decimals.")
    ] = None
    weirdness_constraint: Annotated[
        float | None, typer.Option(help="How far to stray: 0 to 1, two decimals.")
    ] = None
    audio_weight: Annotated[
        float | None, typer.Option(help="How much the stem counts: 0 to 1, two decimals.")
    ] = None
    callback_url: Annotated[
        str | None, typer.Option(help="Where the service reports the stages, if anywhere.")
    ] = None


def _check_adoptions(given: list[str] | None) -> list[str] | None:
    if not given:
        return given
    with Starting():
        from suno_async.cli.decisions import read_adoptions
        from suno_async.cli.failures import Complaint

    try:
        read_adoptions(given)
    except Complaint as error:
        raise typer.BadParameter(str(error)) from error
    return given


@frozen
class RunOptions:
    """How a run is to be done that is paid for.

    What is None is taken from the run's folder: its names, the number of tasks, the price that was
    learned there.
    """

    name: Annotated[
        str | None,
        typer.Option(
            help="How files are named: {number}, {line}, {title}, {letter}, {tags}, {model}, "
            "{task_id}, {column:NAME}; '{number:02} {title} - {letter}' unless given.",
        ),
    ] = None
    max_in_flight: Annotated[
        int | None,
        typer.Option(min=1, help="How many tasks run at a time."),
    ] = None
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Check everything, show what would be paid for, and end."),
    ] = False
    price: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="What a song costs, in credits; else what it did in this folder.",
        ),
    ] = None
    confirm_above: Annotated[
        int, typer.Option(min=0, help="How many songs are paid for without asking.")
    ] = 20
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Agree to the cost beforehand.")] = False
    retry_uncertain: Annotated[
        bool,
        typer.Option(
            "--retry-uncertain",
            help="Submit rows again of which nobody knows whether they were paid for: they may be "
            "paid for twice.",
        ),
    ] = False
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed",
            help="Submit rows again whose tasks failed, and pay for them again.",
        ),
    ] = False
    adopt: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROW=TASK_ID",
            help="Take a task of the account for that of an uncertain row.",
            callback=_check_adoptions,
        ),
    ] = None
    abandon: Annotated[
        bool, typer.Option("--abandon", help="Look no further after uncertain rows.")
    ] = False
    as_json: Json = False


def refuse(text: str) -> NoReturn:
    """End the command because it was called wrongly.

    Raises:
        Exit: Always.
    """
    from suno_async.cli.failures import printable

    typer.echo(printable(f"suno-async: {text}"), err=True)
    raise typer.Exit(WRONG_USAGE)


def load_config(ctx: typer.Context, given: Path | None) -> Path | None:
    """Let a configuration file set the defaults of all options, before they are looked at."""
    if ctx.resilient_parsing:  # a shell asks what could come next
        return given
    with Starting():
        from suno_async.cli.config import find_config
        from suno_async.cli.failures import Complaint

    try:
        config = find_config(given)
        if config.values:
            with Starting():
                from suno_async.cli.defaults import defaults_of

            ctx.default_map = defaults_of(config, ctx)
    except Complaint as error:
        refuse(str(error))
    if config.api_key is not None and config.readable_by_others:
        typer.echo(f"suno-async: {config.path} has the key, and others can read it", err=True)
    ctx.obj = config
    return given


def service_of(ctx: typer.Context, options: ServiceOptions) -> "Service":
    """Find out who the service is and which key it gets.

    Raises:
        Exit: The address comes from a file that the user did not choose, and the key does not.
    """
    with Starting():
        from suno_async.cli.config import Config
        from suno_async.cli.service import Service, is_this_machine, key_is_in_environment

    config: Config = ctx.obj or Config()
    if not key_is_in_environment():
        return Service(options.base_url, options.interval, config.api_key)
    source = ctx.get_parameter_source("base_url")
    from_file = source is not None and source.name == "DEFAULT_MAP"
    url = options.base_url
    if from_file and not config.chosen and not is_this_machine(url or ""):
        refuse(
            f"{config.path} would have your key sent to {url}, and may have come with this "
            f"folder: if that is right, give --config {config.path}"
        )
    return Service(options.base_url, options.interval)
