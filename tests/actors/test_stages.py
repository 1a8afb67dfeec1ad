"""The driver names its actors without importing what they are made of."""

import gc
import os
import subprocess
import sys
import types

import pyarrow as pa
import pytest

from idgen.actors import stages
from idgen.actors.packing import pack
from idgen.errors import Exit, MachineError, RunError


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


TABLE = pa.table({"shard": ["s0", "s0"], "key": ["a", "b"]})


@pytest.mark.parametrize(
    ("stage", "actor", "given", "got", "back"),
    [
        (stages.Faces, "idgen.actors.faces.FaceActor", TABLE, TABLE, pack(TABLE)),
        (stages.Sampling, "idgen.actors.sampler.SamplerActor", pack(TABLE), TABLE, TABLE),
        (stages.Texts, "idgen.actors.text_encoding.TextActor", TABLE, TABLE, TABLE),
    ],
)
def test_a_stage_is_its_actor_and_a_shard_travels_between_two_as_one_row(monkeypatch, stage, actor, given, got, back):
    calls = []

    class Actor:
        def __init__(self, *told):
            calls.append(told)

        def __call__(self, table):
            calls.append(table)
            return table

    monkeypatch.setattr(actor, Actor)
    assert stage(run="run", settings="settings", monitor="monitor")(given).equals(back)
    assert calls[0] == ("run", "settings", "monitor")
    assert calls[1].equals(got)


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


STAGES = [(stages.Faces, "faces"), (stages.Sampling, "sampler"), (stages.Texts, "text_encoding")]


@pytest.mark.parametrize(("stage", "module"), STAGES)
def test_a_library_that_a_node_lacks_is_named_with_the_node_when_the_first_shard_comes(monkeypatch, stage, module):
    """In a constructor it would end as a lost actor, in Ray's own words."""
    monkeypatch.setitem(sys.modules, f"idgen.actors.{module}", None)
    made = stage(run=None, settings=None, monitor=None)
    assert gc.isenabled()
    with pytest.raises(MachineError, match=f"{os.uname().nodename} lacks idgen.actors.{module}: install") as error:
        made(pack(TABLE))
    assert error.value.exit_code == Exit.USAGE


def test_a_library_that_is_loaded_late_or_not_to_be_loaded_is_told_as_well(monkeypatch):
    def needs_a_driver(*_):
        raise ImportError("libcudart.so.12: cannot open\nshared object file", name="onnxruntime")

    monkeypatch.setattr("idgen.actors.text_encoding.TextActor", lambda *_: needs_a_driver)
    with pytest.raises(MachineError, match=r"lacks libcudart.so.12: cannot open shared object file: install"):
        stages.Texts(run=None, settings=None, monitor=None)(TABLE)


def test_what_an_actor_raises_else_comes_out_as_it_is(monkeypatch):
    def wrong(*_):
        raise RunError(Exit.UNAVAILABLE, "other weights")

    for actor in (wrong, lambda *_: wrong):
        monkeypatch.setattr("idgen.actors.text_encoding.TextActor", actor)
        with pytest.raises(RunError, match=r"^other weights$"):
            stages.Texts(run=None, settings=None, monitor=None)(TABLE)
