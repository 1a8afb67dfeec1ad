"""Answers of web servers that are no photos, or half of one."""

import io
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache

import pytest
from doubles import http_server as http
from PIL import Image, features

from idgen.config import SourcesConfig
from idgen.errors import Code, RowError
from idgen.sources.fetch import Fetcher
from idgen.sources.web_answers import retry_after_s


@cache
def picture(kind: str) -> bytes:
    data = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(data, kind)
    return data.getvalue()


PAGES = {
    "page": (b"Please log in", "text/html; charset=utf-8", "text"),
    "doctype": (b"<!DOCTYPE html><html>please log in</html>", "image/jpeg", "a web page"),
    "mislabelled": (b"<html>be right back</html>", "image/jpeg", "a web page"),
    "late": (b"\xef\xbb\xbf\n <HTML>be right back</HTML>", "image/jpeg", "a web page"),
    "json": (b'{"error": "rate limit"}', "image/jpeg", "JSON"),
    "list": (b'[{"error": "rate limit"}]', "", "JSON"),
    "typed json": (b'"rate limit"', "application/json", "text"),
    "problem": (b'"rate limit"', "application/problem+json", "text"),
    "xml": (b"<Error>slow down</Error>", "application/xml", "a web page"),
    "words": (b"Service unavailable", "text/plain", "text"),
    "nothing": (b"", "image/jpeg", "an empty body"),
}
"""Body, type and what it is called; each is known by one thing alone."""


@pytest.fixture(scope="module")
def server():
    with http.HttpServer() as running:
        yield running


@pytest.fixture
def fetcher(server):
    return Fetcher(SourcesConfig(private_hosts=[server.private_host], deadline_s=10.0))


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    monkeypatch.setattr("idgen.sources.deadline.FIRST_WAIT_S", 0.01)


def after(first, then):
    """A route that answers `first` once, then `then`."""
    answers = iter([first])
    return lambda handler: next(answers, then)(handler)


def without_length(body: bytes):
    def route(handler):
        handler.close_connection = True
        handler.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\n\r\n" + body)

    return route


def chunked(body: bytes):
    def route(handler):
        handler.protocol_version = "HTTP/1.1"
        handler.close_connection = True
        head = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n"
        handler.wfile.write(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))

    return route


@pytest.mark.parametrize("name", PAGES)
def test_a_page_instead_of_a_photo_may_be_tried_again(server, fetcher, name: str):
    body, kind, called = PAGES[name]
    server.routes["/x"] = http.answer(200, body, Content_Type=kind)
    with pytest.raises(RowError) as caught:
        fetcher.fetch(server.url("/x"))
    assert caught.value.code == Code.FETCH_FAILED
    assert caught.value.retriable
    assert f"200 with {called}" in caught.value.detail
    server.routes["/y"] = after(http.answer(200, body, Content_Type=kind), http.answer(200, picture("JPEG")))
    assert fetcher.fetch(server.url("/y")).startswith(b"\xff\xd8")


needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", pytest.param("AVIF", marks=needs_avif)])
def test_half_a_picture_without_a_length_is_asked_for_again(server, fetcher, kind: str):
    whole = picture(kind)
    for share in (0.5, 0.9):
        server.routes["/half"] = after(without_length(whole[: int(len(whole) * share)]), without_length(whole))
        assert fetcher.fetch(server.url("/half")) == whole


def test_a_picture_that_never_has_an_end_is_what_is_stored(server, fetcher):
    stored = picture("JPEG")[:-2]
    server.routes["/endless"] = without_length(stored)
    assert fetcher.fetch(server.url("/endless")) == stored


@pytest.mark.parametrize("header", ["Content_Length", "Transfer_Encoding"])
def test_a_picture_whose_length_is_said_is_whole_without_an_end(server, fetcher, header: str):
    body, calls = picture("JPEG")[:-2], len(server.requests)
    if header == "Content_Length":
        server.routes["/said"] = http.answer(200, body)
    else:
        server.routes["/said"] = chunked(body)
    assert fetcher.fetch(server.url("/said")) == body
    assert len(server.requests) == calls + 1


def test_a_picture_that_breaks_off_otherwise_each_time_is_a_broken_transfer(server, fetcher):
    whole, ends = picture("PNG"), iter(range(100, 200))
    server.routes["/cut"] = lambda handler: without_length(whole[: next(ends)])(handler)
    with pytest.raises(RowError) as caught:
        fetcher.fetch(server.url("/cut"))
    assert caught.value.code == Code.FETCH_FAILED


@pytest.mark.parametrize("kind", ["text/html", "application/json"])
def test_a_picture_under_a_wrong_name_is_one(server, fetcher, kind: str):
    heic = b"\0\0\0\x18ftypheic" + bytes(12)  # refused by name later, for good
    for body in (picture("JPEG"), picture("PNG"), picture("WEBP"), heic):
        server.routes["/named"] = http.answer(200, body, Content_Type=kind)
        assert fetcher.fetch(server.url("/named")) == body


@pytest.mark.parametrize(("text", "seconds"), [("3", 3.0), ("1.5", 1.5), ("-1", 0.0), ("soon", 0.0), ("", 0.0)])
def test_a_wait_in_numbers_is_read(text: str, seconds: float):
    assert retry_after_s(text) == seconds


def test_a_wait_until_a_date_is_read():
    later = datetime.now(UTC) + timedelta(seconds=30)
    assert 27 < retry_after_s(format_datetime(later, usegmt=True)) <= 30
    assert retry_after_s(format_datetime(later - timedelta(hours=1), usegmt=True)) == 0.0
    assert 27 < retry_after_s(format_datetime(later, usegmt=True).removesuffix(" GMT")) <= 30
    assert retry_after_s("Thu, 99 Foo 2026 00:00:00 GMT") == 0.0


@pytest.mark.parametrize("decimals", [True, False])
def test_a_server_that_asks_for_patience_gets_it(server, fetcher, decimals: bool):
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    busy = http.answer(429, Retry_After="1.2" if decimals else until)
    server.routes["/busy"] = after(busy, http.answer(200, picture("PNG")))
    start_s = time.monotonic()
    fetcher.fetch(server.url("/busy"))
    assert time.monotonic() - start_s > (1.2 if decimals else 0.5)


def test_headers_of_a_host_are_left_behind_by_a_redirect(server):
    names = [f"{name}.example:{server.port}" for name in "ab"]
    config = SourcesConfig(private_hosts=names, headers={"a.example": {"Authorization": "secret", "Host": "b"}})
    server.routes["/mine"] = http.redirect(server.url("/theirs", host="b.example"))
    server.routes["/theirs"] = http.answer(200, picture("PNG"))
    fetcher = Fetcher(config, resolver=lambda host, port: ["127.0.0.1"])
    fetcher.fetch(server.url("/mine", host="a.example"))
    first, second = (request[1] for request in server.requests[-2:])
    assert (first["Authorization"], first["Host"]) == ("secret", names[0])
    assert second["Authorization"] is None


def test_headers_of_a_host_go_to_it_and_to_no_other(server, monkeypatch):
    monkeypatch.setenv("CDN_AUTH", "Bearer secret")
    host = server.private_host.partition(":")[0]
    config = SourcesConfig(
        private_hosts=[server.private_host],
        user_agent="shop/1",
        headers={host: {"Authorization": "env:CDN_AUTH", "X-Plain": "a"}, "other.example": {"X-Other": "b"}},
    )
    server.routes["/mine"] = http.answer(200, picture("PNG"))
    Fetcher(config).fetch(server.url("/mine"))
    sent = server.requests[-1][1]
    assert (sent["User-Agent"], sent["Authorization"], sent["X-Plain"]) == ("shop/1", "Bearer secret", "a")
    assert "X-Other" not in sent
    monkeypatch.delenv("CDN_AUTH")
    with pytest.raises(RowError, match="CDN_AUTH") as caught:
        Fetcher(config).fetch(server.url("/mine"))
    assert caught.value.code == Code.FETCH_DENIED
