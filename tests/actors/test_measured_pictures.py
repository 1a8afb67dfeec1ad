"""What is measured of every picture, through both actors: the judge, one look at the faces, the row's own wishes."""

import dataclasses

import numpy as np
import pytest
import torch
from doubles.actors import RECIPE, Line, picture
from doubles.catalogue import PHOTOS
from doubles.drawn_judge import WIDTH, write_judge, write_safety_model
from PIL import Image

from idgen import weights
from idgen.actors.picture_facts import with_row
from idgen.checks.config import ChecksConfig, LikenessConfig, SafetyConfig, WhiteGroundConfig
from idgen.checks.picture import FinishedPicture
from idgen.errors import Exit, RowError, RunError
from idgen.faces.analysis import FaceAnalyser
from idgen.recipes.hashes import recipe_hash
from idgen.recipes.recipe import Recipe
from idgen.sampling.rows import SampleRow
from idgen.sampling.sampler import Sampler

SIDE = 320


@pytest.fixture(scope="module")
def identities():
    torch.set_num_threads(1)
    return {"tiny": weights.identity(RECIPE, cache=None)}


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    return str(write_judge(tmp_path_factory.mktemp("judge")))


def judged(judge, **more):
    return ChecksConfig(likeness=LikenessConfig(judge=judge, **more))


def photo(name):
    return np.asarray(Image.open(PHOTOS / f"{name}.png").convert("RGB").resize((SIDE, SIDE)))


@pytest.fixture
def paints(monkeypatch):
    """Seed -> what the sampler paints; and how often faces were looked for in finished pictures."""
    painted, looks = {}, []
    see = FaceAnalyser.see

    def counted(self, rgb, near, *, embedding):
        looks.append(near)
        return see(self, rgb, near, embedding=embedding)

    monkeypatch.setattr(Sampler, "sample", lambda self, rows, bucket: [painted[row.seed] for row in rows])
    monkeypatch.setattr(FaceAnalyser, "see", counted)
    return painted, looks


def test_every_picture_is_compared_by_both_recognisers_and_looked_at_once(tmp_path, identities, judge, paints):
    painted, looks = paints
    people = ("ada", "ben", "cleo", "dan")
    rows = [picture(number, people[number % 4], width=SIDE, height=SIDE) for number in range(8)]
    for number in range(8):  # the first four are right, of the others each is somebody else
        painted[number] = photo(people[(number + (number >= 4)) % 4])
    line = Line(tmp_path, identities, checks=judged(judge))
    line.run(rows)
    told = [line.ledger()[row["key"]] for row in rows]
    assert len(looks) == len(rows)
    for right, wrong in zip(told[:4], told[4:], strict=True):
        for name in ("face_similarity", "judge_similarity"):
            assert right[name] > 0.9 > 0.6 > wrong[name]
        assert right["faces_found"] == wrong["faces_found"] == 1
        assert len(right["perceptual_hash"]) == 16
    assert {row["unsafe_score"] for row in told} == {None}


def test_the_faces_stage_hands_the_judges_numbers_of_all_references_on(tmp_path, identities, judge):
    two = [str(PHOTOS / f"{name}.png") for name in ("ada", "ben")]
    line = Line(tmp_path, identities, checks=judged(judge))
    mixed, one = line.analysed([picture(1, reference_uris=two), picture(2)]).to_pylist()
    assert (len(mixed["judge_embedding"]), len(one["judge_embedding"])) == (2 * WIDTH, WIDTH)
    assert mixed["judge_embedding"][:WIDTH] == pytest.approx(one["judge_embedding"])
    (without,) = Line(tmp_path / "b", identities).analysed([picture(1)]).to_pylist()
    assert without["judge_embedding"] is None


def test_the_judge_has_a_bound_of_its_own_for_references_that_differ(tmp_path, identities, judge):
    two = [str(PHOTOS / f"{name}.png") for name in ("ada", "ben")]
    rows = [picture(1, reference_uris=two), picture(2, reference_uris=[two[0]] * 2)]
    calm = dataclasses.replace(RECIPE, face_pack=dataclasses.replace(RECIPE.face_pack, same_person_cosine=-1.0))
    line = Line(tmp_path, identities, checks=judged(judge), recipe=calm)
    mixed, same = line.analysed(rows).to_pylist()
    (said,) = [note for note in mixed["warnings"] if note.startswith("references_differ")]
    assert "1 and 2 look like different people to the judge (cosine" in said
    assert "the same person has at least 0.363" in said
    assert not [note for note in same["warnings"] if note.startswith("references_differ")]
    generous = Line(tmp_path / "b", identities, checks=judged(judge, same_person_cosine=-1.0), recipe=calm)
    assert not [note for note in generous.analysed(rows).to_pylist()[0]["warnings"] if "differ" in note]


def test_a_judge_that_is_another_one_on_this_node_ends_the_run_before_a_file_is_read(tmp_path, identities, judge):
    line = Line(tmp_path, identities, checks=judged(judge))
    line.faces._reader._judge.__self__._run.instruments["judge"] = "0" * 64
    with pytest.raises(RunError, match=r"checks\.likeness\.judge: .* differs") as caught:
        line.analysed([picture(1)])
    assert caught.value.exit_code == Exit.UNAVAILABLE


def test_a_judge_that_breaks_costs_no_row(tmp_path, identities, judge, paints, monkeypatch):
    from idgen.faces.judge import Judge

    def broken(self, rgb, points):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(Judge, "embed", broken)
    paints[0][1] = photo("ada")
    line = Line(tmp_path, identities, checks=judged(judge))
    line.run([picture(1, width=SIDE, height=SIDE)])
    (row,) = line.ledger().values()
    assert (row["status"], row["judge_similarity"]) == ("ok", None)
    assert row["face_similarity"] > 0.9
    assert [note for note in row["warnings"] if note.startswith("check_failed")] == [
        "check_failed: judge (ZeroDivisionError)",
        "check_failed: judge (a reference photo has no numbers of it)",
    ]


def breaks_on_photos(monkeypatch, times=99):
    """Have the judge break on the first `times` photos that it is shown by the faces stage; it is well afterwards."""
    from idgen.faces.judge import Judge
    from idgen.faces.references import ReferenceReader

    embed, reading, broken = Judge.embed, ReferenceReader._judged, []

    def on_photo(self, rgb, face):
        if len(broken) < times:
            broken.append(face)
            monkeypatch.setattr(Judge, "embed", lambda self, rgb, points: 1 / 0)
        try:
            return reading(self, rgb, face)
        finally:
            monkeypatch.setattr(Judge, "embed", embed)

    monkeypatch.setattr(ReferenceReader, "_judged", on_photo)


@pytest.mark.parametrize("gate", ["judge_similarity", "judge_similarity_least"])
def test_a_picture_whose_photo_the_judge_broke_on_passes_no_gate_of_the_judge_s(
    tmp_path, identities, judge, paints, monkeypatch, gate
):
    breaks_on_photos(monkeypatch)
    paints[0].update({1: photo("ada"), 2: photo("ada")})
    rows = [picture(number, width=SIDE, height=SIDE) for number in (1, 2)]
    line = Line(tmp_path, identities, checks=judged(judge), gates={gate: {"reject": 0.3}})
    line.run(rows)
    told = [line.ledger()[row["key"]] for row in rows]
    assert [(row["status"], row["verdict"], row[gate]) for row in told] == [("ok", "held", None)] * 2
    assert all(f"held: no {gate}" in row["warnings"] for row in told)


def test_a_photo_that_the_judge_broke_on_is_shown_to_it_again(tmp_path, identities, judge, monkeypatch):
    breaks_on_photos(monkeypatch, times=1)
    line = Line(tmp_path, identities, checks=judged(judge))
    (first,) = line.analysed([picture(1)]).to_pylist()
    (second,) = line.analysed([picture(1)]).to_pylist()
    assert first["judge_embedding"] is None
    assert len(second["judge_embedding"]) == WIDTH
    fetches = line.faces._reader.fetches
    line.analysed([picture(1)])
    assert line.faces._reader.fetches == fetches, "what is whole is remembered"


def test_a_judge_that_no_photo_can_be_shown_to_ends_the_run(tmp_path, identities, judge, monkeypatch):
    from idgen.faces.judge import Judge

    def gone(self, rgb, points):
        raise RunError(Exit.UNAVAILABLE, "the device is gone")

    monkeypatch.setattr(Judge, "embed", gone)
    with pytest.raises(RunError, match="the device is gone"):
        Line(tmp_path, identities, checks=judged(judge)).analysed([picture(1)])


def test_a_weak_detection_is_said_by_the_packs_own_bound_which_is_in_no_key(tmp_path, identities):
    strict = dataclasses.replace(RECIPE, face_pack=dataclasses.replace(RECIPE.face_pack, sure_score=0.9999))
    for recipe, words in ((RECIPE, 0), (strict, 1)):
        line = Line(tmp_path / str(words), identities, recipe=recipe)
        (row,) = line.analysed([picture(1)]).to_pylist()
        assert sum(note.startswith("weak_detection: ") for note in row["warnings"]) == words
        assert row["status"] == ""
    assert recipe_hash(strict, {}) == recipe_hash(RECIPE, {})
    assert recipe_hash(dataclasses.replace(RECIPE, white_ground=True), {}) == recipe_hash(RECIPE, {})


def test_the_shot_or_the_recipe_asks_for_white_and_the_safety_model_is_asked_of_all(tmp_path, identities, paints):
    file = write_safety_model(tmp_path / "nsfw.onnx")
    checks = ChecksConfig(white_ground=WhiteGroundConfig(shots=["packshot"]), safety=SafetyConfig(weights=str(file)))
    white = np.full((SIDE, SIDE, 3), 255, np.uint8)
    red = np.zeros((SIDE, SIDE, 3), np.uint8)
    red[..., 0] = 220
    paints[0].update({1: white, 2: red, 3: white})
    rows = [picture(number, shot=shot) for number, shot in ((1, "packshot"), (2, "packshot"), (3, "street"))]
    line = Line(tmp_path / "a", identities, checks=checks)
    line.run(rows)
    told = [line.ledger()[row["key"]] for row in rows]
    assert [row["ground_white_fraction"] for row in told] == [1.0, 0.0, None]
    assert told[1]["unsafe_score"] > 0.9 > 0.5 >= told[0]["unsafe_score"]
    assert all("no_face_found" in "".join(row["warnings"]) for row in told)
    line = Line(tmp_path / "b", identities, recipe=dataclasses.replace(RECIPE, white_ground=True))
    line.run([rows[2]])
    assert line.ledger()[rows[2]["key"]]["ground_white_fraction"] == 1.0


@pytest.mark.parametrize(("scale", "told"), [(0.8, True), (0.0, False)])
def test_the_face_was_asked_for_in_a_place_only_where_identity_net_was_told(scale, told):
    points = [float(at) for at in range(10)]
    asked = SampleRow(
        key="k", prompt="", negative_prompt="", seed=1, id_embedding=np.zeros((0, 512), np.float32),
        identity_scale=scale,
    )  # fmt: skip
    row = {"target_keypoints": points, "judge_embedding": [1.0, 2.0, 3.0] * 2, "reference_score": [0.9, 0.8]}
    facts = with_row(FinishedPicture(RowError("non_finite")), row, asked, Recipe(), ChecksConfig()).facts
    assert (facts.wanted_place == (4.0, 5.0)) is told
    assert (facts.target_keypoints is not None) is told
    assert facts.judge_embeddings.tolist() == [[1, 2, 3], [1, 2, 3]]
