import os
import unicodedata

import pytest

from idgen.config import SourcesConfig
from idgen.errors import Code, RowError
from idgen.sources.fetch import Fetcher


@pytest.fixture
def tree(tmp_path):
    """photos/ may be read, secret/ may not."""
    photos = tmp_path / "photos"
    (photos / "deep").mkdir(parents=True)
    (photos / "a.jpg").write_bytes(b"photo")
    (photos / "b c#1.jpg").write_bytes(b"spaced")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_bytes(b"secret")
    (tmp_path / "photos-of-others").mkdir()
    (tmp_path / "photos-of-others" / "a.jpg").write_bytes(b"secret")
    (photos / "link.jpg").symlink_to(photos / "a.jpg")
    (photos / "escape.jpg").symlink_to(tmp_path / "secret" / "key")
    (photos / "door").symlink_to(tmp_path / "secret")
    os.mkfifo(photos / "pipe")
    return tmp_path


@pytest.fixture
def fetcher(tree):
    return Fetcher(SourcesConfig(max_bytes=100), extra_roots=[str(tree / "photos")])


def code_of(call):
    with pytest.raises(RowError) as caught:
        call()
    return caught.value.code


@pytest.mark.parametrize("form", ["{}/photos/a.jpg", "file://{}/photos/a.jpg", "file://localhost{}/photos/a.jpg"])
def test_files_under_a_root_are_read(tree, fetcher, form):
    assert fetcher.fetch(form.format(tree)) == b"photo"


def test_a_file_uri_is_percent_decoded_and_a_path_is_not(tree, fetcher):
    assert fetcher.fetch(f"file://{tree}/photos/b%20c%231.jpg") == b"spaced"
    assert fetcher.fetch(f"{tree}/photos/b c#1.jpg") == b"spaced"


def test_roots_of_the_configuration_count_too(tree):
    assert Fetcher(SourcesConfig(roots=[str(tree / "photos")])).fetch(f"{tree}/photos/a.jpg") == b"photo"


def test_a_link_inside_the_root_is_followed(tree, fetcher):
    assert fetcher.fetch(f"{tree}/photos/link.jpg") == b"photo"


@pytest.mark.parametrize(
    "form",
    [
        "{}/secret/key", "file://{}/secret/key", "{}/photos/../secret/key", "{}/photos/deep/../../secret/key",
        "file://{}/photos/%2e%2e/secret/key", "file://{}/photos/..%2fsecret/key", "{}/photos/escape.jpg",
        "{}/photos/door/key", "{}/photos-of-others/a.jpg", "/etc/passwd", "/proc/self/environ", "/dev/zero",
        "file:///etc/passwd", "file:/etc/passwd", "FILE:///etc/passwd", "file://server/share/a.jpg", "//etc/passwd",
        "~/.ssh/id_rsa", "../secret/key", "{}/photos/a.jpg\0.png", "file://{}/photos/a.jpg?x=1",
        "file://{}/photos/a.jpg#x", "{}/photos/pipe", "file://[::1/a",
    ],
)  # fmt: skip
def test_nothing_outside_the_roots_is_read(tree, fetcher, form):
    code = code_of(lambda: fetcher.fetch(form.format(tree)))
    assert code == Code.URI_FORBIDDEN


def test_a_link_that_is_swapped_in_after_the_check_is_not_followed(tree, fetcher, monkeypatch):
    real = os.path.realpath

    def swap(path, **kwargs):
        answer = real(path, **kwargs)
        if answer.endswith("photos/a.jpg"):
            os.replace(tree / "photos" / "escape.jpg", tree / "photos" / "a.jpg")
        return answer

    monkeypatch.setattr(os.path, "realpath", swap)
    assert code_of(lambda: fetcher.fetch(f"{tree}/photos/a.jpg")) == Code.FETCH_DENIED


def test_a_folder_that_becomes_a_link_after_the_check_is_not_read(tree, fetcher, monkeypatch):
    (tree / "photos" / "deep" / "key").write_bytes(b"photo")
    opened = os.open

    def swap(path, *args, **kwargs):
        if str(path).endswith("deep/key"):
            (tree / "photos" / "deep").rename(tree / "photos" / "moved")
            (tree / "photos" / "deep").symlink_to(tree / "secret")
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", swap)
    assert code_of(lambda: fetcher.fetch(f"{tree}/photos/deep/key")) == Code.URI_FORBIDDEN


def test_a_file_that_is_deleted_while_it_is_read_is_read(tree, fetcher, monkeypatch):
    readlink = os.readlink

    def delete(path, **kwargs):
        (tree / "photos" / "a.jpg").unlink(missing_ok=True)
        return readlink(path, **kwargs)

    plain = fetcher.fetch(f"{tree}/photos/a.jpg")
    monkeypatch.setattr(os, "readlink", delete)
    assert fetcher.fetch(f"{tree}/photos/a.jpg") == plain


def test_without_roots_no_file_is_read(tree):
    assert code_of(lambda: Fetcher(SourcesConfig()).fetch(f"{tree}/photos/a.jpg")) == Code.URI_FORBIDDEN


@pytest.mark.parametrize("name", ["none.jpg", "deep", "a.jpg/b.jpg", "x" * 300, "deep/none/a.jpg"])
def test_a_missing_file_is_missing(tree, fetcher, name):
    assert code_of(lambda: fetcher.fetch(f"{tree}/photos/{name}")) == Code.REFERENCE_MISSING


def test_a_large_file_is_refused(tree, fetcher):
    (tree / "photos" / "large.jpg").write_bytes(b"x" * 101)
    assert code_of(lambda: fetcher.fetch(f"{tree}/photos/large.jpg")) == Code.TOO_MANY_BYTES


def test_a_name_cannot_write_a_log_line_of_its_own(tree, fetcher):
    with pytest.raises(RowError) as caught:
        fetcher.fetch(f"{tree}/photos/a\nERROR forged\x1b[2J.jpg")
    assert "\n" not in caught.value.detail
    assert "\x1b" not in caught.value.detail


@pytest.mark.parametrize(("stored", "asked"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_name_in_the_other_normal_form_is_found(tree, fetcher, stored, asked):
    name = "Zoé Müller.jpg"
    (tree / "photos" / unicodedata.normalize(stored, name)).write_bytes(b"photo")
    assert fetcher.fetch(f"{tree}/photos/{unicodedata.normalize(asked, name)}") == b"photo"
    with pytest.raises(RowError) as caught:
        fetcher.fetch(f"{tree}/photos/é.jpg")
    assert caught.value.code == Code.REFERENCE_MISSING
