"""Which provider the face networks are given and get, with the real sessions of this machine's onnxruntime."""

from pathlib import Path

import onnxruntime
import pytest

import idgen.tiny
from idgen.config import FacesConfig
from idgen.errors import Exit, RunError
from idgen.faces import providers
from idgen.faces.analysis import FaceAnalyser

PACK = Path(idgen.tiny.__file__).parent / "facepack"
without_cuda = pytest.mark.skipif(
    providers.CUDA in onnxruntime.get_available_providers(), reason="this onnxruntime has CUDA"
)


def load(device):
    return FaceAnalyser(PACK, 256, 0.5, threads=1, config=FacesConfig(), device=device)


@pytest.fixture
def handed(monkeypatch):
    """What the sessions were really made with."""
    made, plain = [], onnxruntime.InferenceSession.__init__

    def spy(self, *args, **kwargs):
        made.append(kwargs)
        plain(self, *args, **kwargs)

    monkeypatch.setattr(onnxruntime.InferenceSession, "__init__", spy)
    return made


@pytest.fixture
def loads(monkeypatch):
    """How often networks were loaded, whoever asked."""
    made, plain = [], onnxruntime.InferenceSession._create_inference_session

    def spy(self, *args, **kwargs):
        made.append(args)
        plain(self, *args, **kwargs)

    monkeypatch.setattr(onnxruntime.InferenceSession, "_create_inference_session", spy)
    return made


def test_on_the_cpu_the_sessions_are_given_the_cpu_and_loaded_once(handed, loads):
    analyser = load("cpu")
    assert [one["providers"] for one in handed] == [["CPUExecutionProvider"]] * 2
    assert len(loads) == 2
    assert all(model.session.get_providers() == ["CPUExecutionProvider"] for model in analyser._app.models.values())


@without_cuda
def test_without_cuda_in_onnxruntime_a_gpu_is_refused_before_anything_loads(handed):
    with pytest.raises(RunError) as caught:
        load("cuda")
    assert handed == []
    assert caught.value.exit_code == Exit.USAGE
    message = caught.value.message
    assert "\n" not in message
    assert all(words in message for words in ("onnxruntime-gpu", ".[gpu]", "faces.num_gpus=0", onnxruntime.__version__))


@without_cuda
@pytest.mark.filterwarnings("ignore:Specified provider:UserWarning")
def test_a_session_that_fell_back_to_the_cpu_without_a_word_is_refused(handed, monkeypatch):
    """The sessions are real: this onnxruntime takes the list with CUDA in it and runs on the CPU."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [providers.CUDA, providers.CPU])
    with pytest.raises(RunError, match="could not start CUDA") as caught:
        load("cuda")
    assert caught.value.exit_code == Exit.USAGE
    assert "\n" not in caught.value.message
    (name, options), last = handed[0]["providers"]
    assert len(handed) == 2
    assert (name, last) == ("CUDAExecutionProvider", "CPUExecutionProvider")
    assert options["device_id"] == "0"
    assert options["use_tf32"] == "0"


def test_another_device_is_a_bug():
    with pytest.raises(ValueError, match="cuda:1"):
        load("cuda:1")
