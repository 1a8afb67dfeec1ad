"""Shows a catalogue, in a folder or on S3, to the browser of this machine: reading only, on 127.0.0.1 only.

Nothing but what a gallery shows is given out: pictures, thumbnails, galleries and the files they link. Every address
begins with a token of this server, which its link holds: other people on the machine reach the port, too. A page of
another site that asks by a name of its own for this machine (DNS rebinding) is refused by its Host header.
"""

import logging
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from idgen.stores.protocol import ObjectStore, check_path

ADDRESS = "127.0.0.1"
_HOSTS = (ADDRESS, "localhost")

_SHOWN = re.compile(
    r"(images|named|thumbs)/.+|runs/[^/]+/(report/.+|results\.parquet|failed\.parquet|summary\.json)", re.DOTALL
)
_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "md": "text/markdown; charset=utf-8",
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "json": "application/json",
    "zip": "application/zip",
    "parquet": "application/vnd.apache.parquet",
}
_PIECE_BYTES = 2**18

log = logging.getLogger(__name__)


class CatalogueServer(ThreadingHTTPServer):
    """A server of one catalogue; port 0 takes a free one. `home` is the path of the first page."""

    daemon_threads = True

    def __init__(self, store: ObjectStore, home: str, port: int = 0) -> None:
        self.store = store
        self.home = home
        self.token = secrets.token_urlsafe(16)
        super().__init__((ADDRESS, port), _Handler)

    @property
    def link(self) -> str:
        """The address that a browser opens."""
        return f"http://{ADDRESS}:{self.server_port}/{self.token}/{self.home}"


class _Handler(BaseHTTPRequestHandler):
    server: CatalogueServer
    protocol_version = "HTTP/1.1"
    server_version = "idgen"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer with an object's bytes."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """Answer with what a GET would say of the object."""
        self._answer(body=False)

    def log_message(self, *arguments: object) -> None:
        """Say nothing of what works: the terminal shows the link."""

    def _answer(self, body: bool) -> None:
        if self._host() not in _HOSTS:
            return self._refuse(HTTPStatus.FORBIDDEN, f"open it as {ADDRESS} or localhost")
        try:
            path = unquote(urlsplit(self.path).path).removeprefix("/")
        except ValueError:
            return self._refuse(HTTPStatus.BAD_REQUEST)
        if path == "favicon.ico":  # browsers ask for it by themselves, and log what they do not get
            return self._refuse(HTTPStatus.NO_CONTENT)
        token, _, path = path.partition("/")
        if not secrets.compare_digest(token.encode(), self.server.token.encode()):
            return self._refuse(HTTPStatus.NOT_FOUND, "open the link that idgen report printed")
        if not path:
            return self._lead_home()
        if not is_shown(path):
            return self._refuse(HTTPStatus.NOT_FOUND)
        return self._show(path, body)

    def _host(self) -> str:
        """The name that the browser calls this machine by; its port is another one when an ssh tunnel leads here."""
        name, _, port = self.headers.get("Host", "").partition(":")
        return name if not port or port.isdigit() else ""

    def _show(self, path: str, body: bool) -> None:
        try:
            with _opened(self.server.store, path) as (file, size):
                self._send(path, file, size, body)
        except (FileNotFoundError, PermissionError, IsADirectoryError):
            self._refuse(HTTPStatus.NOT_FOUND)
        except ConnectionError:
            self.close_connection = True  # the browser turned a page
        except OSError as error:
            log.warning("cannot show %s: %s", path, type(error).__name__)
            self.close_connection = True

    def _send(self, path: str, file: BinaryIO, size: int, body: bool) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", _TYPES.get(path.rpartition(".")[2], "application/octet-stream"))
        self.send_header("Content-Length", str(size))
        self.send_header("Cache-Control", "private, max-age=600" if path.startswith("thumbs/") else "no-cache")
        self._end_headers()
        left = size if body else 0
        while left and (piece := file.read(min(_PIECE_BYTES, left))):
            self.wfile.write(piece)
            left -= len(piece)
        if left:  # the object ended early: only a broken connection tells the browser
            self.close_connection = True

    def _lead_home(self) -> None:
        self.send_response(HTTPStatus.FOUND)
        self.send_header("Location", f"/{self.server.token}/{self.server.home}")
        self.send_header("Content-Length", "0")
        self._end_headers()

    def _refuse(self, status: HTTPStatus, words: str = "") -> None:
        text = words.encode()
        self.send_response(status)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(text)))
        self._end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def _end_headers(self) -> None:
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("X-Frame-Options", "DENY")
        self.end_headers()


def is_shown(path: str) -> bool:
    """Return whether a path, unquoted once, is one that a gallery may ask for."""
    try:
        return bool(_SHOWN.fullmatch(check_path(path)))
    except ValueError:
        return False


@contextmanager
def _opened(store: ObjectStore, path: str) -> Iterator[tuple[BinaryIO, int]]:
    """Open an object for reading; OSError when it is not there, or a link leads to what is not shown."""
    filesystem, root = store.filesystem()
    whole = f"{root.rstrip('/')}/{path}"
    if filesystem.type_name == "local":
        _check_inside(whole, root)
    with filesystem.open_input_file(whole) as file:
        yield file, file.size()


def _check_inside(whole: str, root: str) -> None:
    """Follow links inside the folder, but to nothing that would not be shown under its own name."""
    real, top = os.path.realpath(whole), os.path.realpath(root)
    if not is_shown(os.path.relpath(real, top)):
        raise PermissionError(whole)
    if not stat.S_ISREG(os.stat(real).st_mode):
        raise IsADirectoryError(whole)
