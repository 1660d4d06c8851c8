"""Bring one file from its hosts into its part file, as often as it takes and no longer."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeAlias

from attrs import define, field, frozen

from suno_async.clock import Clock
from suno_async.errors import (
    ConnectionFailed,
    ProtocolError,
    RateLimited,
    ServerError,
    SunoError,
)
from suno_async.media.answers import Head, Reading, Stale, read_head
from suno_async.media.body import LEAST_PROGRESS_BYTES, Decoded, Peeked, Readable, Timed
from suno_async.media.client import Answer, MediaClient
from suno_async.media.disk import Lane
from suno_async.media.encodings import decoder
from suno_async.media.failures import Fatal, is_absence, passes
from suno_async.media.formats import Kind
from suno_async.media.partfile import PartFile
from suno_async.retry import RetryPolicy

OnProgress: TypeAlias = Callable[[int, int | None], None]

# hosts do not know audio yet for some moments after the service calls it complete
_YOUNG_WAITS = RetryPolicy(base=timedelta(seconds=1), cap=timedelta(seconds=30))


@frozen
class Bounds:
    """How far a transfer goes.

    Attributes:
        policy: How often to ask without progress, and how long to be told to wait.
        max_bytes: The size of the largest file.
        silence_s: The longest silence, in which also the least progress must be made.
    """

    policy: RetryPolicy
    max_bytes: int
    silence_s: float


@define
class Transfer:
    """One file on its way.

    Args:
        client: Asks the hosts.
        clock: Where time comes from.
        bounds: How far to go.
        part: Where the bytes go, in `lane`.
        lane: Where the part file is worked with.
        kind: What the file must be.
        progress: Told how many bytes are there, and of how many, if that is known.
    """

    client: MediaClient
    clock: Clock
    bounds: Bounds
    part: PartFile
    lane: Lane
    kind: Kind
    progress: OnProgress
    _was_empty: bool = field(default=False, init=False)

    async def fetch(self, urls: Sequence[str], young_until_s: float) -> bytes:
        """Fetch the file from the first URL that has it.

        Args:
            urls: Where it is, the preferred place first.
            young_until_s: Until when it may be too young to be there yet (monotonic).

        Returns:
            How the file begins, now that it is whole and on the disk.

        Raises:
            SunoError: None of the URLs has it: why not the first.
            OSError: It cannot be written.
        """
        rounds = 0
        while True:
            error, is_young = await self._try_all(urls)
            if error is None:
                return await self.lane.run(self.part.sync)
            left_s = young_until_s - self.clock.monotonic()
            if not is_young or left_s <= 0:
                raise error
            rounds += 1
            await self.clock.sleep(min(_YOUNG_WAITS.wait_s(rounds), left_s))

    async def _try_all(self, urls: Sequence[str]) -> tuple[SunoError | None, bool]:
        """Try each URL; tell the first one's error, and whether being young explains one."""
        first: SunoError | None = None
        is_young = False
        for url in urls:
            self._was_empty = False
            try:
                await self._persist(url)
            except Fatal as fatal:
                error = fatal.error
                error.__cause__ = fatal.__cause__
            except SunoError as failure:
                error = failure
            else:
                return None, False
            is_young = is_young or is_absence(error) or self._was_empty
            first = first or error
        return first, is_young

    async def _persist(self, url: str) -> None:
        """Ask one URL until the file is whole; progress buys another try."""
        failures, best, asked_s = 0, self.part.size, 0.0
        patience_s = self.bounds.policy.patience.total_seconds()
        while True:
            try:
                return await self._ask(url)
            except SunoError as error:
                failures, best = self._count(failures, best)
                asked = _asked_s(error)
                asked_s += asked
                given_up = failures >= self.bounds.policy.attempts or asked_s > patience_s
                if given_up or self._was_empty or not passes(error):
                    raise
            await self.clock.sleep(self.bounds.policy.wait_s(failures) + asked)

    def _count(self, failures: int, best: int) -> tuple[int, int]:
        if self.part.size >= best + LEAST_PROGRESS_BYTES:
            return 1, self.part.size
        return failures + 1, best

    async def _ask(self, url: str) -> None:
        """Ask for what is missing, once.

        Raises:
            SunoError: It is not whole yet.
            Fatal: It never will be.
        """
        resume = await self.lane.run(self.part.resume_point, url)
        headers = {"Accept-Encoding": "identity"}
        if resume.offset:
            headers |= {"Range": f"bytes={resume.offset}-", "If-Range": resume.validator}
        async with await self.client.ask(url, headers) as answer:
            try:
                reading = read_head(answer.head, resume.offset, resume.validator, self.clock.now())
            except Stale as stale:
                await self.lane.run(self.part.restart, url, "")
                raise ConnectionFailed(stale.reason) from None
            if not reading.ended:
                await self._receive(url, answer, reading)
        if reading.length is not None and self.part.size != reading.length:
            size = self.part.size
            if size > reading.length:
                await self.lane.run(self.part.restart, url, "")
            raise ConnectionFailed(f"the download ended with {size} of {reading.length} bytes")

    async def _receive(self, url: str, answer: Answer, reading: Reading) -> None:
        self._check_size(reading.length or 0)
        body: Readable = Timed(answer, self.clock, self.bounds.silence_s)
        if not reading.offset:
            body = await self._checked(answer.head, body)
            await self.lane.run(self.part.restart, url, answer.head.validator)
        while piece := await body.read():
            await self._write(piece, reading.length)

    async def _checked(self, answered: Head, raw: Readable) -> Readable:
        """Look at how a file begins; what comes before that says less."""
        peeked = Peeked(raw)
        head = await peeked.head()
        self._was_empty = not head
        if not head:
            raise ConnectionFailed("the download ended with 0 of some bytes")
        recognised = self.kind.ending(head) is not None
        encoding = decoder(answered.content_encoding, recognised=recognised)
        body = Peeked(Decoded(peeked, encoding))
        if not self.kind.accepts(await body.head(), answered.content_type):
            called = ascii(answered.content_type.partition(";")[0][:80])[1:-1] or "something"
            reason = f"{answered.host} sent {called} in place of {self.kind.word}"
            raise ProtocolError(reason, answered.status)
        return body

    async def _write(self, piece: bytes, length: int | None) -> None:
        self._check_size(self.part.size + len(piece))
        await self.lane.run(self.part.write, piece)
        self.progress(self.part.size, length)

    def _check_size(self, size: int) -> None:
        if size > self.bounds.max_bytes:
            self.part.discard()
            reason = f"the file is larger than {self.bounds.max_bytes} bytes (max_bytes)"
            raise Fatal(ProtocolError(reason, 200))


def _asked_s(error: SunoError) -> float:
    if isinstance(error, RateLimited | ServerError) and error.retry_after is not None:
        return error.retry_after.total_seconds()
    return 0.0
