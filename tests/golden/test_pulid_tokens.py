"""PuLID's and EcomID's ID tokens are the original implementations', from the aligned face on.

`-s` prints the differences. Only beside the open goldens (../shared/goldens, or what IDGEN_GOLDENS names).
"""

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from idgen.adapters import pulid_files
from idgen.errors import RunError
from idgen.networks import eva_clip, pulid
from idgen.networks.eva_clip import EvaTower

pytestmark = pytest.mark.golden

ROOTS = [Path(__file__).parents[3] / "shared" / "goldens", Path(os.environ.get("IDGEN_GOLDENS") or "none")]
VERSIONS = {"pulid_v1": "v1", "pulid_v1.1": "v1.1", "ecomid": "v1"}
FILES = {"pulid_v1": 0, "pulid_v1.1": 0, "ecomid": 1}
"""Place of PuLID's file in the case's `checkpoint`."""
WHITE = (0, 7, 8, 9, 14, 15, 16, 18)
"""Of BiSeNet's classes: what is no face and no hair."""


@dataclass(frozen=True)
class Case:
    """One golden of the family."""

    folder: Path

    @cached_property
    def facts(self):
        return json.loads((self.folder / "case.json").read_text())

    @cached_property
    def inputs(self):
        return load_file(self.folder / "inputs.safetensors")

    @cached_property
    def expected(self):
        return load_file(self.folder / "expected.safetensors")

    @cached_property
    def tower(self):
        return self.fresh_tower()

    @cached_property
    def encoder(self):
        version = VERSIONS[self.folder.name]
        return pulid_files.encoder(pulid_files.read(self.file, version), version, self.file.name)

    @property
    def file(self):
        return self.folder / "checkpoint" / self.facts["checkpoint"][FILES[self.folder.name]]

    def fresh_tower(self):
        (path,) = (self.folder.parents[1] / "encoders" / self.facts["encoder"]).glob("*.pt")
        return EvaTower.load(path)

    @cached_property
    def image(self):
        """[B, 3, 512, 512]: the gray face on white that the originals make of crop and labels."""
        red, green, blue = (self.inputs["aligned_face"].float() / 255).unbind(-1)
        gray = (0.299 * red + 0.587 * green + 0.114 * blue)[:, None].repeat(1, 3, 1, 1)
        outside = torch.isin(self.inputs["parsing_labels"], torch.tensor(WHITE, dtype=torch.uint8))
        return torch.where(outside[:, None], torch.ones_like(gray), gray)

    def pixels(self, *, wrong=False):
        return pulid.face_features(self.image, 336, antialias=self.facts["antialias"] != wrong)

    @cached_property
    def seen(self):
        return self.tower(self.pixels())

    def tokens(self, cond, hidden_states):
        """[B, T, D] conditional and unconditional, person by person."""
        encode = pulid.encode_v1 if VERSIONS[self.folder.name] == "v1" else pulid.encode_v1_1
        people = [encode(self.encoder, cond[at : at + 1], hidden_states[:, at : at + 1]) for at in range(len(cond))]
        return tuple(torch.cat(each) for each in zip(*people, strict=True))

    def difference(self, cond, hidden_states):
        """Largest difference of any token."""
        found = self.tokens(cond, hidden_states)
        wanted = (self.expected["tokens_cond"], self.expected["tokens_uncond"])
        assert [one.shape for one in found] == [one.shape for one in wanted]
        return max(apart(one, other) for one, other in zip(found, wanted, strict=True))

    def stored_cond(self):
        return pulid.id_cond(self.inputs["id_embedding_raw"], self.inputs["eva_pooled"])


def apart(one, other):
    return (one - other).abs().max().item()


CASES = [Case(folder) for root in ROOTS for name in VERSIONS if (folder := root.resolve() / "cases" / name).is_dir()]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.folder.name)
def case(request):
    return request.param


def test_beside_the_open_goldens_all_three_are_run():
    if not ROOTS[0].is_dir():
        pytest.skip("no ../shared/goldens beside this checkout")
    assert {case.folder.name for case in CASES} == set(VERSIONS)


def test_the_tower_sees_what_the_original_saw(case):
    found = {"eva_pooled": case.seen.pooled, "eva_hidden_states": case.seen.hidden_states}
    for name, tensor in found.items():
        assert tensor.shape == case.inputs[name].shape
        value = apart(tensor, case.inputs[name])
        print(f"{case.folder.name} {name}: {value:.2e} of {case.inputs[name].abs().max():.1f}")  # noqa: T201
        assert value <= case.facts["tolerance"]["eva_hidden_states"]


def test_pixels_are_the_originals_to_the_bit(case):
    if "eva_pixel_values" not in case.inputs:
        pytest.skip("this case stores no pixels")
    assert apart(case.pixels(), case.inputs["eva_pixel_values"]) <= 1e-6
    assert apart(case.pixels(wrong=True), case.inputs["eva_pixel_values"]) > 1


def test_tokens_of_the_stored_features_are_the_originals(case):
    value = case.difference(case.stored_cond(), case.inputs["eva_hidden_states"])
    print(f"{case.folder.name} tokens: {value:.2e} of {case.expected['tokens_cond'].abs().max():.1f}")  # noqa: T201
    assert value <= case.facts["tolerance"]["tokens"]
    assert case.expected["tokens_cond"].shape[1] == case.facts["num_tokens"]


def test_tokens_from_the_aligned_face_on_are_the_originals(case):
    cond = pulid.id_cond(case.inputs["id_embedding_raw"], case.seen.pooled)
    value = case.difference(cond, case.seen.hidden_states)
    print(f"{case.folder.name} tokens from pixels: {value:.2e}")  # noqa: T201
    assert value <= case.facts["tolerance"]["tokens"]


def test_wrong_conditions_are_seen(case):
    inputs, hidden = case.inputs, case.inputs["eva_hidden_states"]
    wrong = {
        "pooled not normalised": torch.cat([inputs["id_embedding_raw"], inputs["eva_pooled"]], dim=-1),
        "embedding normalised": pulid.id_cond(inputs["id_embedding"], inputs["eva_pooled"]),
        "the other way round": torch.cat([functional.normalize(inputs["eva_pooled"]), inputs["id_embedding_raw"]], -1),
    }
    for name, cond in wrong.items():
        value = case.difference(cond, hidden)
        print(f"{case.folder.name} {name}: {value:.2e}")  # noqa: T201
        assert value > 20 * case.facts["tolerance"]["tokens"], name


def test_wrong_pictures_are_seen(case):
    seen = case.tower(case.pixels(wrong=True))
    value = case.difference(pulid.id_cond(case.inputs["id_embedding_raw"], seen.pooled), seen.hidden_states)
    assert value > 20 * case.facts["tolerance"]["tokens"]


@pytest.mark.parametrize("shift", [-1, 1])
def test_hidden_states_one_block_off_are_seen(case, shift, monkeypatch):
    monkeypatch.setattr(eva_clip, "LEVELS", tuple(number + shift for number in eva_clip.LEVELS))
    seen = case.tower(case.pixels())
    assert apart(seen.pooled, case.seen.pooled) == 0
    assert apart(seen.hidden_states, case.seen.hidden_states) > 20 * case.facts["tolerance"]["eva_hidden_states"]
    assert case.difference(case.stored_cond(), seen.hidden_states) > 20 * case.facts["tolerance"]["tokens"]


def test_a_tower_without_rotary_positions_is_seen(case):
    tower = case.fresh_tower()
    tower.cos, tower.sin = torch.ones_like(tower.cos), torch.zeros_like(tower.sin)
    seen = tower(case.pixels())
    assert apart(seen.hidden_states, case.seen.hidden_states) > 20 * case.facts["tolerance"]["eva_hidden_states"]
    cond = pulid.id_cond(case.inputs["id_embedding_raw"], seen.pooled)
    assert case.difference(cond, seen.hidden_states) > 20 * case.facts["tolerance"]["tokens"]


def test_nobody_is_zeros_through_the_encoder_and_not_zero_tokens(case):
    assert case.expected["tokens_uncond"].abs().max() > 0.1


def test_a_file_of_the_other_version_is_refused(case):
    other = {"v1": "v1.1", "v1.1": "v1"}[VERSIONS[case.folder.name]]
    with pytest.raises(RunError, match=f"is PuLID {VERSIONS[case.folder.name]}, but {other} is asked for"):
        pulid_files.read(case.file, other)
