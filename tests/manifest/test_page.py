from pathlib import Path

import pytest
from planning import Desk

from idgen.manifest.columns import COLUMNS
from idgen.manifest.page import schema_table, with_table

PAGE = Path(__file__).parents[2] / "manifests" / "README.md"


def test_the_schema_page_is_what_the_code_says():
    """After a change: python -m idgen.manifest.page manifests/README.md."""
    page = PAGE.read_text(encoding="utf-8")
    assert with_table(page) == page
    assert all(f"| `{column.name}` |" in schema_table() for column in COLUMNS)


def test_a_page_without_marks_is_not_written():
    with pytest.raises(ValueError, match="marks"):
        with_table("# Manifests")


def test_the_pages_example_can_be_planned(desk: Desk):
    page = PAGE.read_text(encoding="utf-8")
    path = desk.folder / "example.csv"
    path.write_text(page.split("```csv\n")[1].split("```")[0])
    assert desk.plan(str(path)).to_make == 3
    assert {picture["sku"] for picture in desk.pictures()} == {"0123", "0124"}
