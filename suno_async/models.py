"""The vocabulary: what is asked, what the service answers, and what a caller is told."""

from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar, cast

from attrs import Attribute, field, frozen

from suno_async.errors import InvalidRequest
from suno_async.uri import uri_of
from suno_async.value import Readable

# spec: generated files are retained for 14 days
RETENTION = timedelta(days=14)

E = TypeVar("E", bound=StrEnum)


class Model(StrEnum):
    """The service's models (spec). It takes `V4_5PLUS` when none is named."""

    V4_5PLUS = "V4_5PLUS"
    V5 = "V5"


class VocalGender(StrEnum):
    """A preference that raises a probability and guarantees nothing (spec)."""

    MALE = "m"
    FEMALE = "f"


class Stage(StrEnum):
    """How far a task has come: three stages, in this order (spec)."""

    TEXT = "text"
    FIRST = "first"
    COMPLETE = "complete"

    @property
    def position(self) -> int:
        """0 for `text`, 1 for `first`, 2 for `complete`."""
        return _STAGES.index(self)


_STAGES = tuple(Stage)


class TaskStatus(StrEnum):
    """The states of a task: documented (docs), and two seen; new ones arrive as plain text."""

    PENDING = "PENDING"
    TEXT_SUCCESS = "TEXT_SUCCESS"
    FIRST_SUCCESS = "FIRST_SUCCESS"
    SUCCESS = "SUCCESS"
    CREATE_TASK_FAILED = "CREATE_TASK_FAILED"
    GENERATE_AUDIO_FAILED = "GENERATE_AUDIO_FAILED"
    SENSITIVE_WORD_ERROR = "SENSITIVE_WORD_ERROR"
    CALLBACK_EXCEPTION = "CALLBACK_EXCEPTION"
    GENERATING = "GENERATING"
    FAILED = "FAILED"


_STAGE_OF_STATUS: dict[str, Stage] = {
    TaskStatus.TEXT_SUCCESS: Stage.TEXT,
    TaskStatus.FIRST_SUCCESS: Stage.FIRST,
    TaskStatus.SUCCESS: Stage.TEXT,  # more than that, the audio has to prove
}
_FAILED = frozenset(
    {
        TaskStatus.CREATE_TASK_FAILED,
        TaskStatus.GENERATE_AUDIO_FAILED,
        TaskStatus.SENSITIVE_WORD_ERROR,
        TaskStatus.FAILED,
    }
)
# an error code under these may be about the callback, or left over: the audio decides
_DECIDED_BY_AUDIO = frozenset({TaskStatus.SUCCESS, TaskStatus.CALLBACK_EXCEPTION})


def _text(_: Any, attribute: "Attribute[str]", value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise InvalidRequest(attribute.name, value, "must be text that is not blank")
    _any_text(_, attribute, value)


def _any_text(_: Any, attribute: "Attribute[str]", value: object) -> None:
    if not isinstance(value, str) or not _is_unicode(value):
        raise InvalidRequest(attribute.name, value, "must be text that UTF-8 can carry")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_url(name: str, value: object) -> None:
    """Refuse what is no absolute http or https URL, and cannot be made a URI.

    Raises:
        InvalidRequest: It cannot; `name` says which argument.
    """
    uri_of(name, value)


def _upload_url(value: str) -> str:
    return uri_of("upload_url", value)


def _callback_url(value: str | None) -> str | None:
    return None if value is None else uri_of("callback_url", value)


def _member(kind: type[E], name: str, value: str) -> E:
    try:
        return kind(value)
    except ValueError as error:
        rule = "must be one of " + ", ".join(repr(member.value) for member in kind)
        raise InvalidRequest(name, value, rule) from error


def _model(value: Model | str | None) -> Model | None:
    return None if value is None else _member(Model, "model", value)


def _vocal_gender(value: VocalGender | str | None) -> VocalGender | None:
    return None if value is None else _member(VocalGender, "vocal_gender", value)


def _float(value: float | Decimal | None) -> float | None:
    """Make a plain float of a decimal or of a subclass such as numpy's, which JSON cannot write."""
    if isinstance(value, float) or (isinstance(value, Decimal) and not value.is_snan()):
        return float(value)
    return cast("float | None", value)


def _weight(_: Any, attribute: "Attribute[float | None]", value: object) -> None:
    # spec: minimum 0, maximum 1, multipleOf 0.01, which is about the decimal value: 0.29 is one
    rule = "must be a number from 0 to 1 with at most two decimals"
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRequest(attribute.name, value, rule)
    decimal = Decimal(str(value))
    if not decimal.is_finite() or not 0 <= decimal <= 1 or (decimal * 100) % 1:
        raise InvalidRequest(attribute.name, value, rule)


# the rules once more, for those who read a JSON schema
_JSON_URI = {"json_schema": {"format": "uri"}}
_JSON_TEXT = {"json_schema": {"pattern": r"\S"}}
_JSON_WEIGHT = {"json_schema": {"minimum": 0, "maximum": 1, "multipleOf": 0.01}}


@frozen(repr=False)
class AddInstrumentalRequest(Readable):
    """What one submission asks for: two accompaniments to a vocal stem or melody.

    It is checked when it is made, so that no credit or slot is spent on what the service refuses.

    Args:
        upload_url: Where the service fetches the stem: an http or https URL. The attribute is a
            URI: an international host becomes IDNA, characters that no URI has are
            percent-encoded, escapes that are there stay as they are.
        title: Shown in the player and used as file name. The specification sets no limit;
            upstream providers document 100 characters.
        tags: Styles to include, such as `relaxing, piano, soothing`.
        negative_tags: Styles to exclude, such as `heavy metal, fast drums`; may be empty.
        model: The model; None leaves it to the service, which takes `V4_5PLUS` (spec).
        vocal_gender: `m` or `f`; raises the probability only (spec).
        style_weight: How closely to follow the style: 0 to 1, at most two decimals.
        weirdness_constraint: How far to stray: 0 to 1, at most two decimals.
        audio_weight: How much the stem counts: 0 to 1, at most two decimals.
        callback_url: Where the service reports this task's stages, made a URI as well; None takes
            the session's.

    Raises:
        InvalidRequest: A value breaks its rule; it names the field, the value and the rule.
    """

    upload_url: str = field(converter=_upload_url, metadata=_JSON_URI)
    title: str = field(validator=_text, metadata=_JSON_TEXT)
    tags: str = field(validator=_text, metadata=_JSON_TEXT)
    negative_tags: str = field(validator=_any_text)
    model: Model | None = field(default=None, converter=_model)
    vocal_gender: VocalGender | None = field(default=None, converter=_vocal_gender)
    style_weight: float | None = field(
        default=None, converter=_float, validator=_weight, metadata=_JSON_WEIGHT
    )
    weirdness_constraint: float | None = field(
        default=None, converter=_float, validator=_weight, metadata=_JSON_WEIGHT
    )
    audio_weight: float | None = field(
        default=None, converter=_float, validator=_weight, metadata=_JSON_WEIGHT
    )
    callback_url: str | None = field(default=None, converter=_callback_url, metadata=_JSON_URI)


@frozen(repr=False)
class Track(Readable):
    """One of a task's audio results; what the service has not given (yet) is None.

    Attributes:
        id: The service's name for the track.
        audio_url: Where the finished audio is; None until it is ready.
        stream_audio_url: Where it can be heard while it is still being made.
        image_url: The cover image.
        prompt: The text it was made from.
        model_name: The model that made it, such as `chirp-v4-5`.
        title: Its title.
        tags: Its styles.
        create_time: When it was made (aware; the service gives no zone, UTC is assumed).
        duration: Its length in seconds.
        source_audio_url: Where the original CDN has the finished audio; see `audio_urls`.
        source_stream_audio_url: Where the original CDN streams it.
        source_image_url: The cover image at the original CDN.
    """

    id: str | None = None
    audio_url: str | None = None
    stream_audio_url: str | None = None
    image_url: str | None = field(default=None, repr=False)
    prompt: str | None = field(default=None, repr=False)
    model_name: str | None = field(default=None, repr=False)
    title: str | None = None
    tags: str | None = field(default=None, repr=False)
    create_time: datetime | None = field(default=None, repr=False)
    duration: float | None = None
    source_audio_url: str | None = field(default=None, repr=False)
    source_stream_audio_url: str | None = field(default=None, repr=False)
    source_image_url: str | None = field(default=None, repr=False)

    @property
    def audio_urls(self) -> tuple[str, ...]:
        """Where the finished audio is: `audio_url` first, then its source; none until then."""
        known = dict.fromkeys((self.audio_url, self.source_audio_url))
        return tuple(url for url in known if url)

    @property
    def has_audio(self) -> bool:
        """Whether the finished audio is anywhere: under `audio_url` or its source alone."""
        return bool(self.audio_url or self.source_audio_url)


def _error_code(value: int | str | None) -> int | str | None:
    return None if value in _NO_ERROR_CODES else value


# seen: these say nothing
_NO_ERROR_CODES = (None, 0, "0", "")


@frozen(repr=False)
class TaskDetails(Readable):
    """One answer of record-info.

    Attributes:
        task_id: The task.
        status: The service's status; plain text when it is one that is not documented.
        tracks: None, one or (normally, when complete) two tracks, in the service's order.
        error_code: The code of a failure, such as 413 or 531, under whatever status. None when
            there is none: the 0 and `""` that say nothing become None here, and here alone.
        error_message: Its explanation.
        type: The service's kind of task, such as `GENERATE`.
        operation_type: The operation, such as `generate`.
        raw: The answer's `data` as it came, with every field that is unknown here.
    """

    task_id: str
    status: TaskStatus | str
    tracks: tuple[Track, ...] = ()
    error_code: int | str | None = field(default=None, converter=_error_code)
    error_message: str | None = None
    type: str | None = field(default=None, repr=False)
    operation_type: str | None = field(default=None, repr=False)
    raw: dict[str, Any] = field(factory=dict[str, Any], repr=False, eq=False)

    @property
    def finished(self) -> tuple[Track, ...]:
        """The tracks that have their audio, in the service's order."""
        return tuple(track for track in self.tracks if track.has_audio)

    @property
    def stage(self) -> Stage | None:
        """The furthest stage that this answer proves, or None.

        `complete` means audio. `SUCCESS` proves it when every listed track has its audio, and any
        other status, but one that failed, when two have and none lacks it (seen). A track that
        has its audio proves `first`, as `FIRST_SUCCESS` does. `SUCCESS` whose tracks are still
        missing proves no more than `text`.
        """
        finished = len(self.finished)
        if not finished:
            return _STAGE_OF_STATUS.get(self.status)
        enough = 1 if self.status == TaskStatus.SUCCESS else 2
        whole = enough <= finished == len(self.tracks)
        return Stage.COMPLETE if whole and not self.failed else Stage.FIRST

    @property
    def failed(self) -> bool:
        """Whether the answer says that the service gave up on the task.

        By its status, or by an error code under a status that lingers, such as `PENDING` (seen).
        Under `SUCCESS` and `CALLBACK_EXCEPTION` a code says nothing: there the audio decides.
        """
        refused = self.error_code is not None and self.status not in _DECIDED_BY_AUDIO
        return refused or self.status in _FAILED


@frozen(repr=False)
class StageEvent(Readable):
    """A task reached a stage.

    Attributes:
        stage: The stage.
        task_id: The task.
        tracks: The tracks as they were when the stage was seen.
        details: The answer in which it was seen.
        observed_at: When it was seen (aware, UTC).
        inferred: True when the stage was never seen by itself: a later one proved it.
    """

    stage: Stage
    task_id: str
    tracks: tuple[Track, ...] = field(repr=False)
    details: TaskDetails
    observed_at: datetime
    inferred: bool = False


@frozen(repr=False)
class CallbackNotice(Readable):
    """What a callback says. Nothing in it is proved: look at the task before you believe it.

    Attributes:
        kind: `text`, `first`, `complete` or `error`, in lower case; plain text when it is new.
        task_id: The task that it speaks of.
        code: 200, or why the task failed: 400, 408, 413, 500, 501, or 531 with a refund (spec).
        message: Its explanation.
        tracks: The tracks that it lists.
        token: The end of the URL that it came to; None when it was parsed without a receiver.
        raw: The whole body as it came.
    """

    kind: str
    task_id: str
    code: int = 200
    message: str | None = None
    tracks: tuple[Track, ...] = ()
    token: str | None = field(default=None, repr=False)
    raw: dict[str, Any] = field(factory=dict[str, Any], repr=False, eq=False)

    @property
    def stage(self) -> Stage | None:
        """The stage that it announces; None for a failure or a kind that is new."""
        return Stage(self.kind) if self.kind in _STAGES else None

    @property
    def failed(self) -> bool:
        """Whether it announces a failure."""
        return self.kind == "error" or self.code != 200
