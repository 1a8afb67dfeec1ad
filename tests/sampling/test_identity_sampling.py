"""EcomID with inpaint and softedge nets: a row's picture is its own, whatever stands beside it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from diffusers import ControlNetModel
from doubles.tiny_ecomid import (
    BUCKET,
    ECOMID,
    FROM_IMAGE,
    ROWS,
    TOLERANCE,
    USES,
    a_row,
    difference,
    image,
    latents,
    mask,
)
from doubles.tiny_recipe import five_points, person, row_for

from idgen.recipes.recipe import Base
from idgen.sampling.sampler import Sampler


@pytest.fixture(scope="module")
def sampler():
    torch.set_num_threads(1)
    return Sampler.load(ECOMID, lora_scale=1.0, device="cpu")


def check_rows_are_their_own(sampler, rows, bucket):
    """The same alone, together and in any order."""
    alone = torch.cat([latents(sampler, [one], bucket) for one in rows])
    limit = TOLERANCE * max(1, alone.abs().max() / 10)
    assert torch.isfinite(alone).all()
    assert difference(latents(sampler, rows, bucket), alone) < limit
    assert difference(latents(sampler, [rows[2], rows[0], rows[1]], bucket)[[1, 2, 0]], alone) < limit


@pytest.mark.parametrize("bucket", [BUCKET, FROM_IMAGE], ids=["from noise", "from an image"])
@pytest.mark.parametrize("guidance", [5.0, 0.0])
def test_three_rows_that_differ_in_every_field_are_the_same_alone_together_and_in_any_order(sampler, bucket, guidance):
    check_rows_are_their_own(sampler, ROWS, replace(bucket, guidance_scale=guidance))


CHANGES = {
    "person": {"id_embedding": person(9)},
    "face": {"crops": row_for(ECOMID, 9).crops},
    "keypoints": {"control_images": {**ROWS[0].control_images, "identity": five_points(9)}},
    "edges": {"control_images": {**ROWS[0].control_images, "softedge": image(9)}},
    "identity scale": {"identity_scale": 0.5},
    "adapter scale": {"ip_adapter_scale": 0.9},
    "prompt": {"prompt": "a red car"},
    "negative prompt": {"negative_prompt": "sunny"},
    "seed": {"seed": 99},
    "init image": {"init_image": image(9)},
    "mask": {"mask": mask(4)},
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_field_of_a_row_changes_its_picture_visibly_and_no_other(sampler, change):
    before = latents(sampler, ROWS)
    after = latents(sampler, [replace(ROWS[0], **CHANGES[change]), *ROWS[1:]])
    assert difference(before[0], after[0]) > 10 * TOLERANCE
    assert difference(before[1:], after[1:]) < 1e-5  # the batch has its size, so rounding is the same


def test_a_start_image_is_the_rows_own_too(sampler):
    before = latents(sampler, ROWS, FROM_IMAGE)
    after = latents(sampler, [replace(ROWS[0], init_image=image(9)), *ROWS[1:]], FROM_IMAGE)
    assert difference(before[0], after[0]) > 100 * TOLERANCE
    assert difference(before[1:], after[1:]) < 1e-5


@pytest.mark.parametrize("steps", [4, 8])
def test_few_steps_without_guidance_look_at_the_face_alone_and_keep_rows_apart(steps, monkeypatch):
    base = Base(kind="sdxl", weights="tiny:sdxl", unet="tiny:sdxl_lightning_unet", dtype="float32")
    few = Sampler.load(replace(ECOMID, base=base), lora_scale=1.0, device="cpu")
    bucket = replace(BUCKET, scheduler="lightning", guidance_scale=0.0, num_inference_steps=steps)
    counts, plain = [], ControlNetModel.forward

    def note(self, sample, *rest, **words):
        counts.append(len(sample))
        return plain(self, sample, *rest, **words)

    monkeypatch.setattr(ControlNetModel, "forward", note)
    conditions = few.condition(ROWS, bucket)
    assert {len(one) for one in (*conditions.tokens, *conditions.scales, conditions.context)} == {3}
    guided = few.condition(ROWS, BUCKET)
    assert torch.equal(conditions.context, guided.context[3:])
    assert torch.equal(conditions.tokens[0], guided.tokens[0][3:])
    together = few.denoise(conditions, bucket)
    assert set(counts) == {3}
    alone = torch.cat([latents(few, [one], bucket) for one in ROWS])
    assert difference(together, alone) < 1e-3 * alone.abs().max()
    other = latents(few, [replace(ROWS[0], id_embedding=person(9)), *ROWS[1:]], bucket)
    assert difference(other[0], together[0]) > 0.01 * alone.abs().max()
    assert difference(other[1:], together[1:]) < 1e-5 * alone.abs().max()


@pytest.mark.slow
def test_blocks_compile_whole_and_other_people_faces_and_scales_compile_nothing():
    torch.set_num_threads(1)
    sampler = Sampler.load(ECOMID, lora_scale=1.0, device="cpu")
    expected = latents(sampler, ROWS)
    graphs = []

    def backend(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    sampler.compile_blocks(backend=backend)
    with ThreadPoolExecutor(1) as pool:  # dynamo's settings are each thread's own
        compiled = pool.submit(latents, sampler, ROWS).result()
        assert difference(compiled, expected) < TOLERANCE * max(1, expected.abs().max() / 10)
        count = len(graphs)
        assert count > 0
        others = [a_row(number, identity_scale=number / 9, ip_adapter_scale=number / 7) for number in (7, 8, 9)]
        pool.submit(latents, sampler, others).result()
        pool.submit(latents, sampler, others, replace(BUCKET, controls=(), num_inference_steps=3)).result()
        late = tuple(replace(use, start=0.5) for use in USES)
        pool.submit(latents, sampler, others, replace(BUCKET, controls=late)).result()
    assert len(graphs) == count
