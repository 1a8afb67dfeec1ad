"""Photos decoded in processes of their own: one that hangs or kills its decoder costs itself."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from doubles.catalogue import PHOTOS
from doubles.slow_photos import scans_photo

from idgen.config import SourcesConfig
from idgen.errors import Code, RowError
from idgen.sources.decoding_processes import DecodingProcesses
from idgen.sources.images import decode

GOOD = (PHOTOS / "ada.png").read_bytes()


def children():
    """Processes of this one's that decode."""
    with open(f"/proc/self/task/{threading.get_native_id()}/children", encoding="ascii") as file:
        return {int(pid) for pid in file.read().split()}


@pytest.fixture(scope="module")
def processes():
    with DecodingProcesses(SourcesConfig(), 64, count=2, deadline_s=3.0) as made:
        yield made


def test_photos_come_back_reduced_from_several_threads(processes):
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: processes.decode(GOOD, "white"), range(8)))
    assert {max(pixels.shape[:2]) for pixels in found} == {64}
    assert all(np.array_equal(pixels, found[0]) for pixels in found)
    whole = decode(GOOD, SourcesConfig()).rgb
    assert abs(float(whole.mean()) - float(found[0].mean())) < 2


def test_a_damaged_file_has_its_own_code(processes):
    with pytest.raises(RowError) as error:
        processes.decode(b"GIF89a", "white")
    assert error.value.code == Code.IMAGE_FORMAT


def test_a_photo_that_takes_too_long_is_left_and_the_next_one_is_decoded():
    slow = scans_photo(6000)
    with DecodingProcesses(SourcesConfig(), 64, count=1, deadline_s=2.0) as one:
        one.decode(GOOD, "white")
        began_s = time.monotonic()
        with pytest.raises(RowError, match="not decoded in 2 s") as error:
            one.decode(slow, "white")
        assert time.monotonic() - began_s < 10
        assert error.value.code == Code.IMAGE_CORRUPT
        assert one.decode(GOOD, "white").shape[2] == 3


def test_a_process_that_dies_costs_its_photo_alone_and_none_is_left_at_the_end():
    before = children()
    with DecodingProcesses(SourcesConfig(), 64, count=1) as one:
        one.decode(GOOD, "white")
        (pid,) = children() - before
        timer = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
        timer.start()
        with pytest.raises(RowError):
            one.decode(scans_photo(6000), "white")
        assert one.decode(GOOD, "white").shape[2] == 3
    assert children() == before
