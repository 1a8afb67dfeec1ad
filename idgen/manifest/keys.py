"""Keys and seeds: a picture's name follows from what decides its pixels, and from nothing else.

A key is the hash of one JSON text: sorted names, floats as the shortest text of their float32 value, absent settings
left out (so a column that idgen learns later changes no old key). People's texts come in NFC already (resolve.py);
addresses stay as they are spelled, since two spellings of an object's name are two objects.
"""

import hashlib
import json
from collections.abc import Mapping

import numpy as np

_KEY_DOMAIN = b"idgen-key-1"
_SEED_DOMAIN = b"idgen-seed-1"
_REFUSED_DOMAIN = b"idgen-refused-1"
_ORDER_DOMAIN = b"idgen-order-1"
_ENCODE = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str).encode


def canonical_float(value: float) -> str:
    """Return the shortest text that gives the same float32; -0.0 is 0.0."""
    return str(np.float32(value) + np.float32(0.0))


def canonical(value: object) -> object:
    """Return `value` with every float in it spelled canonically and every map as an object."""
    if isinstance(value, float):
        return canonical_float(value)
    if isinstance(value, Mapping):
        return {str(name): canonical(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(part) for part in value]
    return value


def key_and_seed(contents: Mapping[str, object]) -> tuple[str, int]:
    """Return the key (32 hex digits) and the seed (0..2^63-1) of canonical key contents."""
    text = _ENCODE(contents).encode()
    seed = hashlib.blake2b(text, digest_size=8, person=_SEED_DOMAIN).digest()
    return hashlib.blake2b(text, digest_size=16, person=_KEY_DOMAIN).hexdigest(), int.from_bytes(seed) >> 1


def refused_key(raw: Mapping[str, object], image_index: int) -> str:
    """Return the key of a picture that the plan refused, over the row as it stands; never equal to a picture's key."""
    text = _ENCODE([canonical(raw), image_index]).encode()
    return hashlib.blake2b(text, digest_size=16, person=_REFUSED_DOMAIN).hexdigest()


def replacement_seed(old_key: str) -> int:
    """Return the seed (0..2^63-1) of the picture that takes the place of a rejected one: the same whoever asks."""
    return int.from_bytes(hashlib.blake2b(old_key.encode(), digest_size=8, person=_ORDER_DOMAIN).digest()) >> 1


def short_hash(value: object) -> str:
    """Return 8 hex digits for names of load groups and buckets."""
    return hashlib.blake2b(_ENCODE(value).encode(), digest_size=4).hexdigest()
