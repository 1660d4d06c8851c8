"""Wrong versions of the paid call: paid twice, or lost."""

from benchmarks.wrong_versions.mutation import Mutation

_CALL = "suno_async/submission/call.py"
_TASKS = "suno_async/submission/tasks.py"
_REPORTS = "suno_async/submission/reports.py"
_SUBMITTER = "suno_async/submission/submitter.py"
_VERDICT = "suno_async/verdict.py"
_BODY = "suno_async/body.py"
_TRANSPORT = "suno_async/transport.py"
_BATCH = "suno_async/batch.py"

_ANSWERS = "tests/submission/test_answers.py"
_INTRUDERS = "tests/submission/test_intruders.py"
_SUBMISSION = "tests/test_submission.py"
_TOLD = "tests/leaving/test_told.py"

WRONG = (
    # --- paid twice -------------------------------------------------------------------------------
    Mutation(
        "what was sent without an answer counts as not sent",
        _VERDICT,
        "    if verdict is Verdict.UNCERTAIN and not sent:\n",
        "    if verdict is Verdict.UNCERTAIN and (not sent or http_status is None):\n",
        "a lost answer is paid again",
        ("tests/test_verdict.py", _ANSWERS),
    ),
    Mutation(
        "an uncertain submission is sent once more",
        _SUBMITTER,
        "        if verdict not in {Verdict.TOOK_NOTHING, Verdict.NOT_SENT}:\n"
        "            return None\n",
        "        if verdict is Verdict.UNCERTAIN and not self._failures:\n"
        "            self._failures += 1\n"
        "            return 0.0\n"
        "        if verdict not in {Verdict.TOOK_NOTHING, Verdict.NOT_SENT}:\n"
        "            return None\n",
        "a lost answer is paid again",
        (_SUBMISSION, _ANSWERS),
    ),
    Mutation(
        "a body can be handed out twice",
        _BODY,
        "        if self._spent:\n"
        '            raise RuntimeError("a submission is sent once at the most")\n',
        "",
        "a middleware that retries pays again",
        (_INTRUDERS,),
    ),
    Mutation(
        "who reads the body is not taken for its sender",
        _BODY,
        "        self._note_sent()\n        return await super().as_bytes(encoding, errors)\n",
        "        return await super().as_bytes(encoding, errors)\n",
        "a middleware that sends a copy and fails is repeated, and paid again",
        (_INTRUDERS,),
    ),
    Mutation(
        "a submission rides on a kept-alive connection",
        _TRANSPORT,
        "            fresh = self._network.connector(force_close=True)\n",
        "            fresh = self._network.connector()\n",
        "one that the other side is just closing makes a submission uncertain",
        (_SUBMISSION, "tests/network/test_tls.py"),
    ),
    Mutation(
        "a code that speaks of time is a refusal",
        _VERDICT,
        "_OF_TIME = frozenset({408, 425, 444, 460, 499})",
        "_OF_TIME = frozenset({425, 444, 460, 499})",
        "what a gateway gave up waiting for may be paid, and is called refused",
        ("tests/test_verdict.py",),
    ),
    Mutation(
        "a gateway's 502 is a refusal",
        _VERDICT,
        "_PAGE_REFUSES = frozenset({400,",
        "_PAGE_REFUSES = frozenset({502, 400,",
        "what may be paid is called refused",
        ("tests/test_verdict.py",),
    ),
    Mutation(
        "the service's own 500 took nothing",
        _VERDICT,
        "        if own_failure and repeat_server_errors:\n",
        "        if own_failure:\n",
        "tasks behind a 500 are paid again",
        ("tests/test_verdict.py",),
    ),
    Mutation(
        "a submission is sent although it is too late",
        _BODY,
        "        if self._is_late():\n            self._spent = self.late = True\n",
        "        if False:\n            self._spent = self.late = True\n",
        "a process that was stopped pays for what another has long sent in its place",
        ("tests/submission/test_deadline.py",),
    ),
    # --- lost -------------------------------------------------------------------------------------
    Mutation(
        "a task id counts only with code 200",
        _VERDICT,
        "    if task_id is not None:\n        return Verdict.ACCEPTED\n",
        "    if task_id is not None and code == 200:\n        return Verdict.ACCEPTED\n",
        "a paid task is called refused or uncertain",
        ("tests/test_verdict.py", _ANSWERS),
    ),
    Mutation(
        "an answer in a broken frame is not read",
        _TRANSPORT,
        "        if cause is None or _is_enough(partial):\n",
        "        if cause is None:\n",
        "the id that came is thrown away",
        (_ANSWERS,),
    ),
    Mutation(
        "observers are not told of a task",
        _REPORTS,
        "self._observers.tell(kind(task_id, request, sent_at, awaited, attempt, seconds))",
        "del kind",
        "who stores what observers hear has lost the task",
        ("tests/test_observe.py",),
    ),
    Mutation(
        "on_submitted is not called",
        _CALL,
        "        error = await self._tasks.announce(task_id)\n",
        "        error = None\n",
        "who stores ids there has lost the task",
        (_TOLD,),
    ),
    Mutation(
        "on_submitted is not called for a caller who was cancelled",
        _CALL,
        "        error = await self._tasks.announce(task_id)\n",
        "        error = await self._tasks.announce(task_id) if self._tasks.awaited else None\n",
        "a time-out round submit() loses the task",
        (_TOLD,),
    ),
    Mutation(
        "what on_submitted raises does not name the task",
        _TASKS,
        '        raised.add_note(f"task {task_id} was submitted, and goes on")\n',
        "",
        "the caller has an error, and no id",
        (_TOLD,),
    ),
    Mutation(
        "a late callback does not complete the error",
        _TASKS,
        "            self.error.task_id = task_id\n",
        "            pass\n",
        "who keeps the error never learns which task it was",
        ("tests/leaving/test_late_callbacks.py", "tests/callbacks/test_reconcile.py"),
    ),
    Mutation(
        "a task that nobody waits for is logged at INFO",
        _REPORTS,
        "        level = logging.INFO if awaited else logging.WARNING\n",
        "        level = logging.INFO\n",
        "the only trace of a paid task is not in the log of production",
        (_TOLD, _SUBMISSION),
    ),
    Mutation(
        "cancelling a caller cuts off what is sent",
        _CALL,
        "        elif self.sent:\n            self._around.reports.abandoned(self.request)\n",
        "        elif self.sent:\n            sending.cancel()\n",
        "the answer with the id is never read",
        (_SUBMISSION, _TOLD),
    ),
    Mutation(
        "what was sent is closed when the session is left",
        _CALL,
        "        elif self.sent:\n"
        "            error = tasks.error or self._uncertain(reason, ConnectionFailed(reason))\n",
        "        elif False:\n"
        "            error = tasks.error or self._uncertain(reason, ConnectionFailed(reason))\n",
        "what may be paid looks as if it had never been sent",
        (_TOLD, "tests/leaving/test_every_pass.py"),
    ),
    Mutation(
        "leaving does not wait for an answer",
        _SUBMITTER,
        "        if self._sending:\n"
        "            await asyncio.wait(self._sending, timeout=LAST_WAIT_S)\n",
        "",
        "every submission that is under way becomes uncertain",
        (_SUBMISSION, _TOLD),
    ),
    Mutation(
        "an uncertain submission waits for no callback",
        _CALL,
        "        if self.expectation is None or owner.closed or self._cancelled:\n"
        "            return None\n",
        "        if self.expectation is not None or owner.closed or self._cancelled:\n"
        "            return None\n",
        "paid tasks that callbacks would prove are uncertain",
        ("tests/callbacks/test_reconcile.py",),
    ),
    Mutation(
        "a slot is not given back by who is cancelled in the window's queue",
        _SUBMITTER,
        "        except BaseException:\n            limits.slots.give()\n            raise\n",
        "        except BaseException:\n            raise\n",
        "after eight of these nothing is ever sent again",
        (_SUBMISSION,),
    ),
    Mutation(
        "a turn is not given back by who is cancelled in a pause",
        _SUBMITTER,
        "        except BaseException:\n            turn.end(arrived=False)\n            raise\n",
        "        except BaseException:\n            raise\n",
        "after eight of these nothing is ever sent again",
        (_SUBMISSION,),
    ),
    # --- batches ----------------------------------------------------------------------------------
    Mutation(
        "a batch stops at the first failure",
        _BATCH,
        "                    yield run.outcome()\n",
        "                    yield run.outcome()\n"
        "                    if not run.outcome().ok:\n"
        "                        return\n",
        "one song that is refused costs all others",
        ("tests/test_batch.py",),
    ),
    Mutation(
        "a batch goes on without credits",
        _BATCH,
        "        if self._broke is not None:\n",
        "        if self._broke is not None and self._after == 0:\n",
        "a thousand calls are made that all are refused",
        ("tests/test_batch.py",),
    ),
    Mutation(
        "a batch goes on however many submissions are uncertain",
        _BATCH,
        "        if self._after is not None and self._in_row >= self._after:\n",
        "        if self._after is not None and self._in_row >= 10 * self._after:\n",
        "a broken network buys a thousand unknown tasks",
        ("tests/leaving/test_batches.py",),
    ),
    Mutation(
        "a batch pulls as fast as its source gives",
        _BATCH,
        "                await self._backlog.take(self._owner)\n",
        "",
        "an endless source piles up for a slow consumer",
        ("tests/test_batch.py", "tests/leaving/test_batches.py"),
    ),
    Mutation(
        "a batch that is left keeps its room",
        _BATCH,
        "        self._room.give(self._held)\n        self._held = 0\n",
        "        self._held = 0\n",
        "after a few of these generate() waits for ever",
        ("tests/test_batch.py", "tests/leaving/test_every_pass.py"),
    ),
)
