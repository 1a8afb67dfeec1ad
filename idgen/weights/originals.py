"""Bases in their authors' own layouts, which nothing here reads, and where diffusers' layout of the same weights is."""

from collections.abc import Iterable
from pathlib import Path

from idgen.errors import Exit, RunError
from idgen.recipes.families import FAMILIES, FamilyName


def check_folder(place: Path, kind: FamilyName) -> None:
    """Raise RunError(USAGE) unless `place` is a folder, and not a base in its authors' own layout."""
    if not place.is_dir():
        title = FAMILIES[kind].title
        raise RunError(Exit.USAGE, f"{place} is a single file; {title} is read from a folder in diffusers layout only")
    encoder = place / "text_encoder"
    if encoder.is_dir() and is_original((path.name for path in encoder.iterdir()), kind):
        raise original(str(place), kind)


def is_original(names: Iterable[str], kind: FamilyName) -> bool:
    """Tell whether a base's text_encoder folder with files of these names is in its authors' own layout.

    Kolors' first repository has pickles, and code of its own that works with old versions of transformers only.
    """
    there = set(names)
    if not FAMILIES[kind].diffusers_layout:
        return False
    if any(name.endswith(".safetensors") for name in there):
        return False
    return "modeling_chatglm.py" in there or any(name.startswith("pytorch_model") for name in there)


def original(place: str, kind: FamilyName) -> RunError:
    """Return the error for `place`, a folder or a hub id, that says where the same weights are in diffusers layout."""
    return RunError(
        Exit.USAGE,
        f"{place} is {FAMILIES[kind].title} in the authors' own layout, whose text encoder is a pickle that contains "
        f"code; give the same weights in diffusers layout: base.weights={FAMILIES[kind].diffusers_layout}",
    )
