"""`report.serve`: the catalogue in the browser of this machine, read-only, and nothing else of the machine."""

import http.client
import io
import socket
import threading
import zipfile
from contextlib import contextmanager

import pytest
from doubles.browser import chromium
from make_run import RUN, SUMMARY, Portraits, picture, put_pictures, row, write_run
from selenium.webdriver.support.ui import WebDriverWait

from idgen.config import ReportConfig
from idgen.report import page_data
from idgen.report.gallery import read_gallery, write_report
from idgen.report.packed import write_zip
from idgen.report.serving import CatalogueServer, is_shown

HOME = f"runs/{RUN}/report/index.html"


@contextmanager
def served(store):
    with CatalogueServer(store, HOME) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def ask(server, path, method="GET", **headers):
    """Ask as somebody who has the link."""
    return ask_plainly(server, f"/{server.token}{path}", method, **headers)


def ask_plainly(server, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


@pytest.fixture
def server(store):
    rows = [row(n) for n in range(3)]
    write_run(store, rows, SUMMARY)
    put_pictures(store, rows)
    write_report(store, RUN, ReportConfig())
    store.put("lease.json", b"{}")
    store.put(f"runs/{RUN}/plan/refused.csv", b"secret")
    with served(store) as made:
        made.rows = rows
        yield made


def test_page_thumbnails_and_pictures_come_with_their_types(server):
    status, headers, body = ask(server, f"/{HOME}")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"<!doctype html>" in body
    image = server.rows[0]["image_path"]
    status, headers, body = ask(server, f"/{image}?x#y")
    assert (status, headers["Content-Type"], body) == (200, "image/png", picture(0))
    thumb = image.replace("images/", "thumbs/").replace(".png", ".webp")
    assert ask(server, f"/{thumb}")[1]["Content-Type"] == "image/webp"
    assert ask(server, f"/runs/{RUN}/results.parquet")[2][:4] == b"PAR1"
    assert {headers["X-Content-Type-Options"] for headers in (ask(server, f"/{p}")[1] for p in (HOME, "no"))} == {
        "nosniff"
    }


def test_the_top_leads_to_the_gallery_and_a_head_has_no_body(server):
    status, headers, _ = ask(server, "/")
    assert (status, headers["Location"]) == (302, f"/{server.token}/{HOME}")
    status, headers, body = ask(server, f"/{HOME}", method="HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 10_000


@pytest.mark.parametrize(
    "path",
    [
        "/lease.json",
        f"/runs/{RUN}/plan/refused.csv",
        f"/runs/{RUN}/config.yaml",
        "/ledger/parts/x.parquet",
        "/reviews/decisions/x.parquet",
        "/images/../lease.json",
        "/images/%2e%2e/lease.json",
        "/images/..%2f..%2f..%2f..%2fetc/passwd",
        "//etc/passwd",
        "/images//etc/passwd",
        "/images/%00",
        "/images",
        "/images/",
        "/images/ab/missing.png",
        f"/runs/../runs/{RUN}/report/index.html",
    ],
)
def test_what_a_gallery_does_not_show_is_not_given_out(server, path):
    status, _, body = ask(server, path)
    assert (status, body) == (404, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_changed(server, method):
    assert ask(server, f"/{server.rows[0]['image_path']}", method=method)[0] == 501


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1:80.evil.example", ""])
def test_a_page_that_calls_this_machine_by_another_name_is_refused_and_told(server, host):
    assert ask(server, f"/{HOME}", Host=host)[::2] == (403, b"open it as 127.0.0.1 or localhost")


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1:80", "127.0.0.1"])
def test_a_forwarded_port_works(server, host):
    assert ask(server, f"/{HOME}", Host=host)[0] == 200


@pytest.mark.parametrize("start", ["", "/", "/x/", "/Ä/", "/{token}x/"])
def test_who_has_not_the_link_gets_nothing_and_is_told(server, start):
    path = start.format(token=server.token).replace("Ä", "%C3%84") + (f"/{HOME}" if not start else HOME)
    assert ask_plainly(server, path)[::2] == (404, b"open the link that idgen report printed")
    assert server.token in server.link
    with served(server.store) as another:
        assert another.token != server.token


def test_an_address_that_is_none_is_answered(server):
    with socket.create_connection(server.server_address, timeout=20) as line:
        line.sendall(b"GET http://[/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 400 ")
    assert ask(server, f"/{HOME}")[0] == 200


def test_it_listens_on_this_machine_only(server):
    assert server.server_address[0] == "127.0.0.1"


def test_links_to_what_a_gallery_does_not_show_are_not_followed_inside_the_folder(tmp_path):
    store = write_run(tmp_path, [row(0)])
    put_pictures(store, [row(0)])
    store.put(f"runs/{RUN}/plan/refused.csv", b"secret")
    _, shard, name = row(0)["image_path"].split("/")
    (tmp_path / "images" / "plan").symlink_to(tmp_path / "runs" / RUN / "plan")
    (tmp_path / "images" / "again").symlink_to(tmp_path / "images" / shard)
    with served(store) as server:
        assert ask(server, "/images/plan/refused.csv")[::2] == (404, b"")
        assert ask(server, f"/images/again/{name}")[0] == 200


def test_links_that_lead_out_of_the_folder_are_not_followed(tmp_path):
    store = write_run(tmp_path / "out", [row(0)])
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "out" / "images").mkdir()
    (tmp_path / "out" / "images" / "link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "out" / "images" / "up").symlink_to(tmp_path)
    with served(store) as server:
        for path in ("images/link.png", "images/up/secret.png"):
            assert is_shown(path)
            assert ask(server, f"/{path}")[::2] == (404, b"")


@pytest.mark.browser
@pytest.mark.parametrize("way", ["served", "unpacked"])
def test_a_large_gallery_works_in_a_browser_served_and_unpacked(store, tmp_path, monkeypatch, way):
    monkeypatch.setattr(page_data, "WHOLE_RUN_ROWS", 50)
    rows = [row(n) for n in range(130)]
    write_run(store, rows, SUMMARY)
    put_pictures(store, rows)
    with chromium(tmp_path / "profile", tmp_path / "downloads") as driver, served(store) as server:
        if way == "served":
            write_report(store, RUN, ReportConfig(), references=Portraits())
            driver.get(server.link)
        else:
            path = write_zip(store, read_gallery(store, RUN, ReportConfig(), references=Portraits()))
            zipfile.ZipFile(io.BytesIO(store.get(path))).extractall(tmp_path / "here")
            driver.get(f"file://{tmp_path}/here/{RUN}/index.html")
        loaded = "return [...document.querySelectorAll('.card .result')].filter(i => i.naturalWidth > 0).length"
        prompts = "return [...document.querySelectorAll('.card .prompt')].filter(p => p.textContent).length"
        wait = WebDriverWait(driver, 20, poll_frequency=0.05)
        wait.until(lambda _: driver.execute_script(loaded) >= 4 and driver.execute_script(prompts) == 48)
        assert driver.get_log("browser") == []
