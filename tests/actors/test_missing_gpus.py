"""Actors that claim a GPU where there is none: a line that says what to do, not an assertion of some library."""

import onnxruntime
import pytest
import torch
from doubles.actors import RECIPE, Line, picture

from idgen import weights
from idgen.actors.face_packs import FacePacks
from idgen.actors.facts import RunFacts, device_of
from idgen.actors.monitor import MonitorState
from idgen.config import FacesConfig, SamplingConfig
from idgen.errors import Exit, RunError


@pytest.fixture(scope="module")
def identities():
    return {"tiny": weights.identity(RECIPE, cache=None)}


def test_an_actor_computes_on_the_gpu_it_asks_ray_for():
    assert [device_of("auto", gpus) for gpus in (0, 0.5, 1)] == ["cpu", "cuda", "cuda"]
    assert [device_of(asked, 1) for asked in ("cpu", "cuda")] == ["cpu", "cuda"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch sees a GPU here")
@pytest.mark.parametrize("sampling", [SamplingConfig(num_gpus=1), SamplingConfig(num_gpus=0.5)])
def test_a_sampling_actor_without_its_gpu_ends_the_run_and_no_row(tmp_path, identities, sampling):
    line = Line(tmp_path, identities, sampling)
    with pytest.raises(RunError, match="sees no GPU for device cuda; CUDA_VISIBLE_DEVICES is") as caught:
        line.run([picture(1)])
    assert caught.value.exit_code == Exit.USAGE
    assert not list(line.store.list("ledger"))
    assert line.monitor.progress().faults == ()


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="onnxruntime has CUDA")
def test_face_packs_hand_the_device_on(tmp_path, identities):
    run = RunFacts(
        output=str(tmp_path), run_id="r", recipes={"tiny": RECIPE}, identities=identities, signature_parameters=[]
    )
    monitor = MonitorState(0)
    with pytest.raises(RunError, match=r"faces\.num_gpus=0"):
        FacePacks(run, FacesConfig(), 1, monitor, device="cuda").get(RECIPE.face_pack)
    FacePacks(run, FacesConfig(), 1, monitor).get(RECIPE.face_pack)
    assert monitor.progress().faults == ()
