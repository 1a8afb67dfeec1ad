"""The driver names its actors without importing what they are made of."""

import subprocess
import sys

import pytest

from idgen.actors import stages


def test_the_driver_imports_no_model_library():
    heavy = {"torch", "diffusers", "transformers", "insightface", "onnxruntime", "cv2", "scipy"}
    code = f"import sys, idgen.driver.line; print(sorted({heavy} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"


def test_a_sampling_process_imports_no_face_library():
    code = "import sys, idgen.actors.sampler; print(sorted({'insightface', 'onnxruntime', 'cv2'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("stage", "actor"),
    [
        (stages.Faces, "idgen.actors.faces.FaceActor"),
        (stages.Sampling, "idgen.actors.sampler.SamplerActor"),
        (stages.Texts, "idgen.actors.texts.TextActor"),
    ],
)
def test_a_stage_is_its_actor(monkeypatch, stage, actor):
    class Actor:
        def __init__(self, *told):
            self.told = told

        def __call__(self, table):
            return self.told, table

    monkeypatch.setattr(actor, Actor)
    made = stage(run="run", settings="settings", monitor="monitor")
    assert made("table") == (("run", "settings", "monitor"), "table")
