"""Wrong versions of how what was started ends, and of what callers hand in."""

from benchmarks.wrong_versions.mutation import Mutation

WRONG = (
    Mutation(
        "leaving cancels nothing",
        "suno_async/owner.py",
        "        for task in self._tasks:\n            task.cancel()\n\n    async def aclose",
        "\n    async def aclose",
        "leaving takes as long as what runs",
        ("tests/test_owner.py", "tests/test_leaving.py"),
    ),
    Mutation(
        "a cancellation cuts leaving short",
        "suno_async/session.py",
        "            except asyncio.CancelledError as again:\n                cancelled = again\n",
        "            except asyncio.CancelledError:\n                raise\n",
        "sockets and files stay open",
        ("tests/leaving/test_every_pass.py", "tests/test_leaving.py"),
    ),
    Mutation(
        "what an observer raises goes on",
        "suno_async/observe.py",
        "    except BaseException:  # noqa: BLE001 - a caller's function: it may raise anything\n",
        "    except LookupError:\n",
        "somebody's metrics make a paid submission fail",
        ("tests/test_observe.py", "tests/hands/test_submitting.py"),
    ),
    Mutation(
        "an observer that says it was cancelled is believed",
        "suno_async/observe.py",
        "    except BaseException:  # noqa: BLE001 - a caller's function: it may raise anything\n",
        "    except Exception:\n",
        "somebody's metrics make a paid submission fail",
        ("tests/test_observe.py", "tests/hands/test_submitting.py"),
    ),
    Mutation(
        "a hook that never comes back holds a call",
        "suno_async/transport.py",
        "            asked = _bounded(asking, timeout.total)\n",
        "            asked = asking\n",
        "a tracing collector that stalls once keeps a paid task from being looked at again",
        ("tests/hands/test_never.py",),
    ),
    Mutation(
        "a look that says that it was cancelled is believed",
        "suno_async/transport.py",
        "        except asyncio.CancelledError as error:\n"
        "            if is_being_cancelled():\n"
        "                raise\n"
        "            cause = _claimed(error)\n",
        "        except asyncio.CancelledError:\n            raise\n",
        "details() never comes back",
        ("tests/hands/test_watching.py",),
    ),
    Mutation(
        "what an exception says is written without care",
        "suno_async/batch.py",
        "    about = described(error)\n",
        '    about = f"{type(error).__name__}: {error}"\n',
        "a batch waits for ever for a task that is paid",
        ("tests/hands/test_submitting.py",),
    ),
    Mutation(
        "a caller's clock is relied on",
        "suno_async/session.py",
        "        self._clock = steadied(clock or SystemClock())\n",
        "        self._clock = clock or SystemClock()\n",
        "one failure of it leaves a caller waiting for ever",
        ("tests/hands/test_clocks.py",),
    ),
    Mutation(
        "an on_progress that would have to be awaited is taken",
        "suno_async/session.py",
        "        if on_progress is not None and not is_plain_function(on_progress):\n",
        "        if on_progress is not None and not callable(on_progress):\n",
        "the batch ends when its first task is paid",
        ("tests/hands/test_batches.py",),
    ),
    Mutation(
        "a stream that is not read to its end is not closed",
        "suno_async/media/uploads.py",
        "            await stream.aclose()\n",
        "            pass\n",
        "a caller's file stays open",
        ("tests/hands/test_media.py",),
    ),
)
