"""What ControlNets are shown: maps as they are, and for inpainting the picture with a hole that no step of ours or of
diffusers' fills."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel
from doubles.tiny_recipe import BUCKET, TINY, ecomxl, picture, recipe, row
from doubles.tiny_recipe import control as pose

from idgen.sampling.control_images import control_image, inpaint_image
from idgen.sampling.rows import ControlUse
from idgen.sampling.sampler import Sampler

HEIGHT, WIDTH = 64, 96


def image(number):
    return picture(number, 1, WIDTH)[0][:HEIGHT]


def test_what_is_made_anew_is_minus_one_in_all_channels_and_the_rest_is_the_picture():
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:, 10:30] = 255
    shown = inpaint_image(image(1), mask)
    assert (shown.dtype, shown.shape) == (torch.float32, (3, HEIGHT, WIDTH))
    assert (shown[:, :, 10:30] == -1).all()
    kept = torch.from_numpy(image(1).transpose(2, 0, 1).astype(np.float32) / 255)
    for part in (slice(0, 10), slice(30, None)):
        assert torch.equal(shown[..., part], kept[..., part])


def test_a_gray_mask_is_cut_at_half():
    mask = np.tile(np.arange(WIDTH, dtype=np.uint8) + 80, (HEIGHT, 1))
    assert torch.equal((inpaint_image(image(1), mask) == -1).all(0), torch.from_numpy(mask >= 128))


def test_without_a_mask_all_of_it_is_kept():
    assert torch.equal(inpaint_image(image(1), None), inpaint_image(image(1), np.zeros((HEIGHT, WIDTH), np.uint8)))


def test_a_row_without_an_image_for_a_control_is_said():
    with pytest.raises(ValueError, match="control pose has no image, there are"):
        control_image("pose", row(control_images={"canny": image(1)}))
    with pytest.raises(ValueError, match="control inpaint needs an init_image"):
        control_image("inpaint", row(mask=np.zeros((HEIGHT, WIDTH), np.uint8)))


@pytest.fixture(scope="module", params=["sd15", "sdxl"])
def loaded(request):
    """A sampler whose net is called inpaint: its image has a hole."""
    torch.set_num_threads(1)
    if request.param == "sdxl":
        chosen = recipe("ecomid", adapters=[], controls=[ecomxl("inpaint")])
    else:
        chosen = replace(TINY, adapters=[], controls=[replace(pose(), name="inpaint")])
    return Sampler.load(chosen, lora_scale=1.0, device="cpu")


@pytest.mark.parametrize("strength", [None, 0.6])
@pytest.mark.parametrize("guidance", [5.0, 0.0])
def test_diffusers_hands_images_to_nets_bit_by_bit_holes_and_all(loaded, strength, guidance, monkeypatch):
    half = np.zeros((HEIGHT, WIDTH), np.uint8)
    half[:20] = 255
    rows = [
        row(seed=number, init_image=image(number), mask=mask)
        for number, mask in enumerate([half, half[::-1].copy(), np.full_like(half, 255)])
    ]
    bucket = replace(
        BUCKET, width=WIDTH, height=HEIGHT, strength=strength, guidance_scale=guidance,
        controls=(ControlUse(name="inpaint", scale=0.5),),
    )  # fmt: skip
    seen, plain = [], ControlNetModel.forward

    def note(self, sample, timestep, states, shown, *rest, **words):
        seen.append(shown)
        return plain(self, sample, timestep, states, shown, *rest, **words)

    monkeypatch.setattr(ControlNetModel, "forward", note)
    conditions = loaded.condition(rows, bucket)
    loaded.denoise(conditions, bucket)
    (wanted,) = conditions.control_images
    assert wanted.min() == -1
    assert (wanted == -1).all(1).float().mean((1, 2)).tolist() == pytest.approx([20 / 64, 20 / 64, 1.0])
    assert seen
    for shown in seen:
        assert torch.equal(shown, torch.cat([wanted] * (2 if guidance > 1 else 1)))
