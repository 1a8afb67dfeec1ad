"""A proxy that breaks requests on purpose, between a client and a real server.

    def plan(request: Request) -> Fault | None: ...
    with FaultProxy(server.endpoint, plan) as proxy:  # proxy.endpoint, proxy.requests

One connection per request; a request's body is read whole before it is judged.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

SLOW_DOWN = (
    b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)


@dataclass(frozen=True)
class Request:
    number: int  # from 1, over the proxy's life
    method: str
    path: str  # with the query
    headers: dict[str, str]  # lower-case names
    body: bytes


@dataclass(frozen=True)
class Fault:
    status: int = 0  # answer this instead of asking the server
    body: bytes = SLOW_DOWN
    delay_s: float = 0.0  # before anything else
    reset: str = ""  # "before": the server never hears of it; "after": it did all, the client gets a reset
    cut: int = -1  # send this many bytes of the answer's body, then reset
    cut_request: int = -1  # send the server this many bytes of the request's body, then hang up on both
    bytes_per_s: int = 0  # throttle the answer


@dataclass
class FaultProxy:
    upstream: str
    plan: Callable[[Request], Fault | None] = lambda request: None
    requests: list[Request] = field(default_factory=list)
    endpoint: str = ""

    def __enter__(self) -> "FaultProxy":
        ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(10)
        return self

    def __exit__(self, *error) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self, ready) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**20))
        self.endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))

    async def _serve(self, reader, writer) -> None:
        try:
            head, request = await self._read_request(reader, writer)
            self.requests.append(request)
            await self._answer(head, request, self.plan(request) or Fault(), writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _read_request(self, reader, writer) -> tuple[bytes, Request]:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ", 2)
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)
        }
        if headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await writer.drain()
        if "chunked" in headers.get("transfer-encoding", ""):
            body = await _read_chunks(reader)
        else:
            body = await reader.readexactly(int(headers.get("content-length", 0)))
        kept = [line for line in lines if line and line.split(":")[0].lower() not in ("expect", "connection")]
        head = "\r\n".join([*kept, "Connection: close", "", ""]).encode("latin-1")
        return head, Request(len(self.requests) + 1, method, path, headers, body)

    async def _answer(self, head: bytes, request: Request, fault: Fault, writer) -> None:
        await asyncio.sleep(fault.delay_s)
        if fault.status:
            body = b"" if request.method == "HEAD" else fault.body
            writer.write(
                f"HTTP/1.1 {fault.status} Fault\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                + body
            )
            return await writer.drain()
        if fault.reset == "before":
            return _reset(writer)
        server = urlsplit(self.upstream)
        server_reader, server_writer = await asyncio.open_connection(server.hostname, server.port)
        if fault.cut_request >= 0:
            server_writer.write(head + request.body[: fault.cut_request])
            await server_writer.drain()
            server_writer.close()
            return _reset(writer)
        server_writer.write(head + request.body)
        await server_writer.drain()
        answer = await server_reader.read(-1)
        server_writer.close()
        if fault.reset == "after":
            return _reset(writer)
        return await _send(answer, fault, writer)


async def _send(answer: bytes, fault: Fault, writer) -> None:
    head, gap, body = answer.partition(b"\r\n\r\n")
    writer.write(head + gap)
    if fault.cut >= 0:
        body = body[: fault.cut]
    step = max(1, fault.bytes_per_s // 20) if fault.bytes_per_s else 2**16
    for start in range(0, len(body), step):
        writer.write(body[start : start + step])
        await writer.drain()
        if fault.bytes_per_s:
            await asyncio.sleep(0.05)
    if fault.cut >= 0:
        await asyncio.sleep(0.02)  # let the bytes out before the reset
        _reset(writer)


async def _read_chunks(reader) -> bytes:
    """The body as it came, framing included: it is passed on as it is."""
    parts = []
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        data = await reader.readexactly(size + 2) if size else b""
        parts += [line, data]
        if size == 0:
            while (trailer := await reader.readuntil(b"\r\n")) != b"\r\n":
                parts.append(trailer)
            return b"".join([*parts, b"\r\n"])


def _reset(writer) -> None:
    """RST instead of FIN: close with linger 0."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
