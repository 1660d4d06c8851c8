"""The commands and their options."""

import logging
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import attrs
import typer

from suno_async import __version__
from suno_async.cli.expanded import Without, expanded
from suno_async.cli.options import (
    OUT,
    Json,
    Out,
    RunOptions,
    ServiceOptions,
    SongOptions,
    SubmittedAt,
    TaskIds,
    load_config,
    service_of,
)
from suno_async.cli.starting import Starting

_NAMED_SHELLS = "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"
# a paragraph each: breaks within one would be kept
_EPILOG = (
    "Exit status: 0 when all was done, 1 when something failed, 2 after wrong usage, 128 and the "
    "number of the signal that ended it.\n\n"
    "Configuration: options count before the environment (APIKLEY_API_KEY, APIKLEY_BASE_URL), and "
    "that before suno-async.toml, which is looked for in the current folder and then among the "
    "user's configurations.\n\n"
    "Example: suno-async demo"
)

app: typer.Typer = typer.Typer(
    name="suno-async",
    help="Generate accompaniments to vocal stems with the Apikley Suno API.",
    no_args_is_help=True,
    epilog=_EPILOG,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def made() -> Callable[[], Any]:
    """Make the command, to be called with what the process was started with."""
    for stream in (sys.stdout, sys.stderr):
        # a title must not fail on a terminal that cannot show it
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="replace")
    return partial(_command(), prog_name="suno-async")


def _command() -> Callable[..., Any]:
    """Make the command; its options for shells take the shell's name.

    Typer would go by the process that started the command instead, which may be no shell, or
    another one than is asked for.
    """
    os.environ[_NAMED_SHELLS] = "1"
    try:
        return typer.main.get_command(app)
    finally:
        del os.environ[_NAMED_SHELLS]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"suno-async {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    config: Annotated[
        Path | None,
        typer.Option(
            help="The configuration file, in place of suno-async.toml.",
            callback=load_config,
            is_eager=True,
        ),
    ] = None,
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
    out: Out = OUT,
    count: Annotated[int, typer.Option(min=1, help="How many songs.")] = 12,
) -> None:
    """See the whole job at work: needs no key, no credits and no network.

    Example: suno-async demo --count 4 --out music
    """
    with Starting():
        from suno_async.cli.demo import demo as command

    command(stem, out, count)


@app.command()
@expanded
def generate(
    *,
    ctx: typer.Context,
    song: SongOptions,
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
    out: Out = OUT,
    options: RunOptions,
    service: ServiceOptions,
) -> None:
    """Generate songs and save both tracks of each. The key comes from APIKLEY_API_KEY.

    The folder gets a page, index.html, on which to listen and compare while the songs come in,
    and a table of its files, tracks.csv. The same command again goes on where it was cut off, by
    whatever; no row is paid for twice, and rows that were changed are new ones.

    Ctrl-C once submits nothing more, and saves what is paid for; twice leaves at once.

    Example: suno-async generate --manifest songs.csv --out music
    """
    with Starting():
        from suno_async.cli.generate import generate as command

    given = attrs.asdict(song, recurse=False)
    command(given, manifest, out, service_of(ctx, service), options, encoding)


@app.command()
@expanded
def resume(
    *,
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="The folder of the tracks.")] = OUT,
    options: Annotated[RunOptions, Without("dry_run")],
    service: ServiceOptions,
) -> None:
    """Go on with a run that was cut off, or decide about its rows; nothing is paid for twice.

    Example: suno-async resume music
    """
    with Starting():
        from suno_async.cli.generate import resume as command

    command(folder, service_of(ctx, service), options)


@app.command()
@expanded
def fetch(
    *,
    ctx: typer.Context,
    task_ids: TaskIds,
    out: Out = OUT,
    submitted_at: SubmittedAt = None,
    service: ServiceOptions,
) -> None:
    """Wait for tasks that were submitted earlier and save their tracks. It costs nothing.

    Example: suno-async fetch 63c2c9b5b143e2427b3ff5ab57ba27c2 --out music
    """
    with Starting():
        from suno_async.cli.fetch import fetch as command

    command(task_ids, out, service_of(ctx, service), submitted_at)


@app.command()
@expanded
def watch(
    *,
    ctx: typer.Context,
    task_ids: TaskIds,
    submitted_at: SubmittedAt = None,
    timeout: Annotated[
        float | None, typer.Option(min=0, help="How many seconds to wait at the most.")
    ] = None,
    as_json: Json = False,
    service: ServiceOptions,
) -> None:
    """Print the stages of tasks and their URLs as they come. It saves and costs nothing.

    Example: suno-async watch 63c2c9b5b143e2427b3ff5ab57ba27c2 --timeout 600
    """
    with Starting():
        from suno_async.cli.watch import Watching
        from suno_async.cli.watch import watch as command

    watching = Watching(task_ids, submitted_at, timeout, as_json)
    command(watching, service_of(ctx, service))


@app.command()
@expanded
def upload(
    *,
    ctx: typer.Context,
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="The stems.")],
    as_json: Json = False,
    service: Annotated[ServiceOptions, Without("interval")],
) -> None:
    """Upload stems and print the URLs to submit. It costs nothing.

    Of several files each line has the path, a tab and the URL. Equal content is uploaded once.

    Example: suno-async upload voice.wav
    """
    with Starting():
        from suno_async.cli.upload import upload as command

    command(files, service_of(ctx, service), as_json)


@app.command()
@expanded
def credits(
    *,
    ctx: typer.Context,
    as_json: Json = False,
    service: Annotated[ServiceOptions, Without("interval")],
) -> None:
    """Print how many credits the account has.

    Example: suno-async credits
    """
    with Starting():
        from suno_async.cli.credits import credits_ as command

    command(service_of(ctx, service), as_json)


@app.command(name="open")
def open_(
    folder: Annotated[Path, typer.Argument(help="The folder of the tracks.")] = OUT,
) -> None:
    """Open the page of a folder in the browser: listen, compare, keep or drop.

    Example: suno-async open music
    """
    with Starting():
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
    with Starting():
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
