"""Wrong versions of jobs that outlive their process."""

from benchmarks.wrong_versions.mutation import Mutation

WRONG = (
    Mutation(
        "a job is recorded after it was sent, not before",
        "suno_async/durable/sends.py",
        "change(connection, key, state=JobState.SENDING, token=token)\n        return Claim",
        "change(connection, key, token=token)\n        return Claim",
        "whoever is killed in between pays again",
        ("tests/durable/test_uncertain.py", "tests/durable/test_keys.py"),
    ),
    Mutation(
        "an uncertain job waits again",
        "suno_async/durable/submitting.py",
        "            case SubmissionUncertain():\n"
        "                await self._sends.uncertain(claim, failure)\n",
        "            case SubmissionUncertain():\n"
        "                await self._sends.give_back(claim)\n"
        "                return True\n",
        "a lost answer is paid again",
        ("tests/durable/test_uncertain.py",),
    ),
    Mutation(
        "a durable window of 21",
        "suno_async/durable/sends.py",
        "        if used >= self._limits.per_window:\n",
        "        if used > self._limits.per_window:\n",
        "the fleet is blocked for calling too often",
        ("tests/durable/test_window.py",),
    ),
)
