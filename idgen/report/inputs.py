"""The images that a row was made from, besides its person's photos."""

import json

from idgen.columns import IMAGES, MAP_OF, MASK_IMAGE
from idgen.sources.images import Ground

_ON_BLACK = frozenset({MASK_IMAGE, *MAP_OF.values()})


def inputs_of(settings: str | None) -> dict[str, str]:
    """Return column -> redacted address of what a row of results.parquet with these settings (JSON) was made of."""
    if not settings or '_uri"' not in settings:
        return {}
    try:
        given = json.loads(settings)
    except ValueError:  # the page shows such settings as they are
        return {}
    found = {name: given.get(name) for name in IMAGES} if isinstance(given, dict) else {}
    return {name: uri for name, uri in found.items() if isinstance(uri, str) and uri}


def ground_of(column: str) -> Ground:
    """Return what shows where the column's picture is transparent: of masks and maps black, as the networks see it."""
    return "black" if column in _ON_BLACK else "white"
