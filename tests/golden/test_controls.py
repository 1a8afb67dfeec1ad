"""The mistakes that the community made with these adapters fail the goldens: the comparison can tell.

Each control runs a case with one thing wrong. Where the wrong thing does not even load, that is its failure.
"""

from dataclasses import replace

import pytest
import torch
from golden import running
from golden.cases import Case, find

from idgen.adapters.ip_adapter import IpAdapter
from idgen.adapters.protocol import Tokens
from idgen.errors import RunError
from idgen.networks.branch import Branch
from idgen.networks.image_encoder import Features, ImageEncoder
from idgen.recipes.variants import VARIANTS

pytestmark = pytest.mark.golden

SHARED = {case.folder.name: case for case in find() if case.root.name == "goldens"}
FACTOR = 20
"""A mistake must stand out of the tolerance by this much."""


@pytest.fixture
def case(request) -> Case:
    if request.param not in SHARED:
        pytest.skip(f"no ../shared/goldens/cases/{request.param} beside this checkout")
    return SHARED[request.param]


def wrong_tensors(case: Case) -> set[str]:
    """Tensors of the case that are far from the original's."""
    found = running.run(running.load(case), case)
    values = running.differences(case, found, running.wanted(case))
    return running.beyond(case, {name: value / FACTOR for name, value in values.items()})


def each(*names: str):
    return pytest.mark.parametrize("case", names, indirect=True)


PLUSV2 = ("ip-adapter-faceid-plusv2_sd15", "ip-adapter-faceid-plusv2_sdxl")
FACEID = ("ip-adapter-faceid_sd15", "ip-adapter-faceid_sdxl", "ip-adapter-faceid-portrait_sd15")
HIDDEN = (
    "ip-adapter-plus_sd15",
    "ip-adapter-plus_sdxl_vit-h",
    "ip-adapter-full-face_sd15",
    "ip-adapter-plus-face_sd15",
)
KOLORS = "kolors-faceid-plus"
EVERYWHERE = {"tokens_cond", "tokens_uncond", "noise_pred_cond", "noise_pred_uncond", "latents", "latents_steps"}
COND_ALONE = EVERYWHERE - {"tokens_uncond", "noise_pred_uncond"}
UNCOND_ALONE = EVERYWHERE - {"tokens_cond", "noise_pred_cond"}


@each(*PLUSV2)
def test_version_two_read_as_version_one(case, monkeypatch):
    read_as(monkeypatch, "faceid_plus")
    assert wrong_tensors(case) == EVERYWHERE


@each("ip-adapter-faceid-plus_sd15")
def test_version_one_read_as_version_two(case, monkeypatch):
    read_as(monkeypatch, "faceid_plusv2")
    assert wrong_tensors(case) == EVERYWHERE


@each(*PLUSV2)
def test_the_shortcuts_scale_left_at_one(case, monkeypatch):
    plain = Case.rows.fget
    monkeypatch.setattr(Case, "rows", property(lambda self: [replace(row, options={}) for row in plain(self)]))
    assert wrong_tensors(case) == EVERYWHERE


@each(*FACEID, *PLUSV2, "ip-adapter-faceid-plus_sd15")
def test_the_raw_embedding_instead_of_the_normed_one(case, monkeypatch):
    kind = case.adapter.kind
    monkeypatch.setitem(VARIANTS, kind, replace(VARIANTS[kind], embedding="raw"))
    assert wrong_tensors(case) == COND_ALONE


@each(*PLUSV2, "ip-adapter-faceid-plus_sd15", "ip-adapter-plus_sd15", "ip-adapter_sd15", "ip-adapter_sdxl", KOLORS)
def test_red_and_blue_swapped(case, monkeypatch):
    plain = Case.crops

    def swapped(self, number):
        return {name: crop[..., ::-1].copy() for name, crop in plain(self, number).items()}

    monkeypatch.setattr(Case, "crops", swapped)
    assert wrong_tensors(case) == COND_ALONE


@each(*sorted({*FACEID, *PLUSV2, *HIDDEN, "ip-adapter-faceid-plus_sd15", "ip-adapter_sd15", "ip-adapter_sdxl", KOLORS}))
def test_unconditional_tokens_of_zero_instead_of_projected_zeros(case, monkeypatch):
    plain = IpAdapter.encode

    def zeroed(self, people, options):
        return [Tokens(one.cond, torch.zeros_like(one.uncond)) for one in plain(self, people, options)]

    monkeypatch.setattr(IpAdapter, "encode", zeroed)
    assert wrong_tensors(case) == UNCOND_ALONE


@each(*HIDDEN, "ip-adapter-faceid-plus_sd15", *PLUSV2)
def test_unconditional_features_of_zero_instead_of_a_look_at_zero_pixels(case, monkeypatch):
    plain = ImageEncoder.zeros.func

    def blind(self):
        return Features(plain(self).image_embeds, torch.zeros_like(plain(self).hidden_states))

    monkeypatch.setattr(ImageEncoder, "zeros", property(blind))
    assert {"tokens_uncond", "noise_pred_uncond"} <= wrong_tensors(case)


@each(*HIDDEN, "ip-adapter-faceid-plus_sd15", *PLUSV2)
def test_the_last_hidden_states_instead_of_those_before(case, monkeypatch):
    monkeypatch.setattr(ImageEncoder, "_forward", last_states)
    assert wrong_tensors(case) == EVERYWHERE


@each(*HIDDEN)
def test_image_embeds_instead_of_hidden_states_do_not_load(case, monkeypatch):
    kind = case.adapter.kind
    monkeypatch.setitem(VARIANTS, kind, replace(VARIANTS[kind], features="image_embeds"))
    with pytest.raises(RunError, match="image_embeds"):
        running.load(case)


@each(KOLORS)
@pytest.mark.parametrize(
    ("mistake", "wrong"),
    [
        ({"embedding": "normed"}, COND_ALONE),
        ({"shortcut": False}, EVERYWHERE),
        ({"zero_features": False}, UNCOND_ALONE),
    ],
    ids=["normed embedding", "no shortcut", "unconditional features of a zero picture"],
)
def test_kolors_with_one_line_of_its_variant_as_ip_adapter_has_it(case, mistake, wrong, monkeypatch):
    kind = case.adapter.kind
    monkeypatch.setitem(VARIANTS, kind, replace(VARIANTS[kind], **mistake))
    assert wrong_tensors(case) == wrong


@each(KOLORS)
def test_kolors_tokens_that_are_not_projected_as_text_is_do_not_load(case, monkeypatch):
    kind = case.adapter.kind
    monkeypatch.setitem(VARIANTS, kind, replace(VARIANTS[kind], through_text=False))
    with pytest.raises(RunError, match=r"64-wide tokens, but ip_adapter reads \[48\]-wide"):
        running.load(case)


@each(KOLORS)
def test_kolors_tokens_that_are_cut_to_the_branches_width_instead_of_projected(case, monkeypatch):
    plain_fit, plain_bind = IpAdapter.fit, Branch.bind

    def fit(self, *given):
        plain_fit(self, *given)
        self.through_text = False

    monkeypatch.setattr(IpAdapter, "fit", fit)
    monkeypatch.setattr(Branch, "bind", lambda self, tokens, *rest: plain_bind(self, tokens[..., :48], *rest))
    assert wrong_tensors(case) == EVERYWHERE - {"tokens_cond", "tokens_uncond"}


@each(KOLORS)
def test_kolors_people_of_a_batch_in_each_others_rows(case, monkeypatch):
    for name in ("embeddings", "crops"):
        plain = getattr(Case, name)
        monkeypatch.setattr(Case, name, lambda self, number, plain=plain: plain(self, 1 - number))
    assert wrong_tensors(case) == COND_ALONE


@each(KOLORS)
@pytest.mark.parametrize("name", ["embeddings", "crops"])
def test_kolors_with_the_face_of_one_and_the_embedding_of_another(case, name, monkeypatch):
    plain = getattr(Case, name)
    monkeypatch.setattr(Case, name, lambda self, number: plain(self, 1 - number))
    assert wrong_tensors(case) == COND_ALONE


@each(KOLORS)
def test_kolors_with_the_last_hidden_states_instead_of_those_before(case, monkeypatch):
    monkeypatch.setattr(ImageEncoder, "_forward", last_states)
    assert wrong_tensors(case) == COND_ALONE


def last_states(self, pixel_values):
    """What an encoder gives that looks through all of its layers."""
    out = self.model(pixel_values, output_hidden_states=True)
    return Features(out.image_embeds, out.hidden_states[-1])


def read_as(monkeypatch, kind: str) -> None:
    """Write another kind into the cases' recipes."""
    plain = Case.adapter.fget
    monkeypatch.setattr(Case, "adapter", property(lambda self: replace(plain(self), kind=kind)))
