"""The sizes that SDXL's nets are told of: what is resolved, what is refused, what enters keys."""

import json
from dataclasses import replace

import pytest
from planning import Desk, row
from test_keys import pictures

from idgen.columns import TOLD_SIZES
from idgen.errors import Code
from idgen.recipes.recipe import AdapterSpec, Base, Recipe

SDXL = Recipe(
    name="sdxl", base=Base(kind="sdxl"), adapters=[AdapterSpec(name="faceid")], columns=["init_image_uri", *TOLD_SIZES]
)
KOLORS = replace(SDXL, name="kolors", base=Base(kind="kolors"))
UNLISTED = replace(SDXL, columns=["init_image_uri"])
SD15 = replace(UNLISTED, name="sd15", base=Base())
ALL = {recipe.name: recipe for recipe in (SDXL, KOLORS, SD15)}
HASHES = {name: f"{number:032x}" for number, name in enumerate(ALL)}
ORIGINAL = {"original_width_px": 2000, "original_height_px": 3000}
TARGET = {"target_width_px": 640, "target_height_px": 1280}
CROP = {"crop_top_px": 8, "crop_left_px": 16}
WHOLE = ORIGINAL | TARGET | CROP
OWN = {"original_width_px": 512, "original_height_px": 768, "target_width_px": 512, "target_height_px": 768}
"""The recipe's default size."""


def picture(recipe="sdxl", recipes=ALL, **cells):
    (found,) = pictures([row(1, recipe=recipe, **cells)], recipes=recipes, hashes=HASHES)
    return found


def made(recipe="sdxl", **cells):
    found = picture(recipe, **cells)
    assert found["code"] == "", found["detail"]
    return found


def test_a_row_that_tells_no_sizes_has_none_and_the_key_that_it_had_before_the_columns():
    found = made()
    assert all(found[name] is None for name in TOLD_SIZES)
    assert picture(recipes={**ALL, "sdxl": UNLISTED})["key"] == found["key"]


@pytest.mark.parametrize("recipe", ["sdxl", "kolors"])
def test_told_sizes_are_in_the_key_and_may_differ_inside_a_batch(recipe):
    told = [made(recipe, **cells) for cells in ({}, ORIGINAL, TARGET, CROP, WHOLE)]
    assert len({found["key"] for found in told}) == 5
    assert len({found["bucket"] for found in told}) == 1
    assert {name: told[-1][name] for name in TOLD_SIZES} == WHOLE


@pytest.mark.parametrize("column", TOLD_SIZES)
def test_each_of_them_moves_the_key(column):
    assert made(**WHOLE | {column: WHOLE[column] + 1})["key"] != made(**WHOLE)["key"]


def test_sizes_that_the_picture_has_anyway_move_no_key():
    nothing_cut = {"crop_top_px": 0, "crop_left_px": 0}
    for cells in (OWN, nothing_cut, OWN | nothing_cut):
        assert made(**cells)["key"] == made()["key"]
    wide = {"width": 1024, **OWN}
    assert made(**wide)["key"] != made(width=1024)["key"]
    assert made(**ORIGINAL | nothing_cut)["key"] == made(**ORIGINAL)["key"] != made()["key"]
    assert made(**CROP | {"crop_top_px": 0})["key"] != made(**CROP | {"crop_left_px": 0})["key"]


@pytest.mark.parametrize("cells", [ORIGINAL, TARGET, CROP, OWN])
def test_a_base_that_is_told_no_sizes_refuses_its_own_row(cells):
    rows = [row(1, recipe="sd15"), row(2, recipe="sd15", **cells), row(3, recipe="sdxl", **cells)]
    found = pictures(rows, recipes=ALL, hashes=HASHES)
    assert [one["code"] for one in found] == ["", Code.COLUMN_NOT_USED, ""]
    assert found[1]["status"] == "rejected"
    assert found[1]["detail"] == f"{next(iter(cells))}: recipe sd15 cannot use it"


@pytest.mark.parametrize("column", TOLD_SIZES)
def test_half_of_a_size_is_refused_with_what_is_missing(column):
    other = next(set(pair) - {column} for pair in (ORIGINAL, TARGET, CROP) if column in pair).pop()
    found = picture(**{column: 512})
    assert (found["code"], found["detail"]) == (Code.BAD_VALUE, f"{column}: needs {other} as well")


@pytest.mark.parametrize("column", TOLD_SIZES)
@pytest.mark.parametrize("cell", ["0", "-1", "16385", "1e9", "12.5", "nan", "1024x1024", "wide"])
def test_a_size_that_nothing_has_costs_its_own_row(column, cell):
    rows = [row(n, recipe="sdxl", **{name: str(value) for name, value in WHOLE.items()}) for n in (1, 2)]
    rows[1] |= {column: cell}
    found = pictures(rows, recipes=ALL, hashes=HASHES, as_text=True)
    nothing_cut = column in CROP and cell == "0"
    assert [one["code"] for one in found] == ["", "" if nothing_cut else Code.BAD_VALUE]
    assert nothing_cut or found[1]["detail"].startswith(f"{column}: ")


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_they_are_told_in_plan_ledger_results_and_failed_rows(desk: Desk, ending):
    desk.recipes, desk.hashes = ALL, HASHES
    summary = desk.plan([row(1, recipe="sdxl", **WHOLE), row(2, recipe="sd15", **WHOLE), row(3, recipe="sdxl")],
                        ending=ending)  # fmt: skip
    assert (summary.to_make, summary.refused) == (2, {"column_not_used": 1})
    assert "recipe sd15 cannot use it" in desk.text("plan/refused.csv")
    (told,) = (found for found in desk.pictures() if found["row_id"] == "row-1")
    assert {name: told[name] for name in TOLD_SIZES} == WHOLE
    desk.make()
    _, results, failed = desk.results()
    settings = {found["row_id"]: json.loads(found["settings"] or "{}") for found in results}
    assert settings["row-1"].items() >= WHOLE.items()
    assert not settings["row-3"].keys() & set(TOLD_SIZES)
    assert [int(failed[0][name]) for name in TOLD_SIZES] == [WHOLE[name] for name in TOLD_SIZES]
