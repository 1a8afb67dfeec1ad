"""jobs/weights.py as people call it: a process of its own, against a real server on this machine."""

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
import yaml
from doubles.model_hub import COMMIT, ModelHub
from safetensors.torch import load_file

from idgen.driver.weights import weights_main
from idgen.errors import Exit
from idgen.tiny import world

ROOT = Path(__file__).parents[2]
ADAPTER = "some/adapters"
BASE = "some/base"


def folder_of(name):
    """A folder of the tiny world as a hub lists it."""
    folder = world.locate(name)
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def pack():
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as file:
        for path in world.locate("facepack").glob("*.onnx"):
            file.write(path, f"drawn/{path.name}")
    return body.getvalue()


@pytest.fixture
def hub():
    with ModelHub() as server:
        clutter = {"README.md": b"#", "unet/model.fp16.non_ema.safetensors": b"x", "all-in-one.safetensors": b"y" * 99,
                   "safety_checker/model.safetensors": b"z", "unet/flax_model.msgpack": b"f"}  # fmt: skip
        server.files[BASE] = folder_of("sd15") | clutter
        server.files[ADAPTER] = {
            "deep/faceid.bin": world.locate("faceid_plusv2_sd15").read_bytes(),
            **{f"models/image_encoder/{name}": body for name, body in folder_of("clip_vit_h").items()},
            "models/image_encoder/pytorch_model.bin": b"the same as a pickle",
            "other.bin": b"nobody asked for this",
            "pack.zip": pack(),
        }
        yield server


class Job:
    """Runs the job with a home, a hub cache and a recipes folder of its own."""

    def __init__(self, folder, hub):
        self.folder, self.hub = folder, hub
        self.cache = folder / "hub"
        (folder / "recipes").mkdir()
        (folder / "bases").mkdir()
        self.recipe = {
            "base": {"kind": "sd15", "weights": BASE},
            "adapters": [{"name": "faceid", "kind": "faceid_plusv2", "weights": f"{ADAPTER}:deep/faceid.bin",
                          "image_encoder": f"{ADAPTER}:models/image_encoder"}],
            "face_pack": {"weights": "drawn", "archive": f"{ADAPTER}:pack.zip"},
        }  # fmt: skip

    def __call__(self, *words, **environment):
        (self.folder / "recipes" / "mine.yaml").write_text(yaml.safe_dump(self.recipe))
        given = {"HOME": str(self.folder / "home"), "HF_HOME": str(self.folder), "HF_HUB_CACHE": str(self.cache),
                 "HF_ENDPOINT": self.hub.endpoint, "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_OFFLINE": "0",
                 "IDGEN_TINY_DIR": str(world.ensure())} | environment  # fmt: skip
        folders = [f"recipes_dir={self.folder}/recipes", f"bases_dir={self.folder}/bases"]
        return subprocess.run(
            [sys.executable, str(ROOT / "jobs" / "weights.py"), *words, *folders], cwd=self.folder, timeout=180,
            capture_output=True, text=True, check=False, env={**os.environ, **given},
        )  # fmt: skip


@pytest.fixture
def job(tmp_path, hub):
    return Job(tmp_path, hub)


def test_fetch_gets_what_is_loaded_and_nothing_else_once(job, hub):
    before = job("check", "recipe=mine")
    assert before.returncode == Exit.USAGE
    assert f"missing  {ADAPTER}:deep/faceid.bin" in before.stdout
    assert "`python jobs/weights.py fetch recipe=mine`" in before.stdout
    assert hub.requests == []  # only fetch uses the network

    done = job("fetch", "recipe=mine")
    assert done.returncode == Exit.OK, done.stdout + done.stderr
    base = list(folder_of("sd15"))
    encoder = ["models/image_encoder/config.json", "models/image_encoder/model.safetensors"]
    assert sorted(set(hub.bodies())) == sorted([*base, "deep/faceid.bin", *encoder, "pack.zip"])
    assert "GB  some/adapters:deep/faceid.bin" in done.stdout
    packs = job.folder / "home" / ".insightface" / "models"
    assert sorted(path.name for path in (packs / "drawn").iterdir()) == ["det_drawn.onnx", "rec_drawn.onnx"]

    asked = len(hub.requests)
    assert job("check", "recipe=mine").returncode == Exit.OK
    again = job("fetch", "recipe=mine")
    assert (again.returncode, len(hub.requests)) == (Exit.OK, asked)
    listed = job("list")
    assert (listed.returncode, "missing" in listed.stdout) == (Exit.OK, False)


def test_a_cut_transfer_goes_on_where_it_ended(job, hub):
    body = os.urandom(30_000_000)  # the client writes 10 MB at a time
    hub.files[ADAPTER]["deep/faceid.bin"] = body
    hub.cut_after[f"/{ADAPTER}/resolve/{COMMIT}/deep/faceid.bin"] = 15_000_000
    hub.cut_after[f"/{ADAPTER}/resolve/main/deep/faceid.bin"] = 15_000_000
    done = job("fetch", "recipe=mine")
    ranges = [asked for method, at, asked in hub.requests if method == "GET" and at.endswith("faceid.bin")]
    assert ranges == ["", "bytes=10485760-"]
    assert done.returncode == Exit.USAGE  # random bytes are no adapter: what came is checked
    assert "wrong" in done.stdout
    assert (job.cache / f"models--some--adapters/snapshots/{COMMIT}/deep/faceid.bin").read_bytes() == body


def test_without_a_hub_the_missing_file_and_the_command_are_named(job):
    for environment in ({"HF_ENDPOINT": "http://127.0.0.1:9"}, {"HF_HUB_OFFLINE": "1"}):
        done = job("fetch", "recipe=mine", **environment)
        assert done.returncode == Exit.UNAVAILABLE, done.stdout + done.stderr
        assert f"{BASE} could not be fetched" in done.stderr
        assert "run `python jobs/weights.py fetch recipe=mine` when the hub can be reached" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("fault", "message"),
    [("gated", "accept its licence"), ("gone", "is not on the hub"), ("no file", "some/adapters has no gone.bin"),
     ("revision", "is not on the hub")],
)  # fmt: skip
def test_what_the_hub_does_not_give_is_said_in_a_line(job, hub, fault, message):
    if fault == "gated":
        hub.gated.add(BASE)
    elif fault == "gone":
        del hub.files[BASE]
    elif fault == "no file":
        job.recipe["adapters"][0]["weights"] = f"{ADAPTER}:gone.bin"
    else:
        job.recipe["base"]["revision"] = "v9"
    done = job("fetch", "recipe=mine")
    assert done.returncode == Exit.USAGE
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_what_came_must_be_the_pinned_file(job):
    job.recipe["adapters"][0]["sha256"] = "0" * 64
    done = job("fetch", "recipe=mine")
    assert done.returncode == Exit.USAGE
    assert "wrong    recipe mine:" in done.stdout
    assert f"pins {'0' * 64}" in done.stdout


@pytest.mark.parametrize("kind", ["address", "file", "file address"])
def test_a_face_pack_comes_from_where_the_recipe_says(job, hub, kind):
    hub.files["web"] = {"packs/drawn.zip": pack()}
    hub.cut_after["/web/packs/drawn.zip"] = 1_000_000
    local = job.folder / "local.zip"
    local.write_bytes(pack())
    address = hub.endpoint.replace("://", "://me:secret@")
    archive = {"address": f"{address}/web/packs/drawn.zip?token=secret", "file": str(local)}
    job.recipe = {"base": {"weights": "tiny:sd15"}, "adapters": [
        {"name": "faceid", "kind": "faceid", "weights": "tiny:faceid_sd15"}
    ], "face_pack": {"weights": "drawn", "archive": archive.get(kind, f"file://{local}")}}  # fmt: skip
    done = job("fetch", "recipe=mine")
    if kind == "address":  # cut off once: the same command goes on
        assert done.returncode == Exit.UNAVAILABLE
        done = job("fetch", "recipe=mine")
        assert hub.requests[-1][2] == "bytes=983040-"
    assert done.returncode == Exit.OK, done.stdout + done.stderr
    assert "secret" not in done.stdout + done.stderr
    models = job.folder / "home" / ".insightface" / "models"
    assert [path.name for path in models.rglob("*.onnx")] != []
    assert not list(models.rglob("*.zip*"))
    assert local.exists()


def test_a_face_pack_without_an_archive_says_how_to_give_one(job):
    del job.recipe["face_pack"]["archive"]
    done = job("fetch", "recipe=mine")
    assert done.returncode == Exit.USAGE
    assert "overrides.mine.face_pack.archive=" in done.stderr


def test_half_a_base_is_missing_not_there(job, hub):
    del hub.files[BASE]["unet/diffusion_pytorch_model.safetensors"]
    done = job("fetch", "recipe=mine")
    assert done.returncode == Exit.USAGE
    assert "unet folder has no weights" in done.stdout


def here(*words, capsys):
    """The same in this process: for what needs no home and no server of its own."""
    code = weights_main("about", list(words))
    return code, capsys.readouterr().err


def test_convert_writes_the_same_bits_and_never_over_a_file(tmp_path, capsys):
    odd = torch.tensor([float("nan"), -0.0, 1e-8], dtype=torch.float16)
    shared = torch.arange(6.0)
    nested = {"image_proj": {"a": odd, "b": shared[:3]}, "ip_adapter": {"1.to_k_ip.weight": shared}}
    torch.save(nested, tmp_path / "a.bin")
    words = ("convert", f"weights.source={tmp_path}/a.bin", f"weights.target={tmp_path}/a.safetensors")
    assert here(*words, capsys=capsys) == (Exit.OK, "")
    made = load_file(tmp_path / "a.safetensors")
    assert made.keys() == {"image_proj.a", "image_proj.b", "ip_adapter.1.to_k_ip.weight"}
    assert made["image_proj.a"].view(torch.int16).tolist() == odd.view(torch.int16).tolist()
    body = (tmp_path / "a.safetensors").read_bytes()
    code, said = here(*words, capsys=capsys)
    assert (code, "exists" in said) == (Exit.USAGE, True)
    code, said = here("convert", words[1], f"weights.target={tmp_path}/b.bin", capsys=capsys)
    assert (code, "must end in .safetensors" in said) == (Exit.USAGE, True)
    assert (tmp_path / "a.safetensors").read_bytes() == body
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "a.safetensors"]


@pytest.mark.parametrize(
    ("words", "said"),
    [((), "list | check | fetch | convert"), (("get",), "list | check | fetch"), (("fetch",), "recipe=<name>"),
     (("convert",), "weights.source="), (("check", "recipe=faceid-sdx"), "did you mean faceid-sdxl?"),
     (("list", "recipes=x"), "recipe")],
)  # fmt: skip
def test_words_that_make_no_sense_are_refused_with_what_to_say(words, said, capsys):
    code, told = here(*words, capsys=capsys)
    assert code == Exit.USAGE
    assert told.startswith("error: ")
    assert said in told


def test_every_shipped_recipe_and_base_is_listed(capsys):
    assert weights_main("about", ["list"]) == Exit.OK
    listed = capsys.readouterr().out
    for kind in ("recipes", "bases"):
        for path in (ROOT / "configs" / kind).glob("*.yaml"):
            assert f"{path.stem}: " in listed or f": base {path.stem}\n" in listed, path.stem
    assert "commercial use allowed after registration with Kwai-Kolors; 2 parts\n" in listed
