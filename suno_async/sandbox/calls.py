"""The calls of the API: HTTP on one side, the service on the other."""

import asyncio
import hmac
import json
from collections import Counter
from collections.abc import Mapping
from typing import TypeAlias

from aiohttp import web
from attrs import evolve

from suno_async.clock import Clock
from suno_async.sandbox.activity import Activity
from suno_async.sandbox.answers import envelope, missing_record, record, to_bytes
from suno_async.sandbox.bodies import SentFile, read_base64, read_body, read_form, read_link
from suno_async.sandbox.exchange import Handler, answer, peer_port, refuse, refuse_as, under_faults
from suno_async.sandbox.faultboard import FaultBoard
from suno_async.sandbox.faults import (
    Altered,
    Call,
    EnvelopeError,
    Fault,
    NullRecord,
    OtherRecord,
    Stale,
)
from suno_async.sandbox.files import FILES_PATH, FileHost
from suno_async.sandbox.ledger import Ledger
from suno_async.sandbox.log import Poll, RequestSeen, Submission, keep
from suno_async.sandbox.service import Service
from suno_async.sandbox.sources import SourceReader
from suno_async.sandbox.tasks import SandboxTask
from suno_async.sandbox.uploads import UploadStore, describe
from suno_async.sandbox.validation import Refusal, check_submission, parse_object

_SUBMIT_PATH = "/api/v1/generate/add-instrumental"

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
        files: Answers everything else.
        uploads: The uploaded files.
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
        files: FileHost,
        uploads: UploadStore,
        sources: SourceReader,
    ) -> None:
        self.base_url = ""
        self.requests: list[RequestSeen] = []
        self.submissions: list[Submission] = []
        self.polls: list[Poll] = []
        self.poll_counts: Counter[str] = Counter()
        self._api_key = api_key.encode()
        self._clock = clock
        self._activity = activity
        self._answering: set[asyncio.Task[None]] = set()
        self._service = service
        self._ledger = ledger
        self._faults = faults
        self._files = files
        self._uploads = uploads
        self._sources = sources
        self._routes: Mapping[str, _Route] = {
            _SUBMIT_PATH: ("POST", self._submit),
            "/api/v1/generate/record-info": ("GET", self._details),
            "/api/v1/chat/credit": ("GET", self._credits),
            "/api/v1/generate/credit": ("GET", self._credits),
            **{
                f"{prefix}/api/file-{way}-upload": ("POST", self._upload)
                for prefix in ("", "/file-upload")
                for way in ("stream", "url", "base64")
            },
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
        method, handler = self._routes.get(request.path, ("GET", self._files.answer))
        if request.method == method or (handler == self._files.answer and request.method == "HEAD"):
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
        drawn = self._faults.draw(Call.SUBMIT, request.raw_path)
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
                return refuse_as(note.fault, dialect)
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
        drawn = self._faults.draw(Call.DETAILS, request.raw_path)

        async def process(request: web.BaseRequest) -> web.Response:
            return self._look(request, task_id, drawn.fault)

        return await under_faults(request, drawn, self._activity, process, lambda: task_id)

    def _look(self, request: web.BaseRequest, task_id: str, fault: Fault | None) -> web.Response:
        if isinstance(fault, EnvelopeError):
            return refuse_as(fault, self._service.dialect())
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
        match fault:
            case Stale():
                position = max(position - 1, 0)
            case Altered(data=data):
                return answer(record(task, position, self.base_url, data))
            case OtherRecord():
                return answer(self._other_record(task, position, fault.task_id))
        body = task.remembered(position)
        if body is None:
            body = record(task, position, self.base_url)
            task.remember(position, body)
        return answer(body)

    def _other_record(self, task: SandboxTask, position: int, other_id: str | None) -> bytes:
        known = self._service.tasks
        ids = [other_id] if other_id else [task_id for task_id in known if task_id != task.task_id]
        found = self._service.visible(ids[0]) if ids else None
        if found is None:
            made_up = {"taskId": ids[0] if ids else task.task_id[::-1]}
            return record(task, position, self.base_url, made_up)
        return record(*found, self.base_url)

    # --- credits

    async def _credits(self, request: web.BaseRequest) -> web.StreamResponse:
        drawn = self._faults.draw(Call.CREDITS, request.raw_path)

        async def process(request: web.BaseRequest) -> web.Response:
            dialect = self._service.dialect()
            try:
                self._authenticate(request)
            except Refusal as refusal:
                return refuse(refusal.code, refusal.msg, dialect)
            if isinstance(drawn.fault, EnvelopeError):
                return refuse_as(drawn.fault, dialect)
            balance = self._ledger.balance
            shown: object = int(balance) if balance == int(balance) else balance
            if dialect.credits_as_object:
                shown = {"credits": shown}
            return answer(envelope(200, "success", shown, dialect))

        return await under_faults(request, drawn, self._activity, process)

    # --- uploads

    async def _upload(self, request: web.BaseRequest) -> web.StreamResponse:
        drawn = self._faults.draw(Call.UPLOAD, request.raw_path)

        async def process(request: web.BaseRequest) -> web.Response:
            try:
                self._authenticate(request)
                if isinstance(drawn.fault, EnvelopeError):
                    return refuse_as(drawn.fault, self._service.dialect())
                upload = self._uploads.put(await self._sent_file(request))
            except Refusal as refusal:
                body = {"success": False, "code": refusal.code, "msg": refusal.msg, "data": None}
                return answer(to_bytes(body))
            data = describe(upload, self.base_url + FILES_PATH)
            return answer(
                to_bytes({"success": True, "code": 200, "msg": "File uploaded", "data": data})
            )

        return await under_faults(request, drawn, self._activity, process)

    async def _sent_file(self, request: web.BaseRequest) -> SentFile:
        if request.path.endswith("file-base64-upload"):
            return await read_base64(request)
        if request.path.endswith("file-url-upload"):
            url, sent = await read_link(request)
            return evolve(sent, data=await self._sources.read(url))
        return await read_form(request)

    # --- shared

    def _authenticate(self, request: web.BaseRequest) -> None:
        # RFC 9110: the name of an authentication scheme is not case-sensitive
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        key = given.encode("utf-8", "surrogateescape")
        if scheme.lower() != "bearer" or not hmac.compare_digest(key, self._api_key):
            raise Refusal(401, "Unauthorized: the API key is missing or invalid")


async def _read_submission(request: web.BaseRequest, note: Submission) -> dict[str, object]:
    raw = await read_body(request)
    exact = parse_object(raw)
    body: dict[str, object] = json.loads(raw)
    note.body = body
    if request.content_type != "application/json":
        raise Refusal(422, "body: must be sent as application/json")
    check_submission(exact)
    return body
