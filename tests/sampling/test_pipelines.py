"""Image to image and ControlNets: our rows equal stock pipelines, alone and together."""

from contextlib import contextmanager
from dataclasses import replace

import diffusers
import numpy as np
import pytest
import torch
from diffusers import ControlNetModel
from diffusers.models.attention_processor import AttnProcessor2_0
from doubles.tiny_recipe import BUCKET, TINY, control, row
from safetensors.torch import load_file, save_file

from idgen.errors import RunError
from idgen.recipes.recipe import Control
from idgen.sampling.rows import ControlUse
from idgen.sampling.sampler import Sampler
from idgen.tiny import world
from idgen.tiny.random_weights import fill

SIDE = BUCKET.width
TOLERANCE = 1e-4
START = replace(BUCKET, strength=0.6, num_inference_steps=5)
POSE = ControlUse(name="pose", scale=0.8)
CANNY = ControlUse(name="canny", scale=0.5)


def picture(number):
    return np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


ROWS = [
    row(prompt=prompt, negative_prompt="lowres", seed=seed, init_image=picture(seed),
        control_images={"pose": picture(10 + seed), "canny": picture(20 + seed)})
    for seed, prompt in enumerate(["a woman in a garden", "neon street", "a red car"])
]  # fmt: skip


@pytest.fixture(scope="module")
def controlled(tmp_path_factory):
    """A base without identity, with two ControlNets: what the stock pipelines can be asked for as well."""
    torch.set_num_threads(1)
    unet = diffusers.UNet2DConditionModel.from_pretrained(world.ensure() / "sd15" / "unet")
    specs = []
    for name in ("pose", "canny"):
        folder = tmp_path_factory.mktemp(name)
        net = ControlNetModel.from_unet(unet, load_weights_from_unet=False)
        fill(net, name, lambda part: 4.0 if "cond_embedding" in part else 1.0).save_pretrained(folder)
        specs.append(Control(name=name, weights=str(folder), scale=0.7))
    return Sampler.load(replace(TINY, adapters=[], controls=specs), lora_scale=1.0, device="cpu")


def latents(sampler, rows, bucket):
    return sampler.denoise(sampler.condition(rows, bucket), bucket)


def difference(one, other):
    return (one - other).abs().max().item()


def stock(sampler, kind, bucket, rows, **words):
    """The stock pipeline with stock attention, row by row."""
    parts = sampler.pipeline.components
    sampler.release()
    pipeline = getattr(diffusers, kind)(
        **parts | ({"controlnet": words.pop("controlnet")} if "controlnet" in words else {}),
        requires_safety_checker=False,
    )
    pipeline.scheduler = sampler.denoising.get(bucket).scheduler
    pipeline.set_progress_bar_config(disable=True)
    with stock_attention(sampler):
        return torch.cat([
            pipeline(
                prompt=one.prompt,
                negative_prompt=one.negative_prompt,
                generator=[torch.Generator().manual_seed(one.seed)],
                num_inference_steps=bucket.num_inference_steps,
                guidance_scale=bucket.guidance_scale,
                output_type="latent",
                return_dict=False,
                **{name: make(one) for name, make in words.items()},
            )[0]
            for one in rows
        ])  # fmt: skip


@contextmanager
def stock_attention(sampler):
    """The UNet and the nets as diffusers loads them."""
    models = [sampler.pipeline.unet, *sampler.nets.values()]
    ours = [dict(model.attn_processors) for model in models]
    for model in models:
        model.set_attn_processor(AttnProcessor2_0())
    try:
        yield
    finally:
        for model, processors in zip(models, ours, strict=True):
            model.set_attn_processor(processors)


def pixels(image):
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255


def test_image_to_image_equals_the_stock_pipeline(controlled):
    ours = latents(controlled, ROWS, START)
    theirs = stock(
        controlled, "StableDiffusionImg2ImgPipeline", START, ROWS,
        image=lambda one: pixels(one.init_image) * 2 - 1, strength=lambda _: START.strength,
    )  # fmt: skip
    assert difference(ours, theirs) < TOLERANCE
    assert difference(ours, latents(controlled, ROWS, replace(START, strength=1.0))) > 100 * TOLERANCE


@pytest.mark.parametrize("uses", [(POSE,), (POSE, CANNY)], ids=["one", "two"])
def test_controls_equal_the_stock_pipeline(controlled, uses):
    bucket = replace(BUCKET, controls=uses)
    ours = latents(controlled, ROWS, bucket)
    nets = [controlled.denoising._nets[use.name] for use in uses]
    theirs = stock(
        controlled, "StableDiffusionControlNetPipeline", bucket, ROWS, controlnet=nets,
        image=lambda one: [pixels(one.control_images[use.name]) for use in uses],
        controlnet_conditioning_scale=lambda _: [use.scale for use in uses],
        width=lambda _: SIDE, height=lambda _: SIDE,
    )  # fmt: skip
    assert difference(ours, theirs) < TOLERANCE
    assert difference(ours, latents(controlled, ROWS, BUCKET)) > 100 * TOLERANCE


def test_controls_and_a_start_image_together_equal_the_stock_pipeline(controlled):
    bucket = replace(START, controls=(POSE,))
    ours = latents(controlled, ROWS, bucket)
    theirs = stock(
        controlled, "StableDiffusionControlNetImg2ImgPipeline", bucket, ROWS,
        controlnet=[controlled.denoising._nets["pose"]], image=lambda one: pixels(one.init_image) * 2 - 1,
        control_image=lambda one: [pixels(one.control_images["pose"])], strength=lambda _: bucket.strength,
        controlnet_conditioning_scale=lambda _: [POSE.scale], width=lambda _: SIDE, height=lambda _: SIDE,
    )  # fmt: skip
    assert difference(ours, theirs) < TOLERANCE


@pytest.mark.parametrize("bucket", [START, replace(BUCKET, controls=(POSE, CANNY)), replace(START, controls=(CANNY,))])
def test_rows_with_images_are_the_same_alone_together_and_in_any_order(controlled, bucket):
    alone = torch.cat([latents(controlled, [one], bucket) for one in ROWS])
    assert difference(latents(controlled, ROWS, bucket), alone) < TOLERANCE
    assert difference(latents(controlled, [ROWS[2], ROWS[0], ROWS[1]], bucket)[[1, 2, 0]], alone) < TOLERANCE


def test_every_row_has_its_own_start_and_control_image(controlled):
    bucket = replace(START, controls=(POSE,))
    before = latents(controlled, ROWS[:2], bucket)
    for change in ({"init_image": picture(7)}, {"control_images": {"pose": picture(8)}}):
        after = latents(controlled, [replace(ROWS[0], **change), ROWS[1]], bucket)
        assert difference(before[0], after[0]) > 100 * TOLERANCE
        assert difference(before[1], after[1]) < TOLERANCE


def test_control_runs_only_in_the_steps_between_start_and_end(controlled, monkeypatch):
    net = controlled.denoising._nets["pose"]
    calls, plain = [], net.forward
    monkeypatch.setattr(net, "forward", lambda *args, **kwargs: calls.append(1) or plain(*args, **kwargs))
    bucket = replace(BUCKET, num_inference_steps=8, controls=(replace(POSE, start=0.25, end=0.75),))
    part = latents(controlled, ROWS[:1], bucket)
    assert len(calls) == 4
    theirs = stock(
        controlled, "StableDiffusionControlNetPipeline", bucket, ROWS[:1], controlnet=[net],
        image=lambda one: [pixels(one.control_images["pose"])], controlnet_conditioning_scale=lambda _: [POSE.scale],
        control_guidance_start=lambda _: [0.25], control_guidance_end=lambda _: [0.75],
        width=lambda _: SIDE, height=lambda _: SIDE,
    )  # fmt: skip
    assert len(calls) == 4 + 8
    assert difference(part, theirs) < TOLERANCE


def test_a_start_picture_is_encoded_once(controlled):
    before = controlled.conditioner.starts.encodings
    rows = [replace(ROWS[0], seed=seed, init_image=picture(99)) for seed in range(3)]
    controlled.condition(rows, START)
    controlled.condition(rows, START)
    assert controlled.conditioner.starts.encodings == before + 1


def test_the_same_seed_starts_the_same_picture_in_every_precision(controlled):
    low = half(adapters=[])
    assert torch.equal(low.condition(ROWS, START).noise, controlled.condition(ROWS, START).noise)
    seen = []
    low.denoising.get(START).unet.register_forward_pre_hook(lambda _m, args: seen.append(args[0]))
    latents(low, ROWS, START)
    plain = []
    hook = controlled.pipeline.unet.register_forward_pre_hook(lambda _m, args: plain.append(args[0]))
    latents(controlled, ROWS, START)
    hook.remove()
    assert difference(seen[0].float(), plain[0]) < 0.05 * plain[0].abs().max()


def half(**changes):
    base = replace(TINY.base, dtype="bfloat16", vae_dtype="float32")
    return Sampler.load(replace(TINY, base=base, **changes), lora_scale=1.0, device="cpu")


@pytest.mark.parametrize("strength", [None, 0.6])
@pytest.mark.parametrize("controls", [(), (POSE,)], ids=["plain", "control"])
def test_every_pipeline_runs_beside_a_float32_vae_in_half_precision(strength, controls):
    torch.set_num_threads(1)
    low = half(controls=[control()])
    bucket = replace(BUCKET, strength=strength, controls=controls)
    assert latents(low, ROWS, bucket).dtype == torch.bfloat16
    assert all(isinstance(made, np.ndarray) for made in low.sample(ROWS, bucket))


def test_a_controlnet_with_weights_missing_is_refused(tmp_path):
    ControlNetModel.from_pretrained(world.locate("control_sd15")).save_pretrained(tmp_path)
    (path,) = tmp_path.glob("*.safetensors")
    tensors = load_file(path)
    del tensors["conv_in.weight"]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(RunError, match=r"1 weights of the ControlNet are missing, such as conv_in.weight"):
        half(controls=[Control(name="pose", weights=str(tmp_path))])


def test_a_controlnet_of_another_family_is_refused(tmp_path):
    net = ControlNetModel(cross_attention_dim=32, block_out_channels=(8, 8), norm_num_groups=4, attention_head_dim=2,
                          down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"))  # fmt: skip
    net.save_pretrained(tmp_path)
    with pytest.raises(RunError, match="control pose was made for text 32 wide"):
        Sampler.load(
            replace(TINY, controls=[Control(name="pose", weights=str(tmp_path))]), lora_scale=1.0, device="cpu"
        )
