"""InstantID, PuLID and EcomID: what becomes of a person's photos, how many tokens, and how often a face is seen."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch
from adapters.loading import fresh_unet, path_of
from doubles.tiny_recipe import adapter as spec_of
from doubles.tiny_recipe import person, picture

from idgen import weights
from idgen.adapters import table
from idgen.adapters.face_encoder import FaceEncoder
from idgen.adapters.protocol import Person
from idgen.lru_cache import LruCache
from idgen.networks import pulid
from idgen.recipes.recipe import AdapterSpec, Recipe
from idgen.recipes.variants import VARIANTS, needs, picture_need
from idgen.sampling.families.cross_attention import host_of

KINDS = ("instantid", "pulid_v1", "pulid_v1_1", "ecomid")
PULID = KINDS[1:]
ZEROS = {"pulid_v1": 8, "pulid_v1_1": 20, "ecomid": 8}
NEED = picture_need(spec_of("ecomid"))


@lru_cache
def eye() -> FaceEncoder:
    """The tiny tower and parser, one for all tests."""
    torch.set_num_threads(1)
    return table.eyes([spec_of("ecomid")], torch.float32)["identity"]


def load(spec: AdapterSpec):
    """The adapter of a recipe's entry, in a UNet that is thrown away, as the sampler loads it."""
    made = table.make(spec, 1.0, {spec.name: eye()} if spec.image_encoder else {})
    context = [weights.locate(spec.context_weights)] if spec.context_weights else []
    made.load(host_of(fresh_unet("sdxl")), [path_of(spec), *context])
    return made


@pytest.fixture(scope="module", params=KINDS)
def any_kind(request):
    return load(spec_of(request.param))


@pytest.fixture(scope="module")
def v1():
    return load(spec_of("pulid_v1"))


@pytest.fixture(scope="module")
def ecomid():
    return load(spec_of("ecomid"))


def someone(number: int = 1, references: int = 1) -> Person:
    return Person(person(number, references), {NEED.name: picture(number, references, NEED.size_px)})


@torch.inference_mode()
def encode(adapter, *people: Person):
    return adapter.encode(people or [someone()], {})


def reference(one: Person, at: int) -> Person:
    """One photo of somebody."""
    return Person(one.id_embedding[at : at + 1], {name: crops[at : at + 1] for name, crops in one.crops.items()})


def changed(monkeypatch, adapter, **settings):
    monkeypatch.setattr(adapter, "settings", replace(adapter.settings, **settings))
    return adapter


def test_a_recipes_rows_need_a_raw_embedding_and_the_face_on_ffhqs_points():
    for kind in KINDS:
        asked = needs(Recipe(adapters=[spec_of(kind)]))
        assert asked.embedding
        assert asked.analysis
        assert [(need.kind, need.size_px, need.color) for need in asked.pictures] == [("ffhq", 512, "rgb")] * (
            kind in PULID
        )


def test_each_kind_makes_its_number_of_tokens_and_zeros_stand_at_their_end(any_kind):
    (tokens,) = encode(any_kind)
    count, zeros = VARIANTS[any_kind.kind].tokens, ZEROS.get(any_kind.kind, 0)
    width = any_kind.branches[0].k.in_features
    for part in (tokens.cond, tokens.uncond):
        assert part.shape == (1, count + zeros, width)
        assert part.dtype == torch.float32
        assert not part[:, count:].any()
        assert part[:, :count].abs().amax(2).min() > 0.01
    assert len(any_kind.branches) == 70
    assert (tokens.cond - tokens.uncond).abs().max() > 0.1


@pytest.mark.parametrize(
    ("kind", "zeros"),
    [
        ("pulid_v1", {"add": 0, "ortho": 16, "ortho_v2": 8}),
        ("ecomid", {"add": 0, "ortho": 16, "ortho_v2": 8}),
        ("pulid_v1_1", {"add": 20, "ortho": 20, "ortho_v2": 20}),
    ],
)
def test_zero_tokens_are_as_many_as_the_authors_have_with_each_way_to_join_or_as_the_recipe_says(kind, zeros):
    authors = VARIANTS[kind].pulid
    assert {way: authors.as_said(replace(spec_of(kind), combine=way)).zeros for way in zeros} == zeros
    assert authors.as_said(spec_of(kind)).zeros == zeros["ortho_v2"]
    assert {authors.as_said(replace(spec_of(kind), combine=way, num_zero=3)).zeros for way in zeros} == {3}
    assert authors.as_said(replace(spec_of(kind), num_zero=0)).zeros == 0


def test_instantid_and_ecomid_alone_give_a_context(any_kind):
    (tokens,) = encode(any_kind)
    assert any_kind.gives_context == (tokens.context is not None) == (any_kind.kind in ("instantid", "ecomid"))
    if tokens.context is not None:
        assert {part.shape for part in tokens.context} == {(1, 16, tokens.cond.shape[2])}
    if any_kind.kind == "instantid":
        assert torch.equal(tokens.context[0], tokens.cond)
        assert torch.equal(tokens.context[1], tokens.uncond)


def test_people_encoded_together_get_what_they_get_alone(any_kind):
    people = [someone(1, 2), someone(2, 2)]
    for one, together in zip(people, encode(any_kind, *people), strict=True):
        (alone,) = encode(any_kind, one)
        for first, second in zip(parts_of(alone), parts_of(together), strict=True):
            assert torch.equal(first, second)


def parts_of(tokens):
    return [tokens.cond, tokens.uncond, *(tokens.context or ())]


def test_the_embedding_goes_in_with_its_length(any_kind):
    short = Person(0.05 * someone().id_embedding, someone().crops)
    (long_one,), (short_one,) = encode(any_kind), encode(any_kind, short)
    assert (long_one.cond - short_one.cond).abs().max() > 0.01
    assert torch.equal(long_one.uncond, short_one.uncond)


def test_instantids_references_are_one_sequence_and_nobody_is_as_long_a_one_of_zeros():
    adapter, one = load(spec_of("instantid")), someone(1, 3)
    (tokens,) = encode(adapter, one)
    raw = torch.from_numpy(one.id_embedding)
    with torch.inference_mode():
        assert torch.equal(tokens.cond, adapter.resampler(raw[None]))
        assert torch.equal(tokens.uncond, adapter.resampler(torch.zeros(1, 3, 512)))
    assert tokens.cond.shape[:2] == (1, 16)


@pytest.mark.parametrize(("references", "count"), [("first", 20), ("all", 30), ("mean", 10)])
def test_version_1s_further_references_join_as_the_recipe_says(v1, references, count, monkeypatch):
    (tokens,) = encode(changed(monkeypatch, v1, references=references), someone(1, 3))
    assert tokens.cond.shape[:2] == tokens.uncond.shape[:2] == (1, count + 8)


def test_version_1_1_takes_all_references_in_at_once():
    adapter = load(spec_of("pulid_v1_1"))
    (one,), (three,) = encode(adapter, someone(1, 1)), encode(adapter, someone(1, 3))
    assert one.cond.shape == three.cond.shape
    assert (one.cond - three.cond).abs().max() > 0.01
    assert torch.equal(one.uncond, three.uncond)


def test_ecomids_references_become_the_mean_of_their_tokens_and_the_context_of_the_mean_embedding(ecomid):
    several = someone(1, 3)
    (tokens,) = encode(ecomid, several)
    each = encode(ecomid, *(reference(several, at) for at in range(3)))
    torch.testing.assert_close(tokens.cond, torch.stack([one.cond for one in each]).mean(0), atol=1e-5, rtol=0)
    with torch.inference_mode():
        mean = torch.from_numpy(several.id_embedding).mean(0)[None, None]
        torch.testing.assert_close(tokens.context[0], ecomid.resampler(mean), atol=1e-5, rtol=0)
        assert torch.equal(tokens.context[1], ecomid.resampler(torch.zeros(1, 1, 512)))


def test_tokens_are_the_encoders_of_what_the_eye_sees(v1):
    one = someone(3)
    (tokens,) = encode(v1, one)
    with torch.inference_mode():
        seen = eye().features(one.crops[NEED.name], antialias=False)
        cond = pulid.id_cond(torch.from_numpy(one.id_embedding), seen.pooled)
        assert torch.equal(tokens.cond[:, :10], v1.encoder(cond, seen.hidden_states))


def test_branches_join_as_the_recipe_says():
    adapter = load(replace(spec_of("pulid_v1"), combine="ortho"))
    assert {branch.combine for branch in adapter.branches} == {"ortho"}
    assert encode(adapter)[0].cond.shape[1] == 10 + 16
    adapter = load(replace(spec_of("ecomid")))
    assert {(branch.combine, branch.attn_mean) for branch in adapter.branches} == {("ortho_v2", "global")}
    assert {branch.combine for branch in load(spec_of("instantid")).branches} == {"add"}


def test_adapters_that_name_the_same_files_share_an_eye_and_a_face_is_seen_once(v1, ecomid, monkeypatch):
    named = {"a": "pulid_v1", "b": "pulid_v1_1", "c": "instantid"}
    both = [replace(spec_of(kind), name=name) for name, kind in named.items()]
    loads, plain = [], FaceEncoder.load
    monkeypatch.setattr(FaceEncoder, "load", lambda *files: loads.append(files) or plain(*files))
    shared = table.eyes(both, torch.float16)
    assert len(loads) == 1
    assert shared.keys() == {"a", "b"}
    assert shared["a"] is shared["b"]
    for adapter in (v1, ecomid):
        adapter.forget()
    before = eye().encodings
    for _ in range(2):
        encode(v1, someone(7, 2), someone(8))
        encode(changed(monkeypatch, ecomid, antialias=False), someone(8))
    assert eye().encodings - before == 3
    encode(changed(monkeypatch, ecomid, antialias=True), someone(8))
    assert eye().encodings - before == 4, "other pixels"
    v1.forget()
    encode(v1, someone(8))
    assert eye().encodings - before == 5
    v1.to(torch.device("cpu"))
    encode(v1, someone(8))
    assert eye().encodings - before == 6, "what was seen lies on the device that was left"


def test_an_eye_remembers_a_few_faces_alone(monkeypatch):
    monkeypatch.setattr(eye(), "_cache", LruCache(lambda _: 1, 2))
    faces = picture(20, 3, 512)
    faces[1:] = 255 - faces[:1] // np.array([[[[2]]], [[[3]]]], np.uint8)
    before = eye().encodings
    with torch.inference_mode():
        eye().features(faces, antialias=False)
        eye().features(faces[1:], antialias=False)
        assert eye().encodings - before == 3
        eye().features(faces[:1], antialias=False)
    assert eye().encodings - before == 4


def test_convolutions_are_exact_while_a_face_is_looked_at_and_as_before_after_it(monkeypatch):
    seen = []
    plain = eye().parser.labels
    eye().clear()

    def labels(face):
        seen.append(torch.backends.cudnn.allow_tf32)
        return plain(face)

    monkeypatch.setattr(eye().parser, "labels", labels)
    before = torch.backends.cudnn.allow_tf32
    with torch.inference_mode():
        eye().features(picture(30, 1, 512), antialias=False)
    assert seen == [False]
    assert torch.backends.cudnn.allow_tf32 == before is True


def test_of_instantids_file_an_ecomid_keeps_the_resampler_alone(ecomid):
    theirs = load(spec_of("instantid"))
    ours = ecomid.resampler.state_dict()
    assert ours.keys() == theirs.resampler.state_dict().keys()
    assert all(torch.equal(one, theirs.resampler.state_dict()[name]) for name, one in ours.items())
    assert not any(torch.equal(a.k.weight, b.k.weight) for a, b in zip(ecomid.branches, theirs.branches, strict=True))
