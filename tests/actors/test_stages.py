"""The driver names its actors without importing what they are made of."""

import gc
import subprocess
import sys
import types

import pytest

from idgen.actors import stages


@pytest.fixture(autouse=True)
def _nothing_of_other_tests_stays_frozen():
    yield
    gc.unfreeze()
    gc.collect()
    gc.freeze()


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


def test_what_an_actor_imports_is_looked_at_by_no_collection_and_what_it_makes_is(monkeypatch):
    seen = []

    class Module(types.ModuleType):
        @property
        def SamplerActor(self):  # noqa: N802  # what `from … import` asks for
            seen.append((gc.isenabled(), gc.get_freeze_count()))
            return lambda *_: seen.append((gc.isenabled(), gc.get_freeze_count()))

    monkeypatch.setitem(sys.modules, "idgen.actors.sampler", Module("idgen.actors.sampler"))
    gc.unfreeze()
    stages.Sampling(run=None, settings=None, monitor=None)
    (importing, frozen_then), (making, frozen) = seen
    assert not importing
    assert frozen_then == 0
    assert making
    assert frozen > 100_000


def test_an_import_that_fails_leaves_the_collector_on(monkeypatch):
    monkeypatch.setitem(sys.modules, "idgen.actors.sampler", None)
    with pytest.raises(ImportError):
        stages.Sampling(run=None, settings=None, monitor=None)
    assert gc.isenabled()
