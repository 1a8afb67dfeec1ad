"""Stage seen: small image encoders with random weights, and what they see of the references.

A random tower that nobody trained keeps what is where; the adapters' own networks learn to read it. Encoders are in the
official layouts, with larger patches than the real ones: 64 instead of 256 or 576 of them.

    seen_clip_h.npy, seen_clip_l.npy [people, references, 65, W]      seen_pooled.npy [people, references, P]
    seen_states.npy [people, references, 5, 65, W]; float16
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from drawn_world import drawings, people
from drawn_world.plan import Plan
from drawn_world.workspace import Workspace
from idgen.adapters.face_encoder import FaceEncoder
from idgen.faces.alignment import align
from idgen.networks.eva_clip import EvaConfig
from idgen.networks.image_encoder import ImageEncoder
from idgen.tiny import image_encoders, pulid

CLIP: dict[str, dict[str, Any]] = {
    name: {**image_encoders.ENCODERS[name], "num_hidden_layers": 2, "patch_size": side_px // 8}
    for name, side_px in (("clip_vit_h", 224), ("clip_vit_l_336", 336))
}
EVA = EvaConfig(side_px=112, layers=20, width=32, head_width=16, mlp_width=85, pooled_width=64, trained_grid=8)
TOKENS = 65
"""Of every encoder: 8 x 8 patches and the class."""


def look(space: Workspace) -> None:
    """Write the encoders, and what they see of the first seen_people."""
    write_encoders(space)
    plan = space.plan
    count = (plan.seen_people, plan.references)
    shapes = {
        "seen_clip_h": ((*count, TOKENS, CLIP["clip_vit_h"]["hidden_size"]), "f2"),
        "seen_clip_l": ((*count, TOKENS, CLIP["clip_vit_l_336"]["hidden_size"]), "f2"),
        "seen_pooled": ((*count, EVA.pooled_width), "f2"),
        "seen_states": ((*count, 5, TOKENS, EVA.width), "f2"),
    }
    drawings.fill(space, _look, {"seen": plan.seen_people}, shapes, (space.folder / "encoders", plan))


def write_encoders(space: Workspace) -> None:
    """Write encoders/clip_vit_h, clip_vit_l_336, eva_clip (file and config) and face_parser.pth."""
    folder = space.folder / "encoders"
    for name, config in CLIP.items():
        if not (folder / name).exists():
            image_encoders.write_encoder(folder / name, name, config)
    if not (folder / "eva").exists():
        pulid.write_tower(folder / "eva" / "EVA02_CLIP_L_336_psz14_s6B.pt", EVA)
    if not (folder / "face_parser.pth").exists():
        torch.save(pulid.parser(), folder / "face_parser.pth")


def _look(arrays: dict[str, NDArray[np.float16]], start: int, stop: int, folder: Path, plan: Plan) -> None:
    from idgen.faces.crops import box_square  # imports insightface

    torch.set_num_threads(1)
    clip_h, clip_l = (ImageEncoder.load(folder / name, torch.float32) for name in CLIP)
    eye = FaceEncoder.load(folder / "eva" / "EVA02_CLIP_L_336_psz14_s6B.pt", folder / "face_parser.pth")
    for person in range(start, stop):
        for number in range(plan.references):
            photo = people.reference(people.TRAINED + person, number)
            face = np.ascontiguousarray(people.aligned(photo, 224)[..., ::-1])  # BGR, as the card feeds it
            arrays["seen_clip_h"][person, number] = clip_h.features(face[None]).hidden_states[0].numpy()
            square = box_square(photo.pixels, photo.box, 336)
            arrays["seen_clip_l"][person, number] = clip_l.features(square[None]).hidden_states[0].numpy()
            with torch.inference_mode():
                seen = eye.features(align(photo.pixels, photo.points)[None], antialias=False)
            arrays["seen_pooled"][person, number] = seen.pooled[0].numpy()
            arrays["seen_states"][person, number] = seen.hidden_states[:, 0].numpy()
