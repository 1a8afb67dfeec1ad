"""The pictures that a row was made of beside its person's photos, as its settings name them."""

import json

from idgen.manifest.columns import CONTROLS
from idgen.sources.images import Ground

MAPS = tuple(f"control_{name}_uri" for name in CONTROLS)
INPUTS = (
    "reference_mask_uri", "ip_adapter_image_uri", "face_pose_uri", "init_image_uri", "mask_image_uri", *MAPS,
)  # fmt: skip
"""Columns that hold one picture's address, in the order in which they are shown."""

_ON_BLACK = frozenset({"mask_image_uri", *MAPS})


def inputs_of(settings: str | None) -> dict[str, str]:
    """Return column -> redacted address of what a row of results.parquet with these settings (JSON) was made of."""
    if not settings or '_uri"' not in settings:
        return {}
    try:
        given = json.loads(settings)
    except ValueError:  # the page shows such settings as they are
        return {}
    found = {name: given.get(name) for name in INPUTS} if isinstance(given, dict) else {}
    return {name: uri for name, uri in found.items() if isinstance(uri, str) and uri}


def ground_of(column: str) -> Ground:
    """Return what shows where the column's picture is transparent: of masks and maps black, as the networks see it."""
    return "black" if column in _ON_BLACK else "white"
