"""Files of InstantID, PuLID and EcomID that do not go together are refused, and people without what is needed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from adapters.loading import fresh_unet, path_of
from adapters.test_identity_adapters import encode, eye, load, someone
from doubles.tiny_recipe import EYES, person
from doubles.tiny_recipe import adapter as spec_of

from idgen.adapters import table
from idgen.adapters.instantid import InstantId
from idgen.adapters.protocol import Person
from idgen.adapters.pulid import Pulid
from idgen.errors import Exit, RunError
from idgen.sampling.families.cross_attention import host_of


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (replace(spec_of("pulid_v1"), image_encoder="", face_parser=""), "set its image_encoder and face_parser"),
        (replace(spec_of("ecomid"), context_weights=""), "ecomid needs context_weights, other kinds do not take them"),
        (replace(spec_of("pulid_v1"), context_weights="tiny:instantid"), "ecomid needs context_weights"),
        (replace(spec_of("ecomid"), context_weights="tiny:ip_adapter_plus_sdxl_vit_h"), "is it InstantID's"),
        (
            replace(spec_of("ecomid"), context_weights="tiny:pulid_v1_sdxl"),
            "image_proj does not have the layout .* `kind`",
        ),
        (replace(spec_of("pulid_v1"), weights="tiny:pulid_v1_1"), r"is PuLID v1\.1, but the recipe asks for v1"),
        (replace(spec_of("pulid_v1_1"), weights="tiny:instantid"), "looks like an IP-Adapter-Plus, or InstantID"),
        (replace(spec_of("instantid"), weights="tiny:pulid_v1_sdxl"), "it looks like pulid_v1 or ecomid; set `kind`"),
        (replace(spec_of("instantid"), weights="tiny:ip_adapter_plus_sdxl_vit_h"), "it looks like ip_adapter_plus"),
        (replace(spec_of("instantid"), weights="tiny:pulid_v1"), "does not belong in an IP-Adapter checkpoint"),
        (replace(spec_of("instantid"), sha256="0" * 64), "pins"),
        (replace(spec_of("pulid_v1"), sha256="0" * 64), "pins"),
    ],
)
def test_files_that_do_not_go_together_are_refused_with_what_to_do(spec, message):
    with pytest.raises(RunError, match=message) as caught:
        load(spec)
    assert caught.value.exit_code == Exit.USAGE


@pytest.mark.parametrize("change", [{"width": 128}, {"pooled_width": 1024}])
def test_a_tower_of_other_widths_is_refused_with_the_one_that_is_needed(change, monkeypatch):
    monkeypatch.setattr(eye().tower, "config", replace(eye().tower.config, **change))
    with pytest.raises(RunError, match=r"need the EVA02-CLIP-L at 336 px .* as image_encoder"):
        load(spec_of("ecomid"))


@pytest.mark.parametrize("kind", ["instantid", "pulid_v1"])
def test_a_file_for_sdxl_is_refused_on_another_base(kind):
    spec = spec_of(kind)
    with pytest.raises(RunError, match=r"for SDXL \(70 cross-attentions, .*the recipe's base is Stable Diffusion 1"):
        table.make(spec, 1.0, {spec.name: eye()}).load(host_of(fresh_unet("sd15")), [path_of(spec)])


def test_a_person_without_what_the_adapter_needs_is_a_bug_that_says_so():
    any_kind, v1 = load(spec_of("instantid")), load(spec_of("pulid_v1"))
    with pytest.raises(ValueError, match=r"no embeddings|neither embeddings"):
        encode(any_kind, Person(np.empty((0, 512), np.float32), someone().crops))
    with pytest.raises(ValueError, match="needs the crop ffhq-512-rgb-crop-512"):
        encode(v1, Person(person(1)))
    with pytest.raises(ValueError, match="2 embeddings and 1 pictures"):
        encode(v1, Person(person(1, 2), someone().crops))
    for made in (InstantId(spec_of("instantid")), Pulid(spec_of("pulid_v1"), eye=eye())):
        with pytest.raises(RuntimeError, match="load must run before encode"):
            encode(made)


def test_a_parser_or_tower_that_is_something_else_is_refused():
    for changes, message in (
        ({"face_parser": EYES["image_encoder"]}, "the face parser does not have the layout .* give facexlib's"),
        ({"image_encoder": EYES["face_parser"]}, "not the EVA02-CLIP"),
    ):
        with pytest.raises(RunError, match=message):
            table.eyes([replace(spec_of("pulid_v1"), **changes)], torch.float32)
