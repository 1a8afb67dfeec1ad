"""Stage evaluate: people nobody learnt from, through the product's own sampler, and the numbers of it (eye.py).

Every recipe's, beside those of other drawings of the same people and of these through the autoencoder; and a sheet of
reference and results, evaluation.png.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from drawn_world import autoencoder, judge, people
from drawn_world.eye import Eye, Pixels, Wanted, measure, photo
from drawn_world.pictures import unit
from drawn_world.prompts import Facts, plain
from drawn_world.recipes import Tried, recipes
from drawn_world.workspace import Workspace
from idgen.errors import RowError
from idgen.faces import crops, keypoints
from idgen.faces.analysis import Face
from idgen.faces.keypoints import FaceTarget, SourceFace
from idgen.installation import CONFIGS
from idgen.recipes.book import load_recipes
from idgen.recipes.variants import needs
from idgen.sampling.decoding import decode
from idgen.sampling.rows import Bucket, ControlUse, SampleRow
from idgen.sampling.sampler import Sampler
from idgen.settings import load_config
from idgen.tiny.people import EXPRESSIONS, SCENES, SHIRTS, DrawnPerson, Look
from idgen.tiny.render import draw_portrait

BATCH = 25
DEMO = str(CONFIGS / "demo.yaml")
"""Whose recipes are evaluated."""
SHOWN, SHOWN_PX = 8, 160


@dataclass(frozen=True, slots=True)
class Asked:
    """One picture that is asked for, and what it should show."""

    row: SampleRow
    wanted: Wanted


@dataclass(frozen=True)
class Crowd:
    """People nobody learnt from: their photos, the faces in them, and what the judge sees of these [N, 512]."""

    photos: list[Pixels]
    faces: list[Face]
    embeddings: NDArray[np.float32] = field(repr=False)

    @classmethod
    def draw(cls, eye: Eye, count: int) -> "Crowd":
        """Return the first `count` of them."""
        photos = [photo(people.HELD_OUT + at) for at in range(count)]
        faces = [eye.analyser.analyse(one, "largest") for one in photos]
        return cls(photos, faces, np.stack([eye.embedding(one) for one in photos]))


def evaluate(space: Workspace) -> None:
    """Sample and measure every recipe whose files are there."""
    eye = Eye(judge.load_judge(space), judge.load_reader(space))
    plan = space.plan
    crowd = Crowd.draw(eye, plan.crowd)
    _bounds(space, eye, crowd)
    sheet = [[cv2.resize(one, (SHOWN_PX, SHOWN_PX), interpolation=cv2.INTER_AREA) for one in crowd.photos[:SHOWN]]]
    for name, tried in recipes(space.folder / "world", load_recipes(load_config([DEMO]))).items():
        asked = ask(tried, crowd, plan.evaluated_people, plan.evaluated_prompts, plan.picture_px)
        pictures = sample(tried, asked, plan.picture_px, plan.denoising_steps, str(space.device))
        for faces, places in kinds_of_faces(asked).items():
            wanted = [asked[at].wanted for at in places]
            figures = measure(wanted, [pictures[at] for at in places], eye, crowd.embeddings)
            space.note("evaluate", recipe=name, faces=faces, **figures)
        for number in range(plan.evaluated_prompts):
            shown = pictures[number :: plan.evaluated_prompts][:SHOWN]
            sheet.append([cv2.resize(one, (SHOWN_PX, SHOWN_PX), interpolation=cv2.INTER_CUBIC) for one in shown])
        rows = [np.concatenate(row, 1) for row in sheet]
        widest = max(row.shape[1] for row in rows)
        grid = np.concatenate([np.pad(row, ((0, 0), (0, widest - row.shape[1]), (0, 0))) for row in rows], 0)
        cv2.imwrite(str(space.folder / "evaluation.png"), grid[:, :, ::-1])
        space.check_time()


def ask(tried: Tried, crowd: Crowd, count: int, prompts: int, px: int) -> list[Asked]:
    """Return `prompts` pictures of each of the first `count` people, `px` wide, with the recipe's defaults.

    The first of a placed recipe's is as in the photo, the others are moved, resized and turned. Kolors is asked in
    Chinese every second time.
    """
    asked = []
    for at in range(count):
        for number in range(prompts):
            rng = np.random.default_rng([at, number, 11])
            facts = Facts(SCENES[int(rng.integers(8))], tuple(SHIRTS)[int(rng.integers(8))],
                          EXPRESSIONS[int(rng.integers(2))], portrait=not (tried.placed and number))  # fmt: skip
            face = crowd.faces[at]
            points = _target(face, number, rng, px) if tried.placed else None
            size = 1.0 if points is None else _spread(points) / _spread(face.keypoints)
            wanted = Wanted(at, facts, points, float(face.box[2] - face.box[0]) * size)
            asked.append(Asked(_row(tried, crowd, wanted, number, px), wanted))
    return asked


def kinds_of_faces(asked: Sequence[Asked]) -> dict[str, list[int]]:
    """Return which of `asked` to measure together: all, and where faces are also moved, those that are and are not."""
    moved = [at for at, one in enumerate(asked) if not one.wanted.facts.portrait]
    kinds = {"all": [*range(len(asked))]}
    return kinds | ({"moved": moved, "large": [at for at in kinds["all"] if at not in moved]} if moved else {})


def _row(tried: Tried, crowd: Crowd, wanted: Wanted, number: int, px: int) -> SampleRow:
    """Return what the sampler is asked for `wanted`."""
    recipe, at = tried.recipe, wanted.person
    embedding = crowd.faces[at].embedding
    return SampleRow(
        key=f"{at}-{number}",
        prompt=plain(wanted.facts, in_chinese=recipe.base.kind == "kolors" and number % 2 == 1),
        negative_prompt=recipe.defaults.negative_prompt,
        seed=1000 + at * 10 + number,
        crops={need.name: crops.cut(need, crowd.photos[at], crowd.faces[at])[None] for need in needs(recipe).pictures},
        control_images={} if wanted.points is None else {"identity": keypoints.draw(wanted.points, (px, px))},
        id_embedding=np.zeros((0, 512), np.float32) if embedding is None else embedding[None],
        ip_adapter_scale=recipe.defaults.ip_adapter_scale,
        identity_scale=next((one.scale for one in recipe.controls), 1.0),
    )


def sample(
    tried: Tried, asked: Sequence[Asked], px: int, steps: int, device: str = "cpu", more: Sequence[ControlUse] = ()
) -> list[Pixels]:
    """Return the pictures [px, px, 3], with `more` controls than IdentityNet. Raises the first row's error, if any."""
    sampler = Sampler.load(tried.recipe, lora_scale=1.0, device=device)
    bucket = Bucket(
        width=px, height=px, num_inference_steps=steps, scheduler=tried.recipe.defaults.scheduler,
        guidance_scale=tried.recipe.defaults.guidance_scale,
        controls=(*([ControlUse(name="identity", scale=1.0)] if tried.placed else []), *more),
    )  # fmt: skip
    made: list[Any] = []
    for start in range(0, len(asked), BATCH):
        made += sampler.sample([one.row for one in asked[start : start + BATCH]], bucket)
    for one in made:
        if isinstance(one, RowError):
            raise one
    return made


@torch.no_grad()
def _bounds(space: Workspace, eye: Eye, crowd: Crowd) -> None:
    """Note what other drawings of the people would get, as they are and through the autoencoder."""
    wanted, drawn = [], []
    plan = space.plan
    for at in range(plan.evaluated_people * plan.evaluated_prompts):
        look = Look.sample(people.HELD_OUT + 555 + at, calm=True)
        person = at // plan.evaluated_prompts
        drawn.append(draw_portrait(DrawnPerson.sample(people.HELD_OUT + person), look, plan.picture_px).image)
        wanted.append(Wanted(person, Facts.of_look(look)))
    space.note("evaluate", recipe="drawn", **measure(wanted, drawn, eye, crowd.embeddings))
    net = autoencoder.load(space)
    pixels = unit(torch.from_numpy(np.stack(drawn))).to(space.device)
    latents = torch.cat([net.encode(part).latent_dist.mean for part in torch.split(pixels, BATCH)])
    through = [picture.numpy() for picture in decode(net, latents) if picture is not None]
    space.note("evaluate", recipe="autoencoder", **measure(wanted, through, eye, crowd.embeddings))


def _target(face: Face, number: int, rng: np.random.Generator, px: int) -> NDArray[np.float32]:
    """Return where the face is to be: as in the photo, or smaller, elsewhere and turned."""
    source = SourceFace(face.keypoints, face.box, face.size)
    if number == 0:
        return keypoints.target_keypoints(source, FaceTarget(fit="cover"), (px, px))
    high = float(rng.uniform(0.38, 0.55))
    left, top = rng.uniform(0.12, 0.88 - high), rng.uniform(0.2, 0.85 - high)
    target = FaceTarget(box=(left, top, left + high, top + high), angle_deg=float(rng.uniform(-25, 25)))
    return keypoints.target_keypoints(source, target, (px, px))


def _spread(points: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(points - points.mean(0), axis=1).mean())
