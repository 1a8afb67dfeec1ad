"""Networks that checks measure with: a run refuses a missing one before Ray starts; `weights check` knows them."""

import pytest
from doubles.catalogue import ROOT, InProcess, rows
from doubles.drawn_judge import write_judge, write_safety_model

from idgen.driver.weights import weights_main


@pytest.mark.parametrize("job", ["plan", "generate"])
@pytest.mark.parametrize("setting", ["checks.likeness.judge", "checks.safety.weights"])
def test_a_network_that_is_not_there_is_refused_before_anything_starts(tmp_path, job, setting):
    shop = InProcess(tmp_path)
    shop.write(rows(1))
    said = shop.run(f"{setting}={tmp_path}/nowhere", job=job, expect=2)
    assert f"{setting}: {tmp_path}/nowhere is not on" in said
    assert not (tmp_path / "out").exists()


def test_a_run_with_both_is_planned_as_one_without(tmp_path):
    judge, safety = write_judge(tmp_path / "judge"), write_safety_model(tmp_path / "nsfw.onnx")
    shop = InProcess(tmp_path)
    shop.write(rows(2))
    plain = shop.run("run.id=a", job="plan")
    both = shop.run("run.id=b", f"checks.likeness.judge={judge}", f"checks.safety.weights={safety}", job="plan")
    assert both.replace("runs/b", "runs/a").replace("run b", "run a") == plain


def test_weights_check_names_them_and_what_is_wrong(tmp_path, capsys):
    judge, safety = write_judge(tmp_path / "judge"), write_safety_model(tmp_path / "nsfw.onnx")
    words = ["check", str(ROOT / "configs" / "tiny.yaml"), "recipe=faceid-sd15"]
    assert weights_main("", [*words, f"checks.likeness.judge={judge}", f"checks.safety.weights={safety}"]) == 0
    said = capsys.readouterr().out
    assert "checks.likeness.judge" in said
    assert "recogniser judge.onnx, 128 numbers per face" in said
    assert "safety model nsfw.onnx" in said
    assert weights_main("", [*words, f"checks.likeness.judge={safety}"]) == 2
    assert "wrong    checks.likeness.judge: " in capsys.readouterr().out
    assert weights_main("", [*words, "checks.likeness.judge=tiny:facepack"]) == 0
    assert "recogniser rec_drawn.onnx, 512 numbers per face" in capsys.readouterr().out
