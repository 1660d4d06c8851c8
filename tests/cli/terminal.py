"""A terminal: what a program draws on it, and programs that really have one."""

import asyncio
import codecs
import fcntl
import os
import pty
import re
import struct
import sys
import termios
import unicodedata
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from attrs import define, field

import suno_async

from .preloaded import Call, Forked, Server

_CALL = "from suno_async.cli import main; main()"
_LIMIT_S = 60.0
_CONTROL = re.compile(r"\x1b\[(?P<private>\??)(?P<numbers>[0-9;]*)(?P<final>[@-~])")
# the command ends with it whatever it draws
_DRAWN = b"\x1b[?7h"
# the second half of a wide character
_TAKEN = ""


def columns_of(character: str) -> int:
    """Tell how many columns a character takes, as most terminals have it."""
    if unicodedata.combining(character) or unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


@define(eq=False)
class Picture:
    """Shows what is drawn, and refuses what it does not know: nothing else may reach a terminal.

    Attributes:
        columns: Its width.
        lines: Its height.
        too_long: How many characters did not fit into their line.
        scrolled: The lines that have left it above.
    """

    columns: int
    lines: int
    too_long: int = 0
    scrolled: list[str] = field(factory=list[str])
    _cells: list[list[str]] = field(init=False)
    _row: int = 0
    _column: int = 0
    _wraps: bool = True
    _rest: str = ""
    _decoder: codecs.IncrementalDecoder = field(
        factory=lambda: codecs.getincrementaldecoder("utf-8")()
    )

    def __attrs_post_init__(self) -> None:
        self._cells = [self._blank() for _ in range(self.lines)]

    @property
    def text(self) -> list[str]:
        """What it shows, line by line, without blanks at the ends."""
        shown = ["".join(line).rstrip() for line in self._cells]
        while shown and not shown[-1]:
            shown.pop()
        return shown

    @property
    def everything(self) -> list[str]:
        """What it shows and what has left it above."""
        return self.scrolled + self.text

    def resize(self, columns: int, lines: int) -> None:
        """Cut or extend it, as a terminal does that does not fill lines anew."""
        self.columns, self.lines = columns, lines
        while self._row >= lines:
            self._scroll()
        del self._cells[lines:]
        while len(self._cells) < lines:
            self._cells.append(self._blank())
        self._cells = [(line + [" "] * columns)[:columns] for line in self._cells]
        self._column = min(self._column, columns)

    def feed(self, data: bytes) -> None:
        """Draw what a program writes, in pieces of any size."""
        text, self._rest = self._rest + self._decoder.decode(data), ""
        position = 0
        while position < len(text):
            if text[position] == "\x1b":
                found = _CONTROL.match(text, position)
                if found is None and len(text) - position < 16:
                    self._rest = text[position:]
                    return
                assert found is not None, f"unknown: {text[position : position + 20]!r}"
                self._control(found["private"], found["numbers"], found["final"])
                position = found.end()
            else:
                self._draw(text[position])
                position += 1

    def _blank(self) -> list[str]:
        return [" "] * self.columns

    def _scroll(self) -> None:
        self.scrolled.append("".join(self._cells.pop(0)).rstrip())
        self._cells.append(self._blank())
        self._row -= 1

    def _draw(self, character: str) -> None:
        if character == "\r":
            self._column = 0
        elif character == "\n":
            self._row += 1
            if self._row == self.lines:
                self._scroll()
        else:
            assert character.isprintable(), f"{character!r} reached the terminal"
            self._put(character, columns_of(character))

    def _put(self, character: str, width: int) -> None:
        if width == 0:
            self._cells[self._row][max(self._column - 1, 0)] += character
            return
        if self._column + width > self.columns:
            self.too_long += 1
            if not self._wraps:
                return
            self._draw("\r")
            self._draw("\n")
        self._cells[self._row][self._column : self._column + width] = [
            character,
            *[_TAKEN] * (width - 1),
        ]
        self._column += width

    def _control(self, private: str, numbers: str, final: str) -> None:
        number = int(numbers) if numbers.isdigit() else 0
        line = self._cells[self._row]
        match (private, number, final):
            case ("", _, "m"):
                pass  # colours
            case ("", up, "A"):
                self._row = max(self._row - max(up, 1), 0)
            case ("", 0, "H"):
                self._row = self._column = 0
            case ("", 2, "K"):
                self._cells[self._row] = self._blank()
            case ("", 2, "J"):
                self._cells = [self._blank() for _ in range(self.lines)]
            case ("", 0, "J"):
                line[self._column :] = [" "] * (self.columns - self._column)
                for row in range(self._row + 1, self.lines):
                    self._cells[row] = self._blank()
            case ("?", 7, "l" | "h"):
                self._wraps = final == "h"
            case _:
                raise AssertionError(f"unknown: {private}{numbers}{final}")


@define(eq=False)
class Terminal:
    """A pseudo-terminal in which a command runs, with somebody who looks at it.

    Attributes:
        picture: What is seen.
        process: The command; the terminal is its controlling one.
    """

    picture: Picture
    process: asyncio.subprocess.Process | Forked
    _master: int | None
    _unseen: bytes = b""

    async def until(self, seen: Callable[[list[str]], bool]) -> list[str]:
        """Look at it until it shows something; return its lines.

        It looks each time that something is drawn as a whole, however late it comes to see that.
        """
        async with asyncio.timeout(_LIMIT_S):
            while not seen(self.picture.text):
                if not self._unseen and not await self._read():
                    raise AssertionError("never seen, but:\n" + "\n".join(self.picture.everything))
                self._look()
        return self.picture.text

    async def end(self) -> list[str]:
        """Wait until the command has ended; return all that was printed and is still there."""
        async with asyncio.timeout(_LIMIT_S):
            while await self._read():
                pass
            await self.process.wait()
        while self._unseen:
            self._look()
        assert "Traceback" not in "\n".join(self.picture.everything)
        return self.picture.everything

    def type(self, text: str) -> None:
        """Press keys; the third control character is Ctrl-C."""
        assert self._master is not None
        os.write(self._master, text.encode())

    def resize(self, columns: int, lines: int) -> None:
        """Make it larger or smaller; the command gets SIGWINCH."""
        assert self._master is not None
        set_size(self._master, columns, lines)
        self.picture.resize(columns, lines)

    def vanish(self) -> None:
        """Close it, as a window is closed or a connection is lost; the command gets SIGHUP."""
        if self._master is not None:
            os.close(self._master)
            self._master = None

    async def _read(self) -> bool:
        """Read what comes next; tell whether there may be more."""
        assert self._master is not None
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._master, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(self._master)
        try:
            data = os.read(self._master, 65_536)
        except OSError:  # EIO: the command has ended, and nobody else has the terminal
            return False
        self._unseen += data
        return bool(data)

    def _look(self) -> None:
        """Draw what was read, up to the end of the next thing that is drawn as a whole."""
        drawn, end, self._unseen = self._unseen.partition(_DRAWN)
        self.picture.feed(drawn + end)


def set_size(descriptor: int, columns: int, lines: int) -> None:
    """Tell a terminal its size, and what runs in it."""
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


async def _started(
    folder: Path,
    words: tuple[str, ...],
    variables: Mapping[str, str],
    slave: int,
    before: Callable[[], None] | None,
    call: str,
) -> asyncio.subprocess.Process:
    """Start an interpreter in a terminal."""

    def prepare() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        if before is not None:
            before()

    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", call, *words),
        cwd=folder,
        env=variables,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=prepare,
    )


@asynccontextmanager
async def terminal(
    server: Server,
    folder: Path,
    *words: str,
    columns: int = 80,
    lines: int = 24,
    before: Callable[[], None] | None = None,
    environment: Mapping[str, str] | None = None,
    call: str | None = None,
) -> AsyncIterator[Terminal]:
    """Run the command in a terminal of its own; leaving ends both.

    Args:
        server: Starts the command.
        folder: Where it runs.
        words: Its options.
        columns: The terminal's width.
        lines: The terminal's height.
        before: Called in the new process, before the command, which then is an interpreter's own.
        environment: Variables besides this process's own.
        call: Python that leads to the command, which then is an interpreter's own too.
    """
    master, slave = pty.openpty()
    set_size(master, columns, lines)

    inherited = {
        name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}
    }
    variables = {
        **inherited,
        "PYTHONPATH": str(Path(suno_async.__file__).parent.parent),
        "TERM": "xterm-256color",
        "PYTHONUTF8": "1",
        **(environment or {}),
    }
    process: asyncio.subprocess.Process | Forked
    if before is None and call is None:
        process = server.start(Call(folder, variables, words), dict.fromkeys(range(3), slave))
    else:
        process = await _started(folder, words, variables, slave, before, call or _CALL)
    os.close(slave)
    seen = Terminal(Picture(columns, lines), process, master)
    try:
        yield seen
    finally:
        seen.vanish()
        if process.returncode is None:
            process.kill()
            await process.wait()
