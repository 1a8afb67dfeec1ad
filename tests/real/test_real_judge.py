"""SFace, through the product's own converter or as it is (128 numbers), as the judge of likeness on real photos."""

import numpy as np
import onnx
import pytest
import skimage.data

from idgen.checks.instruments import Instruments
from idgen.checks.judge_likeness import SAME_PERSON
from idgen.checks.looking import findings
from idgen.checks.picture import FinishedPicture, PictureFacts
from idgen.checks.table import CHECKS
from idgen.faces.judge import Judge
from idgen.recipes.gates import gates_for
from idgen.recipes.recipe import Recipe
from idgen.weights.face_converting import _unpack
from idgen.weights.instruments import network, said

PEOPLE = ("person_a_1", "person_b_1", "impostor_1", "impostor_2", "astronaut")
PAIRS = [("person_a_1", "person_a_2"), ("person_b_1", "person_b_2")]


@pytest.fixture(scope="module")
def raw_folder(pack, tmp_path_factory):
    """SFace as OpenCV publishes it, its weights read into floats: 128 numbers, no pack around it."""
    (source,) = pack.parent.glob("face_recognition_sface*.onnx")
    model = onnx.load(str(source))
    _unpack(model.graph)
    del model.graph.value_info[:]
    made = tmp_path_factory.mktemp("sface")
    (made / "sface.onnx").write_bytes(model.SerializeToString())
    return made


@pytest.fixture(scope="module", params=["as a pack's", "as published"])
def judge(request, pack, raw_folder):
    folder, width = (pack, 512) if request.param == "as a pack's" else (raw_folder, 128)
    assert f"{width} numbers" in said("judge", str(folder))
    return Judge(network("judge", str(folder)), threads=1)


def likeness(picture, reference, analyser, judge):
    """What the checks say of a picture that was to show the person of the reference."""
    seen = analyser.see(reference, None, embedding=True)
    facts = PictureFacts(id_embeddings=seen.embedding[None], judge_embeddings=judge.embed(reference, seen.points)[None])
    instruments = Instruments(finder=lambda: analyser, judge=lambda: judge)
    return findings(FinishedPicture(picture, facts), CHECKS, gates_for(Recipe(), {}), instruments)


def test_the_same_person_is_above_a_half_and_others_are_below_0_4(analyser, judge, photos):
    same = [likeness(photos[x], photos[y], analyser, judge) for one, two in PAIRS for x, y in ((one, two), (two, one))]
    others = [likeness(photos[x], photos[y], analyser, judge) for x in PEOPLE for y in PEOPLE if x < y]
    own = [found.values["judge_similarity"] for found in same]
    strange = [found.values["judge_similarity"] for found in others]
    print(f"same {min(own):.3f} to {max(own):.3f}, others {min(strange):.3f} to {max(strange):.3f}")  # noqa: T201
    assert min(own) > 0.5
    assert max(strange) < 0.4
    warned = [any(note.startswith("judge_similarity_low") for note in found.warnings) for found in same + others]
    assert warned == [False] * len(same) + [value < SAME_PERSON for value in strange]
    assert sum(warned) == len(others)


def test_a_cup_has_nobody_in_it(analyser, judge, photos):
    found = likeness(skimage.data.coffee(), photos["astronaut"], analyser, judge)
    assert (found.values["faces_found"], found.values["judge_similarity"]) == (0, None)
    assert [note.partition(":")[0] for note in found.warnings] == ["no_face_found"]


def test_of_a_group_the_face_is_meant_that_is_where_it_was_asked(analyser, photos):
    group = analyser.see(photos["t1"], None, embedding=False)
    assert len(group.boxes) == 6
    for at, box in enumerate(group.boxes):
        x, y = ((box[:2] + box[2:4]) / 2).tolist()
        assert analyser.see(photos["t1"], (x, y), embedding=False).chosen == at


def test_a_face_is_about_as_wide_in_diameters_of_its_points_as_the_check_says(analyser, photos):
    widths = []
    for name in PEOPLE:
        seen = analyser.see(photos[name], None, embedding=False)
        spread = np.sqrt(((seen.points - seen.points.mean(axis=0)) ** 2).sum(axis=1).mean())
        widths.append(float((seen.box[2] - seen.box[0]) / (2 * spread)))
    print(widths)  # noqa: T201
    assert 1.3 < np.median(widths) < 2.0
