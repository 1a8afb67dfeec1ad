"""Recipe hashes: the part of a picture's key that its recipe decides."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict

from idgen.recipes.recipe import Recipe

_NOT_IN_HASH = {
    "title", "defaults", "licence", "columns", "required_columns", "prompt_required", "batch_size",
    "seconds_per_picture",
    "max_references", "max_side_px", "size_multiple_px", "download_gb", "face_pass", "gates", "rank_by",
    "white_ground",
}  # fmt: skip
_LOCATIONS = {
    "weights", "revision", "vae", "sha256", "config", "unet", "image_encoder", "face_parser", "context_weights",
    "steps", "archive", "text", "same_person_cosine", "sure_score",
}  # fmt: skip
_AS_EVER = {"prompt_syntax": "plain", "long_prompt": "cut"}
"""Settings that a recipe learnt later, with what they were before: so said, they are as good as not there."""


def recipe_hash(recipe: Recipe, identity: Mapping[str, str]) -> str:
    """Return 16 hex digits over what of a recipe decides pixels beyond the row's own columns.

    `identity` names the weights by content (idgen/weights.py), so where they lie does not matter. Defaults are left
    out because resolved rows hold them, as rows that ask for a face pass hold its settings; names are in, as two
    recipes are two things to the shop. So are empty settings left out: a setting that a recipe learns later changes no
    old key.
    """
    facts = {
        name: value
        for name, value in asdict(recipe).items()
        if name not in _NOT_IN_HASH and value != _AS_EVER.get(name, object())
    }
    text = json.dumps({"recipe": _without_locations(facts), "weights": dict(identity)}, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _without_locations(facts: object) -> object:
    if isinstance(facts, dict):
        kept = {name: _without_locations(value) for name, value in facts.items() if name not in _LOCATIONS}
        return {name: value for name, value in kept.items() if value not in (None, "", [], {})}
    return [_without_locations(value) for value in facts] if isinstance(facts, list) else facts
