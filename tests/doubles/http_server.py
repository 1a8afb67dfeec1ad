"""A web server on 127.0.0.1 with real sockets, whose routes can be as bad as the internet's."""

import contextlib
import gzip
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Route = Callable[[BaseHTTPRequestHandler], None]


class HttpServer:
    """Serves `routes` by path (query ignored); 404 elsewhere. `requests` holds (path with query, headers)."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.routes: dict[str, Route] = {}
        self.requests: list[tuple[str, Message]] = []
        self.stopping = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self._scheme = "http"
        if tls is not None:
            self._scheme = "https"
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = int(self._server.server_address[1])
        self.private_host = f"127.0.0.1:{self.port}"

    def __enter__(self) -> "HttpServer":
        threading.Thread(target=lambda: self._server.serve_forever(poll_interval=0.02), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"{self._scheme}://{host}:{self.port}{path}"

    def hits(self, path: str) -> int:
        return sum(asked.partition("?")[0] == path for asked, _ in self.requests)


def _handler_of(server: HttpServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.requests.append((self.path, self.headers))
            self.close_connection = True
            route = server.routes.get(self.path.partition("?")[0], answer(404))
            with contextlib.suppress(OSError):  # the client may go at any time
                route(self)

        def log_message(self, *_: object) -> None:
            pass

    Handler.idgen_server = server
    return Handler


def answer(status: int = 200, body: bytes = b"", **headers: str) -> Route:
    """The whole body at once; header names with _ for -."""

    def route(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            handler.send_header(name.replace("_", "-"), value.encode().decode("latin-1"))  # as real servers do
        handler.end_headers()
        handler.wfile.write(body)

    return route


def redirect(to: str, status: int = 302) -> Route:
    return answer(status, Location=to)


def in_turn(*routes: Route) -> Route:
    """The first route for the first request, and so on; the last one for ever."""
    left = list(routes)
    return lambda handler: (left.pop(0) if len(left) > 1 else left[0])(handler)


def endless(handler: BaseHTTPRequestHandler) -> None:
    """A body that never ends, without a length."""
    handler.send_response(200)
    handler.end_headers()
    while not handler.idgen_server.stopping.is_set():
        handler.wfile.write(b"x" * 65536)


def endless_chunks(handler: BaseHTTPRequestHandler) -> None:
    """The same in chunks."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    while not handler.idgen_server.stopping.is_set():
        handler.wfile.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")


def drip(every_s: float, headers_too: bool = False) -> Route:
    """One byte at a time, of the body or of a header too."""

    def route(handler: BaseHTTPRequestHandler) -> None:
        if headers_too:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        else:
            handler.send_response(200)
            handler.send_header("Content-Length", "1000000")
            handler.end_headers()
        while not handler.idgen_server.stopping.wait(every_s):
            handler.wfile.write(b"x")
            handler.wfile.flush()

    return route


def silence(handler: BaseHTTPRequestHandler) -> None:
    """No answer at all."""
    handler.idgen_server.stopping.wait(30)


def cut(body: bytes, after: int) -> Route:
    """Promise the whole body, send a part, close."""

    def route(handler: BaseHTTPRequestHandler) -> None:
        answer(200, body[:after], Content_Length=str(len(body)))(handler)

    return route


def reset(handler: BaseHTTPRequestHandler) -> None:
    """RST instead of an answer."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def gzip_bomb(megabytes: int, layers: int = 1) -> Route:
    """Zeros, compressed `layers` times."""
    body = b"\0" * (megabytes * 2**20)
    for _ in range(layers):
        body = gzip.compress(body)
    return answer(200, body, Content_Encoding=", ".join(["gzip"] * layers))


@contextlib.contextmanager
def slow_handshake() -> Iterator[int]:
    """A port that accepts and then says nothing, as a server that never ends its TLS handshake; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


def seconds_of(call: Callable[[], object]) -> float:
    """How long a call took, whatever came of it."""
    began = time.monotonic()
    with contextlib.suppress(Exception):
        call()
    return time.monotonic() - began
