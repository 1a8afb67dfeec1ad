"""Where prompts that were encoded ahead lie in a catalogue: texts/<encoder>/<digest of the prompt>.safetensors.

Not in a run's folder, as the run that goes on after a killed one has another id. No torch here.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping

from idgen.recipes.families import FAMILIES
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
    own = identities[recipe.name]
    reader = own["text"] if FAMILIES[recipe.base.kind].text_apart else _digest_of_reader(recipe, own)
    return f"{reader[:16]}-{recipe.base.dtype}"


def _digest_of_reader(recipe: Recipe, identity: Mapping[str, str]) -> str:
    """Return hex digits over what decides the texts of a text encoder that is a part of its base.

    That is the base as a whole, LoRAs, which may change it, and how the recipe reads prompts.
    """
    loras = [(identity[f"lora:{lora.name}"], lora.scale) for lora in recipe.base.loras]
    facts = [identity["base"], loras, recipe.prompt_syntax, recipe.long_prompt]
    return hashlib.blake2b(json.dumps(facts).encode(), digest_size=16).hexdigest()


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
