"""The service's JSON: envelopes, the data of record-info, the bodies of callbacks."""

import json
from collections.abc import Mapping

from attrs import evolve

from suno_async.sandbox.addresses import Address
from suno_async.sandbox.dialect import Dialect
from suno_async.sandbox.tasks import Moment, SandboxTask, SandboxTrack

# as documented, and as seen in paid runs
_MODELS: Mapping[str, tuple[str, str]] = {
    "V4_5PLUS": ("chirp-v4-5-plus", "chirp-bluejay"),
    "V5": ("chirp-v5", "chirp-crow"),
}
_SNAKE: Mapping[str, str] = {
    "audioUrl": "audio_url",
    "streamAudioUrl": "stream_audio_url",
    "imageUrl": "image_url",
    "modelName": "model_name",
    "createTime": "create_time",
    "sourceAudioUrl": "source_audio_url",
    "sourceStreamAudioUrl": "source_stream_audio_url",
    "sourceImageUrl": "source_image_url",
}
_CALLBACK_TEXTS: Mapping[str, str] = {
    "text": "Text generated successfully.",
    "first": "First track generated successfully.",
    "complete": "All generated successfully.",
}


def to_bytes(body: object) -> bytes:
    """Write JSON as UTF-8; what UTF-8 can not hold, half a surrogate pair, is escaped."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="backslashreplace")


def envelope(code: int | str, msg: str, data: object, dialect: Dialect) -> bytes:
    """Write an envelope in a dialect."""
    body: dict[str, object] = {
        "code": str(code) if dialect.code_as_text else code,
        dialect.text_key: msg,
        "data": data,
    }
    if dialect.extra_fields:
        body["requestId"] = "0f1e2d3c"
    return to_bytes(body)


def missing_record(form: str, dialect: Dialect) -> bytes:
    """Write the answer for a record that does not exist, or not yet."""
    if form == "404":
        return envelope(404, "record not found", None, dialect)
    if form == "empty":
        return envelope(200, "success", None, dialect)
    return envelope(422, "recordInfo is null", None, dialect)


def record(
    task: SandboxTask, position: int, base_url: str, altered: Mapping[str, object] | None = None
) -> bytes:
    """Write the answer of record-info for a task at one of its positions.

    Args:
        task: The task.
        position: How many stages it has reached.
        base_url: Where files are.
        altered: Fields of the data over those of the task.
    """
    dialect = task.dialect
    seen = dialect.values == "seen"
    code, text = task.error(position)
    data: dict[str, object] = {
        "taskId": task.task_id,
        "parentMusicId": "",
        "param": json.dumps(dict(task.request), ensure_ascii=False),
        "response": _response(task, position, base_url),
        "status": task.moment(position).status,
        "type": _model_name(task) if seen else "GENERATE",
        "operationType": "underpainting" if seen else "generate",
        "errorCode": _error_code(code, dialect),
        "errorMessage": None,
    }
    if dialect.error_text_under != "response":
        data[dialect.error_text_under] = text
    if seen:
        data["createTime"] = _epoch_ms(task)
    if dialect.extra_fields:
        data["progress"] = {"stage": position, "of": len(task.moments)}
    data.update(task.script.extra)
    data.update(altered or {})
    return envelope(200, "success", data, dialect)


def _error_code(code: object, dialect: Dialect) -> object:
    if code is None:
        return dialect.no_error
    return str(code) if dialect.error_code_as_text and isinstance(code, int) else code


def _response(task: SandboxTask, position: int, base_url: str) -> object:
    dialect = task.dialect
    tracks = _tracks(task, task.moment(position), base_url, snake_case=dialect.snake_case)
    _, text = task.error(position)
    response = _track_holder(task, tracks)
    if text is not None and dialect.error_text_under == "response":
        response = {"taskId": task.task_id, "sunoData": tracks, "errorMessage": text}
    if response is not None and dialect.response_as_text:
        return json.dumps(response, ensure_ascii=False)
    return response


def _track_holder(task: SandboxTask, tracks: list[dict[str, object]]) -> object:
    dialect = task.dialect
    if not tracks and dialect.pending_response == "null":
        return None
    if dialect.tracks_under == "list":
        return tracks
    holder: dict[str, object] = {"taskId": task.task_id}
    if tracks:
        holder[dialect.tracks_under] = tracks
    elif dialect.pending_response == "null_list":
        holder[dialect.tracks_under] = None
    return holder


def callback(task: SandboxTask, kind: str, moment: Moment, base_url: str) -> bytes:
    """Write the body of a callback of type `text`, `first`, `complete` or `error`."""
    dialect = task.dialect
    camel = dialect.camel_case_callbacks
    upper = dialect.upper_case_callbacks or task.script.callbacks.upper_case
    tracks = _tracks(task, moment, base_url, snake_case=not camel, callback=True)
    data: dict[str, object] = {
        "callbackType": kind.upper() if upper else kind,
        "taskId" if camel else "task_id": task.task_id,
        "data": tracks,
    }
    if kind == "error":
        data["data"] = None if task.script.callbacks.null_data else []
        code = str(task.error_code or moment.error_code)
        number = int(code) if code.isdecimal() else 500
        return envelope(
            number, task.error_message or moment.error_message or "error", data, dialect
        )
    return envelope(200, _CALLBACK_TEXTS[kind], data, dialect)


def _tracks(
    task: SandboxTask, moment: Moment, base_url: str, *, snake_case: bool, callback: bool = False
) -> list[dict[str, object]]:
    tracks: list[dict[str, object]] = []
    for track in task.tracks[: moment.listed_tracks]:
        finished = track.index < moment.finished_tracks
        fields = _track_fields(task, track, base_url, finished=finished)
        if snake_case:
            # spec: createTime keeps its camel case in callbacks, alone among their fields
            kept = "createTime" if callback else None
            fields = {
                name if name == kept else _SNAKE.get(name, name): value
                for name, value in fields.items()
            }
        tracks.append(fields | dict(task.script.track_extra))
    return tracks


def _track_fields(
    task: SandboxTask, track: SandboxTrack, base_url: str, *, finished: bool
) -> dict[str, object]:
    dialect = task.dialect
    audio, stream = Address(track.track_id), Address(track.track_id, stream=True)
    image = Address(track.track_id, "png")

    def url(address: Address) -> str:
        return base_url + address.target(task)

    fields: dict[str, object] = {
        "id": track.track_id,
        "audioUrl": url(audio) if finished else dialect.absent_url,
        "streamAudioUrl": url(stream),
        "imageUrl": url(image),
        "prompt": f"[Verse] Take {track.index + 1} of {task.request.get('title')}",
        "modelName": _model_name(task),
        "title": task.request.get("title"),
        "tags": task.request.get("tags"),
        "createTime": _create_time(task),
        "duration": task.stem.duration_s if finished else None,
    }
    if dialect.source_urls:
        source_url = url(evolve(audio, source=True))
        fields["sourceAudioUrl"] = source_url if finished else dialect.absent_url
        fields["sourceStreamAudioUrl"] = url(evolve(stream, source=True))
        fields["sourceImageUrl"] = url(evolve(image, source=True))
    if dialect.extra_fields:
        fields["majorModelVersion"] = "v9"
    return fields


def _model_name(task: SandboxTask) -> str:
    documented, seen = _MODELS[str(task.request.get("model", "V4_5PLUS"))]
    return seen if task.dialect.values == "seen" else documented


def _epoch_ms(task: SandboxTask) -> int:
    return int(task.submitted_at.timestamp() * 1000)


def _create_time(task: SandboxTask) -> object:
    at = task.submitted_at
    if task.dialect.create_time == "epoch_ms":
        return _epoch_ms(task)
    if task.dialect.create_time == "iso":
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return at.strftime("%Y-%m-%d %H:%M:%S")
