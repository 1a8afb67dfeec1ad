"""Photos from untrusted web servers: every address is checked, bytes and seconds are limited."""

import contextlib
import http.client
import ipaddress
import os
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote, urljoin, urlsplit

import urllib3
from urllib3.connection import HTTPConnection

from idgen.config import SourcesConfig
from idgen.errors import Code, RowError
from idgen.sources.addresses import Resolver, reachable_addresses
from idgen.sources.deadline import Deadline, TransientError, with_tries
from idgen.sources.web_answers import check_is_file, may_be_cut, retry_after_s

MAX_REDIRECTS = 3
CHUNK_BYTES = 64 * 2**10
_REDIRECTS = {301, 302, 303, 307, 308}
_MISSING = {404, 410}
_TRY_AGAIN = {408, 425, 429}
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PATH_SAFE = "/%:=&?~+!$,;'@()*[]|"  # what is spelled in a URI stays as it is spelled


@dataclass(frozen=True, slots=True)
class Target:
    """One hop, taken apart once; what is checked is what is connected to."""

    scheme: str
    host: str  # ASCII, lower case, no brackets
    port: int
    path: str  # with the query
    basic_auth: str  # user:password or ""

    @property
    def host_header(self) -> str:
        """The Host header: brackets around IPv6, no default port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def parse_target(url: str) -> Target:
    """Return the parts of an http(s) URL; raises RowError `uri_forbidden` for anything that is not one.

    Control characters and backslashes are refused: programs disagree on where the host ends in such a URL.
    """
    if any(character < " " or character in "\x7f\\" for character in url):
        raise RowError(Code.URI_FORBIDDEN, "a control character or backslash in the address")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode("ascii").lower().rstrip(".")
    except (ValueError, UnicodeError):
        raise RowError(Code.URI_FORBIDDEN, "no web address") from None
    scheme = parts.scheme.lower()
    if scheme not in _DEFAULT_PORTS or not host:
        raise RowError(Code.URI_FORBIDDEN, "no web address")
    user = parts.netloc.rpartition("@")[0]
    return Target(
        scheme=scheme,
        host=host,
        port=_DEFAULT_PORTS[scheme] if port is None else port,
        path=quote(parts.path or "/", safe=_PATH_SAFE)
        + (f"?{quote(parts.query, safe=_PATH_SAFE)}" if parts.query else ""),
        basic_auth=unquote(user),
    )


class HttpFiles:
    """Fetches over http(s), with a connection of its own for each file; thread-safe."""

    def __init__(self, config: SourcesConfig, resolver: Resolver) -> None:
        self._config = config
        self._resolver = resolver
        self._tls = ssl.create_default_context()  # verifies chain and name; no setting switches that off

    def fetch(self, url: str) -> bytes:
        """Return the body, decoded. Raises RowError with a code of fetch; its detail holds no part of the URL."""
        deadline = Deadline(self._config.deadline_s)
        cut: set[bytes] = set()
        return with_tries(lambda: self._follow(url, deadline, cut), deadline)

    def _follow(self, url: str, deadline: Deadline, cut: set[bytes]) -> bytes:
        """Return the body at the end of all redirects. A picture without an end is one when it comes twice so."""
        secure = False
        for _ in range(MAX_REDIRECTS + 1):
            target = parse_target(url)
            if secure and target.scheme != "https":
                raise RowError(Code.URI_FORBIDDEN, "redirected from https to http")
            secure = target.scheme == "https"
            body, headers, location = self._get(target, deadline)
            if location:
                url = urljoin(url, location)
                continue
            check_is_file(body, headers)
            if may_be_cut(body, headers) and body not in cut:
                cut.add(body)
                raise TransientError(RowError(Code.FETCH_FAILED, "the transfer ended before the end of the file"))
            return body
        raise RowError(Code.FETCH_FAILED, f"more than {MAX_REDIRECTS} redirects")

    def _get(self, target: Target, deadline: Deadline) -> tuple[bytes, Mapping[str, str], str]:
        """Return the body and its headers, or b"" and where it is said to be."""
        addresses = self._allowed(target)
        with self._connected(target, addresses, deadline) as stream, deadline.cutting(lambda: _cut(stream)):
            connection = HTTPConnection(target.host, target.port, timeout=deadline.left_s())
            connection.auto_open = 0  # never by name
            connection.sock = stream
            try:
                if isinstance(stream, ssl.SSLSocket):
                    stream.do_handshake()
                connection.request("GET", target.path, headers=_headers(target, self._config), preload_content=False)
                response = connection.getresponse()
                if response.status in _REDIRECTS and response.headers.get("Location"):
                    return b"", {}, _location(response)
                _check_status(response)
                return self._body(response), response.headers, ""
            except ssl.SSLCertVerificationError as error:
                raise RowError(Code.FETCH_FAILED, f"TLS: {error.verify_message}") from None
            except TimeoutError:
                raise deadline.error() from None
            except (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError) as error:
                raise TransientError(RowError(Code.FETCH_FAILED, f"transfer broke: {type(error).__name__}")) from error

    def check(self, target: Target) -> None:
        """Raise RowError `uri_forbidden` for what the configuration does not allow, as far as no name is resolved."""
        spelled = f"[{target.host}]:{target.port}" if ":" in target.host else f"{target.host}:{target.port}"
        hosts = self._config.hosts
        if target.scheme not in self._config.schemes:
            raise RowError(Code.URI_FORBIDDEN, f"scheme {target.scheme} is not in sources.schemes")
        if hosts and spelled not in self._config.private_hosts and not any(_matches(target.host, h) for h in hosts):
            raise RowError(Code.URI_FORBIDDEN, "the host is not in sources.hosts")
        if _is_address(target.host):
            private = self._config.private_hosts
            reachable_addresses(target.host, target.port, private_hosts=private, resolver=lambda host, port: [host])

    def _allowed(self, target: Target) -> list[str]:
        self.check(target)
        try:
            return reachable_addresses(
                target.host, target.port, private_hosts=self._config.private_hosts, resolver=self._resolver
            )
        except RowError as error:
            raise TransientError(error) if error.retriable else error from None

    @contextlib.contextmanager
    def _connected(self, target: Target, addresses: list[str], deadline: Deadline) -> Iterator[socket.socket]:
        """Open a connection to the first checked address that answers; TLS shakes hands later, under the deadline."""
        failure = "no address"
        for address in addresses:
            try:
                timeout_s = min(self._config.connect_timeout_s, deadline.left_s())
                plain = socket.create_connection((address, target.port), timeout=timeout_s)
                break
            except OSError as error:
                failure = type(error).__name__
        else:
            code = Code.FETCH_TIMEOUT if failure == "TimeoutError" else Code.FETCH_FAILED
            raise TransientError(RowError(code, f"no connection: {failure}"))
        with plain:
            if target.scheme == "http":
                yield plain
                return
            with self._tls.wrap_socket(plain, server_hostname=target.host, do_handshake_on_connect=False) as stream:
                stream.settimeout(timeout_s)
                yield stream

    def _body(self, response: urllib3.BaseHTTPResponse) -> bytes:
        data = bytearray()
        for chunk in response.stream(CHUNK_BYTES, decode_content=True):
            data += chunk  # decoded: a bomb of compressed zeros ends at the cap too
            if len(data) > self._config.max_bytes:
                raise RowError(Code.TOO_MANY_BYTES, f"more than {self._config.max_bytes} bytes")
        return bytes(data)


def _is_address(host: str) -> bool:
    """Return whether `host` spells an address in full; what else a resolver may take for one is judged at the fetch."""
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return True
    return False


def _headers(target: Target, config: SourcesConfig) -> dict[str, str]:
    """Return what is sent: what the configuration says for this host goes to no other, also after a redirect."""
    headers = {"User-Agent": config.user_agent, "Accept": "image/*", "Accept-Encoding": "identity"}
    if target.basic_auth:
        headers |= urllib3.make_headers(basic_auth=target.basic_auth)
    for pattern, own in config.headers.items():
        if _matches(target.host, pattern):
            headers |= {name: _header(name, value) for name, value in own.items()}
    return {**headers, "Host": target.host_header}


def _header(name: str, value: str) -> str:
    """Return a header's value, from the environment where it says env:NAME. Raises RowError `fetch_denied`."""
    if not value.startswith("env:"):
        return value
    found = os.environ.get(value.removeprefix("env:"))
    if found is None:
        raise RowError(Code.FETCH_DENIED, f"sources.headers: {value} for {name} is not set in the workers' environment")
    return found


def _check_status(response: urllib3.BaseHTTPResponse) -> None:
    status = response.status
    if status == 200:
        return
    if status in _MISSING:
        raise RowError(Code.REFERENCE_MISSING, f"the server answered {status}")
    if status in _TRY_AGAIN or status >= 500:
        wait_s = retry_after_s(response.headers.get("Retry-After", ""))
        raise TransientError(RowError(Code.FETCH_FAILED, f"the server answered {status}"), wait_s)
    code = Code.FETCH_DENIED if 400 <= status < 500 else Code.FETCH_FAILED
    raise RowError(code, f"the server answered {status}")


def _location(response: urllib3.BaseHTTPResponse) -> str:
    """Headers come as Latin-1; many servers write UTF-8 in them."""
    return response.headers["Location"].encode("latin-1", "replace").decode("utf-8", "replace")


def _matches(host: str, pattern: str) -> bool:
    pattern = pattern.lower()
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _cut(stream: socket.socket) -> None:
    """End both directions, so that a thread that waits for a byte wakes up."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(stream, socket.SHUT_RDWR)  # not SSLSocket's, which would go on in plain text
