"""Wrong versions of what the account allows: calls too many, too early, or for ever."""

from benchmarks.wrong_versions.mutation import Mutation

_LIMITS = "suno_async/limits.py"
_RETRY = "suno_async/retry.py"
_SUBMISSION = "tests/test_submission.py"
_TEST_LIMITS = "tests/test_limits.py"

WRONG = (
    Mutation(
        "a window of 21",
        _LIMITS,
        "        self._places = Places(limit)\n",
        "        self._places = Places(limit + 1)\n",
        "the account is blocked for calling too often",
        (_SUBMISSION, _TEST_LIMITS),
    ),
    Mutation(
        "a token bucket with a burst on top",
        _LIMITS,
        "            back_s = self._clock.monotonic() + self._window_s + _TIMER_GRAIN_S\n"
        "            self._returning.append(back_s)\n",
        "            last_s = self._returning[-1] if self._returning else -inf\n"
        "            begin_s = max(self._clock.monotonic(), last_s)\n"
        "            self._returning.append(begin_s + self._window_s / self._limit)\n",
        "twice as many as allowed are in some windows",
        (_SUBMISSION, _TEST_LIMITS),
    ),
    Mutation(
        "a window that is a tenth too short",
        _LIMITS,
        "            back_s = self._clock.monotonic() + self._window_s + _TIMER_GRAIN_S\n",
        "            back_s = self._clock.monotonic() + 0.9 * self._window_s\n",
        "21 are in some windows of the service's",
        (_SUBMISSION, _TEST_LIMITS),
    ),
    Mutation(
        "a place in the window comes back although the request arrived",
        "suno_async/submission/call.py",
        "            limits.window.leave(arrived=arrived)\n",
        "            limits.window.leave(arrived=False)\n",
        "no window is kept at all",
        (_SUBMISSION,),
    ),
    Mutation(
        "a place that comes in the moment of a cancellation is lost",
        _LIMITS,
        "not wanted any more\n                self.give()\n",
        "not wanted any more\n                pass\n",
        "places leak until nothing is sent any more",
        (_TEST_LIMITS,),
    ),
    Mutation(
        "Retry-After is ignored",
        "suno_async/transport.py",
        "        asked = read_retry_after(retry_after, self._clock.now())\n",
        "        asked = None\n",
        "the account is blocked for not listening",
        (_SUBMISSION,),
    ),
    Mutation(
        "a 429 slows the call that met it alone",
        "suno_async/submission/call.py",
        "            self._around.pause.note(error)\n",
        "            pass\n",
        "all others go on hammering",
        (_SUBMISSION,),
    ),
    Mutation(
        "a 429 to a poll slows nobody else",
        "suno_async/answers.py",
        "        self._pause.note(error)\n",
        "",
        "all others go on hammering",
        ("tests/test_watcher.py",),
    ),
    Mutation(
        "a page may ask for a day",
        _RETRY,
        "        return min(asked, LONGEST_GATEWAY_PAUSE)\n",
        "        return asked\n",
        "one junk page stops the session for a day",
        ("tests/test_retry.py", _SUBMISSION),
    ),
    Mutation(
        "a refused call that costs nothing is asked again",
        _RETRY,
        "            if not is_transient(error) or failures >= policy.attempts:\n",
        "            if failures >= policy.attempts:\n",
        "a wrong key is told after half a minute",
        ("tests/test_transport.py", "tests/test_retry.py"),
    ),
    Mutation(
        "what is not taken is tried for ever",
        "suno_async/submission/submitter.py",
        "return wait_s if self._clock.monotonic() + wait_s <= self._deadline_s else None\n",
        "return wait_s\n",
        "a call never comes back while the service is in maintenance",
        (_SUBMISSION,),
    ),
    Mutation(
        "429 always speaks of calling too often",
        "suno_async/verdict.py",
        "    if code in _TAKES_NOTHING and not _means_credits(code, message):\n",
        "    if code in _TAKES_NOTHING:\n",
        "an account without credits is tried for ten minutes",
        ("tests/test_verdict.py",),
    ),
)
