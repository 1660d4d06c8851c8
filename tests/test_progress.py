"""The state machine of one task: what each answer proves, and what has to persist."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_async import (
    ApiError,
    AuthenticationError,
    CallbackNotice,
    ConnectionFailed,
    ContentRejected,
    GenerationFailed,
    NotFound,
    ProtocolError,
    RateLimited,
    ServerError,
    Stage,
    StageEvent,
    SunoError,
    TaskDetails,
    TaskExpired,
    TaskNotFound,
    Track,
    UnexpectedError,
)
from suno_async.doubts import DOUBTFUL_LOOKS, LASTING_S, Doubt
from suno_async.errors import AudioMissing
from suno_async.progress import Progress
from suno_async.refusals import api_error
from suno_async.verdict import Sight, judge_look

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
DONE = Track("a", "https://cdn.example/a.mp3")
MUTE = Track("b")


def progress(**changes: Any) -> Progress:
    """Begin to follow a task that was submitted at the monotonic zero."""
    return Progress("t1", BEGAN, 0.0, **changes)


def details(status: str, *tracks: Track, task_id: str = "t1", **fields: Any) -> TaskDetails:
    """Make a record."""
    return TaskDetails(task_id, status, tracks, **fields)


def see(task: Progress, shown: TaskDetails | SunoError, now_s: float) -> None:
    """Take note of what a look showed."""
    at = BEGAN + timedelta(seconds=now_s)
    if isinstance(shown, SunoError):
        task.missed(shown, now_s, at)
    else:
        task.saw(shown, now_s, at)


def stages(task: Progress) -> list[Stage]:
    """Tell which stages were reached."""
    return [event.stage for event in task.events]


# --- what is believed at once ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "reached"),
    [
        (details("PENDING"), 0),
        (details("GENERATING"), 0),
        (details("TEXT_SUCCESS"), 1),
        (details("TEXT_SUCCESS", MUTE), 1),
        (details("FIRST_SUCCESS", DONE, MUTE), 2),
        (details("PENDING", DONE), 2),
        (details("SUCCESS", DONE, DONE), 3),
        (details("SUCCESS", DONE), 3),
        (details("CALLBACK_EXCEPTION", DONE, DONE), 3),
    ],
)
def test_a_record_of_its_own_proves_a_stage(shown: TaskDetails, reached: int) -> None:
    """Invariant 3: the stages up to it, each once, those that were jumped over inferred."""
    task = progress()
    for now_s in (5.0, 6.0, 7.0):
        see(task, shown, now_s)
    assert stages(task) == list(Stage)[:reached]
    assert [event.inferred for event in task.events] == [True] * (reached - 1) + [False] * (
        reached > 0
    )
    assert task.done is (reached == 3)
    assert task.doubts is None


@pytest.mark.parametrize("status", ["CREATE_TASK_FAILED", "GENERATE_AUDIO_FAILED"])
def test_a_documented_failure_ends_at_once(status: str) -> None:
    """It is the task's own word: what was finished comes with it."""
    task = progress()
    see(task, details("FIRST_SUCCESS", DONE, MUTE), 5.0)
    see(task, details(status, error_code=531, error_message="why"), 9.0)
    assert isinstance(task.ending, GenerationFailed)
    assert task.ending.refunded
    assert task.ending.tracks == (DONE,)
    assert stages(task) == [Stage.TEXT, Stage.FIRST]


def test_an_errors_text_is_scrubbed_and_the_details_are_not() -> None:
    """Invariant 7: what is shown is scrubbed; what the service says is never rewritten."""
    task = progress()
    failed = details("SENSITIVE_WORD_ERROR", error_message="key123 is a bad word")
    task.saw(failed, 5.0, BEGAN, lambda text: text.replace("key123", "(key)"))
    assert isinstance(task.ending, ContentRejected)
    assert task.ending.error_message == "(key) is a bad word"
    assert task.details == failed


# --- doubts ---------------------------------------------------------------------------------------

DOUBTFUL: dict[str, tuple[TaskDetails | SunoError, Doubt, type[SunoError] | None]] = {
    "401": (api_error(401, "who?"), Doubt.REFUSED, AuthenticationError),
    "402": (api_error(402, "pay"), Doubt.REFUSED, ApiError),
    "777": (api_error(777, "new"), Doubt.REFUSED, ApiError),
    "a hook": (UnexpectedError("a bug"), Doubt.REFUSED, UnexpectedError),
    "no record": (NotFound(404, "no"), Doubt.NO_RECORD, TaskNotFound),
    "another task's": (
        details("SUCCESS", DONE, DONE, task_id="t2"),
        Doubt.ANOTHER_TASK,
        TaskNotFound,
    ),
    "another task's refund": (
        details("GENERATE_AUDIO_FAILED", task_id="t2", error_code=531),
        Doubt.ANOTHER_TASK,
        TaskNotFound,
    ),
    "success without tracks": (details("SUCCESS"), Doubt.NO_AUDIO, AudioMissing),
    "success without audio": (details("SUCCESS", MUTE, MUTE), Doubt.NO_AUDIO, AudioMissing),
    "success with one": (details("SUCCESS", DONE, MUTE), Doubt.NO_AUDIO, None),
    "callback exception": (details("CALLBACK_EXCEPTION"), Doubt.NO_AUDIO, AudioMissing),
    "callback exception with one": (details("CALLBACK_EXCEPTION", DONE), Doubt.NO_AUDIO, None),
    "pending, 413": (details("PENDING", error_code=413), Doubt.FAILED, ContentRejected),
    "text, 531": (details("TEXT_SUCCESS", error_code=531), Doubt.FAILED, GenerationFailed),
    "unknown, 531": (details("MIXING", error_code=531), Doubt.FAILED, GenerationFailed),
    "FAILED": (details("FAILED"), Doubt.FAILED, GenerationFailed),
    "pending with two": (details("PENDING", DONE, DONE), Doubt.FINISHED, None),
    "unknown with two": (details("PUBLISHED", DONE, DONE), Doubt.FINISHED, None),
}
CASES = pytest.mark.parametrize(("shown", "doubt", "ending"), DOUBTFUL.values(), ids=DOUBTFUL)


@CASES
def test_a_doubt_is_believed_when_it_has_persisted(
    shown: Any, doubt: Doubt, ending: type[SunoError] | None
) -> None:
    """Invariant 2: for its time, and three looks."""
    lasting_s = LASTING_S[doubt]
    task = progress()
    see(task, shown, 10.0)
    see(task, shown, 10.0 + lasting_s)  # long enough, and one look too few
    assert not task.done
    see(task, shown, 11.0 + lasting_s)
    assert task.done
    if ending is None:
        assert task.ending is None
        assert stages(task) == list(Stage)
        assert task.details is not None
        assert task.details.tracks
        assert all(track.has_audio for track in task.details.tracks)
    else:
        assert isinstance(task.ending, ending)
        assert Stage.COMPLETE not in stages(task)


@CASES
def test_looks_alone_do_not_make_a_doubt_true(
    shown: Any, doubt: Doubt, ending: type[SunoError] | None
) -> None:
    """Invariant 2: a hundred looks within its time are not enough."""
    del ending
    task = progress()
    lasting_s = LASTING_S[doubt]
    for number in range(100 if lasting_s else DOUBTFUL_LOOKS - 1):
        see(task, shown, 10.0 + lasting_s * number / 101)
    assert not task.done
    assert task.close_gap_s() is not None


@CASES
def test_a_good_answer_between_begins_anew(
    shown: Any, doubt: Doubt, ending: type[SunoError] | None
) -> None:
    """Invariant 2: any record of its own that raises no doubt."""
    del ending
    task = progress()
    lasting_s = LASTING_S[doubt]
    for number in range(2):
        see(task, shown, 10.0 + lasting_s * number)
    see(task, details("TEXT_SUCCESS"), 11.0 + lasting_s)
    assert task.doubts is None
    if doubt is Doubt.NO_RECORD:
        return  # it was seen: a replica lags
    see(task, shown, 12.0 + lasting_s)
    see(task, shown, 13.0 + 2 * lasting_s)
    assert not task.done


@CASES
def test_a_passing_failure_between_settles_nothing(
    shown: Any, doubt: Doubt, ending: type[SunoError] | None
) -> None:
    """It says nothing, neither for a doubt nor against it."""
    del ending
    task = progress()
    for number in range(3):
        see(task, shown, 10.0 + LASTING_S[doubt] * number)
        assert task.missed(ConnectionFailed("reset"), 10.5 + LASTING_S[doubt] * number, BEGAN) or (
            number == 2
        )
    assert task.done


def test_a_record_that_was_seen_is_not_missed() -> None:
    """Invariant 2: its absence is a lagging replica, however long."""
    task = progress()
    see(task, details("PENDING"), 5.0)
    for now_s in range(10, 10_000, 10):
        see(task, NotFound(404, "no"), float(now_s))
    assert not task.done


def test_a_record_that_is_gone_after_the_end_has_expired() -> None:
    """The wall clock alone ends nothing; with a record that is gone, it tells why."""
    task = progress()
    for now_s in (0.0, 50.0, 100.0):
        task.missed(NotFound(404, "no"), now_s, BEGAN + timedelta(days=15))
    assert isinstance(task.ending, TaskExpired)


def test_each_refusal_has_to_persist_by_itself() -> None:
    """Invariant 2: a 403 after a minute of 401s is no persistent 403; many codes take no memory."""
    task = progress()
    for now_s in (0.0, 30.0, 59.0):
        see(task, api_error(401, "who?"), now_s)
    see(task, api_error(403, "no"), 61.0)
    assert not task.done
    for code in range(600, 900):
        see(task, api_error(code, "new"), 61.0)
    assert len(task.doubts or ()) <= 9


def test_the_best_audio_is_what_is_left_in_the_end() -> None:
    """Invariant 2: a track that was finished in one look is delivered, if later ones lack it."""
    task = progress()
    see(task, details("SUCCESS", DONE, MUTE), 10.0)
    for now_s in (300.0, 700.0):
        see(task, details("SUCCESS", MUTE, MUTE), now_s)
    assert task.ending is None
    assert task.details is not None
    assert task.details.tracks == (DONE,)
    assert task.events[-1].tracks == (DONE,)


# --- what a look proves ---------------------------------------------------------------------------


@given(st.integers(-2, 999), st.booleans())
def test_every_code_has_its_meaning(code: int, gateway: bool) -> None:
    """What speaks of time or of haste passes, no record is none, and the rest is a refusal."""
    sight = judge_look(api_error(code, "text", gateway=gateway))
    passing = {408, 425, 429, 444, 460, 499, *range(500, 600)}
    passing |= set() if gateway else {405, 430, 455}
    if code in passing:
        assert sight is Sight.TRANSIENT
    elif code in {404, 422} and not gateway:
        assert sight is Sight.NO_RECORD
    else:
        assert sight is Sight.REFUSED


@pytest.mark.parametrize(
    "error", [ConnectionFailed("reset"), ProtocolError("not JSON"), RateLimited(429, "slow")]
)
def test_what_says_nothing_passes(error: SunoError) -> None:
    """Invariant 2: it never ends a watch, however long."""
    task = progress()
    for now_s in range(0, 10_000, 10):
        assert task.missed(error, float(now_s), BEGAN)
    assert not task.done
    assert task.doubts is None


# --- callbacks ------------------------------------------------------------------------------------


def test_a_callback_is_news_once() -> None:
    """Invariant 6: repeated, or older than what is known, it is not worth a look."""
    task = progress()
    assert task.hint(CallbackNotice("text", "t1"), 1.0) == 1
    assert task.hint(CallbackNotice("text", "t1"), 2.0) is None
    assert task.hint(CallbackNotice("complete", "t1"), 3.0) == 2
    assert task.hint(CallbackNotice("first", "t1"), 4.0) is None
    assert task.hint(CallbackNotice("error", "t1", 501), 5.0) == 0
    assert task.hint(CallbackNotice("error", "t1", 531), 6.0) is None
    kinds = [task.hint(CallbackNotice(f"kind {number}" * 50, "t1"), 7.0) for number in range(9)]
    assert kinds == [0] * 4 + [None] * 5
    assert not task.events


def test_looks_stay_close_until_the_record_has_caught_up() -> None:
    """A callback can be ahead by several looks (seen): the gaps double, from a second."""
    task = progress()
    see(task, details("PENDING"), 1.0)
    assert task.close_gap_s() is None
    task.hint(CallbackNotice("complete", "t1"), 9.0)
    gaps_s = []
    for now_s in range(10, 18):
        task.saw_the_same(float(now_s))
        gaps_s.append(task.close_gap_s())
    assert gaps_s == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, None, None]
    see(task, details("SUCCESS", DONE, DONE), 20.0)
    assert stages(task) == list(Stage)


# --- any history ----------------------------------------------------------------------------------

shown = st.sampled_from([case[0] for case in DOUBTFUL.values()]) | st.sampled_from(
    [
        details("PENDING"),
        details("TEXT_SUCCESS"),
        details("FIRST_SUCCESS", DONE, MUTE),
        ConnectionFailed("reset"),
        ServerError(500, "x"),
    ]
)
kinds = st.sampled_from(["text", "first", "complete", "error", "new"])
steps = st.lists(
    st.tuples(st.floats(0, 400), shown | kinds, st.floats(-1e6, 1e6)), min_size=1, max_size=60
)


@given(steps)
def test_any_history_ends_on_proof_alone(history: list[tuple[float, Any, float]]) -> None:
    """Invariants 2 and 3: stages once and in order; an ending has stood for its time and looks."""
    task, now_s, run = progress(), 0.0, []
    events: tuple[StageEvent, ...] = ()
    for pause_s, what, skew_s in history:
        now_s += pause_s
        at = BEGAN + timedelta(seconds=now_s + skew_s)
        if isinstance(what, str):
            task.hint(CallbackNotice(what, "t1", 501 if what == "error" else 200), now_s)
            continue
        run.append((now_s, what))
        if isinstance(what, SunoError):
            task.missed(what, now_s, at)
        else:
            task.saw(what, now_s, at)
        assert task.events[: len(events)] == events
        events = task.events
        assert stages(task) == list(Stage)[: len(events)]
        if task.done:
            break
    assert (Stage.COMPLETE in stages(task)) is (task.done and task.ending is None)
    if task.done:
        check_proof(run)


def check_proof(run: list[tuple[float, Any]]) -> None:
    """See that the last look's doubt has stood for its time and looks, no good answer between."""
    ended_s, last = run[-1]
    doubt = next(doubt for what, doubt, _ in DOUBTFUL.values() if what is last)
    stood = []
    for now_s, what in reversed(run):
        same = any(what is each and doubt is of for each, of, _ in DOUBTFUL.values())
        is_own = isinstance(what, TaskDetails) and what.task_id == "t1"
        if is_own and not same:
            break
        if same:
            stood.append(now_s)
    assert len(stood) >= DOUBTFUL_LOOKS
    assert ended_s - stood[-1] >= LASTING_S[doubt]
