"""What the command writes to may vanish."""

import errno
import io
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TextIO

import pytest

import suno_async
from suno_async.cli.output import Background, Output

FULL = Path("/dev/full")


def pipe() -> tuple[TextIO, TextIO]:
    """Make a pipe; return its two ends, the one to read from first."""
    reader, writer = os.pipe()
    return os.fdopen(reader, encoding="utf-8"), os.fdopen(writer, "w", encoding="utf-8")


def without_reader() -> TextIO:
    """Make a pipe whose reader has gone."""
    reader, writer = pipe()
    reader.close()
    return writer


def on_full_disk() -> TextIO:
    """Open a file on a disk that is full."""
    if not FULL.exists():
        pytest.skip(f"this system has no {FULL}")
    return FULL.open("w")


def without_terminal() -> TextIO:
    """Open a terminal whose window was closed."""
    master, slave = pty.openpty()
    stream = os.fdopen(slave, "w")
    os.close(master)
    return stream


def closed() -> TextIO:
    """Make a stream that was closed."""
    stream = io.StringIO()
    stream.close()
    return stream


class Unwritable(io.StringIO):
    """A stream without a descriptor that cannot be written to."""

    def write(self, text: str, /) -> int:
        """Fail."""
        raise OSError(errno.EIO, "no")


VANISHED = (without_reader, on_full_disk, without_terminal, closed, Unwritable)


@pytest.fixture
def stream(request: pytest.FixtureRequest) -> Iterator[TextIO]:
    """A stream that cannot be written to any more."""
    make: Callable[[], TextIO] = request.param
    with closing(make()) as made:
        yield made


@pytest.mark.parametrize("stream", VANISHED, ids=lambda make: make.__name__, indirect=True)
def test_a_vanished_stream_is_told_once(stream: TextIO) -> None:
    """Writing never raises; after the first failure nothing is written, and it is said once."""
    output, told = Output(stream), list[str]()
    output.when_gone(lambda: told.append("early"))
    for _ in range(3):
        assert output.write("text\n") == 5
        output.flush()
    output.when_gone(lambda: told.append("late"))
    assert output.gone
    assert told == ["early", "late"]
    assert not output.isatty()
    assert output.size() is None


@pytest.mark.parametrize("stream", VANISHED[:2], ids=lambda make: make.__name__, indirect=True)
def test_what_others_write_behind_it_goes_nowhere(stream: TextIO) -> None:
    """Python's own last flush must not fail for what was still in its buffer."""
    stream.write("in the buffer")
    Output(stream).write("text\n")
    stream.write("later")
    stream.flush()


def test_a_process_may_have_no_stream() -> None:
    """Started with a closed stdout, what is written is dropped, and nothing is amiss."""
    output = Output(None)
    output.when_gone(lambda: pytest.fail("nothing was ever there"))
    assert output.write("text") == 4
    assert not output.gone
    assert not output.isatty()
    assert output.size() is None
    assert not output.console().is_terminal


def test_what_cannot_be_encoded_is_replaced() -> None:
    """A title does not fail on a stream whose encoding lacks its characters."""
    reader, writer = os.pipe()
    with os.fdopen(reader) as end:
        with os.fdopen(writer, "w", encoding="ascii") as stream:
            Output(stream).line("Größe \ud800")
        assert end.read() == "Gr??e ?\n"


def test_what_was_printed_before_comes_first() -> None:
    """What others have left in the stream's buffer is not overtaken."""
    reader, writer = pipe()
    with reader:
        with writer:
            writer.write("first ")
            Output(writer).line("second")
        assert reader.read() == "first second\n"


def test_a_slow_reader_of_a_non_blocking_pipe_gets_all() -> None:
    """Another program that shares the pipe may have made it non-blocking."""
    reader, writer = pipe()
    os.set_blocking(writer.fileno(), False)
    text = "x" * 300_000
    with reader:

        def write() -> None:
            with writer:
                Output(writer).line(text)

        writing = threading.Thread(target=write)
        writing.start()
        assert reader.read() == f"{text}\n"
        writing.join()


def test_a_reader_that_waits_holds_up_nobody() -> None:
    """A thousand lines are taken at once, and written when somebody reads them."""
    reader, writer = pipe()
    lines = [f"{number} {'x' * 1000}" for number in range(1000)]
    read: list[str] = []
    with reader, writer:
        with Background(Output(writer)) as background:
            for line in lines:
                background.line(line)
            # nothing but the pipe's own buffer was written so far, and yet we are here
            reading = threading.Thread(
                target=lambda: read.extend(reader.readline() for _ in range(1000))
            )
            reading.start()
        reading.join()
    assert read == [f"{line}\n" for line in lines]


_STALLED = """
import signal, sys
from suno_async.cli.output import Background, Output
signal.signal(signal.SIGINT, signal.default_int_handler)
with Background(Output(sys.stdout)) as background:
    background.line("x" * 1_000_000)
    print("leaving", file=sys.stderr, flush=True)
"""
_PATIENCE_S = 0.2


def test_the_last_wait_for_a_reader_can_be_interrupted() -> None:
    """Where nobody reads, Ctrl-C ends the process, and its last flush waits for nobody either."""
    with subprocess.Popen(  # noqa: S603 - the words are our own
        [sys.executable, "-c", _STALLED],
        cwd=Path(suno_async.__file__).parent.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "leaving\n"
        # the first one may come before it waits
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE_S)
        said = process.stderr.read()
        assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in said
    assert "Fatal" not in said


@pytest.mark.parametrize(
    ("redirected", "told"),
    [
        (">&-", True),
        ("> /dev/full", True),
        ("2>&-", False),
        ("2> /dev/full", False),
        ("> /dev/full 2>&1", False),
    ],
)
def test_no_stream_changes_the_status(tmp_path: Path, redirected: str, told: bool) -> None:
    """A run that failed says 1 by its status, whether or not it can say so in words."""
    if not FULL.exists():
        pytest.skip(f"this system has no {FULL}")
    (tmp_path / "songs.csv").write_text("title,upload_url\nOne,nowhere\n")
    call = "from suno_async.cli import main; main()"
    script = f'"{sys.executable}" -c "{call}" generate --manifest songs.csv {redirected}'
    root = str(Path(suno_async.__file__).parent.parent)
    ended = subprocess.run(  # noqa: S602 - the words are our own
        script,
        shell=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root, "APIKLEY_API_KEY": "key"},
        capture_output=True,
        text=True,
        check=False,
    )
    # with a full disk it may also have been asked to stop, for want of readers, as it ended
    assert ended.returncode in ({1, 141} if redirected.startswith("> /") else {1})
    assert "Traceback" not in ended.stderr
    assert "Exception" not in ended.stderr
    assert ended.stderr.startswith("songs.csv:2: tags is required") is told
