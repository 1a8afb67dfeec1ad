"""Gates and tries on weights that keep faces: bounds from 100 people judge pictures of people they never saw.

Run with -s to see the figures; tests/README.md has them.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from drawn_world import evaluate, recipes
from drawn_world.eye import Eye
from idgen.checks.gates import Gate
from idgen.checks.instruments import Instruments
from idgen.checks.looking import findings
from idgen.checks.picture import FinishedPicture, PictureFacts
from idgen.checks.table import CHECKS
from idgen.recipes.book import load_recipes
from idgen.sampling.tries import Tries
from idgen.settings import load_config
from idgen.tiny import drawn

pytestmark = pytest.mark.slow

RECIPE = "faceid-plusv2-sd15"
CALIBRATED, JUDGED, TRIES = 100, 60, 4
PX, STEPS = 80, 20
LIKENESS = "face_similarity"
STRICT = 0.3
"""Share of right pictures that the second bound holds: where it holds nearly none, tries could show nothing."""


class World:
    """People nobody learnt from, and pictures of them."""

    def __init__(self):
        torch.set_num_threads(1)
        eye = Eye.load(drawn.ensure() / drawn.JUDGE)
        book = recipes.recipes(drawn.ensure(), load_recipes(load_config([evaluate.DEMO])))
        self.tried = book[RECIPE]
        crowd = evaluate.Crowd.draw(eye, CALIBRATED + JUDGED)
        self.references = [face.embedding[None] for face in crowd.faces]
        self.asked = evaluate.ask(self.tried, crowd, CALIBRATED + JUDGED, 1, PX)
        self.instruments = Instruments(finder=lambda: eye.analyser)
        self.calibrating, self.judged = range(CALIBRATED), range(CALIBRATED, CALIBRATED + JUDGED)
        self.pictures = self.sample({at: one.row.seed for at, one in enumerate(self.asked)})

    def sample(self, seeds):
        """By person, a picture with this seed."""
        asked = [replace(self.asked[at], row=replace(self.asked[at].row, seed=seed)) for at, seed in seeds.items()]
        return dict(zip(seeds, evaluate.sample(self.tried, asked, PX, STEPS), strict=True))

    def found(self, picture, person, bound=None):
        """What the checks say of a picture, asked whether it is this person."""
        facts = PictureFacts(id_embeddings=self.references[person])
        gates = {} if bound is None else {LIKENESS: Gate(reject=bound)}
        return findings(FinishedPicture(picture, facts), CHECKS, gates, self.instruments)

    def likeness(self, people):
        values = [self.found(self.pictures[at], at).values[LIKENESS] for at in people]
        return np.array([-1.0 if value is None else value for value in values])

    def other(self, person):
        """Somebody else among the judged."""
        return CALIBRATED + (person - CALIBRATED + 1) % JUDGED

    def held(self, bound, whose):
        """Share of the judged people's pictures that a bound holds, when the references are of `whose(person)`."""
        return np.mean([self.found(self.pictures[at], whose(at), bound).verdict == "held" for at in self.judged])


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture(scope="module")
def calibrated(world):
    return world.likeness(world.calibrating)


def test_a_calibrated_gate_holds_pictures_of_the_wrong_person_and_hardly_any_of_the_right_one(world, calibrated):
    bound = float(np.quantile(calibrated, 0.02))
    wrong, right = world.held(bound, world.other), world.held(bound, lambda at: at)
    told = f"{RECIPE}, bound {bound:.3f} of {CALIBRATED} people; held of {JUDGED} others' pictures"
    print(f"\n{told}: {right:.1%} of the right, {wrong:.1%} of the wrong person")  # noqa: T201
    assert wrong >= 0.9
    assert right < 0.05


def test_tries_lower_the_share_that_is_held_by_half(world, calibrated):
    bound = float(np.quantile(calibrated, STRICT))
    rows: Any = [{"key": f"{at}", "seed": world.asked[at].row.seed, "tries": TRIES} for at in world.judged]
    tries = Tries(rows, LIKENESS, lambda: True)
    kept: dict[int, Any] = {}
    pictures, waiting, made = dict(world.pictures), rows, 0
    while waiting:
        tries.submitted(waiting)
        for row in waiting:
            person = int(row["key"])
            facts = PictureFacts(id_embeddings=world.references[person])
            found = world.found(pictures[person], person, bound)
            if chosen := tries.judged(row, FinishedPicture(pictures[person], facts), found, 0.0):
                kept[person] = chosen
        made += len(waiting)
        waiting = tries.take({row["key"] for row in rows}, lambda: None)
        pictures = world.sample({int(row["key"]): row["seed"] for row in waiting})
    once = world.held(bound, lambda at: at)
    left = np.mean([chosen.found.verdict == "held" for chosen in kept.values()])
    told = f"{RECIPE}, bound {bound:.3f}: held {once:.1%} with one try, {left:.1%} with {TRIES}"
    print(f"\n{told}; {made / JUDGED:.2f} pictures each")  # noqa: T201
    assert len(kept) == JUDGED
    assert once >= 0.1, "else there is nothing to lower"
    assert left <= once / 2
