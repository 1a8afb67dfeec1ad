"""A base in one file of the original layout: whether all of it is read, and what its marks say."""

from collections.abc import Iterable
from pathlib import Path

from torch import nn

from idgen.errors import Exit, RunError
from idgen.sampling import part_names
from idgen.sampling.reading import VAE_PREFIXES, Pipeline
from idgen.weights import recognition, single_files
from idgen.weights.headers import dtypes_of, shapes_of


def check_parts(path: Path, prefixes: tuple[str, ...], own_vae: bool) -> None:
    """Raise RunError when the file at `path` is no whole base, or holds anything that would not be read as it is meant.

    What is missing, diffusers would take from elsewhere. `prefixes` are those of the family's UNet and text encoders.
    """
    dtypes = dtypes_of(path)
    missing = [prefix for prefix in prefixes if not any(name.startswith(prefix) for name in dtypes)]
    if looks := recognition.instead("base", dtypes):
        raise RunError(Exit.USAGE, f"{path} is {looks}")
    if missing:
        raise RunError(
            Exit.USAGE,
            f"{path} has no tensors {missing[0]}*, so it is not a complete base of this family in the original layout; "
            "a file of another family needs another base.kind and base.config, and a UNet alone goes into base.unet, "
            "with a complete base in base.weights",
        )
    if own_vae and not any(name.startswith(VAE_PREFIXES) for name in dtypes):
        raise RunError(Exit.USAGE, f"{path} has no VAE; give base.vae=<folder or .safetensors file>")
    single_files.check_numbers(dtypes, path)
    single_files.schedule(dtypes, path)
    single_files.check_outside(dtypes, (*prefixes, *VAE_PREFIXES), path)


def check_texts_read(path: Path, encoders: Iterable[tuple[str, nn.Module]]) -> None:
    """Raise RunError when the file at `path` has more of a text encoder than was read; (prefix, encoder) each."""
    shapes = shapes_of(path)
    for prefix, encoder in encoders:
        own = [name for name in shapes if name.startswith(prefix)]
        try:
            single_files.check_all_read(own, len(encoder.state_dict()), path, f"the text encoder {prefix}*")
        except RunError:
            part_names.check_texts(encoder, prefix, shapes, path)
            raise


def follow_marks(pipeline: Pipeline, path: Path) -> None:
    """Give the pipeline's scheduler the settings that the UNet's file at `path` says it was trained with.

    Raises RunError when nothing here can follow them.
    """
    marked = single_files.schedule(dtypes_of(path), path)
    if marked:
        known = dict(pipeline.scheduler.config)
        # what stands there was never chosen, so diffusers would leave it out
        defaults = [name for name in known.get("_use_default_values", []) if name not in marked]
        settings = {**known, **marked, "_use_default_values": defaults}
        pipeline.scheduler = type(pipeline.scheduler).from_config(settings)
