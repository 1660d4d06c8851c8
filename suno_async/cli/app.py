"""The commands and their options."""

import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from suno_async import Model, VocalGender, __version__

app: typer.Typer = typer.Typer(
    name="suno-async",
    help="Generate accompaniments to vocal stems with the Apikley Suno API.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_Out = Annotated[Path, typer.Option("--out", "-o", help="The folder of the tracks.")]
_BaseUrl = Annotated[
    str | None, typer.Option(help="The service's address, to use a sandbox in its place.")
]
_Interval = Annotated[
    float | None,
    typer.Option(
        help="Seconds between looks at a task; without it the library decides.", show_default=False
    ),
]
_Name = Annotated[
    str | None,
    typer.Option(
        help="How files are named: {number}, {line}, {title}, {letter}, {tags}, {model}, "
        "{task_id}, {column:NAME}; '{number:02} {title} - {letter}' unless given.",
        show_default=False,
    ),
]
_MaxInFlight = Annotated[
    int | None,
    typer.Option(min=1, help="How many tasks run at a time.", show_default=False),
]
_Price = Annotated[
    float | None,
    typer.Option(
        min=0,
        help="What a song costs, in credits; else what it did in this folder.",
        show_default=False,
    ),
]
_ConfirmAbove = Annotated[
    int, typer.Option(min=0, help="How many songs are paid for without asking.")
]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Agree to the cost beforehand.")]
_RetryUncertain = Annotated[
    bool,
    typer.Option(
        "--retry-uncertain",
        help="Submit rows again of which nobody knows whether they were paid for: they may be "
        "paid for twice.",
    ),
]
_RetryFailed = Annotated[
    bool,
    typer.Option(
        "--retry-failed", help="Submit rows again whose tasks failed, and pay for them again."
    ),
]
_Adopt = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ROW=TASK_ID", help="Take a task of the account for that of an uncertain row."
    ),
]
_Abandon = Annotated[bool, typer.Option("--abandon", help="Look no further after uncertain rows.")]
_OUT = Path("accompaniments")


def run() -> None:
    """Run the command."""
    for stream in (sys.stdout, sys.stderr):
        # a title must not fail on a terminal that cannot show it
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="replace")
    app(prog_name="suno-async")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"suno-async {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    log: Annotated[
        Path | None, typer.Option(help="Append what the library logs, task ids too, to this file.")
    ] = None,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    root = logging.getLogger()
    if log is None:
        root.addHandler(logging.NullHandler())
        return
    try:
        handler = logging.FileHandler(log, encoding="utf-8")
    except OSError as error:
        typer.echo(f"suno-async: cannot write the log {log}: {error.strerror}", err=True)
        raise typer.Exit(1) from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    root.addHandler(handler)
    logging.getLogger("suno_async").setLevel(logging.INFO)


@app.command()
def demo(
    stem: Annotated[
        Path | None, typer.Option(help="A WAV file to accompany; without it one is sung.")
    ] = None,
    out: _Out = _OUT,
    count: Annotated[int, typer.Option(min=1, help="How many songs.")] = 12,
) -> None:
    """See the whole job at work: needs no key, no credits and no network.

    Example: suno-async demo --count 4 --out music
    """
    from suno_async.cli.demo import demo as command

    command(stem, out, count)


@app.command()
def generate(
    stem: Annotated[Path | None, typer.Option(help="The stem on this disk.")] = None,
    upload_url: Annotated[str | None, typer.Option(help="The stem's URL, if it has one.")] = None,
    title: Annotated[str | None, typer.Option(help="The title.")] = None,
    tags: Annotated[str | None, typer.Option(help="Styles to include.")] = None,
    negative_tags: Annotated[str | None, typer.Option(help="Styles to exclude.")] = None,
    model: Annotated[Model | None, typer.Option(help="The model.")] = None,
    vocal_gender: Annotated[VocalGender | None, typer.Option(help="A preference only.")] = None,
    style_weight: Annotated[
        float | None, typer.Option(help="How closely to follow the style: 0 to 1, two decimals.")
    ] = None,
    weirdness_constraint: Annotated[
        float | None, typer.Option(help="How far to stray: 0 to 1, two decimals.")
    ] = None,
    audio_weight: Annotated[
        float | None, typer.Option(help="How much the stem counts: 0 to 1, two decimals.")
    ] = None,
    callback_url: Annotated[
        str | None, typer.Option(help="Where the service reports the stages, if anywhere.")
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            help="Many songs: .csv, .tsv, .jsonl, .json, .toml or .xlsx. Columns are the options "
            "above, whatever their case and spaces; others are kept and not sent. A stem is "
            "relative to the manifest. The other options count for rows that do not give them. "
            "A bad row is named with its line and stops no other; the exit status is 1 then."
        ),
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(help="The manifest's, such as cp1252, when it is not UTF-8 or UTF-16."),
    ] = None,
    out: _Out = _OUT,
    name: _Name = None,
    max_in_flight: _MaxInFlight = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Check everything, show what would be paid for, and end."),
    ] = False,
    price: _Price = None,
    confirm_above: _ConfirmAbove = 20,
    yes: _Yes = False,
    retry_uncertain: _RetryUncertain = False,
    retry_failed: _RetryFailed = False,
    adopt: _Adopt = None,
    abandon: _Abandon = False,
    base_url: _BaseUrl = None,
    interval: _Interval = None,
) -> None:
    """Generate songs and save both tracks of each. The key comes from APIKLEY_API_KEY.

    The folder gets a page, index.html, on which to listen and compare while the songs come in,
    and a table of its files, tracks.csv. The same command again goes on where it was cut off, by
    whatever; no row is paid for twice, and rows that were changed are new ones.

    Ctrl-C once submits nothing more, and saves what is paid for; twice leaves at once.

    Example: suno-async generate --manifest songs.csv --out music
    """
    from suno_async.cli.generate import generate as command
    from suno_async.cli.orders import Decisions, read_adoptions
    from suno_async.cli.service import Service
    from suno_async.cli.song_run import Options

    given: dict[str, Any] = {
        "stem": stem,
        "upload_url": upload_url,
        "title": title,
        "tags": tags,
        "negative_tags": negative_tags,
        "model": model,
        "vocal_gender": vocal_gender,
        "style_weight": style_weight,
        "weirdness_constraint": weirdness_constraint,
        "audio_weight": audio_weight,
        "callback_url": callback_url,
    }
    options = Options(
        Decisions(retry_uncertain, retry_failed, read_adoptions(adopt or ()), abandon),
        max_in_flight=max_in_flight,
        name=name,
        price=price,
        confirm_above=confirm_above,
        yes=yes,
        dry_run=dry_run,
    )
    command(given, manifest, out, Service(base_url, interval), options, encoding)


@app.command()
def resume(
    folder: Annotated[Path, typer.Argument(help="The folder of the tracks.")] = _OUT,
    name: _Name = None,
    max_in_flight: _MaxInFlight = None,
    price: _Price = None,
    confirm_above: _ConfirmAbove = 20,
    yes: _Yes = False,
    retry_uncertain: _RetryUncertain = False,
    retry_failed: _RetryFailed = False,
    adopt: _Adopt = None,
    abandon: _Abandon = False,
    base_url: _BaseUrl = None,
    interval: _Interval = None,
) -> None:
    """Go on with a run that was cut off, or decide about its rows; nothing is paid for twice.

    Example: suno-async resume music
    """
    from suno_async.cli.generate import resume as command
    from suno_async.cli.orders import Decisions, read_adoptions
    from suno_async.cli.service import Service
    from suno_async.cli.song_run import Options

    options = Options(
        Decisions(retry_uncertain, retry_failed, read_adoptions(adopt or ()), abandon),
        max_in_flight=max_in_flight,
        name=name,
        price=price,
        confirm_above=confirm_above,
        yes=yes,
    )
    command(folder, Service(base_url, interval), options)


@app.command()
def fetch(
    task_ids: Annotated[list[str], typer.Argument(metavar="TASK_ID...", help="The tasks.")],
    out: _Out = _OUT,
    submitted_at: Annotated[
        str | None,
        typer.Option(
            help="When the oldest was submitted, such as 2026-01-31T12:00:00Z (UTC without a zone)."
        ),
    ] = None,
    base_url: _BaseUrl = None,
    interval: _Interval = None,
) -> None:
    """Wait for tasks that were submitted earlier and save their tracks. It costs nothing.

    Example: suno-async fetch 5c79be8e0123456789abcdef01234567 --out music
    """
    from suno_async.cli.fetch import fetch as command
    from suno_async.cli.service import Service

    command(task_ids, out, Service(base_url, interval), submitted_at)


@app.command(name="open")
def open_(
    folder: Annotated[Path, typer.Argument(help="The folder of the tracks.")] = _OUT,
) -> None:
    """Open the page of a folder in the browser: listen, compare, keep or drop.

    Example: suno-async open accompaniments
    """
    from suno_async.cli.opening import open_page

    open_page(folder)


@app.command()
def sandbox(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 for any.")] = 8787,
    api_key: Annotated[str, typer.Option(help="The key that it accepts.")] = "sandbox-key",
    credits: Annotated[float, typer.Option(min=0, help="The balance at the start.")] = 1000,
    price: Annotated[float, typer.Option(min=0, help="What a song costs.")] = 10,
    time_scale: Annotated[
        float, typer.Option(min=0, help="1 is the service's own pace, 0.01 a hundred times faster.")
    ] = 1.0,
    failure_rate: Annotated[
        float, typer.Option(min=0, max=1, help="The share of tasks that fail.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Another seed, other ids, timings and music.")] = 0,
) -> None:
    """Serve the sandbox on this machine, for `generate --base-url`, until Ctrl-C.

    Example: suno-async sandbox --port 8787 --time-scale 0.05
    """
    from suno_async.cli.serve import serve

    serve(
        host=host,
        port=port,
        api_key=api_key,
        credits=credits,
        price=price,
        time_scale=time_scale,
        failure_rate=failure_rate,
        seed=seed,
    )
