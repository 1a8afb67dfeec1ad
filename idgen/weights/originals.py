"""Bases in their authors' own layouts, which nothing here reads, and where diffusers' layout of the same weights is."""

from collections.abc import Iterable
from pathlib import Path

from idgen.errors import Exit, RunError

KOLORS = "Kwai-Kolors/Kolors-diffusers"
"""The repository with Kolors in diffusers layout."""


def check_not_original_kolors(folder: Path) -> None:
    """Raise RunError(USAGE) that names KOLORS when `folder` holds Kolors as its first repository does."""
    encoder = folder / "text_encoder"
    if encoder.is_dir() and is_original_kolors(path.name for path in encoder.iterdir()):
        raise original_kolors(str(folder))


def is_original_kolors(names: Iterable[str]) -> bool:
    """Tell whether a base's text_encoder folder with files of these names is that of Kolors' first repository.

    It has pickles, and code of its own that works with old versions of transformers only.
    """
    there = set(names)
    if any(name.endswith(".safetensors") for name in there):
        return False
    return "modeling_chatglm.py" in there or any(name.startswith("pytorch_model") for name in there)


def original_kolors(place: str) -> RunError:
    """Return the error for `place`, a folder or a hub id."""
    return RunError(
        Exit.USAGE,
        f"{place} is Kolors in its authors' own layout, whose text encoder is a pickle with code of its own; give the "
        f"same weights in diffusers layout: base.weights={KOLORS}",
    )
