"""`idgen report`: the gallery again, packed, with a link, or served; on a folder and on S3."""

import re
import signal
import subprocess
import sys
import urllib.request
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from doubles.catalogue import PHOTOS
from report.make_run import RUN, SUMMARY, put_pictures, row, write_run

from idgen.cli import run_job
from idgen.driver.report import how_to_open
from idgen.errors import Exit
from idgen.report.thumbnails import photo_name
from idgen.stores.local import LocalStore


@pytest.fixture
def catalogue(store):
    rows = [row(n) for n in range(5)]
    write_run(store, rows, SUMMARY)
    put_pictures(store, rows)
    return store


def test_the_newest_run_s_gallery_is_made_and_packed(catalogue, capsys):
    assert run_job("report", [f"output={catalogue.root}", "report.zip=true", "report.references=false"]) == Exit.OK
    said = capsys.readouterr().out
    assert f"gallery: {catalogue.uri(f'runs/{RUN}/report/index.html')}" in said
    assert f"packed: {catalogue.uri(f'runs/{RUN}/report/report.zip')}" in said
    assert zipfile.ZipFile(BytesIO(catalogue.get(f"runs/{RUN}/report/report.zip"))).testzip() is None


def test_photos_beside_the_manifest_are_shown_wherever_the_job_is_called_from(tmp_path, monkeypatch, caplog):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "ada.png").write_bytes((PHOTOS / "ada.png").read_bytes())
    (tmp_path / "shop" / "mine.csv").write_text("reference_uri\nada.png\n")
    photo = str(tmp_path / "shop" / "ada.png")
    write_run(tmp_path / "out", [row(0, reference_uris=[photo], image_path="")], SUMMARY)
    for folder, manifest in ((tmp_path / "shop", "mine.csv"), (tmp_path, "shop/mine.csv"), (tmp_path, "shop")):
        monkeypatch.chdir(folder)
        assert run_job("report", [f"output={tmp_path / 'out'}", f"manifest={manifest}"]) == Exit.OK
        page = tmp_path / "out" / "runs" / RUN / "report"
        assert [path.name for path in (page / "refs").iterdir()] == [photo_name(photo).removeprefix("refs/")]
        (page / photo_name(photo)).unlink()
    assert "thumbnails could not be made" not in caplog.text


def test_a_link_to_the_packed_gallery_opens_without_credentials(catalogue, capsys):
    words = [f"output={catalogue.root}", "report.presign_s=86400", "report.references=false"]
    if isinstance(catalogue, LocalStore):
        assert run_job("report", words) == Exit.USAGE
        return
    assert run_job("report", words) == Exit.OK
    said = capsys.readouterr().out
    assert "for 24 h" in said
    link = re.search(r"^https?://\S+$", said, re.MULTILINE)[0]
    assert "X-Amz-Expires=86400" in link
    with urllib.request.urlopen(link, timeout=20) as answer:
        assert zipfile.ZipFile(BytesIO(answer.read())).testzip() is None


@pytest.mark.parametrize("word", ["report.serve=70000", "report.serve=-1", "report.presign_s=604801"])
def test_numbers_that_cannot_be_are_refused(tmp_path, word):
    write_run(tmp_path, [row(0)])
    assert run_job("report", [f"output={tmp_path}", word]) == Exit.USAGE


def test_only_a_catalogue_on_s3_needs_words_how_to_open_it(catalogue):
    command = how_to_open(catalogue)
    assert (command == "") == isinstance(catalogue, LocalStore)
    assert not command or command == f"idgen report output={catalogue.root} report.serve=8765"


def test_a_served_catalogue_is_there_until_ctrl_c(tmp_path):
    write_run(tmp_path, [row(0)])
    port = 20_000 + hash(str(tmp_path)) % 20_000
    command = [sys.executable, "jobs/report.py", f"output={tmp_path}", f"report.serve={port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as job:
        try:
            lines = iter(job.stdout.readline, "")
            link = next(line.split()[1] for line in lines if line.startswith("open "))
            with urllib.request.urlopen(link, timeout=20) as answer:
                assert answer.status == 200
        finally:
            job.send_signal(signal.SIGINT)
        assert job.wait(timeout=20) == Exit.OK
