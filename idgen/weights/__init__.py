"""Where weights are on this machine, and what they are: a sha256 per role that enters every key. No torch here.

Nothing is downloaded, but by `fetching`, which only `jobs/weights.py fetch` calls.
"""

from idgen.weights.files import component_variant, weight_files, weight_variant
from idgen.weights.hashes import hash_cache
from idgen.weights.locations import locate
from idgen.weights.part_rules import check_parts
from idgen.weights.roles import (
    WeightPart,
    check_node,
    face_pack_identity,
    files_of,
    identity,
    model_identity,
    needs_face_pack,
    parts,
    text_identity,
)

__all__ = [
    "WeightPart",
    "check_node",
    "check_parts",
    "component_variant",
    "face_pack_identity",
    "files_of",
    "hash_cache",
    "identity",
    "locate",
    "model_identity",
    "needs_face_pack",
    "parts",
    "text_identity",
    "weight_files",
    "weight_variant",
]
