"""EcomID with EcomXL's nets gives what the originals gave, through the product's sampler from prompt and aligned face.

Both conventions of the further nets: text (InstantID's, and how EcomXL's were trained) and face context (ComfyUI's).
Only the parser's labels are the golden's own, as no parser's weights are stored beside these cases. `-s` prints the
differences.
"""

from dataclasses import replace

import pytest
import torch
from golden import running
from golden.cases import CASES, Case, open_case

from idgen.recipes.recipe import AdapterSpec, Base, Control, Recipe
from idgen.recipes.variants import picture_need
from idgen.sampling.rows import Bucket, ControlUse, SampleRow
from idgen.sampling.sampler import Sampler

pytestmark = pytest.mark.golden

NETS = ("inpaint", "softedge")
FACTOR = 20
"""A mistake must stand out of the tolerance by this much."""
ROUNDING = 1e-5


@pytest.fixture(scope="module", params=NETS)
def name(request):
    torch.set_num_threads(1)
    return request.param


def case_of(name: str) -> Case:
    return open_case(f"ecomid_{name}")


def recipe(case: Case, *names: str, context: str = "text") -> Recipe:
    """EcomID with the nets of these names."""
    adapter = AdapterSpec(
        name="ecomid",
        kind="ecomid",
        weights=str(CASES / "ecomid/checkpoint/ip-adapter_pulid_sdxl_fp16.safetensors"),
        context_weights=str(CASES / "instantid/checkpoint/ip-adapter.bin"),
        image_encoder=str(case.root / "encoders" / case.facts["encoder"] / "EVA02_CLIP_L_336_psz14_s6B.pt"),
        face_parser="tiny:face_parser",
    )
    identity = Control(
        name="identity",
        weights=str(CASES / "ecomid/checkpoint/SDXL-EcomID"),
        config=str(CASES / "instantid/checkpoint/ControlNetModel"),
    )
    further = [
        Control(name=one, weights=str(CASES / f"ecomid_{one}/checkpoint/EcomXL_controlnet_{one}"), context=context)
        for one in names
    ]
    return Recipe(
        name="ecomid",
        base=Base(kind="sdxl", weights=str(case.root / "bases" / case.facts["base"]), dtype="float32"),
        adapters=[adapter],
        controls=[identity, *further],
        timestep_spacing=case.facts["scheduler"]["config"]["timestep_spacing"],
    )


def load(*cases: Case, context: str = "text") -> Sampler:
    """The sampler of the cases' nets, whose parser knows the cases' faces."""
    made = recipe(cases[0], *(case.folder.name.removeprefix("ecomid_") for case in cases), context=context)
    sampler = Sampler.load(made, lora_scale=1.0, device="cpu")
    sampler.adapters[0].eye.parser = StoredLabels(cases)
    return sampler


class StoredLabels:
    """A parser that remembers what the original parser said of the cases' faces."""

    def __init__(self, cases):
        self.faces = torch.cat([case.inputs["aligned_face"] for case in cases])
        self.found = torch.cat([case.inputs["parsing_labels"] for case in cases])

    def labels(self, face):
        same = (self.faces == torch.from_numpy(face)).flatten(1).all(1)
        return self.found[same][:1]


def bucket(case: Case, *names: str) -> Bucket:
    """With IdentityNet and the nets of these names."""
    scales = {
        one: open_case(f"ecomid_{one}").facts["scale"][f"{one}_conditioning_scale"] for one in names if one in NETS
    }
    uses = [ControlUse(name=one, scale=scales.get(one, 1.0)) for one in names]
    return replace(case.bucket, controls=tuple(uses))


def rows(case: Case) -> list[SampleRow]:
    """As the faces stage hands them over, with what every net looks at."""
    facts, inputs = case.facts, {name: one.numpy() for name, one in case.inputs.items()}
    need = picture_need(recipe(case).adapters[0])
    return [
        SampleRow(
            key=str(at),
            prompt=facts["prompts"][at],
            negative_prompt=facts["negative_prompts"][at],
            seed=0,
            id_embedding=inputs["id_embedding_raw"][at : at + 1],
            ip_adapter_scale=facts["scale"]["id_scale"],
            crops={need.name: inputs["aligned_face"][at : at + 1]},
            identity_scale=facts["scale"]["controlnet_conditioning_scale"],
            control_images={"identity": inputs["kps_image"][at]}
            | ({"softedge": inputs["softedge_image"][at]} if "softedge_image" in inputs else {}),
            init_image=inputs["inpaint_image"][at] if "inpaint_image" in inputs else None,
            mask=inputs["inpaint_mask"][at] if "inpaint_mask" in inputs else None,
        )
        for at in range(facts["batch"])
    ]


def gap(case: Case, tensor: torch.Tensor, wanted: str) -> float:
    value = (tensor - case.expected[wanted]).abs().max().item()
    print(f"{case.folder.name} {wanted}: {value:.2e}")  # noqa: T201
    return value


def test_all_rows_in_one_batch_are_the_originals(name):
    case = case_of(name)
    sampler, chosen = load(case), bucket(case, "identity", name)
    conditions = sampler.condition(rows(case), chosen)
    limit = case.facts["tolerance"]
    for number, kind in enumerate(("uncond", "cond")):
        tokens, context = (given.flatten(1, 2).chunk(2)[number] for given in (conditions.tokens[0], conditions.context))
        assert gap(case, tokens[:, : case.facts["num_tokens"]], f"tokens_{kind}") <= limit["tokens"]
        assert gap(case, context, f"face_tokens_{kind}") <= limit["face_tokens"]
    assert torch.equal(conditions.control_images[1], case.inputs["control_image"])
    predictions, steps = running.denoise(sampler, conditions, chosen, case)
    for kind, found in zip(("uncond", "cond"), predictions[0].chunk(2), strict=True):
        assert gap(case, found, f"noise_pred_{kind}") <= limit["noise_pred"]
    assert gap(case, torch.stack(steps), "latents_steps") <= limit["latents_steps"]
    assert gap(case, steps[-1], "latents") <= limit["latents"]
    assert gap(case, steps[-1], "latents_face_context") > FACTOR * limit["latents"]


def test_with_face_context_too(name):
    case = case_of(name)
    sampler, chosen = load(case, context="face"), bucket(case, "identity", name)
    _, steps = running.denoise(sampler, sampler.condition(rows(case), chosen), chosen, case)
    assert gap(case, steps[-1], "latents_face_context") <= case.facts["tolerance"]["latents_face_context"]
    assert gap(case, steps[-1], "latents") > FACTOR * case.facts["tolerance"]["latents"]


def test_text_shown_to_identitynet_is_seen(name):
    case = case_of(name)
    sampler, chosen = load(case), bucket(case, "identity", name)
    conditions = sampler.condition(rows(case), chosen)
    text = torch.cat([conditions.negative, conditions.prompt])[:, None]
    _, steps = running.denoise(sampler, replace(conditions, context=text), chosen, case)
    assert gap(case, steps[-1], "latents") > FACTOR * case.facts["tolerance"]["latents"]


def test_conditional_and_unconditional_context_swapped_is_seen(name):
    case = case_of(name)
    sampler, chosen = load(case), bucket(case, "identity", name)
    conditions = sampler.condition(rows(case), chosen)
    swapped = torch.cat(conditions.context.chunk(2)[::-1])
    _, steps = running.denoise(sampler, replace(conditions, context=swapped), chosen, case)
    assert gap(case, steps[-1], "latents") > FACTOR * case.facts["tolerance"]["latents"]


def test_all_nets_together_add_up_to_what_each_gives_alone():
    torch.set_num_threads(1)
    inpaint, softedge = (case_of(name) for name in NETS)
    sampler = load(inpaint, softedge)
    edges = softedge.inputs["softedge_image"].numpy()
    both = [
        replace(row, control_images={**row.control_images, "softedge": edges[at]})
        for at, row in enumerate(rows(inpaint))
    ]
    alone = [first_residuals(sampler, inpaint, both, name) for name in ("identity", *NETS)]
    together = first_residuals(sampler, inpaint, both, "identity", *NETS)
    for found, *parts in zip(together, *alone, strict=True):
        assert all(part.abs().max() > 100 * ROUNDING for part in parts)
        assert (found - sum(parts)).abs().max() <= ROUNDING * max(1, found.abs().max().item())


def first_residuals(sampler: Sampler, case: Case, given: list[SampleRow], *names: str) -> list[torch.Tensor]:
    """What the UNet is handed in its first step."""
    seen = []

    def keep(_module, _args, words):
        seen.append([*words["down_block_additional_residuals"], words["mid_block_additional_residual"]])

    chosen = bucket(case, *names)
    hook = sampler.pipeline.unet.register_forward_pre_hook(keep, with_kwargs=True)
    running.denoise(sampler, sampler.condition(given, chosen), replace(chosen, num_inference_steps=1), case)
    hook.remove()
    return seen[0]
