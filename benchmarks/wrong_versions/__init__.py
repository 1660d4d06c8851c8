"""Wrong versions of the library, each a single change of text, and which tests are to notice it."""

from benchmarks.wrong_versions import (
    account,
    concurrency,
    durable,
    media,
    paid_call,
    secrecy,
    watching,
)
from benchmarks.wrong_versions.mutation import Mutation

ALL: tuple[Mutation, ...] = (
    *paid_call.WRONG,
    *account.WRONG,
    *concurrency.WRONG,
    *durable.WRONG,
    *watching.WRONG,
    *media.WRONG,
    *secrecy.WRONG,
)
