"""How far lower precisions go from float32 on the same weights.

Projections and keys of the branches are made in float32 whatever the base runs in; the image encoder runs in float16
beside a float16 base, as the originals ran it (but for Kolors' FaceID-Plus, whose authors run it in float32), and in
float32 beside a bfloat16 one; PuLID's tower in float32 beside any. `-s` prints what is measured; the bounds are twice
what a CPU gave (torch 2.13).
"""

import pytest
import torch
from golden import running
from golden.cases import Case, find
from torch import Tensor

from idgen.recipes.variants import VARIANTS

pytestmark = pytest.mark.golden

BFLOAT16 = {
    "ip-adapter-faceid_sd15": (0.077, 1.3),
    "ip-adapter-faceid_sdxl": (0.17, 2.3),
    "ip-adapter-faceid-plus_sd15": (0.083, 1.2),
    "ip-adapter-faceid-plusv2_sd15": (0.074, 2.0),
    "ip-adapter-faceid-plusv2_sdxl": (0.096, 8.7),
    "ip-adapter-faceid-portrait_sd15": (0.078, 5.4),
    "ip-adapter-full-face_sd15": (0.080, 2.1),
    "ip-adapter-plus-face_sd15": (0.078, 1.2),
    "ip-adapter-plus_sd15": (0.072, 2.0),
    "ip-adapter-plus_sdxl_vit-h": (0.096, 5.5),
    "ip-adapter_sd15": (0.072, 1.2),
    "ip-adapter_sdxl": (0.11, 1.9),
    "ecomid": (0.13, 1.8),
    "instantid": (0.088, 1.2),
    "pulid_v1": (0.14, 2.6),
    "pulid_v1.1": (0.50, 28),
    "kolors-faceid-plus": (0.082, 2.0),
    "kolors-image-to-image": (0.095, 0.43),
    "kolors-text-to-image": (0.084, 1.9),
}
"""Case -> bounds of the first noise predictions (of about 2) and of the last latents (of 7 to 120)."""

FLOAT16_TOKENS = 0.013
"""Bound of what the encoder's float16 moves the tokens by (of about 3)."""
CASES = list(find())


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.id)
def exact(request) -> tuple[Case, dict[str, Tensor]]:
    return request.param, running.run(running.load(request.param), request.param)


def moved(one: Tensor, other: Tensor) -> float:
    return (one - other.float()).abs().max().item()


def test_a_bfloat16_base_moves_no_bit_of_the_tokens_and_the_latents_within_bounds(exact):
    case, precise = exact
    rough = running.run(running.load(case, "bfloat16"), case)
    assert case.adapter is None or "tokens_cond" in precise
    for name in precise.keys() & {"tokens_cond", "tokens_uncond"}:
        assert torch.equal(precise[name], rough[name])
    noise = max(moved(precise[name], rough[name]) for name in ("noise_pred_cond", "noise_pred_uncond"))
    latents, largest = moved(precise["latents"], rough["latents"]), precise["latents"].abs().max().item()
    print(f"{case.id} bfloat16: noise_pred {noise:.2g}, latents {latents:.2g} of {largest:.0f}")  # noqa: T201
    noise_bound, latents_bound = BFLOAT16[case.folder.name]
    assert 0 < noise <= noise_bound
    assert 0 < latents <= latents_bound


def test_a_float16_base_moves_tokens_only_by_its_image_encoder(exact):
    case, precise = exact
    if case.adapter is None:
        pytest.skip("a base alone has no tokens")
    rough = running.tokens(running.load(case, "float16").condition(case.rows, case.bucket), case)
    tokens = moved(torch.cat([precise["tokens_uncond"], precise["tokens_cond"]]), rough)
    print(f"{case.id} float16: tokens {tokens:.2g}")  # noqa: T201
    variant = VARIANTS[case.adapter.kind]
    assert (tokens > 0) == (variant.features is not None and not variant.clip_float32)
    assert tokens <= FLOAT16_TOKENS
