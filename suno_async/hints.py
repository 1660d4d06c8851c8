"""What callbacks said of a task: reasons to look at it, and nothing that is believed."""

from attrs import define

from suno_async.models import CallbackNotice

# a callback may be ahead of the record (seen): looks come after so long, then twice as long, …
FIRST_CLOSE_GAP_S = 1.0
CLOSE_LOOKS = 6

# so many kinds of callbacks that are no stages cost a look each
_MOST_KINDS = 4
_LONGEST_KIND = 40


@define(eq=False)
class Hints:
    """What callbacks said of a task; nothing of it is believed.

    Attributes:
        announced: How many stages they announced.
        announced_s: When the last of these was.
        failed: Whether one said that the task has failed.
        heard: What else they said.
        new: Whether one came since the last look began.
        vain: How many looks in a row did not show yet what was announced.
        keeps: What is to live as long as this does.
    """

    announced: int = 0
    announced_s: float = 0.0
    failed: bool = False
    heard: frozenset[str] = frozenset()
    new: bool = False
    vain: int = 0
    keeps: object = None

    def tells_news(self, notice: CallbackNotice, reached: int, now_s: float) -> bool:
        """Take note of a callback; tell whether it is worth a look."""
        if notice.failed:
            is_news, self.failed = not self.failed, True
        elif (stage := notice.stage) is not None:
            is_news = stage.position >= max(reached, self.announced)
            if is_news:
                self.announced, self.announced_s = stage.position + 1, now_s
        else:
            kind = notice.kind[:_LONGEST_KIND]
            is_news = kind not in self.heard and len(self.heard) < _MOST_KINDS
            self.heard |= {kind} if is_news else frozenset()
        if is_news:
            self.new, self.vain = True, 0
        return is_news

    def is_ahead(self, reached: int) -> bool:
        """Tell whether they said more than the record shows with so many stages reached."""
        return self.announced > reached or self.failed

    def count(self, reached: int) -> None:
        """Take note of a look that ended with so many stages reached."""
        if self.is_ahead(reached):
            self.vain += 1
        else:
            self.new = False

    def gap_s(self) -> float | None:
        """Tell the longest gap until the next look, while it has to catch up; None otherwise."""
        if 0 < self.vain <= CLOSE_LOOKS:
            return FIRST_CLOSE_GAP_S * 2.0 ** (self.vain - 1)
        return None
