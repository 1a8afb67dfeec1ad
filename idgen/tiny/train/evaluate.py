"""Stage evaluate: people nobody learnt from, through the product's own sampler, and the numbers of it.

Per recipe: cosine of the result to its person and to others, and whose picture is nearest, as the judge sees it; scene,
shirt and expression as the reader sees them; where points were asked for, how far from there they are. And a sheet of
reference and results, evaluation.png.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from idgen.adapters.variants import needs
from idgen.config import FacesConfig
from idgen.errors import RowError
from idgen.faces import crops, keypoints
from idgen.faces.analysis import Face, FaceAnalyser
from idgen.faces.keypoints import FaceTarget, SourceFace
from idgen.sampling.decoding import decode
from idgen.sampling.rows import Bucket, ControlUse, SampleRow
from idgen.sampling.sampler import Sampler
from idgen.tiny.people import EXPRESSIONS, SCENES, SHIRTS, Look, Person
from idgen.tiny.render import draw_portrait
from idgen.tiny.train import autoencoder, judge, people
from idgen.tiny.train.networks import Judge, Reader
from idgen.tiny.train.pictures import unit
from idgen.tiny.train.plan import Plan
from idgen.tiny.train.prompts import Facts
from idgen.tiny.train.recipes import GUIDANCE, Tried, recipes
from idgen.tiny.train.recogniser import face_crops
from idgen.tiny.train.workspace import Workspace
from idgen.tiny.world import locate

PHOTO_PX = 320
BATCH = 25
SHOWN = 8
NEGATIVE = "lowres, blurry, deformed"

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Asked:
    """One picture that is asked for."""

    person: int
    facts: Facts
    row: SampleRow
    points: NDArray[np.float32] | None
    face_px: float
    """Width of the face that is asked for, where points are."""


def evaluate(space: Workspace) -> None:
    """Sample and measure every recipe whose files are there."""
    analyser = FaceAnalyser(
        locate("facepack"), PHOTO_PX, 0.4, threads=1, config=FacesConfig(min_face_px=10, warn_face_fraction=0.0)
    )
    eye = Eye(space, analyser)
    photos = [photo(people.HELD_OUT + at) for at in range(space.plan.crowd)]
    crowd = np.stack([eye.embedding(one) for one in photos])
    prompts = space.plan.evaluated_prompts
    sheet = [
        [
            cv2.resize(one, (192, 192), interpolation=cv2.INTER_AREA)
            for one in photos[: min(SHOWN, space.plan.evaluated_people)]
        ]
    ]
    _bounds(space, eye, crowd)
    for name, tried in recipes(space.folder / "world").items():
        asked = _asked(tried, analyser, photos, space.plan)
        pictures = _sample(tried, asked, space)
        space.note("evaluate", recipe=name, **_measure(asked, pictures, eye, crowd))
        shown = pictures[: SHOWN * prompts : prompts]
        sheet.append([cv2.resize(one, (192, 192), interpolation=cv2.INTER_CUBIC) for one in shown])
        grid = np.concatenate([np.concatenate(row, 1) for row in sheet], 0)
        cv2.imwrite(str(space.folder / "evaluation.png"), grid[:, :, ::-1])
        space.check_time()


class Eye:
    """The judge behind the face pack's detector, and the reader."""

    def __init__(self, space: Workspace, analyser: FaceAnalyser) -> None:
        self.judge, self.reader = judge.load_judge(space), judge.load_reader(space)
        self._analyser = analyser
        self._device = space.device

    def face(self, picture: Pixels) -> Face | None:
        """Return the face of a picture, its points in 0..1; None where none is found."""
        large = cv2.resize(picture, (PHOTO_PX, PHOTO_PX), interpolation=cv2.INTER_CUBIC)
        try:
            return self._analyser.analyse(np.asarray(large, np.uint8), "largest", embedding=False)
        except RowError:
            return None

    @torch.no_grad()
    def embedding(self, picture: Pixels) -> NDArray[np.float32]:
        """Return the judge's embedding of length 1, zeros without a face."""
        found = self.face(picture)
        if found is None:
            return np.zeros(512, np.float32)
        points = torch.from_numpy(found.keypoints)[None] * picture.shape[0] / PHOTO_PX
        face = face_crops(unit(torch.from_numpy(picture)[None]), points, Judge.SIDE_PX, Judge.ROOM)
        return functional.normalize(self.judge(face.to(self._device)))[0].cpu().numpy()

    @torch.no_grad()
    def facts(self, picture: Pixels) -> tuple[int, ...]:
        """Return places in SCENES, SHIRTS, EXPRESSIONS."""
        logits = self.reader(unit(torch.from_numpy(picture)[None]).to(self._device))
        return tuple(int(part.argmax()) for part in torch.split(logits, Reader.SIZES, dim=1))


def photo(person: int) -> Pixels:
    """Return the reference photo of a person."""
    return draw_portrait(Person.sample(person), Look.sample(person + 77, calm=True), PHOTO_PX).image


def _asked(tried: Tried, analyser: FaceAnalyser, photos: Sequence[Pixels], plan: Plan) -> list[Asked]:
    asked, px = [], plan.picture_px
    wanted = needs(tried.recipe)
    for at in range(plan.evaluated_people):
        face = analyser.analyse(photos[at], "largest")
        cut = {need.name: crops.cut(need, photos[at], face)[None] for need in wanted.pictures}
        for number in range(plan.evaluated_prompts):
            rng = np.random.default_rng([at, number, 11])
            facts = Facts(SCENES[int(rng.integers(8))], tuple(SHIRTS)[int(rng.integers(8))],
                          EXPRESSIONS[int(rng.integers(2))])  # fmt: skip
            points = _target(face, number, rng, px) if tried.placed else None
            shown = {} if points is None else {"identity": keypoints.draw(points, (px, px))}
            scale = 1.0 if points is None else _spread(points) / _spread(face.keypoints)
            row = SampleRow(
                key=f"{at}-{number}", prompt=prompt(facts), negative_prompt=NEGATIVE, seed=1000 + at * 10 + number,
                id_embedding=np.zeros((0, 512), np.float32) if face.embedding is None else face.embedding[None],
                ip_adapter_scale=tried.scale, crops=cut, control_images=shown, identity_scale=1.0,
            )  # fmt: skip
            asked.append(Asked(at, facts, row, points, float(face.box[2] - face.box[0]) * scale))
    return asked


def prompt(facts: Facts) -> str:
    """Return the evaluation's wording."""
    article = "an" if facts.shirt[0] in "aeiou" else "a"
    return f"portrait of a person in {article} {facts.shirt} shirt, {facts.expression}, {facts.scene} background"


@torch.no_grad()
def _bounds(space: Workspace, eye: Eye, crowd: NDArray[np.float32]) -> None:
    """Note what other drawings of the people would get, as they are and through the autoencoder."""
    asked, drawn = [], []
    plan = space.plan
    for at in range(plan.evaluated_people * plan.evaluated_prompts):
        look = Look.sample(people.HELD_OUT + 555 + at, calm=True)
        person = at // plan.evaluated_prompts
        drawn.append(draw_portrait(Person.sample(people.HELD_OUT + person), look, space.plan.picture_px).image)
        row = SampleRow(key="", prompt="", negative_prompt=None, seed=0, id_embedding=np.zeros((0, 512), np.float32))
        asked.append(Asked(person, Facts.of_look(look), row, None, 1.0))
    space.note("evaluate", recipe="drawn", **_measure(asked, drawn, eye, crowd))
    net = autoencoder.load(space)
    pixels = unit(torch.from_numpy(np.stack(drawn))).to(space.device)
    latents = torch.cat([net.encode(part).latent_dist.mean for part in torch.split(pixels, BATCH)])
    through = [picture.numpy() for picture in decode(net, latents) if picture is not None]
    space.note("evaluate", recipe="autoencoder", **_measure(asked, through, eye, crowd))


def _target(face: Face, number: int, rng: np.random.Generator, px: int) -> NDArray[np.float32]:
    """Return where the face is to be: as in the photo, or smaller, elsewhere and turned."""
    source = SourceFace(face.keypoints, face.box, face.size)
    if number == 0:
        return keypoints.target_keypoints(source, FaceTarget(fit="cover"), (px, px))
    high = float(rng.uniform(0.38, 0.55))
    left, top = rng.uniform(0.12, 0.88 - high), rng.uniform(0.2, 0.85 - high)
    target = FaceTarget(box=(left, top, left + high, top + high), angle_deg=float(rng.uniform(-25, 25)))
    return keypoints.target_keypoints(source, target, (px, px))


def _sample(tried: Tried, asked: Sequence[Asked], space: Workspace) -> list[Pixels]:
    sampler = Sampler.load(tried.recipe, lora_scale=1.0, device=str(space.device))
    px = space.plan.picture_px
    bucket = Bucket(
        width=px, height=px, num_inference_steps=space.plan.denoising_steps, scheduler=tried.scheduler,
        guidance_scale=GUIDANCE,
        controls=(ControlUse(name="identity", scale=1.0),) if tried.placed else (),
    )  # fmt: skip
    made: list[Any] = []
    for start in range(0, len(asked), BATCH):
        made += sampler.sample([one.row for one in asked[start : start + BATCH]], bucket)
    return [np.zeros((px, px, 3), np.uint8) if isinstance(one, RowError) else one for one in made]


def _measure(
    asked: Sequence[Asked], pictures: Sequence[Pixels], eye: Eye, crowd: NDArray[np.float32]
) -> dict[str, float]:
    seen = np.stack([eye.embedding(picture) for picture in pictures])
    cosines = seen @ crowd.T
    who = np.array([one.person for one in asked])
    own = cosines[np.arange(len(who)), who]
    others = (cosines.sum(1) - own) / (cosines.shape[1] - 1)
    facts = np.array([eye.facts(picture) for picture in pictures])
    right = (facts == np.array([one.facts.numbers() for one in asked])).mean(0)
    figures = {
        "own": float(own.mean()), "own_p10": float(np.quantile(own, 0.1)), "others": float(others.mean()),
        "nearest": float((cosines.argmax(1) == who).mean()), "scene": float(right[0]), "shirt": float(right[1]),
        "expression": float(right[2]), "no_face": float((np.abs(seen).sum(1) == 0).mean()),
    }  # fmt: skip
    away = [_away(one, picture, eye) for one, picture in zip(asked, pictures, strict=True) if one.points is not None]
    return figures | ({"points": float(np.median(away))} if away else {})


def _away(asked: Asked, picture: Pixels, eye: Eye) -> float:
    """Return the mean distance of the five points from where they were asked, in widths of the face."""
    found = eye.face(picture)
    if found is None or asked.points is None:
        return 1.0
    points = found.keypoints * picture.shape[0] / PHOTO_PX
    return float(np.linalg.norm(points - asked.points, axis=1).mean() / asked.face_px)


def _spread(points: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(points - points.mean(0), axis=1).mean())
