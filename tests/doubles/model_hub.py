"""A model hub on 127.0.0.1: enough of its protocol for the real client library, and faults on demand."""

import hashlib
import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "c" * 40


class ModelHub:
    """Serves `files`, {repository: {path: bytes}}; everything asked is in `requests`: (method, path, range)."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.gated: set[str] = set()
        self.cut_after: dict[str, int] = {}
        """Path -> bytes of the next body after which the connection is closed, once."""
        self.requests: list[tuple[str, str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "ModelHub":
        threading.Thread(target=lambda: self._server.serve_forever(poll_interval=0.02), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def bodies(self) -> list[str]:
        """Paths inside repositories whose content was asked for."""
        return [path.split("/resolve/")[1].partition("/")[2] for method, path, _ in self.requests
                if method == "GET" and "/resolve/" in path]  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    hub: ModelHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        self.hub.requests.append((self.command, path, self.headers.get("Range", "")))
        self.close_connection = True
        with suppress(OSError):
            if path.startswith("/api/models/"):
                self._info(path.removeprefix("/api/models/"))
            elif "/resolve/" in path:
                self._file(path, with_body)
            elif path.startswith("/web/"):
                self._body(self.hub.files["web"][path.removeprefix("/web/")], path, with_body, {})
            else:
                self._error(404, "EntryNotFound")

    def _info(self, rest: str) -> None:
        repository, _, revision = rest.partition("/revision/")
        if repository in self.hub.gated:
            return self._error(403, "GatedRepo")
        if repository not in self.hub.files:
            return self._error(404, "RepoNotFound")
        if revision not in ("", "main", COMMIT):
            return self._error(404, "RevisionNotFound")
        files = self.hub.files[repository].items()
        told = {"id": repository, "modelId": repository, "sha": COMMIT, "private": False, "tags": [],
                "siblings": [{"rfilename": name, "size": len(body)} for name, body in files]}  # fmt: skip
        return self._body(json.dumps(told).encode(), "", True, {"Content-Type": "application/json"})

    def _file(self, path: str, with_body: bool) -> None:
        repository, _, rest = path.strip("/").partition("/resolve/")
        body = self.hub.files.get(repository, {}).get(rest.partition("/")[2])
        if body is None:
            return self._error(404, "EntryNotFound")
        etag = hashlib.sha256(body).hexdigest()
        return self._body(body, path, with_body, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT})

    def _body(self, body: bytes, path: str, with_body: bool, headers: dict[str, str]) -> None:
        begin = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        for name, value in {**headers, "Content-Length": str(len(body) - begin), "Accept-Ranges": "bytes"}.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")  # else the client takes the connection for one that lives
        self.end_headers()
        if with_body:
            stop = begin + self.hub.cut_after.pop(path, len(body))
            self.wfile.write(body[begin:stop])

    def _error(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")  # else the client takes the connection for one that lives
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass
