"""The cost of checks on a picture of 1024 px: the bar that keeps them beside the sampling."""

import dataclasses
import sys

from doubles.catalogue import PHOTOS
from doubles.drawn_judge import write_judge, write_safety_model
from doubles.tiny_recipe import TINY

from idgen.benchmark.checks_cost import measure_checks
from idgen.checks.config import ChecksConfig, LikenessConfig, SafetyConfig
from idgen.checks.table import FINDING_COLUMNS

BAR_MS = 60.0


def test_all_checks_together_stay_below_the_bar_besides_the_networks(tmp_path):
    recipe = dataclasses.replace(TINY, face_pack=dataclasses.replace(TINY.face_pack, det_size_px=320))
    checks = ChecksConfig(
        likeness=LikenessConfig(judge=str(write_judge(tmp_path / "judge"))),
        safety=SafetyConfig(weights=str(write_safety_model(tmp_path / "nsfw.onnx"))),
    )
    cost = measure_checks(PHOTOS / "ada.png", recipe, checks)
    sys.stdout.write("\n".join(cost.lines()))
    assert set(cost.by_check) == {column.name for column in FINDING_COLUMNS}
    assert cost.checks_ms < BAR_MS
    assert all(ms > 0 for ms in (cost.faces_ms, cost.judge_ms, cost.safety_ms) if ms is not None)
    assert None not in (cost.faces_ms, cost.judge_ms, cost.safety_ms)


def test_a_recipe_without_faces_has_no_analysis_to_pay_for():
    cost = measure_checks(PHOTOS / "ada.png", dataclasses.replace(TINY, adapters=[]), ChecksConfig())
    assert cost.faces_ms is cost.judge_ms is cost.safety_ms is None
