"""Shows a catalogue, in a folder or on S3, to the browser of this machine: reading only, on 127.0.0.1 only.

Nothing but what a gallery shows is given out: pictures, thumbnails, galleries and the files they link. A page of
another site that asks by a name of its own for this machine (DNS rebinding) is refused by its Host header.
"""

import logging
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from idgen.stores.protocol import ObjectStore, check_path

ADDRESS = "127.0.0.1"

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
    """A server of one catalogue; port 0 takes a free one. `home` is the path that / leads to."""

    daemon_threads = True

    def __init__(self, store: ObjectStore, home: str, port: int = 0) -> None:
        self.store = store
        self.home = home
        super().__init__((ADDRESS, port), _Handler)

    @property
    def link(self) -> str:
        """The address that a browser opens."""
        return f"http://{ADDRESS}:{self.server_port}/{self.home}"


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
        if self.headers.get("Host", "") not in [f"{name}:{self.server.server_port}" for name in (ADDRESS, "localhost")]:
            return self._refuse(HTTPStatus.FORBIDDEN)
        path = unquote(urlsplit(self.path).path).removeprefix("/")
        if not path:
            return self._lead_home()
        if path == "favicon.ico":  # browsers ask for it by themselves, and log what they do not get
            return self._refuse(HTTPStatus.NO_CONTENT)
        if not is_shown(path):
            return self._refuse(HTTPStatus.NOT_FOUND)
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
        return None

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
        self.send_header("Location", f"/{self.server.home}")
        self.send_header("Content-Length", "0")
        self._end_headers()

    def _refuse(self, status: HTTPStatus) -> None:
        self.send_response(status)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", "0")
        self._end_headers()

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
    """Open an object for reading; OSError when it is not there, or a link leads out of the folder."""
    filesystem, root = store.filesystem()
    whole = f"{root.rstrip('/')}/{path}"
    if filesystem.type_name == "local":
        _check_inside(whole, root)
    with filesystem.open_input_file(whole) as file:
        yield file, file.size()


def _check_inside(whole: str, root: str) -> None:
    real = os.path.realpath(whole)
    if os.path.commonpath([real, os.path.realpath(root)]) != os.path.realpath(root):
        raise PermissionError(whole)
    if not stat.S_ISREG(os.stat(real).st_mode):
        raise IsADirectoryError(whole)
