"""A server that answers record-info with as little work as possible: never the bottleneck.

It answers a waiting task's record of 2.8 KB, prints its address and runs until it is killed.

A record carries the id that was asked for, as the service's do: one of another task is a doubt.

| path begins with | answer |
|---|---|
| `/same` | the same bytes for a task every time: the ordinary case for a waiting task |
| `/changing` | a duration that differs each time, so that every body must be decoded |
| `/queue` | as long a status in the form that `fal-client` reads |
| `/counts` | how many records were answered, and the CPU seconds of this process |
"""

import asyncio
import json
import time

BODY_BYTES = 2800

# stands in the record where the id that was asked for belongs; ids are as long as this one
TASK_ID = "5c79be8e5c79be8e5c79be8e5c79be8e"

_TRACK = {
    "id": "8551662c-1f7e-4f5a-9c1d-0b2c6f1f0a01",
    "audioUrl": "",
    "streamAudioUrl": "https://media.example/stream/8551662c-1f7e-4f5a-9c1d-0b2c6f1f0a01",
    "imageUrl": "https://media.example/8551662c-1f7e-4f5a-9c1d-0b2c6f1f0a01.jpeg",
    "modelName": "chirp-v4-5-plus",
    "title": "Relaxing Piano",
    "tags": "relaxing, piano, slow, soft strings, night",
    "createTime": "2026-01-01 00:00:00",
}


def record(duration: int = 100_000, prompt: str = "") -> bytes:
    """Write the record of a task whose text is there; its size does not depend on `duration`."""
    track = {**_TRACK, "prompt": prompt, "duration": duration}
    data = {
        "taskId": TASK_ID,
        "parentMusicId": "",
        "param": json.dumps({"title": "Relaxing Piano", "tags": "relaxing, piano"}),
        "response": {"taskId": TASK_ID, "sunoData": [track, track]},
        "status": "TEXT_SUCCESS",
        "type": "GENERATE",
        "operationType": "generate",
        "errorCode": None,
        "errorMessage": None,
    }
    return json.dumps({"code": 200, "msg": "success", "data": data}).encode()


def _filled() -> bytes:
    """Write the record with lyrics of such a length that it has its size."""
    room = (BODY_BYTES - len(record())) // 2
    return record(prompt=("[Verse] A quiet room and rain on the glass " * 40)[:room])


def _queue_status() -> bytes:
    status = {"status": "IN_PROGRESS", "logs": [{"message": ""}], "queue_position": 0}
    status["logs"] = [{"message": "m" * (BODY_BYTES - len(json.dumps(status)))}]
    return json.dumps(status).encode()


def _response(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


class Counter:
    """The answers, and how many were given."""

    def __init__(self) -> None:
        self.answered = 0
        same = _response(_filled())
        self._same = same.split(TASK_ID.encode())
        self._changing = same.replace(TASK_ID.encode(), b"%b").replace(b"100000", b"%d")
        self._queue = _response(_queue_status())

    def answer(self, request: bytes) -> bytes:
        """Answer a request by the beginning of its path."""
        if request.startswith(b"GET /counts"):
            return _response(json.dumps([self.answered, time.process_time()]).encode())
        self.answered += 1
        if request.startswith(b"GET /same"):
            return _task_id(request).join(self._same)
        if request.startswith(b"GET /queue"):
            return self._queue
        values = (_task_id(request),) * 2 + (100_000 + self.answered % 900_000,) * 2
        return self._changing % values


def _task_id(request: bytes) -> bytes:
    begin = request.index(b"taskId=") + len(b"taskId=")
    return request[begin : begin + len(TASK_ID)]


class Records(asyncio.Protocol):
    """One connection: a request without a body is followed by its answer."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to answer on."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        self._received += data
        *requests, self._received = self._received.split(b"\r\n\r\n")
        for request in requests:
            self._transport.write(self._counter.answer(request))


async def main() -> None:
    """Serve on a free port of this machine."""
    counter = Counter()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Records(counter), "127.0.0.1", 0, backlog=1024)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
