"""How often a step waits for the device, counted on tensors that are nowhere: a wait for a value would be an error."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from doubles.tiny_recipe import BUCKET, TINY, bucket_for, control, picture, recipe, row_for

from idgen.recipes.schedulers import names
from idgen.sampling.bases import load_encoder
from idgen.sampling.host_syncs import HostSyncs, count_per_step
from idgen.sampling.rows import ControlUse
from idgen.sampling.sampler import Sampler

NOWHERE = torch.device("meta")
POSE = (ControlUse(name="pose", scale=0.8),)
RECIPES = {
    "sd15": TINY,
    "instantid": recipe("instantid"),
    "kolors": recipe("kolors_faceid_plus"),
    "pose": recipe("faceid_sd15", controls=[control()]),
}
DRAWN = {"copy to the device": 1}
"""Noise of a scheduler that adds some at each step: diffusers draws it on the CPU, where each row has its generator."""

NOISY = ("lcm", "euler_a", "dpmpp_sde_karras", "turbo")


class Ahead:
    """Kolors' prompts as they come from where they were encoded ahead; follows TextSource."""

    def get(self, prompt):
        return load_encoder(RECIPES["kolors"].base, "cpu").encode(prompt)


@pytest.fixture(scope="module")
def load():
    """Each recipe once, on the device "meta"."""
    loaded = {}

    def get(name):
        if name not in loaded:
            texts = Ahead() if name == "kolors" else None
            loaded[name] = Sampler.load(RECIPES[name], lora_scale=1.0, device="meta", texts=texts)
        return loaded[name]

    return get


def counted(sampler, name, **changes):
    """Per step, after the first, which has what a batch brings."""
    changes |= {"controls": POSE} if name == "pose" else {}
    bucket = bucket_for(RECIPES[name], **{"num_inference_steps": 3, **changes})
    pose = {"control_images": {"pose": picture(9, 1, 64)[0]}} if name == "pose" else {}
    start = {"init_image": picture(8, 1, 64)[0]} if bucket.strength else {}
    rows = [row_for(RECIPES[name], number, **pose, **start) for number in (1, 2)]
    return count_per_step(sampler, sampler.condition(rows, bucket), bucket)


@pytest.mark.parametrize(
    ("name", "scheduler"),
    [("sd15", scheduler) for scheduler in names() if scheduler not in NOISY]
    + [(name, "euler") for name in RECIPES if name != "sd15"],
)
def test_no_step_waits_for_the_device(load, name, scheduler):
    first, *others = counted(load(name), name, scheduler=scheduler)
    assert others
    assert not any(others)
    assert sum(first.values()) <= 1, "the sizes that SDXL is told"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sd15", "pose"])
def test_from_an_image_neither(load, name):
    _first, *others = counted(load(name), name, strength=0.8, num_inference_steps=4)
    assert others == [Counter()] * 2


@pytest.mark.parametrize(
    ("scheduler", "expected"), [(name, [DRAWN, {}] if name == "lcm" else [DRAWN] * 2) for name in NOISY]
)
def test_schedulers_that_add_noise_wait_for_it_once_a_step(load, scheduler, expected):
    _first, *others = counted(load("sd15"), "sd15", scheduler=scheduler)
    assert others == expected


def test_what_a_batch_needs_goes_up_without_a_wait(load):
    sampler = load("instantid")
    rows, bucket = [row_for(RECIPES["instantid"], number) for number in (3, 4)], bucket_for(RECIPES["instantid"])
    with HostSyncs(NOWHERE) as syncs:
        conditions = sampler.condition(rows, bucket)
        sampler.denoising.arguments(conditions, bucket, NOWHERE)
    assert syncs.counts == {}


@pytest.mark.slow
def test_stock_nets_wait_once_a_step_each_and_make_the_same_picture():
    """What `queue_timesteps` is for: without it the number is moved by the UNet and by IdentityNet."""
    nowhere, here = (Sampler.load(RECIPES["instantid"], lora_scale=1.0, device=device) for device in ("meta", "cpu"))
    bucket = bucket_for(RECIPES["instantid"], num_inference_steps=2)
    queued = here.sample([row_for(RECIPES["instantid"])], bucket)[0]
    for net in (sampler.pipeline.unet for sampler in (nowhere, here)):
        net._forward_pre_hooks.clear()
    for net in (*nowhere.nets.values(), *here.nets.values()):
        net._forward_pre_hooks.clear()
    assert counted(nowhere, "instantid")[1:] == [{"copy to the device": 2}] * 2
    assert np.array_equal(here.sample([row_for(RECIPES["instantid"])], bucket)[0], queued)


CPU = torch.device("cpu")
THERE, HERE = torch.zeros(3, device=NOWHERE), torch.zeros(3)


@pytest.mark.parametrize(
    ("device", "do", "kind"),
    [
        (NOWHERE, lambda: HERE.to(NOWHERE), "copy to the device"),
        (NOWHERE, lambda: HERE.to(NOWHERE, non_blocking=True), ""),
        (NOWHERE, lambda: HERE.to(NOWHERE, torch.float16), "copy to the device"),
        (NOWHERE, lambda: THERE.to(torch.float16), ""),
        (NOWHERE, lambda: THERE.clone().copy_(HERE), "copy to the device"),
        (NOWHERE, lambda: THERE.clone().copy_(HERE, non_blocking=True), ""),
        (NOWHERE, lambda: torch.tensor([1.0, 2.0]), ""),
        (CPU, lambda: torch.tensor([1.0, 2.0]), "tensor"),
        (NOWHERE, lambda: THERE * HERE[0], ""),
        (NOWHERE, lambda: HERE[0].item(), ""),
        (NOWHERE, lambda: THERE[torch.tensor([0, 1])], "index"),
        (CPU, lambda: HERE[HERE == 0], "index"),
        (CPU, lambda: HERE[0].item(), "item"),
        (CPU, lambda: bool((HERE == 0).all()), "item"),
        (CPU, lambda: HERE.nonzero(), "nonzero"),
        (CPU, lambda: torch.equal(HERE, HERE), "equal"),
    ],
)
@pytest.mark.parametrize("inference", [False, True])
def test_what_waits_is_counted_and_what_is_queued_is_not(device, do, kind, inference):
    with torch.inference_mode(inference), HostSyncs(device) as syncs:
        do()
    assert set(syncs.counts) == ({kind} if kind else set())


def test_a_value_that_is_nowhere_cannot_be_asked_for():
    with pytest.raises(RuntimeError):
        THERE[0].item()


def test_the_count_does_not_change_the_picture(sampler):
    rows, bucket = [row_for(TINY)], replace(BUCKET, num_inference_steps=2)
    conditions = sampler.condition(rows, bucket)
    plain = sampler.denoise(conditions, bucket)
    with HostSyncs(CPU):
        assert torch.equal(sampler.denoise(sampler.condition(rows, bucket), bucket), plain)
