"""Where prompts that were encoded ahead lie in a catalogue: texts/<encoder>/<digest of the prompt>.safetensors.

Not in a run's folder, as the run that goes on after a killed one has another id. No torch here.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping

from idgen.recipes.recipe import Recipe
from idgen.stores.protocol import ObjectStore

ROOT = "texts"
_ENDING = ".safetensors"


def encoder_of(recipe: Recipe, identities: Mapping[str, Mapping[str, str]]) -> str:
    """Return what the folder of a recipe's texts is called, "" where its prompts are encoded inline.

    Recipes with the same text encoder in the same precision share it. `identities`: recipe -> role -> sha256.
    """
    if not recipe.base.text_ahead:
        return ""
    return f"{identities[recipe.name]['text'][:16]}-{recipe.base.dtype}"


def digest(prompt: str) -> str:
    """Return what a prompt's file is called."""
    return hashlib.blake2b(prompt.encode(), digest_size=16).hexdigest()


def folder(encoder: str) -> str:
    """Return the folder of an encoder's texts."""
    return f"{ROOT}/{encoder}"


def path(encoder: str, prompt_digest: str) -> str:
    """Return where a prompt's text lies."""
    return f"{folder(encoder)}/{prompt_digest}{_ENDING}"


def stored(store: ObjectStore, encoder: str) -> Iterator[str]:
    """Yield the digests of all prompts that this encoder's folder has. Raises StoreError."""
    for found in store.list(f"{folder(encoder)}/"):
        yield found.path.rpartition("/")[2].removesuffix(_ENDING)


def delete(store: ObjectStore, encoders: Iterable[str]) -> None:
    """Remove all texts of these encoders. Raises StoreError."""
    for encoder in encoders:
        store.delete(found.path for found in store.list(f"{folder(encoder)}/"))
