import gzip

import pytest
from doubles import http_server as http

from idgen.config import SourcesConfig
from idgen.errors import Code, RowError
from idgen.sources.fetch import Fetcher

PHOTO = bytes(range(256)) * 2000  # 512 kB


@pytest.fixture(scope="module")
def server():
    with http.HttpServer() as running:
        running.routes |= {
            "/photo": http.answer(200, PHOTO),
            "/a b": http.answer(200, b"space"),
            "/gzip": http.answer(200, gzip.compress(PHOTO), Content_Encoding="gzip"),
            "/missing": http.answer(404),
            "/gone": http.answer(410),
            "/unauthorised": http.answer(401),
            "/forbidden": http.answer(403),
            "/teapot": http.answer(418),
            "/no-content": http.answer(204),
            "/broken": http.answer(500),
            "/endless": http.endless,
            "/endless-chunks": http.endless_chunks,
            "/drip": http.drip(0.1),
            "/drip-headers": http.drip(0.1, headers_too=True),
            "/silence": http.silence,
            "/bomb": http.gzip_bomb(50),
            "/bomb-of-bombs": http.gzip_bomb(50, layers=3),
            "/short-length": http.answer(200, PHOTO, Content_Length="10"),
            "/huge-length": http.answer(200, PHOTO, Content_Length="999999999999"),
            "/not-gzip": http.answer(200, PHOTO, Content_Encoding="gzip"),
            "/loop": http.redirect("/loop"),
            "/to-file": http.redirect("file:///etc/passwd"),
            "/to-s3": http.redirect("s3://bucket/key"),
            "/to-nowhere": http.answer(302),
            "/hop3": http.redirect("/hop2", 301),
            "/hop2": http.redirect("hop1", 307),
            "/hop1": http.redirect(running.url("/photo?canary=1"), 308),
            "/hop4": http.redirect("/hop3"),
        }
        yield running


@pytest.fixture
def fetcher(server):
    return Fetcher(SourcesConfig(private_hosts=[server.private_host], max_bytes=2**20, deadline_s=10.0))


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    monkeypatch.setattr("idgen.sources.deadline.FIRST_WAIT_S", 0.01)


def code_of(call):
    with pytest.raises(RowError) as caught:
        call()
    return caught.value.code


def test_a_photo_arrives_whole(server, fetcher):
    assert fetcher.fetch(server.url("/photo")) == PHOTO


def test_the_query_and_the_spelling_of_the_path_reach_the_server(server, fetcher):
    fetcher.fetch(server.url("/photo?v=%2F&X-Amz-Signature=a+b#part"))
    assert server.requests[-1][0] == "/photo?v=%2F&X-Amz-Signature=a+b"
    assert server.requests[-1][1]["Host"] == server.private_host


def test_a_space_in_the_path_is_encoded(server, fetcher):
    server.routes["/a%20b"] = server.routes["/a b"]
    assert fetcher.fetch(server.url("/a b")) == b"space"


def test_a_compressed_body_is_decoded(server, fetcher):
    assert fetcher.fetch(server.url("/gzip")) == PHOTO


def test_userinfo_is_sent_to_its_host_and_to_no_other(server, fetcher):
    with http.HttpServer() as other:
        other.routes["/photo"] = http.answer(200, PHOTO)
        server.routes["/elsewhere"] = http.redirect(other.url("/photo"))
        both = SourcesConfig(private_hosts=[server.private_host, other.private_host])
        Fetcher(both).fetch(server.url("/elsewhere").replace("http://", "http://me:p%40ss@"))
        assert server.requests[-1][1]["Authorization"] == "Basic bWU6cEBzcw=="
        assert "Authorization" not in other.requests[-1][1]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/missing", Code.REFERENCE_MISSING),
        ("/gone", Code.REFERENCE_MISSING),
        ("/unauthorised", Code.FETCH_DENIED),
        ("/forbidden", Code.FETCH_DENIED),
        ("/teapot", Code.FETCH_DENIED),
        ("/no-content", Code.FETCH_FAILED),
        ("/endless", Code.TOO_MANY_BYTES),
        ("/endless-chunks", Code.TOO_MANY_BYTES),
        ("/bomb", Code.TOO_MANY_BYTES),
        ("/bomb-of-bombs", Code.TOO_MANY_BYTES),
        ("/loop", Code.FETCH_FAILED),
        ("/hop4", Code.FETCH_FAILED),
        ("/to-nowhere", Code.FETCH_FAILED),
        ("/to-file", Code.URI_FORBIDDEN),
        ("/to-s3", Code.URI_FORBIDDEN),
    ],
)
def test_every_answer_has_its_code_at_the_first_try(server, fetcher, path, code):
    before = server.hits(path)
    assert code_of(lambda: fetcher.fetch(server.url(path))) == code
    assert server.hits(path) - before == (4 if path == "/loop" else 1)


@pytest.mark.parametrize("path", ["/broken", "/huge-length", "/not-gzip"])
def test_a_broken_transfer_is_tried_four_times(server, fetcher, path):
    before = server.hits(path)
    assert code_of(lambda: fetcher.fetch(server.url(path))) == Code.FETCH_FAILED
    assert server.hits(path) - before == 4


@pytest.mark.parametrize(
    "first", [http.answer(500), http.answer(503), http.answer(429, Retry_After="1"), http.cut(PHOTO, 1000), http.reset]
)
def test_a_passing_failure_passes(server, fetcher, first):
    server.routes["/flaky"] = http.in_turn(first, first, http.answer(200, PHOTO))
    assert fetcher.fetch(server.url("/flaky")) == PHOTO


def test_a_server_that_asks_for_patience_beyond_the_deadline_is_not_waited_for(server, fetcher):
    server.routes["/later"] = http.answer(429, Retry_After="3600")
    assert http.seconds_of(lambda: fetcher.fetch(server.url("/later"))) < 2.0
    assert code_of(lambda: fetcher.fetch(server.url("/later"))) == Code.FETCH_FAILED


def test_a_length_that_is_too_small_is_not_read_past(server, fetcher):
    assert fetcher.fetch(server.url("/short-length")) == PHOTO[:10]


def test_three_redirects_are_followed(server, fetcher):
    assert fetcher.fetch(server.url("/hop3")) == PHOTO


@pytest.mark.parametrize("path", ["/drip", "/drip-headers", "/silence"])
def test_the_deadline_holds_against_slow_servers(server, path):
    hurried = Fetcher(SourcesConfig(private_hosts=[server.private_host], deadline_s=1.0))
    codes = []
    seconds = http.seconds_of(lambda: codes.append(code_of(lambda: hurried.fetch(server.url(path)))))
    assert codes == [Code.FETCH_TIMEOUT]
    assert 0.9 < seconds < 4.0


def test_the_deadline_holds_against_a_handshake_that_never_ends():
    with http.slow_handshake() as port:
        hurried = Fetcher(SourcesConfig(private_hosts=[f"127.0.0.1:{port}"], deadline_s=1.0))
        codes = []
        url = f"https://127.0.0.1:{port}/a.jpg"
        assert http.seconds_of(lambda: codes.append(code_of(lambda: hurried.fetch(url)))) < 4.0
        assert codes == [Code.FETCH_TIMEOUT]


def test_a_port_where_nobody_listens_is_a_broken_transfer():
    with http.slow_handshake() as port:
        pass
    fetcher = Fetcher(SourcesConfig(private_hosts=[f"127.0.0.1:{port}"], deadline_s=3.0))
    assert code_of(lambda: fetcher.fetch(f"http://127.0.0.1:{port}/")) == Code.FETCH_FAILED


def test_proxies_of_the_environment_are_ignored(server, fetcher, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert fetcher.fetch(server.url("/photo")) == PHOTO


@pytest.mark.parametrize("path", ["/missing", "/broken", "/loop", "/to-file"])
def test_an_error_names_the_photo_without_its_secrets(server, fetcher, path):
    url = server.url(f"{path}?sig=canary-sig&v=canary-query#canary-fragment").replace("//", "//me:canary-pass@")
    with pytest.raises(RowError) as caught:
        fetcher.fetch(url)
    assert "canary" not in caught.value.detail
    assert path in caught.value.detail
    assert len(caught.value.detail) <= 300


@pytest.mark.parametrize(
    ("hosts", "allowed"),
    [
        ([], True),
        (["photos.example"], True),
        (["*.example"], True),
        (["*.photos.example"], False),
        (["hotos.example"], False),
        (["other.example"], False),
    ],
)
def test_only_listed_hosts_are_asked(hosts, allowed):
    asked = []

    def resolver(host, port):
        asked.append(host)
        raise OSError("no network in tests")

    fetcher = Fetcher(SourcesConfig(hosts=hosts, deadline_s=1.0), resolver=resolver)
    code = code_of(lambda: fetcher.fetch("http://Photos.Example./a.jpg"))
    assert code == (Code.FETCH_FAILED if allowed else Code.URI_FORBIDDEN)
    assert bool(asked) == allowed


@pytest.mark.parametrize("uri", ["ftp://h/a", "gopher://h/", "data://x", "", "  ", "http://", "http:///a", "x" * 9000])
def test_what_is_no_known_address_is_forbidden(uri, fetcher):
    assert code_of(lambda: fetcher.fetch(uri)) == Code.URI_FORBIDDEN


def test_a_scheme_that_is_not_listed_is_forbidden(server):
    fetcher = Fetcher(SourcesConfig(schemes=["https"], private_hosts=[server.private_host]))
    assert code_of(lambda: fetcher.fetch(server.url("/photo"))) == Code.URI_FORBIDDEN
    assert code_of(lambda: fetcher.fetch("/etc/hostname")) == Code.URI_FORBIDDEN
