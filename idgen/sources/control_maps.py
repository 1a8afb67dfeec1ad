"""Ready-made control maps as nets expect them, white on black, and signs that a map is not like that."""

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

LINES = ("canny", "softedge")
"""Maps of white lines on black. A depth map may be bright nearly all over."""
ON_BLACK = (*LINES, "pose")

_DARK = 128
_NEARLY_ALL = 95
"""Percent of the pixels that show; a few may be of any colour."""
_SAME = 8
"""Levels that a JPEG adds to a picture of one colour."""
_MOST = 0.6
"""Share of a map that lines and poses never cover."""


def lines_on_nothing(rgb: Pixels, alpha: Pixels, kind: str) -> Pixels | None:
    """Return a map of dark lines on a transparent ground as white lines on black, None where it is no such map.

    `rgb` [H, W, 3] shows the map on black, where dark lines cannot be seen; `alpha` [H, W] is where they are.
    """
    shown = alpha > 127
    if kind not in LINES or not shown.any() or shown.mean() >= _MOST:
        return None
    if np.percentile(rgb[shown].max(axis=1), _NEARLY_ALL) >= _DARK:
        return None
    return np.repeat(alpha[..., None], 3, axis=2)


def map_notes(rgb: Pixels, kind: str) -> list[str]:
    """Return the warnings about a map [H, W, 3] of `kind` (pose, depth, canny, softedge) as its net is shown it."""
    if int(rgb.max()) - int(rgb.min()) <= _SAME:
        return ["control_map_blank: it has only one colour, so it controls nothing"]
    if kind in ON_BLACK and (rgb.mean(axis=2) > 127).mean() > _MOST:
        return [f"control_map_inverted: most of it is bright; a {kind} map is bright on black"]
    return []
