"""Wrong versions of watching: too eager, too gullible, or told twice."""

from benchmarks.wrong_versions.mutation import Mutation

_PROGRESS = "suno_async/progress.py"
_DOUBTS = "suno_async/doubts.py"
_POLLERS = "suno_async/pollers.py"
_PACE = "suno_async/pace.py"
_TEST_PROGRESS = "tests/test_progress.py"
_TEST_WATCHER = "tests/test_watcher.py"
_TEST_WALL_CLOCK = "tests/test_wall_clock.py"

WRONG = (
    Mutation(
        "a poll every 0.3 s",
        "suno_async/cadence.py",
        "LEAST_GAP_S = 0.34\n",
        "LEAST_GAP_S = 0.3\n",
        "a task is asked more than three times a second",
        (_TEST_WATCHER, "tests/test_looks.py"),
    ),
    Mutation(
        "the gap is counted from the question",
        _POLLERS,
        "        watch.next_ask_s = now_s + LEAST_GAP_S ",
        "        watch.next_ask_s = began_s + LEAST_GAP_S ",
        "two looks can arrive at the service within a third of a second",
        ("tests/test_looks.py", _TEST_WATCHER),
    ),
    Mutation(
        "a look begins although one is under way",
        _POLLERS,
        "        if not watch.polling:\n            self._look_soon(",
        "        if True:\n            self._look_soon(",
        "looks at a task overlap",
        ("tests/test_looks.py", "tests/callbacks/test_hints.py"),
    ),
    Mutation(
        "a single look is believed",
        _DOUBTS,
        "        return standing.looks >= DOUBTFUL_LOOKS and now_s - standing.since_s"
        " >= LASTING_S[doubt]\n",
        "        return True\n",
        "one lie of a gateway ends a watch of something paid",
        (_TEST_PROGRESS, _TEST_WATCHER),
    ),
    Mutation(
        "three looks in one second are believed",
        _DOUBTS,
        "        return standing.looks >= DOUBTFUL_LOOKS and now_s - standing.since_s"
        " >= LASTING_S[doubt]\n",
        "        return standing.looks >= DOUBTFUL_LOOKS\n",
        "an outage of a second ends a watch of something paid",
        (_TEST_PROGRESS, _TEST_WATCHER),
    ),
    Mutation(
        "two looks a minute apart are believed",
        _DOUBTS,
        "        return standing.looks >= DOUBTFUL_LOOKS and now_s - standing.since_s"
        " >= LASTING_S[doubt]\n",
        "        return now_s - standing.since_s >= LASTING_S[doubt]\n",
        "a straggler that is seldom looked at ends by one lie and another",
        (_TEST_PROGRESS, _TEST_WATCHER),
    ),
    Mutation(
        "SUCCESS without audio is complete",
        _PROGRESS,
        "        return stage, None if stage is Stage.COMPLETE else Doubt.NO_AUDIO\n",
        "        return Stage.COMPLETE, None\n",
        "a paid track is delivered without its URL",
        (_TEST_PROGRESS, _TEST_WATCHER),
    ),
    Mutation(
        "CALLBACK_EXCEPTION is a failure",
        "suno_async/models.py",
        "        return refused or self.status in _FAILED\n",
        "        return refused or self.status in {*_FAILED, TaskStatus.CALLBACK_EXCEPTION}\n",
        "finished tracks are given up, since nobody serves the callback URL",
        (_TEST_WATCHER,),
    ),
    Mutation(
        "an error's callback is believed without a look",
        "suno_async/watcher.py",
        "        announced = watch.hint(notice, now_s)\n",
        "        announced = watch.hint(notice, now_s)\n"
        "        if notice.failed and not watch.done:\n"
        "            self._answers.end(watch, SunoError('the callback says that it failed'))\n",
        "whoever knows the URL can end a watch",
        ("tests/callbacks/test_hints.py",),
    ),
    Mutation(
        "a callback wakes nobody",
        "suno_async/watcher.py",
        "        if watch.wanted:\n            self._pollers.hurry(watch)\n",
        "",
        "callbacks save no time",
        ("tests/callbacks/test_hints.py",),
    ),
    Mutation(
        "results are kept 13 days",
        "suno_async/models.py",
        "RETENTION = timedelta(days=14)\n",
        "RETENTION = timedelta(days=13)\n",
        "a task of 13 days and an hour is given up, although it can still complete",
        (_TEST_WATCHER, "tests/test_models.py"),
    ),
    Mutation(
        "results are kept 15 days",
        "suno_async/models.py",
        "RETENTION = timedelta(days=14)\n",
        "RETENTION = timedelta(days=15)\n",
        "callers wait a day for what is deleted",
        (_TEST_WATCHER, "tests/test_models.py"),
    ),
    Mutation(
        "the wall clock ends a watch",
        _POLLERS,
        "        if began_s >= watch.expires_s:\n",
        "        if self._clock.now() >= watch.expires_at:\n",
        "a clock that is set forward gives up everything paid",
        (_TEST_WALL_CLOCK,),
    ),
    Mutation(
        "the wall clock in place of the monotonic one",
        "suno_async/clock.py",
        '        """Tell the machine\'s monotonic time in seconds."""\n'
        "        return time.monotonic()\n",
        '        """Tell the machine\'s monotonic time in seconds."""\n'
        "        return time.time()\n",
        "a clock that is set breaks every window, pause and doubt",
        ("tests/test_clock.py",),
    ),
    Mutation(
        "a stage is told twice",
        _PROGRESS,
        "        new = _STAGES[len(self.events) : stage.position + 1]\n",
        "        new = _STAGES[max(len(self.events) - 1, 0) : stage.position + 1]\n",
        "what a caller does at a stage is done twice",
        ("tests/test_task.py", _TEST_PROGRESS),
    ),
    Mutation(
        "a stage that was jumped over looks as if it had been seen",
        _PROGRESS,
        "                StageEvent(each, self.task_id, details.tracks, details, at,"
        " each is not stage),\n",
        "                StageEvent(each, self.task_id, details.tracks, details, at, False),\n",
        "an event is not true",
        ("tests/test_task.py",),
    ),
    Mutation(
        "a late reader begins with what comes next",
        "suno_async/task.py",
        "        given = 0\n",
        "        given = self._watch.reached\n",
        "stages are missed",
        ("tests/test_task.py",),
    ),
    Mutation(
        "a failed task gives up what it had finished",
        _PROGRESS,
        "_failure(self.task_id, details, self._finished, scrub), details\n",
        "_failure(self.task_id, details, details.finished, scrub), details\n",
        "a paid track is lost",
        (_TEST_WATCHER, _TEST_PROGRESS),
    ),
    Mutation(
        "the record of another task is believed",
        _PROGRESS,
        "        if is_of_another_task(details, self.task_id):\n",
        "        if is_of_another_task(details, ''):\n"
        "            details = evolve(details, task_id=self.task_id)\n"
        "        if is_of_another_task(details, self.task_id):\n",
        "somebody else's audio is delivered",
        (_TEST_WATCHER,),
    ),
    Mutation(
        "an answer that cannot be read ends a watch",
        "suno_async/verdict.py",
        "    if not isinstance(error, ApiError):\n        return Sight.TRANSIENT\n",
        "    if not isinstance(error, ApiError):\n        return Sight.REFUSED\n",
        "a minute without network gives up everything paid",
        (_TEST_WATCHER,),
    ),
    Mutation(
        "an error about a task does not name it",
        _PROGRESS,
        "    if isinstance(error, ApiError | SessionClosed):\n        error.task_id = task_id\n",
        "    if isinstance(error, ApiError | SessionClosed):\n        pass\n",
        "what was paid cannot be attached to again",
        ("tests/test_task.py", "tests/test_leaving.py"),
    ),
    Mutation(
        "what a cadence raises ends the poller",
        _PACE,
        "        except _ANYTHING as error:\n            problem = ",
        "        except LookupError as error:\n            problem = ",
        "a bug in a caller's cadence stops the watch",
        (_TEST_WATCHER,),
    ),
    Mutation(
        "a cadence may sleep for ever",
        _PACE,
        "            if LEAST_GAP_S <= gap_s <= RETENTION_S:\n                return gap_s\n",
        "            if LEAST_GAP_S <= gap_s or gap_s != gap_s:\n                return gap_s\n",
        "a cadence that answers nan or inf loses the task",
        (_TEST_WATCHER,),
    ),
    Mutation(
        "the agenda gives the turn to whoever is due first",
        "suno_async/agenda.py",
        "        tag_s = self._stretched_s + max(least_turn_s, gap_s)\n",
        "        tag_s = due_s\n",
        "who asks often starves who asks rarely",
        ("tests/test_agenda.py",),
    ),
    Mutation(
        "a new task is as old as the wall clock says",
        "suno_async/watcher.py",
        " if sent_s is None else sent_s\n",
        "\n",
        "who sets the clock during a call has a task that expires early, or is unknown",
        (_TEST_WALL_CLOCK,),
    ),
    Mutation(
        "a wait for a result ends by the wall clock",
        "suno_async/task.py",
        "        deadline_s = self._clock.monotonic() + limit.total_seconds()\n"
        "        timer = self._clock.call_at(deadline_s, waiter.notify)\n"
        "        try:\n"
        "            while not self._watch.done:\n"
        "                if self._clock.monotonic() >= deadline_s:\n",
        "        deadline = self._clock.now() + limit\n"
        "        after_s = self._clock.monotonic() + limit.total_seconds()\n"
        "        timer = self._clock.call_at(after_s, waiter.notify)\n"
        "        try:\n"
        "            while not self._watch.done:\n"
        "                if self._clock.now() >= deadline:\n",
        "who sets the clock back makes a caller wait for days",
        (_TEST_WALL_CLOCK,),
    ),
    Mutation(
        "doubts last by the wall clock",
        "suno_async/answers.py",
        "        if not watch.missed(error, now_s, self._clock.now()):\n",
        "        if not watch.missed(error, self._clock.now().timestamp(), self._clock.now()):\n",
        "who sets the clock ends the watch of something paid",
        (_TEST_WALL_CLOCK,),
    ),
)
