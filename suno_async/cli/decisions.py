"""What a person decides about rows that do not go on by themselves."""

from collections.abc import Iterable, Mapping

from attrs import field, frozen

from suno_async.cli.failures import Complaint, printable
from suno_async.cli.options import RunOptions

_LONGEST_NUMBER = 9


@frozen
class Decisions:
    """What a person decides about rows that do not go on by themselves.

    Attributes:
        retry_uncertain: Whether to submit again what may have been paid for.
        retry_failed: Whether to submit again what has failed after it was paid for.
        adopt: Tasks of the account, by the numbers of the rows whose they are.
        abandon: Whether to look no further after uncertain rows.
    """

    retry_uncertain: bool = False
    retry_failed: bool = False
    adopt: Mapping[int, str] = field(factory=dict[int, str], hash=False)
    abandon: bool = False


def decided(options: RunOptions) -> Decisions:
    """Tell what somebody has decided with the options of a run.

    Raises:
        Complaint: An adoption is none.
    """
    adopted = read_adoptions(options.adopt or ())
    return Decisions(options.retry_uncertain, options.retry_failed, adopted, options.abandon)


def read_adoptions(given: Iterable[str]) -> dict[int, str]:
    """Read `ROW=TASK_ID`, several times.

    Raises:
        Complaint: One is something else, or a row has two.
    """
    adopted: dict[int, str] = {}
    for text in given:
        number, mark, task_id = text.partition("=")
        if not mark or not number.strip().isdecimal() or not task_id.strip():
            raise Complaint(
                printable(f"--adopt must be ROW=TASK_ID, such as 7=5c79be8e, not {text!r}")
            )
        row = int(number[:_LONGEST_NUMBER])
        if adopted.setdefault(row, task_id.strip()) != task_id.strip():
            raise Complaint(f"--adopt gives two tasks to row {row}")
    return adopted
