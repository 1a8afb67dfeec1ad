"""The face encoder of PuLID and EcomID: a parser whites out everything but the face, the EVA tower sees the rest.

All of it in float32, as PuLID's authors do. EcomID's authors run tower and encoder in the UNet's dtype, float16 there:
here float32 as well, since half precision moves the tokens by percents and a face is seen once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from idgen.lru_cache import LruCache
from idgen.networks import checkpoints, pulid
from idgen.networks.eva_clip import EvaFeatures, EvaTower
from idgen.networks.face_features import face_feature_image
from idgen.networks.face_parser import FaceParser

CACHED_FACES = 8
"""Rows come sorted by person, and tokens have a cache of their own; the hidden states of a face are 11.8 MB."""


class FaceEncoder:
    """A loaded tower and parser; one is shared by all adapters of a recipe that name the same files."""

    def __init__(self, tower: EvaTower, parser: FaceParser) -> None:
        self.tower, self.parser = tower, parser
        self.encodings = 0
        """Faces that went through parser and tower."""
        self._cache: LruCache[tuple[bytes, bool], EvaFeatures] = LruCache(lambda _: 1, CACHED_FACES)

    @classmethod
    def load(cls, tower: Path, parser: Path) -> "FaceEncoder":
        """Return the eye of the official files, on the CPU. Raises RunError(USAGE) when they are something else."""
        weights = checkpoints.read(parser)
        return cls(EvaTower.load(tower), FaceParser.from_weights(weights, parser.name))

    def to(self, device: torch.device) -> None:
        """Move both networks; what was seen is forgotten."""
        self.tower.to(device)
        self.parser.to(device)
        self.clear()

    def clear(self) -> None:
        """Forget all faces."""
        self._cache.clear()

    def features(self, faces: NDArray[np.uint8], *, antialias: bool) -> EvaFeatures:
        """Return the tower's features of aligned RGB `faces` [n, 512, 512, 3], n at least 1.

        One face at a time, so that what stands beside it changes nothing. `antialias` as in networks/pulid.py.
        """
        each = [self._one(face, antialias) for face in faces]
        return EvaFeatures(
            torch.cat([one.pooled for one in each]), torch.cat([one.hidden_states for one in each], dim=1)
        )

    def _one(self, face: NDArray[np.uint8], antialias: bool) -> EvaFeatures:
        key = blake2b(face.tobytes(), digest_size=16).digest(), antialias
        return self._cache.get_or_make(key, lambda: self._look(face[None], antialias))

    def _look(self, face: NDArray[np.uint8], antialias: bool) -> EvaFeatures:
        self.encodings += 1
        with exact_convolutions():
            image = face_feature_image(face, self.parser.labels(face))
            side = self.tower.config.side_px
            seen: EvaFeatures = self.tower(pulid.face_features(image, side, antialias=antialias))
        return seen


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """Let convolutions compute in whole float32: cuDNN's default, TF32, moves some of the parser's borders."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
