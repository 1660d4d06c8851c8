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
)
