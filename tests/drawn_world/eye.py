"""What the evaluation sees of pictures: whose face it is and where, which scene, shirt and expression.

The judge of people and the reader were trained on their own (judge.py); nothing else was trained through them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch.nn import functional

from drawn_world.networks import Judge, Reader
from drawn_world.pictures import unit
from drawn_world.prompts import Facts
from drawn_world.recogniser import face_crops
from drawn_world.rounding import rounded
from idgen.config import FacesConfig
from idgen.errors import RowError
from idgen.faces.analysis import Face, FaceAnalyser
from idgen.tiny.people import DrawnPerson, Look
from idgen.tiny.render import draw_portrait
from idgen.tiny.world import locate

PHOTO_PX = 320

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a picture should show."""

    person: int
    """Whose number in the crowd it is."""
    facts: Facts
    points: NDArray[np.float32] | None = None  # [5, 2] pixels
    face_px: float = 1.0
    """Width of the face that is asked for, where points are."""


class Eye:
    """The judge behind the face pack's detector, and the reader."""

    def __init__(self, judge: Judge, reader: Reader) -> None:
        self.judge, self.reader = judge.cpu().eval(), reader.cpu().eval()  # pictures are few
        self.analyser = FaceAnalyser(
            locate("facepack"), PHOTO_PX, 0.4, threads=1, config=FacesConfig(min_face_px=10, warn_face_fraction=0.0)
        )

    @classmethod
    def load(cls, path: Path) -> "Eye":
        """Return the one that `write` has written."""
        nets, state = {"judge": Judge(), "reader": Reader()}, load_file(path)
        for name, net in nets.items():
            net.load_state_dict(
                {key.removeprefix(f"{name}."): one.float() for key, one in state.items() if key.startswith(f"{name}.")}
            )
        return cls(nets["judge"], nets["reader"])  # type: ignore[arg-type]

    def write(self, path: Path) -> None:
        """Write both networks, float16."""
        state = {f"{name}.{key}": rounded(one)
                 for name, net in (("judge", self.judge), ("reader", self.reader))
                 for key, one in net.state_dict().items()}  # fmt: skip
        save_file(state, path)

    def face(self, picture: Pixels) -> Face | None:
        """Return the face of a picture, its points in pixels of a side of PHOTO_PX; None where none is found."""
        large = cv2.resize(picture, (PHOTO_PX, PHOTO_PX), interpolation=cv2.INTER_CUBIC)
        try:
            return self.analyser.analyse(np.asarray(large, np.uint8), "largest", embedding=False, photo=False)
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
        return functional.normalize(self.judge(face))[0].numpy()

    @torch.no_grad()
    def facts(self, picture: Pixels) -> tuple[int, ...]:
        """Return places in SCENES, SHIRTS, EXPRESSIONS."""
        logits = self.reader(unit(torch.from_numpy(picture)[None]))
        return tuple(int(part.argmax()) for part in torch.split(logits, Reader.SIZES, dim=1))


def photo(person: int) -> Pixels:
    """Return the reference photo of a person."""
    return draw_portrait(DrawnPerson.sample(person), Look.sample(person + 77, calm=True), PHOTO_PX).image


def measure(
    wanted: Sequence[Wanted], pictures: Sequence[Pixels], eye: Eye, crowd: NDArray[np.float32]
) -> dict[str, float]:
    """Return means over `pictures`; `crowd` [N, 512] is what the judge sees of the references of N people.

    own, own_p10, others: cosines to the person asked for, and to all others. nearest: share whose nearest is right.
    scene, shirt, expression: shares that are right. points: median distance from where they were asked, in widths
    of the face.
    """
    seen = np.stack([eye.embedding(picture) for picture in pictures])
    cosines = seen @ crowd.T
    who = np.array([one.person for one in wanted])
    own = cosines[np.arange(len(who)), who]
    others = (cosines.sum(1) - own) / (cosines.shape[1] - 1)
    facts = np.array([eye.facts(picture) for picture in pictures])
    right = (facts == np.array([one.facts.numbers() for one in wanted])).mean(0)
    figures = {
        "own": float(own.mean()), "own_p10": float(np.quantile(own, 0.1)), "others": float(others.mean()),
        "nearest": float(((cosines.argmax(1) == who) & seen.any(1)).mean()),
        "scene": float(right[0]), "shirt": float(right[1]), "expression": float(right[2]),
        "no_face": float((~seen.any(1)).mean()),
    }  # fmt: skip
    away = [_away(one, picture, eye) for one, picture in zip(wanted, pictures, strict=True) if one.points is not None]
    return figures | ({"points": float(np.median(away))} if away else {})


def _away(wanted: Wanted, picture: Pixels, eye: Eye) -> float:
    """Return the mean distance of the five points from where they were asked, in widths of the face."""
    found = eye.face(picture)
    if found is None or wanted.points is None:
        return 1.0
    points = found.keypoints * picture.shape[0] / PHOTO_PX
    return float(np.linalg.norm(points - wanted.points, axis=1).mean() / wanted.face_px)
