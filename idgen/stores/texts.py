"""Where prompts that were encoded ahead lie in a catalogue: texts/<encoder>/<digest of the prompt>.safetensors.

Not in a run's folder, as the run that goes on after a killed one has another id. No torch here.
"""

import hashlib
from collections.abc import Iterable, Iterator

from idgen.stores.protocol import ObjectStore

ROOT = "texts"
_ENDING = ".safetensors"


def encoder_name(text_sha256: str, dtype: str) -> str:
    """Return what a text encoder's folder is called; recipes on the same files in the same precision share it.

    `text_sha256` is that of the role text (idgen/weights/roles.py).
    """
    return f"{text_sha256[:16]}-{dtype}"


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
