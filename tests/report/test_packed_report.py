"""`report.zip`: the gallery in one file, which opens wherever it is unpacked."""

import io
import json
import re
import zipfile

import pytest
from make_run import RUN, SUMMARY, Portraits, put_pictures, row, write_run

from idgen.config import ReportConfig
from idgen.report import page_data
from idgen.report.gallery import read_gallery
from idgen.report.packed import write_zip


def packed(store, images=False):
    gallery = read_gallery(store, RUN, ReportConfig(), references=Portraits())
    return zipfile.ZipFile(io.BytesIO(store.get(write_zip(store, gallery, images=images))))


@pytest.fixture
def rows(store):
    rows = [row(n) for n in range(20)]
    rows[3]["previous_image_path"] = rows[4]["image_path"]
    write_run(store, rows, SUMMARY)
    put_pictures(store, rows)
    return rows


def data_of(archive):
    page = archive.read(f"{RUN}/index.html").decode()
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])


def test_page_thumbnails_and_photos_are_in_the_archive_and_the_page_looks_for_them_there(store, rows):
    archive = packed(store)
    names = set(archive.namelist())
    assert archive.testzip() is None
    keys = [one["key"] for one in rows if one["image_path"]]
    assert {f"{RUN}/thumbs/{key[:2]}/{key}.webp" for key in keys} <= names
    assert sum(name.startswith(f"{RUN}/refs/") for name in names) == 13
    assert not any("/images/" in name for name in names)
    assert (data_of(archive)["to_output"], data_of(archive)["full_images"]) == ("", False)


def test_thumbnails_of_what_stood_there_before_are_in_the_archive(tmp_path):
    """Compare shows them, and the archive has no full pictures; a catalogue from before thumbs/ gets them made."""
    before = row(2)
    now = row(1, previous_key=before["key"], previous_image_path=before["image_path"])
    store = write_run(tmp_path, [now])
    put_pictures(store, [now, before])
    assert f"{RUN}/thumbs/{before['key'][:2]}/{before['key']}.webp" in packed(store).namelist()


def test_with_the_pictures_when_asked_for(store, rows):
    archive = packed(store, images=True)
    for one in rows:
        if one["image_path"]:
            assert archive.read(f"{RUN}/{one['image_path']}") == store.get(one["image_path"])
    assert data_of(archive)["full_images"] is True


def test_of_a_large_run_the_files_beside_the_page_are_there_too(tmp_path, monkeypatch):
    monkeypatch.setattr(page_data, "WHOLE_RUN_ROWS", 10)
    names = packed(write_run(tmp_path, [row(n) for n in range(70)])).namelist()
    assert {f"{RUN}/details/0000.js", f"{RUN}/details/0001.js", f"{RUN}/columns/prompt.js"} <= set(names)
