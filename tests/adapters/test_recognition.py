"""A file of another kind, base or encoder than the recipe says is refused with a hint, and never makes a picture."""

import pytest
from adapters.loading import encoder, fresh_unet, path_of
from doubles.tiny_recipe import adapter as spec_of

from idgen.adapters.ip_adapter import IpAdapter
from idgen.adapters.variants import VARIANTS
from idgen.errors import Exit, RunError
from idgen.networks import checkpoints
from idgen.recipes import AdapterSpec

FAMILY = {"faceid_portrait_unnorm": "sdxl"}
TWINS = [{"ip_adapter_plus", "ip_adapter_plus_face"}, {"faceid_plus", "faceid_plusv2"}]
"""Kinds whose files have one layout: only the recipe knows."""
PAIRS = [(kind, file) for kind in VARIANTS for file in VARIANTS if kind != file and {kind, file} not in TWINS]


@pytest.fixture(scope="module")
def sd15():
    return fresh_unet()


@pytest.fixture(scope="module")
def sdxl():
    return fresh_unet("sdxl")


def refusal(spec: AdapterSpec, file: AdapterSpec, unet) -> str:
    """What is said about reading `file` as `spec` says."""
    weights = checkpoints.read(path_of(file))
    before = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    with pytest.raises(RunError) as caught:
        IpAdapter(spec, encoder=encoder(spec.image_encoder)).fit(unet, weights, "the file")
    assert caught.value.exit_code == Exit.USAGE
    assert all(tensor.equal(before[name]) for name, tensor in unet.state_dict().items())
    return str(caught.value)


@pytest.mark.parametrize(("kind", "file"), PAIRS)
def test_a_file_of_another_kind_is_refused_and_its_likely_kinds_are_named(kind, file, request):
    family = FAMILY.get(file, "sd15")
    said = refusal(spec_of(kind, FAMILY.get(kind, "sd15")), spec_of(file, family), request.getfixturevalue(family))
    twins = next((pair for pair in TWINS if file in pair), {file})
    assert f"the file is no {kind} file: it looks like {' or '.join(sorted(twins))};" in said


@pytest.mark.parametrize("kind", VARIANTS)
def test_every_kinds_own_file_is_taken_for_that_kind(kind):
    family = FAMILY.get(kind, "sd15")
    spec = spec_of(kind, family)
    adapter = IpAdapter(spec, encoder=encoder(spec.image_encoder))
    adapter.fit(fresh_unet(family), checkpoints.read(path_of(spec)), "the file")
    assert adapter.projection is not None


@pytest.mark.parametrize("kind", ["ip_adapter", "ip_adapter_plus", "faceid", "faceid_plusv2", "faceid_portrait"])
def test_a_file_for_another_family_of_bases_is_refused(kind, sd15, sdxl):
    for family, other, unet in (("sd15", "SDXL", sdxl), ("sdxl", "Stable Diffusion 1.5", sd15)):
        said = refusal(spec_of(kind, family), spec_of(kind, family), unet)
        assert "made for another kind of base" in said
        assert f"the recipe's base is {other}" in said


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
    ],
)
def test_an_encoder_of_the_wrong_width_is_refused_with_the_rule(file, wrong, sd15, sdxl):
    right = spec_of(file)
    said = refusal(
        AdapterSpec(name="a", kind=right.kind, weights=right.weights, image_encoder=f"tiny:{wrong}"),
        right,
        sdxl if "sdxl" in file else sd15,
    )
    assert f"the image encoder tiny:{wrong} gives" in said
    assert "only ip-adapter_sdxl and ip-adapter_sd15_vit-G use bigG" in said


@pytest.mark.parametrize("kind", [name for name, variant in VARIANTS.items() if variant.picture])
def test_a_kind_that_looks_at_pictures_without_an_encoder_says_what_to_set(kind, sd15):
    file = spec_of(kind)
    said = refusal(AdapterSpec(name="a", kind=kind, weights=file.weights), file, sd15)
    assert "image_encoder" in said


def test_an_encoder_for_another_size_of_pictures_is_refused(sd15, monkeypatch):
    spec = spec_of("ip_adapter_plus")
    monkeypatch.setattr(encoder(spec.image_encoder).model.config, "image_size", 336)
    assert "looks at 336 px, pictures are prepared at 224 px" in refusal(spec, spec, sd15)
