"""The file hosts: tracks, covers and uploads, and what goes wrong with them."""

from urllib.parse import unquote

from aiohttp import web

from suno_async.clock import Clock
from suno_async.sandbox.activity import Activity
from suno_async.sandbox.addresses import Address
from suno_async.sandbox.audio import arrange
from suno_async.sandbox.cover import paint
from suno_async.sandbox.exchange import not_found, refuse_as, under_faults
from suno_async.sandbox.faultboard import FaultBoard
from suno_async.sandbox.faults import Call, EnvelopeError, Fault
from suno_async.sandbox.media import File, Studio, serve
from suno_async.sandbox.media_faults import NeedsCookie, Unavailable, how_served
from suno_async.sandbox.service import Service
from suno_async.sandbox.uploads import UploadStore

FILES_PATH = "/files"
_COOKIE = "cdn-gate"


class FileHost:
    """Serve files, without a key.

    Args:
        clock: The time.
        activity: Counts what is being done.
        service: Knows the tracks.
        faults: What goes wrong.
        uploads: The uploaded files.
        studio: Renders the tracks.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        activity: Activity,
        service: Service,
        faults: FaultBoard,
        uploads: UploadStore,
        studio: Studio,
    ) -> None:
        self._clock = clock
        self._activity = activity
        self._service = service
        self._faults = faults
        self._uploads = uploads
        self._studio = studio

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a GET or HEAD of any path."""
        address = Address.read(request.raw_path)
        if address is not None and address.ending == "wav":
            return await self._audio(request, address)
        file = await self._find(request.raw_path)
        if file is None:
            return not_found()
        return await serve(request, file, how_served(None), self._activity)

    async def read(self, target: str) -> bytes | None:
        """Return the file behind path and query of one of the sandbox's own URLs."""
        file = await self._find(target)
        return None if file is None else file.data

    async def _audio(self, request: web.BaseRequest, address: Address) -> web.StreamResponse:
        def applies(fault: Fault) -> bool:
            match fault:
                case NeedsCookie():
                    return _COOKIE not in request.cookies
                case Unavailable():
                    agent = request.headers.get("User-Agent", "")
                    age_s = self._age_s(address)
                    return age_s is not None and fault.holds(age_s, agent)
                case _:
                    return True

        call = Call.SOURCE_MEDIA if address.source else Call.MEDIA
        drawn = self._faults.draw(call, request.raw_path, applies)

        async def process(request: web.BaseRequest) -> web.StreamResponse:
            match drawn.fault:
                case EnvelopeError():
                    return refuse_as(drawn.fault, self._service.dialect())
                case NeedsCookie():
                    return _with_cookie(request)
                case Unavailable(status=status):
                    return web.Response(status=status)
            if self._forged(request.raw_path):
                return web.Response(text="SignatureDoesNotMatch", status=403)
            file = await self._find(request.raw_path)
            if file is None:
                return not_found()
            return await serve(request, file, how_served(drawn.fault), self._activity)

        return await under_faults(request, drawn, self._activity, process)

    def _age_s(self, address: Address) -> float | None:
        """Tell how long a file has been finished; None when it is not, or deleted."""
        found = self._service.track(address.track_id)
        if found is None:
            return None
        task, track, position = found
        for moment in task.moments[:position]:
            ready = moment.listed_tracks if address.stream else moment.finished_tracks
            if track.index < ready:
                return self._clock.monotonic() - task.submitted_s - moment.after_s
        return None

    def _forged(self, target: str) -> bool:
        """Tell whether a URL is not the one that was given out, though its file may exist."""
        address = Address.read(target)
        found = None if address is None else self._service.track(address.track_id)
        if address is None or found is None:
            return False
        return found[0].dialect.signed_urls and target != address.target(found[0])

    async def _find(self, target: str) -> File | None:
        if target.startswith(f"{FILES_PATH}/"):
            upload = self._uploads.get(unquote(target.partition("?")[0])[len(FILES_PATH) + 1 :])
            return None if upload is None else File.of(upload.data, upload.mime_type)
        address = Address.read(target)
        if address is None or self._forged(target):
            return None
        return await self._track_file(address)

    async def _track_file(self, address: Address) -> File | None:
        found = self._service.track(address.track_id)
        if found is None:
            return None
        task, track, position = found
        moment = task.moment(position)
        if address.ending == "png":
            listed = track.index < moment.listed_tracks and not address.stream
            return File.of(paint(address.track_id), "image/png") if listed else None
        ready = moment.listed_tracks if address.stream else moment.finished_tracks
        if track.index >= ready:
            return None
        tags = str(task.request.get("tags", ""))
        arrangement = arrange(tags, self._service.rules.seed, track.index)
        return await self._studio.audio(task.stem, arrangement)


def _with_cookie(request: web.BaseRequest) -> web.Response:
    headers = {"Location": request.raw_path, "Set-Cookie": f"{_COOKIE}=1; Path=/"}
    return web.Response(status=302, headers=headers)
