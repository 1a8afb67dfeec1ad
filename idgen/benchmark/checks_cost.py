"""What the checks on a finished picture cost: CPU time of each, and of the networks that measure before them."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from idgen import weights
from idgen.actors.face_packs import SMALL_FACES
from idgen.checks.config import ChecksConfig
from idgen.checks.instruments import Instruments
from idgen.checks.picture import PictureFacts
from idgen.checks.table import CHECKS
from idgen.recipes.recipe import Recipe
from idgen.weights.instruments import locations, network

SIDE_PX = 1024
REPEATS = 9


@dataclass(frozen=True, kw_only=True, slots=True)
class ChecksCost:
    """CPU milliseconds of one picture of SIDE_PX x SIDE_PX; None where there is no such network."""

    by_check: dict[str, float]
    faces_ms: float | None
    """Finding all faces and embedding one."""
    judge_ms: float | None
    safety_ms: float | None

    @property
    def checks_ms(self) -> float:
        """All checks together, without the networks."""
        return sum(self.by_check.values())

    def lines(self) -> list[str]:
        """Return it in words."""
        dear = sorted(self.by_check.items(), key=lambda one: -one[1])[:4]
        parts = ", ".join(f"{name} {ms:.1f}" for name, ms in dear)
        found = [f"checks        {self.checks_ms:.1f} CPU-ms a picture of {SIDE_PX} px, all together ({parts}, ...)"]
        networks = (("face analysis", self.faces_ms), ("judge", self.judge_ms), ("safety model", self.safety_ms))
        return found + [f"{name:13} {ms:.1f} CPU-ms a picture" for name, ms in networks if ms is not None]


def measure_checks(photo: Path, recipe: Recipe, checks: ChecksConfig) -> ChecksCost:
    """Return what each check costs on `photo`, brought to a square, as pictures of `recipe` are checked."""
    image = Image.open(photo).convert("RGB").resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
    picture = np.asarray(image)
    instruments = _instruments(recipe, checks)
    person = np.ones((1, 512), np.float32)
    start = PictureFacts(id_embeddings=person, judge_embeddings=person, white_ground=True)
    faces = replace(instruments, judge=None, safety=None)
    seen = faces.measure(picture, start)
    facts = instruments.measure(picture, start)
    if facts.seen is not None and facts.seen.judge_embedding is not None:
        facts = replace(facts, judge_embeddings=facts.seen.judge_embedding[None])
    if seen.seen is not None and seen.seen.points is not None:  # all that a check may have to do
        facts = replace(facts, target_keypoints=seen.seen.points)
    judge = Instruments(judge=instruments.judge)
    safety = Instruments(safety=instruments.safety)
    return ChecksCost(
        by_check={check.column.name: _cpu_ms(lambda check=check: check.look(picture, facts)) for check in CHECKS},  # type: ignore[misc]
        faces_ms=_cpu_ms(lambda: faces.measure(picture, start)) if faces.finder else None,
        judge_ms=_cpu_ms(lambda: judge.measure(picture, seen)) if judge.judge else None,
        safety_ms=_cpu_ms(lambda: safety.measure(picture, start)) if safety.safety else None,
    )


def _instruments(recipe: Recipe, checks: ChecksConfig) -> Instruments:
    from idgen.checks.safety_model import SafetyModel  # these bring onnxruntime and insightface
    from idgen.faces.analysis import FaceAnalyser
    from idgen.faces.judge import Judge

    places, pack = locations(checks), recipe.face_pack
    finder = judge = safety = None
    if weights.needs_face_pack(recipe):
        folder = weights.locate(pack.weights)
        finder = FaceAnalyser(folder, pack.det_size_px, pack.det_threshold, threads=1, config=SMALL_FACES)
    if "judge" in places:
        judge = Judge(network("judge", places["judge"]), threads=1)
    if "safety" in places:
        safety = SafetyModel(network("safety", places["safety"]), threads=1)
    return Instruments(
        finder=(lambda: finder) if finder else None,
        judge=(lambda: judge) if judge else None,
        safety=(lambda: safety) if safety else None,
    )


def _cpu_ms(call: Callable[[], object]) -> float:
    """Return the median over REPEATS calls, all threads of this process together, after one that warms up."""
    call()
    found = []
    for _ in range(REPEATS):
        started_s = time.process_time()
        call()
        found.append(1000 * (time.process_time() - started_s))
    return statistics.median(found)
