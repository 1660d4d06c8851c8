"""The calls of the API and of the file host: HTTP on one side, the service on the other."""

import asyncio
import hmac
import json
from collections import Counter
from collections.abc import Mapping
from typing import TypeAlias

import aiohttp
from aiohttp import web

from suno_async.clock import Clock
from suno_async.sandbox.activity import Activity
from suno_async.sandbox.answers import envelope, missing_record, record, to_bytes
from suno_async.sandbox.audio import arrange
from suno_async.sandbox.cover import paint
from suno_async.sandbox.exchange import Handler, answer, not_found, peer_port, refuse, under_faults
from suno_async.sandbox.faults import (
    Call,
    Drawn,
    EnvelopeError,
    Fault,
    FaultBoard,
    NullRecord,
    Stale,
)
from suno_async.sandbox.ledger import Ledger
from suno_async.sandbox.log import Poll, RequestSeen, Submission, keep
from suno_async.sandbox.media import File, Studio, serve
from suno_async.sandbox.service import Service
from suno_async.sandbox.sources import SourceReader
from suno_async.sandbox.uploads import Upload, UploadStore, describe
from suno_async.sandbox.validation import Refusal, check_submission, parse_object

FILES_PATH = "/files"
MEDIA_PATH = "/cdn"
_SUBMIT_PATH = "/api/v1/generate/add-instrumental"
_UPLOAD_LIMIT_BYTES = 200 * 1024 * 1024

_Route: TypeAlias = tuple[str, Handler]


class Calls:
    """Answer requests, and record what was seen.

    Args:
        api_key: The one key that is accepted.
        clock: The time.
        activity: Counts what is being done.
        service: Takes submissions and knows tasks.
        ledger: The account.
        faults: What goes wrong.
        uploads: The uploaded files.
        studio: Renders the tracks.
        sources: Fetches what is uploaded by URL.
    """

    def __init__(
        self,
        *,
        api_key: str,
        clock: Clock,
        activity: Activity,
        service: Service,
        ledger: Ledger,
        faults: FaultBoard,
        uploads: UploadStore,
        studio: Studio,
        sources: SourceReader,
    ) -> None:
        self.base_url = ""
        self.requests: list[RequestSeen] = []
        self.submissions: list[Submission] = []
        self.polls: list[Poll] = []
        self.poll_counts: Counter[str] = Counter()
        self._expected = f"Bearer {api_key}".encode()
        self._clock = clock
        self._activity = activity
        self._answering: set[asyncio.Task[None]] = set()
        self._service = service
        self._ledger = ledger
        self._faults = faults
        self._uploads = uploads
        self._studio = studio
        self._sources = sources
        self._routes: Mapping[str, _Route] = {
            _SUBMIT_PATH: ("POST", self._submit),
            "/api/v1/generate/record-info": ("GET", self._details),
            "/api/v1/chat/credit": ("GET", self._credits),
            "/api/v1/generate/credit": ("GET", self._credits),
            "/file-upload/api/file-stream-upload": ("POST", self._upload),
            "/file-upload/api/file-url-upload": ("POST", self._upload),
            "/api/file-stream-upload": ("POST", self._upload),
            "/api/file-url-upload": ("POST", self._upload),
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer any request."""
        seen = RequestSeen(
            request.method,
            request.path,
            "Authorization" in request.headers,
            self._clock.monotonic(),
            peer_port(request),
        )
        keep(self.requests, seen)
        method, handler = self._routes.get(request.path, ("GET", self._file))
        if request.method == method or (handler == self._file and request.method == "HEAD"):
            return await self._tracked(request, handler)
        return refuse(404, "no such resource", self._service.dialect(), status=404)

    async def _tracked(self, request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        self._activity.begin()
        self._answering.add(request.task)
        try:
            return await handler(request)
        finally:
            self._answering.discard(request.task)
            self._activity.end()

    async def abandon(self) -> None:
        """Cancel the answers under way.

        The web server does so for open connections only: an answer whose caller has hung up goes
        on, as it does at a real service, and would outlive the sandbox.
        """
        answering = set(self._answering)
        for task in answering:
            task.cancel()
        if answering:
            await asyncio.wait(answering)

    # --- submit

    async def _submit(self, request: web.BaseRequest) -> web.StreamResponse:
        drawn = self._faults.draw(Call.SUBMIT)
        note = Submission(
            self._clock.monotonic(), peer_port(request), fault=drawn.fault, delays=drawn.delays
        )
        keep(self.submissions, note)

        async def process(request: web.BaseRequest) -> web.Response:
            return await self._take(request, note)

        try:
            return await under_faults(request, drawn, self._activity, process, lambda: note.task_id)
        finally:
            note.answered_at = self._clock.monotonic()

    async def _take(self, request: web.BaseRequest, note: Submission) -> web.Response:
        dialect = self._service.dialect()
        try:
            self._authenticate(request)
            body = await _read_submission(request, note)
            if isinstance(note.fault, EnvelopeError):
                note.code = note.fault.code
                return self._envelope_error(note.fault)
            task = await self._service.submit(body)
        except Refusal as refusal:
            note.code = refusal.code
            return refuse(refusal.code, refusal.msg, dialect)
        note.code, note.task_id = 200, task.task_id
        return answer(envelope(200, "success", {"taskId": task.task_id}, dialect))

    # --- details

    async def _details(self, request: web.BaseRequest) -> web.StreamResponse:
        task_id = request.query.get("taskId", "")
        keep(self.polls, Poll(task_id, self._clock.monotonic()))
        self.poll_counts[task_id] += 1
        drawn = self._faults.draw(Call.DETAILS)

        async def process(request: web.BaseRequest) -> web.Response:
            return self._look(request, task_id, drawn.fault)

        return await under_faults(request, drawn, self._activity, process, lambda: task_id)

    def _look(self, request: web.BaseRequest, task_id: str, fault: Fault | None) -> web.Response:
        if isinstance(fault, EnvelopeError):
            return self._envelope_error(fault)
        try:
            self._authenticate(request)
            self._service.admit_poll(task_id)
        except Refusal as refusal:
            return refuse(refusal.code, refusal.msg, self._service.dialect())
        found = self._service.visible(task_id)
        if found is None or isinstance(fault, NullRecord):
            dialect = self._service.dialect()
            form = fault.form if isinstance(fault, NullRecord) else dialect.missing_record
            return answer(missing_record(form, dialect))
        task, position = found
        if isinstance(fault, Stale):
            position = max(position - 1, 0)
        body = task.remembered(position)
        if body is None:
            body = record(task, position, self.base_url + MEDIA_PATH)
            task.remember(position, body)
        return answer(body)

    # --- credits

    async def _credits(self, request: web.BaseRequest) -> web.StreamResponse:
        drawn = self._faults.draw(Call.CREDITS)

        async def process(request: web.BaseRequest) -> web.Response:
            dialect = self._service.dialect()
            try:
                self._authenticate(request)
            except Refusal as refusal:
                return refuse(refusal.code, refusal.msg, dialect)
            if isinstance(drawn.fault, EnvelopeError):
                return self._envelope_error(drawn.fault)
            balance = self._ledger.balance
            whole = int(balance) if balance == int(balance) else balance
            return answer(envelope(200, "success", whole, dialect))

        return await under_faults(request, drawn, self._activity, process)

    # --- uploads

    async def _upload(self, request: web.BaseRequest) -> web.StreamResponse:
        drawn = self._faults.draw(Call.UPLOAD)

        async def process(request: web.BaseRequest) -> web.Response:
            try:
                self._authenticate(request)
                if isinstance(drawn.fault, EnvelopeError):
                    return self._envelope_error(drawn.fault)
                by_url = request.path.endswith("file-url-upload")
                upload = await (self._upload_url(request) if by_url else self._upload_form(request))
            except Refusal as refusal:
                body = {"success": False, "code": refusal.code, "msg": refusal.msg, "data": None}
                return answer(to_bytes(body))
            data = describe(upload, self.base_url + FILES_PATH)
            return answer(
                to_bytes({"success": True, "code": 200, "msg": "File uploaded", "data": data})
            )

        return await under_faults(request, drawn, self._activity, process)

    async def _upload_form(self, request: web.BaseRequest) -> Upload:
        if not request.content_type.startswith("multipart/"):
            raise Refusal(422, "body: must be multipart/form-data")
        data: bytearray | None = None
        given_name, mime_type = "", None
        texts: dict[str, str] = {}
        async for part in await request.multipart():
            if not isinstance(part, aiohttp.BodyPartReader):
                raise Refusal(422, "body: parts must not be nested")
            if part.name == "file":
                data, given_name = await _read_file(part), part.filename or ""
                mime_type = part.headers.get("Content-Type")
            elif part.name in {"uploadPath", "fileName"}:
                texts[part.name] = await part.text()
        if data is None:
            raise Refusal(422, "file: must be given")
        name = texts.get("fileName") or given_name or f"{len(data)}.bin"
        return self._uploads.put(texts.get("uploadPath", ""), name, bytes(data), mime_type)

    async def _upload_url(self, request: web.BaseRequest) -> Upload:
        body = parse_object(await request.read())
        texts = {
            name: value
            for name in ("fileUrl", "uploadPath", "fileName")
            if isinstance(value := body.get(name, ""), str)
        }
        url = texts.get("fileUrl", "")
        if not url:
            raise Refusal(422, "fileUrl: must be given")
        name = texts.get("fileName") or url.partition("?")[0].rsplit("/", 1)[-1]
        return self._uploads.put(texts.get("uploadPath", ""), name, await self._sources.read(url))

    # --- files

    async def _file(self, request: web.BaseRequest) -> web.StreamResponse:
        folder, _, name = request.path.rpartition("/")
        if folder in {MEDIA_PATH, f"{MEDIA_PATH}/stream"} and name.endswith(".wav"):
            return await self._audio(request)
        file = await self._find(request.path)
        return not_found() if file is None else await serve(request, file, None, self._activity)

    async def _audio(self, request: web.BaseRequest) -> web.StreamResponse:
        drawn: Drawn = self._faults.draw(Call.MEDIA)

        async def process(request: web.BaseRequest) -> web.StreamResponse:
            if isinstance(drawn.fault, EnvelopeError):
                return self._envelope_error(drawn.fault)
            file = await self._find(request.path)
            if file is None:
                return not_found()
            return await serve(request, file, drawn.fault, self._activity)

        return await under_faults(request, drawn, self._activity, process)

    async def read_own(self, path: str) -> bytes | None:
        """Return the file behind one of the sandbox's own paths."""
        file = await self._find(path)
        return None if file is None else file.data

    async def _find(self, path: str) -> File | None:
        if path.startswith(f"{FILES_PATH}/"):
            upload = self._uploads.get(path[len(FILES_PATH) + 1 :])
            return None if upload is None else File.of(upload.data, upload.mime_type)
        folder, _, name = path.rpartition("/")
        track_id, _, ending = name.partition(".")
        found = self._service.track(track_id)
        if found is None:
            return None
        task, track, position = found
        moment = task.moment(position)
        if (folder, ending) == (MEDIA_PATH, "png") and track.index < moment.listed_tracks:
            return File.of(paint(track_id), "image/png")
        streaming = folder == f"{MEDIA_PATH}/stream"
        ready = moment.listed_tracks if streaming else moment.finished_tracks
        if ending != "wav" or track.index >= ready or not (streaming or folder == MEDIA_PATH):
            return None
        tags = str(task.request.get("tags", ""))
        arrangement = arrange(tags, self._service.rules.seed, track.index)
        return await self._studio.audio(task.stem, arrangement)

    # --- shared

    def _authenticate(self, request: web.BaseRequest) -> None:
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._expected):
            raise Refusal(401, "Unauthorized: the API key is missing or invalid")

    def _envelope_error(self, fault: EnvelopeError) -> web.Response:
        response = refuse(fault.code, fault.msg, self._service.dialect(), fault.http_status)
        if fault.retry_after is not None:
            response.headers["Retry-After"] = fault.retry_after
        return response


async def _read_submission(request: web.BaseRequest, note: Submission) -> dict[str, object]:
    raw = await request.read()
    exact = parse_object(raw)
    body: dict[str, object] = json.loads(raw)
    note.body = body
    if request.content_type != "application/json":
        raise Refusal(422, "body: must be sent as application/json")
    check_submission(exact)
    return body


async def _read_file(part: aiohttp.BodyPartReader) -> bytearray:
    data = bytearray()
    while chunk := await part.read_chunk(65_536):
        data += chunk
        if len(data) > _UPLOAD_LIMIT_BYTES:
            raise Refusal(413, f"file: must have at most {_UPLOAD_LIMIT_BYTES} bytes")
    return data
