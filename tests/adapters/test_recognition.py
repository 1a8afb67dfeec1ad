"""A file of another kind, base or encoder than the recipe says is refused with a hint, and never makes a picture."""

import pytest
import torch
from adapters.loading import IP_KINDS, encoder, fresh_unet, path_of
from diffusers import UNet2DConditionModel
from doubles.tiny_recipe import adapter as spec_of

from idgen.adapters.ip_adapter import IpAdapter
from idgen.errors import Exit, RunError
from idgen.networks import checkpoints
from idgen.recipes.recipe import AdapterSpec
from idgen.recipes.variants import VARIANTS
from idgen.sampling.families.cross_attention import host_of
from idgen.tiny.files import ADAPTERS

FAMILY = {"faceid_portrait_unnorm": "sdxl", "kolors_faceid_plus": "kolors", "kolors_ip_adapter_plus": "kolors"}
TWINS = [
    {"ip_adapter_plus", "ip_adapter_plus_face", "kolors_ip_adapter_plus"},
    {"faceid_plus", "faceid_plusv2"},
    {"faceid_portrait_unnorm", "instantid"},
]
"""Kinds whose files have one layout: only the recipe knows, and the base."""
PAIRS = [(kind, file) for kind in IP_KINDS for file in IP_KINDS if not any({kind, file} <= twins for twins in TWINS)]
PAIRS = [(kind, file) for kind, file in PAIRS if kind != file]


@pytest.fixture(scope="module")
def sd15():
    return fresh_unet()


@pytest.fixture(scope="module")
def sdxl():
    return fresh_unet("sdxl")


@pytest.fixture(scope="module")
def kolors():
    return fresh_unet("kolors")


def refusal(spec: AdapterSpec, file: AdapterSpec, unet) -> str:
    """What is said about reading `file` as `spec` says."""
    return refusal_of(spec, checkpoints.read(path_of(file)), unet)


def refusal_of(spec: AdapterSpec, weights, unet) -> str:
    """What is said about `weights` in a file."""
    before = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    with pytest.raises(RunError) as caught:
        IpAdapter(spec, encoder=encoder(spec.image_encoder)).fit(host_of(unet), weights, "the file")
    assert caught.value.exit_code == Exit.USAGE
    assert all(tensor.equal(before[name]) for name, tensor in unet.state_dict().items())
    return str(caught.value)


@pytest.mark.parametrize(("kind", "file"), PAIRS)
def test_a_file_of_another_kind_is_refused_and_its_likely_kinds_are_named(kind, file, request):
    family = FAMILY.get(file, "sd15")
    said = refusal(spec_of(kind, FAMILY.get(kind, "sd15")), spec_of(file, family), request.getfixturevalue(family))
    twins = next((pair for pair in TWINS if file in pair), {file})
    assert f"the file is not a file of kind {kind}: it looks like {' or '.join(sorted(twins))};" in said


@pytest.mark.parametrize("kind", IP_KINDS)
def test_every_kinds_own_file_is_taken_for_that_kind(kind):
    family = FAMILY.get(kind, "sd15")
    spec = spec_of(kind, family)
    adapter = IpAdapter(spec, encoder=encoder(spec.image_encoder))
    adapter.fit(host_of(fresh_unet(family)), checkpoints.read(path_of(spec)), "the file")
    assert adapter.projection is not None


@pytest.mark.parametrize("kind", ["ip_adapter", "ip_adapter_plus", "faceid", "faceid_plusv2", "faceid_portrait"])
def test_a_file_for_another_family_of_bases_is_refused(kind, sd15, sdxl):
    for family, other, unet in (("sd15", "SDXL", sdxl), ("sdxl", "Stable Diffusion 1.5", sd15)):
        said = refusal(spec_of(kind, family), spec_of(kind, family), unet)
        assert "made for another kind of base" in said
        assert f"the recipe's base is {other}" in said


@pytest.mark.parametrize("kind", ["ip_adapter", "ip_adapter_plus", "faceid_portrait", "faceid_plusv2"])
def test_a_file_for_a_base_with_as_many_layers_but_another_text_is_refused(kind, sd15):
    """As of Stable Diffusion 2, whose text is 1024 wide."""
    width = sd15.config.cross_attention_dim
    other = UNet2DConditionModel.from_config({**sd15.config, "cross_attention_dim": width + 16})
    said = refusal(spec_of(kind), spec_of(kind), other)
    assert f"it needs text {width} wide, but the recipe's base has {width + 16}" in said


@pytest.mark.parametrize(
    ("kind", "family", "made_for"),
    [
        ("faceid_plusv2", "sdxl", "SDXL (70 cross-attentions, kind faceid_plusv2)"),
        ("ip_adapter_plus", "sdxl", "SDXL (70 cross-attentions, kind ip_adapter_plus)"),
        ("faceid_plusv2", "sd15", "Stable Diffusion 1.5 (16 cross-attentions, kind faceid_plusv2)"),
    ],
)
def test_a_file_for_other_bases_is_refused_on_kolors_which_has_as_many_layers_as_sdxl(kind, family, made_for, kolors):
    said = refusal(spec_of(kind, family), spec_of(kind, family), kolors)
    assert f"made for another kind of base: for {made_for}" in said
    assert "the recipe's base is Kolors (70)" in said


@pytest.mark.parametrize("kind", ["kolors_faceid_plus", "kolors_ip_adapter_plus"])
@pytest.mark.parametrize(("family", "here"), [("sdxl", "SDXL (70)"), ("sd15", "Stable Diffusion 1.5 (16)")])
def test_kolors_files_are_refused_on_other_bases(kind, family, here, request):
    said = refusal(spec_of(kind, "kolors"), spec_of(kind, "kolors"), request.getfixturevalue(family))
    assert f"made for another kind of base: for Kolors (70 cross-attentions, kind {kind})" in said
    assert f"the recipe's base is {here}" in said


@pytest.mark.parametrize(
    ("kind", "file", "hint"),
    [
        ("kolors_faceid_plus", "faceid_plusv2_sdxl", "looks like faceid_plus or faceid_plusv2; set `kind`"),
        ("faceid_plusv2", "kolors_faceid_plus", "looks like kolors_faceid_plus; set `kind`"),
        ("kolors_ip_adapter_plus", "ip_adapter_plus_sdxl_vit_h", "only Kolors' files CLIP ViT-L/14 at 336 px"),
        ("ip_adapter_plus", "kolors_ip_adapter_plus", "only Kolors' files CLIP ViT-L/14 at 336 px"),
    ],
)
def test_files_of_kolors_and_of_sdxl_in_each_others_recipes_are_told_apart(kind, file, hint, request):
    """Plus has one layout in both; what its file reads is as wide as another image encoder's features."""
    family = "kolors" if kind.startswith("kolors") else "sdxl"
    assert hint in refusal(spec_of(kind, family), spec_of(file), request.getfixturevalue(family))


def test_tokens_that_are_not_as_wide_as_the_bases_text_are_refused(kolors):
    spec = spec_of("kolors_faceid_plus")
    weights = checkpoints.read(path_of(spec))
    wider = fresh_unet("kolors")
    wider.encoder_hid_proj = torch.nn.Linear(64, 96)
    said = refusal_of(spec, weights, wider)
    assert "image_proj makes 128-wide tokens, but the base's text is 64 wide" in said
    wider.encoder_hid_proj = torch.nn.Linear(128, 80)
    said = refusal_of(spec, weights, wider)
    assert "the base's text projection makes 80-wide tokens, but ip_adapter reads [96]-wide ones" in said


def test_a_file_with_both_names_for_its_layers_is_refused(kolors):
    spec = spec_of("kolors_faceid_plus")
    weights = checkpoints.read(path_of(spec))
    assert any(name.startswith("adapter_modules.") for name in weights)
    more = weights | {"ip_adapter.1.to_k_ip.weight": weights["adapter_modules.1.to_k_ip.weight"]}
    assert "both ip_adapter.* and adapter_modules.*" in refusal_of(spec, more, kolors)


def test_kolors_layers_may_be_called_ip_adapter_as_elsewhere():
    """As a file is that somebody converted; what it holds decides."""
    spec = spec_of("kolors_faceid_plus")
    weights = {
        name.replace("adapter_modules.", "ip_adapter."): one for name, one in checkpoints.read(path_of(spec)).items()
    }
    adapter = IpAdapter(spec, encoder=encoder(spec.image_encoder))
    adapter.fit(host_of(fresh_unet("kolors")), weights, "the file")
    assert len(adapter.branches) == 70


@pytest.mark.parametrize(
    ("file", "wrong"),
    [
        ("ip_adapter_sd15", "clip_vit_bigg"),
        ("ip_adapter_sd15_vit_g", "clip_vit_h"),
        ("ip_adapter_plus_sd15", "clip_vit_bigg"),
        ("ip_adapter_plus_face_sd15", "clip_vit_bigg"),
        ("ip_adapter_full_face_sd15", "clip_vit_bigg"),
        ("faceid_plus_sd15", "clip_vit_bigg"),
        ("faceid_plusv2_sd15", "clip_vit_bigg"),
        ("ip_adapter_sdxl", "clip_vit_h"),
        ("ip_adapter_sdxl_vit_h", "clip_vit_bigg"),
        ("ip_adapter_plus_sdxl_vit_h", "clip_vit_bigg"),
        ("ip_adapter_plus_sdxl_vit_h", "clip_vit_l_336"),
        ("kolors_faceid_plus", "clip_vit_h"),
        ("kolors_ip_adapter_plus", "clip_vit_bigg"),
    ],
)
def test_an_encoder_of_the_wrong_width_is_refused_with_the_rule(file, wrong, request):
    right = spec_of(file)
    said = refusal(
        AdapterSpec(name="a", kind=right.kind, weights=right.weights, image_encoder=f"tiny:{wrong}"),
        right,
        request.getfixturevalue(ADAPTERS[file].family),
    )
    assert f"the image encoder tiny:{wrong} gives" in said
    assert "only ip-adapter_sdxl and ip-adapter_sd15_vit-G use bigG" in said


@pytest.mark.parametrize("kind", [name for name in IP_KINDS if VARIANTS[name].picture])
def test_a_kind_that_looks_at_pictures_without_an_encoder_says_what_to_set(kind, request):
    family = FAMILY.get(kind, "sd15")
    file = spec_of(kind, family)
    said = refusal(AdapterSpec(name="a", kind=kind, weights=file.weights), file, request.getfixturevalue(family))
    assert "image_encoder" in said


def test_an_encoder_for_another_size_of_pictures_is_refused(sd15, monkeypatch):
    spec = spec_of("ip_adapter_plus")
    monkeypatch.setattr(encoder(spec.image_encoder).model.config, "image_size", 336)
    assert "takes pictures of 336 px, but they are prepared at 224 px" in refusal(spec, spec, sd15)


def test_a_checkpoint_of_the_training_says_what_it_is(sd15):
    names = ("unet.conv_in.weight", "image_proj_model.proj.weight", "adapter_modules.1.to_k_ip.weight")
    said = refusal_of(spec_of("ip_adapter"), {name: torch.zeros(4) for name in names}, sd15)
    assert said.startswith("the file is a training checkpoint of an IP-Adapter: the authors' README shows")
