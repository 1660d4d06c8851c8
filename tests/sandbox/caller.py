"""A bare HTTP caller: these tests look at the wire, not through the library's own client."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from attrs import frozen

from suno_async.clock import VirtualClock
from suno_async.sandbox import Sandbox

SUBMIT = "/api/v1/generate/add-instrumental"
DETAILS = "/api/v1/generate/record-info"
CREDITS = "/api/v1/chat/credit"
UPLOAD = "/file-upload/api/file-stream-upload"
UPLOAD_URL = "/file-upload/api/file-url-upload"


def song(**changes: object) -> dict[str, object]:
    """Write a submission that the service takes, with some fields changed."""
    return {
        "uploadUrl": "https://example.com/stem.wav",
        "title": "Relaxing Piano",
        "tags": "relaxing, piano",
        "negativeTags": "heavy metal",
        "callBackUrl": "https://example.com/callback",
        **changes,
    }


@frozen
class Caller:
    """Call a sandbox with its key."""

    sandbox: Sandbox
    clock: VirtualClock
    http: aiohttp.ClientSession

    @property
    def _key(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.sandbox.api_key}"}

    async def post(self, path: str, **options: Any) -> Any:
        """Post with the key; return the JSON of the answer."""
        headers = {**self._key, **options.pop("headers", {})}
        url = self.sandbox.base_url + path
        async with self.http.post(url, headers=headers, **options) as response:
            return json.loads(await response.read())

    async def get(self, path: str, **query: str) -> Any:
        """Get with the key; return the JSON of the answer."""
        url = self.sandbox.base_url + path
        async with self.http.get(url, headers=self._key, params=query) as response:
            return json.loads(await response.read())

    async def submit(self, **changes: object) -> str:
        """Submit; return the task id."""
        answer = await self.post(SUBMIT, json=song(**changes))
        assert answer["code"] == 200, answer
        return str(answer["data"]["taskId"])

    async def details(self, task_id: str) -> Any:
        """Return the data of record-info."""
        return (await self.get(DETAILS, taskId=task_id))["data"]

    async def tracks(self, task_id: str) -> list[dict[str, Any]]:
        """Return the tracks of record-info."""
        found: list[dict[str, Any]] = (await self.details(task_id))["response"]["sunoData"]
        return found

    async def upload(self, data: bytes, name: str = "stem.wav") -> str:
        """Upload a file; return its URL."""
        form = aiohttp.FormData()
        form.add_field("file", data, filename=name)
        form.add_field("uploadPath", "stems")
        return str((await self.post(UPLOAD, data=form))["data"]["downloadUrl"])

    async def fetch(self, url: str, **headers: str) -> tuple[int, bytes, Mapping[str, str]]:
        """Get a file without the key; return status, body and headers."""
        async with self.http.get(url, headers=headers) as response:
            return response.status, await response.read(), response.headers


@asynccontextmanager
async def calling(**settings: Any) -> AsyncIterator[Caller]:
    """Run a sandbox on a virtual clock and a caller for it."""
    clock = settings.pop("clock", None) or VirtualClock()
    async with (
        Sandbox(clock=clock, **settings) as sandbox,
        aiohttp.ClientSession() as http,
    ):
        yield Caller(sandbox, clock, http)
