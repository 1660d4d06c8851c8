"""Times that options give."""

from datetime import UTC, datetime

from suno_async.cli.failures import Complaint


def read_moment(text: str | None) -> datetime | None:
    """Read `--submitted-at`: ISO 8601; without a zone it is UTC.

    Raises:
        Complaint: It is no time.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        rule = "must be a time such as 2026-01-31T12:00:00Z"
        raise Complaint(f"--submitted-at {rule}, not {text!r}") from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
