"""Which tensors of a single file belong to a part: diffusers reports neither unused nor missing ones.

Only names are looked at. A number stands for each tensor and goes the way that diffusers sends the tensor.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import torch
from diffusers.loaders.single_file_model import SINGLE_FILE_LOADABLE_CLASSES
from diffusers.loaders.single_file_utils import convert_ldm_clip_checkpoint, convert_open_clip_checkpoint
from torch import Tensor, nn

from idgen.sampling.parts import ModelKind
from idgen.weights import single_files
from idgen.weights.headers import Shapes

Placed = dict[str, Tensor]
"""Name in the model -> the number of a tensor in the file."""


def check_part(kind: ModelKind, config: Path, part: str, shapes: Shapes, prefix: str = "") -> None:
    """Raise ValueError that names what of a file's tensors the `part` (unet, vae) has no place for, or what it lacks.

    `kind` is diffusers' class, `config` a base's folder with the settings, `prefix` what diffusers is given before
    every name. Nothing is raised for a file that holds less than half of the part: that is another thing.
    """
    settings = kind.load_config(str(config), subfolder=part, local_files_only=True)
    with torch.device("meta"):
        wanted = kind.from_config(settings).state_dict().keys()
    numbers = _numbers({f"{prefix}{name}": len(shape) for name, shape in shapes.items()})
    placed = {name: number for name, number in numbers.items() if name in wanted}  # of a file in diffusers layout
    if 2 * len(placed) <= len(wanted):
        placed = _converted(kind, settings, numbers, part)
    if 2 * len(placed.keys() & wanted) <= len(wanted):
        return
    if odd := _left(shapes, placed, wanted):
        raise ValueError(
            f"{len(odd)} tensors would not be read ({', '.join(odd[:3])}): the {part} has no place for them"
        )
    if missing := sorted(wanted - placed.keys()):
        raise _lacking(part, missing)


def check_texts(encoder: nn.Module, prefix: str, shapes: Shapes, source: Path) -> None:
    """Raise RunError that names what of a whole base's tensors under `prefix` the text `encoder` has no place for."""
    own = {name: shape for name, shape in shapes.items() if name.startswith(prefix)}
    numbers = _numbers({name: len(shape) for name, shape in own.items()})
    if any(name.startswith(f"{prefix}model.") for name in own):
        placed = convert_open_clip_checkpoint(encoder, numbers, prefix=f"{prefix}model.")
    else:
        placed = convert_ldm_clip_checkpoint(numbers)
    if not hasattr(encoder, "text_model"):
        placed = {name.removeprefix("text_model."): number for name, number in placed.items()}
    if odd := _left(own, placed, encoder.state_dict().keys()):
        raise single_files.left_over(source, odd, f"the text encoder {prefix}* has no place for them")


def _converted(kind: ModelKind, settings: Mapping[str, object], numbers: Placed, part: str) -> Placed:
    convert = SINGLE_FILE_LOADABLE_CLASSES[kind.__name__]["checkpoint_mapping_fn"]
    try:
        found: Mapping[str, Tensor | None] = convert(checkpoint=numbers, config=settings)
    except KeyError as error:  # of tensors that diffusers takes for granted
        raise _lacking(part, [str(error.args[0])]) from error
    return {name: number for name, number in found.items() if number is not None}


def _numbers(dimensions: Mapping[str, int]) -> Placed:
    """Return for every name a tensor with one number, its place; conversions look at the count of dimensions."""
    return {name: torch.full([1] * count, float(at)) for at, (name, count) in enumerate(dimensions.items())}


def _left(names: Iterable[str], placed: Placed, wanted: Collection[str]) -> list[str]:
    """Return those of the file's `names` that went to none of the `wanted` places, but for the known ones."""
    used = {int(number.flatten()[0]) for name, number in placed.items() if name in wanted and number.numel()}
    known = set(single_files.weights_of(names))
    return [name for at, name in enumerate(names) if at not in used and name in known]


def _lacking(part: str, names: list[str]) -> ValueError:
    return ValueError(f"{len(names)} weights of the {part} are missing ({', '.join(names[:3])}); give the whole file")
