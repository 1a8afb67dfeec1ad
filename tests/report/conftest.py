"""What the browser tests of a gallery share: one Chromium per file, with a folder for what it downloads."""

import pytest
from doubles.browser import chromium


@pytest.fixture(scope="module")
def downloads(tmp_path_factory):
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def driver(tmp_path_factory, downloads):
    with chromium(tmp_path_factory.mktemp("profile"), downloads) as made:
        yield made
