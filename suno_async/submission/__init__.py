"""The paid call: its turn, its one sending, what that proved, and what a callback proves later."""

from suno_async.submission.call import LAST_WAIT_S, PATH
from suno_async.submission.deadline import Deadline
from suno_async.submission.reports import Reports
from suno_async.submission.submitter import Submitter
from suno_async.submission.surroundings import (
    AlwaysOpen,
    Expectation,
    Gate,
    OnSubmitted,
    Receiver,
    Submitted,
    Surroundings,
)

__all__ = [
    "LAST_WAIT_S",
    "PATH",
    "AlwaysOpen",
    "Deadline",
    "Expectation",
    "Gate",
    "OnSubmitted",
    "Receiver",
    "Reports",
    "Submitted",
    "Submitter",
    "Surroundings",
]
