"""The service's JSON: envelopes, the data of record-info, the bodies of callbacks."""

import json
from collections.abc import Mapping

from suno_async.sandbox.dialect import Dialect
from suno_async.sandbox.tasks import Moment, SandboxTask, SandboxTrack

_MODELS: Mapping[str, str] = {"V4_5PLUS": "chirp-v4-5-plus", "V5": "chirp-v5"}
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
    """Write JSON as UTF-8."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


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


def record(task: SandboxTask, position: int, media_url: str) -> bytes:
    """Write the answer of record-info for a task at one of its positions."""
    moment, dialect = task.moment(position), task.dialect
    failed = task.failed and position == len(task.moments)
    code = task.error_code
    if dialect.error_code_as_text and isinstance(code, int):
        code = str(code)
    data: dict[str, object] = {
        "taskId": task.task_id,
        "parentMusicId": "",
        "param": json.dumps(dict(task.request), ensure_ascii=False),
        "response": _response(task, position, media_url),
        "status": moment.status,
        "type": "GENERATE",
        "operationType": "generate",
        "errorCode": code if failed else None,
        "errorMessage": task.error_message if failed else None,
    }
    if dialect.extra_fields:
        data["progress"] = {"stage": position, "of": len(task.moments)}
    data.update(task.script.extra)
    return envelope(200, "success", data, dialect)


def _response(task: SandboxTask, position: int, media_url: str) -> object:
    dialect = task.dialect
    tracks = _tracks(task, task.moment(position), media_url, snake_case=dialect.snake_case)
    response: dict[str, object] = {"taskId": task.task_id}
    if tracks:
        response["sunoData"] = tracks
    elif dialect.pending_response == "null":
        return None
    elif dialect.pending_response == "null_list":
        response["sunoData"] = None
    return json.dumps(response, ensure_ascii=False) if dialect.response_as_text else response


def callback(task: SandboxTask, kind: str, moment: Moment, media_url: str) -> bytes:
    """Write the body of a callback of type `text`, `first`, `complete` or `error`."""
    dialect = task.dialect
    camel = dialect.camel_case_callbacks
    upper = dialect.upper_case_callbacks or task.script.callbacks.upper_case
    tracks = _tracks(task, moment, media_url, snake_case=not camel, callback=True)
    data: dict[str, object] = {
        "callbackType": kind.upper() if upper else kind,
        "taskId" if camel else "task_id": task.task_id,
        "data": [] if kind == "error" else tracks,
    }
    if kind == "error":
        code = str(task.error_code)
        number = int(code) if code.isdecimal() else 500
        return envelope(number, task.error_message or "error", data, dialect)
    return envelope(200, _CALLBACK_TEXTS[kind], data, dialect)


def _tracks(
    task: SandboxTask, moment: Moment, media_url: str, *, snake_case: bool, callback: bool = False
) -> list[dict[str, object]]:
    tracks: list[dict[str, object]] = []
    for track in task.tracks[: moment.listed_tracks]:
        finished = track.index < moment.finished_tracks
        fields = _track_fields(task, track, media_url, finished=finished)
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
    task: SandboxTask, track: SandboxTrack, media_url: str, *, finished: bool
) -> dict[str, object]:
    dialect = task.dialect
    audio_url: object = f"{media_url}/{track.track_id}.wav" if finished else dialect.absent_url
    stream_url = f"{media_url}/stream/{track.track_id}.wav"
    image_url = f"{media_url}/{track.track_id}.png"
    fields: dict[str, object] = {
        "id": track.track_id,
        "audioUrl": audio_url,
        "streamAudioUrl": stream_url,
        "imageUrl": image_url,
        "prompt": f"[Verse] Take {track.index + 1} of {task.request.get('title')}",
        "modelName": _MODELS.get(str(task.request.get("model", "V4_5PLUS")), "chirp"),
        "title": task.request.get("title"),
        "tags": task.request.get("tags"),
        "createTime": _create_time(task),
        "duration": task.stem.duration_s if finished else None,
    }
    if dialect.source_urls:
        fields["sourceAudioUrl"] = audio_url
        fields["sourceStreamAudioUrl"] = stream_url
        fields["sourceImageUrl"] = image_url
    if dialect.extra_fields:
        fields["majorModelVersion"] = "v9"
    return fields


def _create_time(task: SandboxTask) -> object:
    at = task.submitted_at
    if task.dialect.create_time == "epoch_ms":
        return int(at.timestamp() * 1000)
    if task.dialect.create_time == "iso":
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return at.strftime("%Y-%m-%d %H:%M:%S")
