"""A real S3 server for tests and demos: moto in a process of its own, so that Ray workers reach it.

moto checks and writes in two steps, so two conditional PUTs can both win; here every request runs under one lock
(its body is read outside), which makes them atomic. Objects live in memory and end with the process.

    with S3Server.start() as server:  # server.endpoint, server.environment
"""

import io
import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class S3Server:
    endpoint: str
    pid: int

    @property
    def environment(self) -> dict[str, str]:
        return environment(self.endpoint)

    def make_bucket(self, name: str) -> None:
        request = urllib.request.Request(f"{self.endpoint}/{name}", method="PUT")  # moto asks for no signature
        with urllib.request.urlopen(request, timeout=30):
            pass

    @classmethod
    @contextmanager
    def start(cls) -> "Iterator[S3Server]":
        process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        try:
            port = int(process.stdout.readline())
            yield cls(f"http://127.0.0.1:{port}", process.pid)
        finally:
            process.kill()
            process.communicate()


def environment(endpoint: str) -> dict[str, str]:
    """What a client needs, and nothing of the machine's own set-up."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def _locked(app):
    lock = threading.Lock()

    def run(environ, start_response):
        length = environ.get("CONTENT_LENGTH")
        body = environ["wsgi.input"]
        data = body.read(int(length)) if length else body.read() if environ.get("wsgi.input_terminated") else b""
        environ["wsgi.input"] = io.BytesIO(data)
        if length and len(data) < int(length):  # the client went away in mid-body: no store keeps half of it
            start_response("400 Bad Request", [("Content-Length", "0")])
            return [b""]
        with lock:
            return list(app(environ, start_response))

    return run


def _serve() -> None:
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    WSGIRequestHandler.protocol_version = "HTTP/1.1"
    app = _locked(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    print(server.server_port, flush=True)  # noqa: T201 - the parent reads it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    server.serve_forever()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    _serve()
