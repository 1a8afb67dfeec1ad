"""What the plan knows of addresses: exactly what the fetch would say without asking anybody."""

from pathlib import Path

import pytest

from idgen.config import SourcesConfig
from idgen.errors import Code, RowError
from idgen.sources.fetch import Fetcher
from idgen.sources.precheck import Precheck


def nobody(host: str, port: int) -> list[str]:
    raise AssertionError("a name was looked up")


@pytest.fixture
def foresight(tmp_path: Path) -> Precheck:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"photo")
    (tmp_path / "photos" / "door.jpg").symlink_to("/etc/passwd")
    config = SourcesConfig(schemes=["file", "s3", "https"], hosts=["*.example.com", "93.184.216.34"], buckets=["shop"])
    return Precheck(Fetcher(config, extra_roots=[str(tmp_path / "photos")], resolver=nobody))


@pytest.mark.parametrize(
    "uri",
    [
        "gs://shop/a.jpg", "http://cdn.example.com/a.jpg", "https://elsewhere.com/a.jpg", "https://10.0.0.1/a.jpg",
        "https://[::1]/a.jpg", "s3://other/a.jpg", "s3://shop", "/etc/passwd", "file:///etc/passwd", "{}/../a.jpg",
        "{}/door.jpg", "file://other/a.jpg",
    ],
)  # fmt: skip
def test_what_may_not_be_fetched_is_forbidden(foresight: Precheck, tmp_path: Path, uri: str):
    with pytest.raises(RowError) as caught:
        foresight.is_missing(uri.format(tmp_path / "photos"))
    assert caught.value.code == Code.URI_FORBIDDEN


@pytest.mark.parametrize(
    "uri",
    ["{}/a.jpg", "file://{}/a.jpg", "s3://shop/a.jpg", "https://cdn.example.com/a.jpg", "https://93.184.216.34/a"],
)
def test_what_may_be_fetched_is_not(foresight: Precheck, tmp_path: Path, uri: str):
    assert not foresight.is_missing(uri.format(tmp_path / "photos"))


def test_local_files_that_are_not_here_are_missed_and_no_others(foresight: Precheck, tmp_path: Path):
    assert foresight.is_missing(f"{tmp_path}/photos/b.jpg")
    assert not foresight.is_missing("s3://shop/b.jpg")


@pytest.mark.parametrize(("stored", "asked"), [("e\u0301", "\u00e9"), ("\u00e9", "e\u0301")])
def test_a_file_named_in_the_other_normal_form_is_here(foresight: Precheck, tmp_path: Path, stored: str, asked: str):
    (tmp_path / "photos" / f"{stored}.jpg").write_bytes(b"photo")
    assert not foresight.is_missing(f"{tmp_path}/photos/{asked}.jpg")
