"""What the library writes into the log, and whether it shows the key."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from .misfortunes import KEY


class Hearing(logging.Handler):
    """Hears what is logged.

    Attributes:
        shown: The loggers that showed the key.
    """

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.shown: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Look at a line, with its traceback."""
        if KEY in self.format(record):
            self.shown.append(record.name)

    @contextmanager
    def everything(self) -> Iterator[None]:
        """Hear all that the library logs, which nobody else hears, nor what the server logs."""
        loggers = [logging.getLogger(name) for name in ("suno_async", "aiohttp.server")]
        for logger in loggers:
            logger.addHandler(self)
            logger.propagate = False
            logger.setLevel(logging.DEBUG)
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeHandler(self)
                logger.propagate = True
                logger.setLevel(logging.NOTSET)
