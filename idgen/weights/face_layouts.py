"""Whether the files of InstantID, PuLID and EcomID are what a recipe says, by names and shapes of their tensors."""

from pathlib import Path
from typing import Literal

from idgen.errors import Exit, RunError
from idgen.schemas import EMBEDDING_WIDTH
from idgen.weights.headers import Shapes, shapes_of
from idgen.weights.recognition import PULID_VERSIONS, is_a, own_shapes, projection_of

_ENCODERS = ("id_adapter.", "image_proj.")
"""Beginnings of the encoder's names in the two layouts that PuLID is published in."""
_KEYS = ("id_to_k.weight", "to_k_ip.weight")
"""Endings of the branches' names in them."""


def check_pulid(path: Path, version: Literal["v1", "v1.1"], text_width: int | None, tower: Shapes | None) -> str:
    """Return in a few words what PuLID's file at `path` was found to be.

    `text_width` is what the base's branches read, `tower` the image encoder's shapes; None = not there to compare.
    Raises RunError(USAGE) when it is no PuLID of that `version`, or goes with another base or tower.
    """
    shapes = shapes_of(path)
    encoder = {
        name.removeprefix(start): one for start in _ENCODERS for name, one in shapes.items() if name.startswith(start)
    }
    found = [name for name, mark in PULID_VERSIONS.items() if mark in encoder]
    branches = [one for name, one in shapes.items() if name.endswith(_KEYS)]
    if found != [version] or not branches:
        looks = f"PuLID {found[0]}" if len(found) == 1 and branches else "something else"
        raise RunError(Exit.USAGE, f"{path} is not PuLID {version}: it is {looks}")
    if text_width not in (None, branches[0][1]):
        raise RunError(
            Exit.USAGE, f"{path} is made for a base with text {branches[0][1]} wide, but the base's is {text_width}"
        )
    if tower is not None:
        wanted = (encoder.get("mapping_0.0.weight", (0,))[-1], encoder[PULID_VERSIONS[version]][-1])
        given = (tower["visual.cls_token"][-1], EMBEDDING_WIDTH + tower["visual.head.weight"][0])
        if wanted != given:
            raise RunError(
                Exit.USAGE,
                f"{path} takes features {wanted[0]} and {wanted[1]} wide, but the image encoder gives {given[0]} and "
                f"{given[1]}",
            )
    return f"PuLID {version}, {len(shapes)} tensors"


def tower_shapes(path: Path) -> Shapes:
    """Return the shapes of EVA02-CLIP's file. Raises RunError(USAGE) when it is something else."""
    if not path.is_file():
        raise RunError(Exit.USAGE, f"{path} is a folder: the EVA02-CLIP that PuLID uses is a single file")
    shapes = shapes_of(path)
    if not is_a("tower", shapes):
        raise RunError(Exit.USAGE, f"{path} is not an EVA02-CLIP in the official layout (visual.*)")
    return shapes


def check_tower(path: Path) -> str:
    """Return in a few words what EVA02-CLIP's file was found to be. Raises RunError as `tower_shapes`."""
    count = sum(name.startswith("visual.") for name in tower_shapes(path))
    return f"EVA02-CLIP, {count} tensors of its image encoder"


def check_parser(path: Path) -> str:
    """Return in a few words what facexlib's parser was found to be. Raises RunError(USAGE) when it is another."""
    shapes = shapes_of(path)
    if not is_a("face_parser", shapes):
        raise RunError(Exit.USAGE, f"{path} is not a face parser like facexlib's parsing_bisenet.pth")
    return f"face parser, {len(shapes)} tensors"


def check_context(path: Path, text_width: int | None) -> str:
    """Return in a few words what InstantID's file was found to be; of it image_proj alone is used.

    Raises RunError(USAGE) when it is another file, or its tokens are not `text_width` wide (None = unknown).
    """
    shapes = shapes_of(path)
    reads, makes = (shapes.get(f"image_proj.{name}.weight", (0, 0)) for name in ("proj_in", "proj_out"))
    if projection_of(own_shapes(shapes)) != "resampler" or reads[-1] != EMBEDDING_WIDTH:
        raise RunError(Exit.USAGE, f"{path} is not InstantID: its image_proj is not a resampler of face embeddings")
    if text_width not in (None, makes[0]):
        raise RunError(Exit.USAGE, f"{path} makes tokens {makes[0]} wide, but the nets on this base read {text_width}")
    return f"instantid, {sum(name.startswith('image_proj.') for name in shapes)} tensors of its image_proj"


def check_net(path: Path) -> str:
    """Return in a few words what a ControlNet in one file was found to be.

    Raises RunError(USAGE) when it is none in diffusers' layout.
    """
    shapes = shapes_of(path)
    if not is_a("net", shapes):
        old = is_a("original_net", shapes)
        what = "a ControlNet in the original layout: convert it to diffusers' layout" if old else "not a ControlNet"
        raise RunError(Exit.USAGE, f"{path} is {what}")
    return f"ControlNet, {len(shapes)} tensors"
