"""PuLID's face-feature image: what its EVA tower looks at (also EcomID's).

The aligned face in gray, and white wherever something is not of the person: background, clothes, hat, ears, earrings,
neck, necklace. Hair stays gray. The steps are PuLID's `get_id_embedding`, in float32:

    crop = alignment.align(rgb, keypoints)                       uint8 [512, 512, 3]
    labels = parser.labels(crop[None])                           uint8 [1, 512, 512]
    seen = face_feature_image(crop[None], labels)                float32 [1, 3, 512, 512], 0..1
    pixel_values = pulid.face_features(seen, 336, antialias=…)   what the EVA tower takes
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idgen.networks import transfers

WHITE_CLASSES = (0, 16, 18, 7, 8, 9, 14, 15)
"""Background, cloth, hat, left ear, right ear, earring, neck, necklace, in CelebAMask-HQ's order as facexlib trains."""

GRAY_WEIGHTS = (0.299, 0.587, 0.114)
"""Of red, green, blue (ITU-R BT.601)."""


def face_feature_image(faces: NDArray[np.uint8], labels: Tensor) -> Tensor:
    """Return float32 [n, 3, H, W] in 0..1 on the labels' device: three times the gray of RGB `faces` [n, H, W, 3].

    1.0 where `labels` [n, H, W] has one of WHITE_CLASSES. ValueError when the two have different shapes.
    """
    if faces.dtype != np.uint8 or faces.ndim != 4 or faces.shape[3] != 3 or faces.shape[:3] != tuple(labels.shape):
        raise ValueError(f"faces {faces.dtype} {faces.shape} do not match labels {tuple(labels.shape)}")
    rgb = transfers.upload(torch.from_numpy(faces.transpose(0, 3, 1, 2).copy()), labels.device).float() / 255
    red, green, blue = (weight * rgb[:, number, None] for number, weight in enumerate(GRAY_WEIGHTS))
    white = torch.isin(labels, transfers.upload(torch.tensor(WHITE_CLASSES, dtype=labels.dtype), labels.device))[
        :, None
    ]
    return torch.where(white, 1.0, red + green + blue).repeat(1, 3, 1, 1)
