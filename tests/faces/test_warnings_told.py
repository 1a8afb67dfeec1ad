"""Every warning about a photo has a code that jobs/README.md explains, and keeps it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = re.compile(r'f?"([a-z]+(?:_[a-z]+)*): ')
NO_WARNINGS = {"cut", "fit", "reference_mask_uri"}
"""Words before a colon in other texts of these rooms, and a column whose error takes two lines."""


def said():
    """The codes that texts in the rooms of photos and faces begin with."""
    for room in ("faces", "sources"):
        for path in sorted((ROOT / "idgen" / room).glob("*.py")):
            for line in path.read_text().splitlines():
                if "Error(" not in line and "logger" not in line:
                    yield from CODE.findall(line)


def told():
    table = (ROOT / "jobs" / "README.md").read_text().partition("## Warnings on pictures")[2].partition("\n## ")[0]
    return {code for line in table.splitlines() if line.startswith("| `") for code in re.findall("`([a-z_]+)`", line)}


def test_every_code_of_a_warning_is_on_the_page_of_the_jobs():
    codes = set(said())
    assert {"small_photo", "face_cut", "photo_turned", "references_differ", "face_far", "face_fills_frame"} <= codes
    assert codes - NO_WARNINGS <= told()
