"""Our 8-bit pictures are the stock pipelines' own, byte for byte, from the same latents."""

import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, StableDiffusionXLPipeline
from doubles import original_layout
from doubles.transfers import LateDownloads

from idgen.recipes.recipe import Base
from idgen.sampling import bases, decoding
from idgen.sampling.decoding import decode, to_uint8
from idgen.tiny import world

STOCK = {"sd15": StableDiffusionPipeline, "sdxl": StableDiffusionXLPipeline}
PROMPTS = ["a woman in a garden", "neon street at night"]


def load(kind, **changes):
    base = bases.load(Base(kind=kind, **{"weights": f"tiny:{kind}", "dtype": "float32", **changes}))
    base.place(torch.device("cpu"))
    return base


def stock(kind, folder, **changes):
    """The pipeline as anybody loads it."""
    more = {"add_watermarker": False} if kind == "sdxl" else {"safety_checker": None}
    pipeline = STOCK[kind].from_pretrained(folder, **{"dtype": torch.float32, **more, **changes})
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@torch.inference_mode()
def run(pipeline, output_type, **changes):
    torch.set_num_threads(1)
    generators = [torch.Generator().manual_seed(seed) for seed in range(2)]
    call = {"num_inference_steps": 1, "guidance_scale": 1.0, "width": 64, "height": 48, "generator": generators}
    return pipeline(PROMPTS, output_type=output_type, **{**call, **changes}).images


@torch.inference_mode()
def ours(base, latents):
    return [picture.numpy() for picture in decode(base.pipeline.vae, latents)]


def assert_same(pictures, pils):
    assert len(pictures) == len(pils) == 2
    for picture, pil in zip(pictures, pils, strict=True):
        assert picture.shape == (48, 64, 3)
        assert picture.dtype == np.uint8
        assert np.array_equal(picture, np.asarray(pil))
    assert np.ptp(pictures[0]) > 30
    assert not np.array_equal(*pictures)


@pytest.mark.parametrize("kind", ["sd15", "sdxl"])
@pytest.mark.parametrize("form", ["folder", "single file", "vae"])
def test_pictures_are_the_stock_pipelines(kind, form, tmp_path):
    plain = stock(kind, world.locate(kind))
    changes = {}
    if form == "single file":
        file = original_layout.write(world.locate(kind), tmp_path / "base.safetensors")
        changes = {"weights": str(file), "config": f"tiny:{kind}"}
    if form == "vae":  # with a scaling factor of its own
        folder = shutil.copytree(world.locate(kind) / "vae", tmp_path / "vae")
        settings = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(settings | {"scaling_factor": 0.2}))
        changes = {"vae": str(folder)}
        plain.vae = AutoencoderKL.from_pretrained(folder)
    base = load(kind, **changes)
    assert_same(ours(base, run(base.pipeline, "latent")), run(plain, "pil"))


@pytest.mark.parametrize("kind", ["sd15", "sdxl"])
def test_in_half_precision_too(kind):
    base = load(kind, dtype="bfloat16", vae_dtype="bfloat16")
    plain = stock(kind, world.locate(kind), dtype=torch.bfloat16)
    assert_same(ours(base, run(plain, "latent")), run(plain, "pil"))


@pytest.mark.parametrize("vae_dtype", ["float32", "float16"])
def test_sdxls_vae_works_in_float32_beside_a_float16_unet_as_the_stock_pipeline_makes_it(vae_dtype):
    base = load("sdxl", dtype="float16", vae_dtype=vae_dtype)
    assert base.pipeline.vae.dtype == torch.float32
    plain = stock("sdxl", world.locate("sdxl"), dtype=torch.float16)
    latents = run(plain, "latent")
    assert latents.dtype == torch.float16
    assert_same(ours(base, latents), run(plain, "pil"))


@pytest.mark.parametrize("kind", ["sd15", "sdxl"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_float32_vae_beside_a_half_unet_decodes_what_a_whole_pipeline_in_float32_would(kind, dtype):
    base = load(kind, dtype=dtype, vae_dtype="float32")
    latents = run(base.pipeline, "latent")
    assert latents.dtype == getattr(torch, dtype)
    plain = stock(kind, world.locate(kind))
    with torch.inference_mode():
        image = plain.vae.decode(latents.float() / plain.vae.config.scaling_factor, return_dict=False)[0]
    assert_same(ours(base, latents), plain.image_processor.postprocess(image, output_type="pil"))


def test_means_and_deviations_of_latents_are_honoured_where_a_vae_has_them(tmp_path):
    shutil.copytree(world.locate("sdxl"), tmp_path / "base")
    path = tmp_path / "base/vae/config.json"
    given = {"latents_mean": [-1.6, 1.1, 2.9, -3.3], "latents_std": [8.4, 5.2, 7.9, 6.1], "scaling_factor": 0.5}
    path.write_text(json.dumps({**json.loads(path.read_text()), **given}))
    base, plain = load("sdxl", weights=str(tmp_path / "base")), stock("sdxl", tmp_path / "base")
    latents = run(plain, "latent")  # its own: two loads may round apart
    assert_same(ours(base, latents), run(plain, "pil"))
    base.pipeline.vae.register_to_config(latents_mean=None)
    assert not np.array_equal(ours(base, latents)[0], np.asarray(run(plain, "pil")[0]))


def in_chunks(vae, latents):
    """As it was: chunk by chunk, each brought to the CPU before the next is decoded."""
    for one in latents.split(2):
        image = vae.decode(one / vae.config.scaling_factor, return_dict=False)[0]
        finite = torch.isfinite(image).flatten(1).all(1).tolist()
        yield from (picture if good else None for picture, good in zip(to_uint8(image).cpu(), finite, strict=True))


@torch.inference_mode()
def test_all_chunks_of_a_batch_are_queued_before_the_only_wait(monkeypatch):
    """Seven rows in chunks of two, two of them not finite."""
    vae = load("sd15").pipeline.vae
    monkeypatch.setattr(decoding, "CHUNK_PIXELS", 2 * 64 * 48)
    latents = torch.randn(7, 4, 6, 8, generator=torch.Generator().manual_seed(1))
    latents[2, 0, 0, 0], latents[5, 1, 2, 3] = torch.inf, torch.nan
    expected = list(in_chunks(vae, latents))
    assert [picture is None for picture in expected] == [False, False, True, False, False, True, False]
    late = LateDownloads()
    for made in (decode(vae, latents, late), decode(vae, latents)):
        assert len(made) == 7
        for picture, other in zip(made, expected, strict=True):
            assert (picture is None) == (other is None)
            assert picture is None or torch.equal(picture, other)
    assert late.waits == 1
    assert [len(host) for host, _ in late.started] == [2, 2, 2, 2, 2, 2, 1, 1]
    travelled = sum(host.nbytes for host, _ in late.started)
    assert travelled == 7 * 64 * 48 * 3 + 7, "a byte a colour, and one that says whether the row is finite"
