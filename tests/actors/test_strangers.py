"""Several references of a row that show different people, through the face actor."""

import dataclasses

import pytest
import torch
from doubles.actors import RECIPE, Line, picture
from doubles.catalogue import PHOTOS

from idgen import weights
from idgen.actors.faces import FaceActor
from idgen.actors.facts import FaceSettings
from idgen.config import FacesConfig, SourcesConfig
from idgen.recipes.hashes import recipe_hash


@pytest.fixture(scope="module")
def identities():
    torch.set_num_threads(1)
    return {"tiny": weights.identity(RECIPE, cache=None)}


@pytest.mark.parametrize(("setting", "code"), [("warn", ""), ("refuse", "references_differ")])
def test_two_people_in_one_row_are_said_or_refused_as_the_setting_says(tmp_path, identities, setting, code):
    line = Line(tmp_path, identities)
    faces = FacesConfig(references_differ=setting)
    line.faces = FaceActor(
        line.faces._run, FaceSettings(faces=faces, sources=SourcesConfig(), roots=[str(PHOTOS)]), line.monitor
    )
    two = [str(PHOTOS / f"{name}.png") for name in ("ada", "ben")]
    mixed, same, one = line.analysed(
        [picture(1, reference_uris=two), picture(2, reference_uris=[two[0]] * 2), picture(3)]
    ).to_pylist()
    assert [row["code"] for row in (mixed, same, one)] == [code, "", ""]
    assert not [note for row in (same, one) for note in row["warnings"] if "differ" in note]
    assert code or any(note.startswith("references_differ: 1 and 2") for note in mixed["warnings"])


def test_the_bound_is_in_no_key_and_the_detectors_threshold_is():
    other = dataclasses.replace(RECIPE, face_pack=dataclasses.replace(RECIPE.face_pack, same_person_cosine=0.7))
    assert recipe_hash(other, {}) == recipe_hash(RECIPE, {})
    louder = dataclasses.replace(RECIPE, face_pack=dataclasses.replace(RECIPE.face_pack, det_threshold=0.7))
    assert recipe_hash(louder, {}) != recipe_hash(RECIPE, {})
