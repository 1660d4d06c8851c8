"""Clients of the service, as stubborn as those of a service that is restarted have to be."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiohttp
from attrs import define, field, frozen

# what a client meets when its server is killed
_BROKEN = (aiohttp.ClientError, OSError)
_AGAIN_S = 0.05
_LAST = {"complete", "error"}


@frozen
class Sent:
    """One server-sent event."""

    event: str
    id: str
    data: Any


@define
class Client:
    """Talks to processes of the service in turn.

    Args:
        http: Sends its requests.
        urls: Of the processes.

    Attributes:
        connections: How many streams of events it has opened.
    """

    http: aiohttp.ClientSession
    urls: Sequence[str]
    connections: int = field(default=0, init=False)

    async def order(self, **body: Any) -> tuple[int, Any]:
        """Order a track, again until there is an answer: it has a key."""
        for url in itertools.cycle(self.urls):
            try:
                async with self.http.post(f"{url}/tracks", json=body) as answer:
                    return answer.status, await answer.json()
            except _BROKEN:
                await asyncio.sleep(_AGAIN_S)
        raise AssertionError

    async def show(self, key: str) -> list[tuple[int, Any]]:
        """Ask every process how a track stands."""
        answers: list[tuple[int, Any]] = []
        for url in self.urls:
            async with self.http.get(f"{url}/tracks/{key}") as answer:
                answers.append((answer.status, await answer.json()))
        return answers

    async def follow(self, key: str) -> list[Sent]:
        """Read a track's events to the end, each from another process, over all restarts."""
        got: list[Sent] = []
        for url in itertools.cycle(self.urls):
            try:
                async for sent in self._events(url, key, got[-1].id if got else ""):
                    got.append(sent)
                    if sent.event not in _LAST:
                        break
                else:  # it has ended, and was not left
                    return got
            except _BROKEN:
                await asyncio.sleep(_AGAIN_S)
        raise AssertionError

    async def _events(self, url: str, key: str, last: str) -> AsyncIterator[Sent]:
        headers = {"Last-Event-ID": last} if last else {}
        async with self.http.get(f"{url}/tracks/{key}/events", headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            assert answer.content_type == "text/event-stream"
            self.connections += 1
            fields: dict[str, str] = {}
            async for line in answer.content:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if value:
                    fields[name] = value
                elif "event" in fields:
                    data = json.loads(fields["data"])
                    yield Sent(fields["event"], fields.get("id", ""), data)
                    fields = {}
