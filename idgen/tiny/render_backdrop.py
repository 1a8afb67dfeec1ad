"""The eight scenes behind people, in units of the picture's height (x runs to the aspect ratio)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from idgen.tiny.people import RGB, SCENES, jitter, mix
from idgen.tiny.render_canvas import Frame, Sheet, box, oval

_Painter = Callable[["_Wall", np.random.Generator], None]


class _Wall:
    """A sheet seen in units of its height, with the aspect ratio at hand."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self._frame = Frame(0.0, 0.0, float(sheet.height_px))
        self.wide = sheet.width_px / sheet.height_px

    def fill(self, points: ArrayLike, colour: RGB) -> None:
        """Fill a polygon given in parts of the frame."""
        self._sheet.fill(self._frame, points, colour)

    def bands(self, colours: list[RGB], top: float = 0.0, bottom: float = 1.0) -> None:
        """Stripes of equal height from the first colour to the last."""
        edges = np.linspace(top, bottom, len(colours) + 1)
        for colour, upper, lower in zip(colours, edges[:-1], edges[1:], strict=True):
            self.fill(box(0, float(upper), self.wide, float(lower) + 0.002), colour)


def draw_backdrop(sheet: Sheet, scene: str, seed: int) -> None:
    """Paint the whole sheet with a scene (one of SCENES); the seed moves its details."""
    _PAINTERS[scene](_Wall(sheet), np.random.default_rng([seed, 303]))


def _studio(wall: _Wall, rng: np.random.Generator) -> None:
    grounds = ((176, 206, 214), (222, 208, 190), (200, 192, 220), (190, 214, 190), (236, 206, 196))
    ground = jitter(grounds[int(rng.integers(len(grounds)))], rng, 10)
    wall.bands([ground])
    wall.fill(oval(wall.wide / 2, 0.5, 0.42, 0.42, 80), mix(ground, (255, 255, 255), 0.35))


def _beach(wall: _Wall, rng: np.random.Generator) -> None:
    wall.bands([(150, 214, 240), (168, 222, 242), (188, 230, 244)], 0, 0.55)
    wall.fill(oval(float(rng.uniform(0.08, 0.3)) * wall.wide, 0.16, 0.08, 0.08), (255, 232, 130))
    wall.bands([(48, 150, 190), (66, 170, 200), (96, 190, 208)], 0.52, 0.74)
    wall.fill(box(0, 0.72, wall.wide, 1.0), (242, 220, 168))
    wall.fill(oval(wall.wide / 2, 0.74, wall.wide * 0.7, 0.03), (250, 244, 224))


def _forest(wall: _Wall, rng: np.random.Generator) -> None:
    wall.bands([(196, 226, 206), (178, 214, 188)], 0, 0.8)
    wall.fill(box(0, 0.78, wall.wide, 1.0), (112, 150, 84))
    for depth, green in ((0.0, (120, 176, 130)), (1.0, (64, 128, 88))):
        for x in np.arange(-0.05, wall.wide + 0.1, 0.24):
            at, tall = float(x + rng.uniform(-0.05, 0.05) + depth * 0.1), float(rng.uniform(0.5, 0.68))
            wall.fill(box(at - 0.02, 0.7, at + 0.02, 0.82 + depth * 0.06), (112, 82, 60))
            wall.fill([(at - 0.12, 0.78), (at, 0.8 - tall), (at + 0.12, 0.78)], jitter(green, rng, 8))


def _city(wall: _Wall, rng: np.random.Generator) -> None:
    wall.bands([(178, 204, 228), (196, 216, 232), (216, 226, 234)])
    x = 0.0
    while x < wall.wide:
        wide, top = float(rng.uniform(0.12, 0.22)), float(rng.uniform(0.18, 0.5))
        block = jitter((128, 142, 166), rng, 14)
        lit = mix(block, (255, 240, 190), 0.5)
        wall.fill(box(x, top, x + wide, 1.0), block)
        for row in np.arange(top + 0.04, 0.95, 0.09):
            for column in np.arange(x + 0.025, x + wide - 0.03, 0.055):
                left, upper = float(column), float(row)
                wall.fill(box(left, upper, left + 0.03, upper + 0.045), lit)
        x += wide + 0.01


def _night(wall: _Wall, rng: np.random.Generator) -> None:
    wall.bands([(28, 34, 72), (36, 44, 88), (46, 56, 104), (60, 70, 120)])
    for _ in range(22):
        x, y, size = rng.uniform(0, wall.wide), rng.uniform(0, 0.8), rng.uniform(0.004, 0.009)
        wall.fill(oval(float(x), float(y), float(size), float(size), 10), (250, 246, 214))
    x, y = float(rng.uniform(0.08, 0.22)) * wall.wide, float(rng.uniform(0.1, 0.2))
    wall.fill(oval(x, y, 0.07, 0.07), (250, 240, 196))
    wall.fill(oval(x + 0.03, y - 0.015, 0.06, 0.06), (30, 37, 76))


def _sunset(wall: _Wall, rng: np.random.Generator) -> None:
    wall.bands([(112, 84, 140), (166, 96, 140), (216, 116, 122), (244, 150, 100), (252, 190, 104)], 0, 0.75)
    x = float(rng.uniform(0.15, 0.85)) * wall.wide
    wall.fill(oval(x, 0.66, 0.14, 0.14), (255, 226, 140))
    wall.fill(box(0, 0.74, wall.wide, 1.0), (96, 66, 110))
    for row in (0.78, 0.84, 0.9):
        wall.fill(box(x - 0.12 + row * 0.06, row, x + 0.12 - row * 0.06, row + 0.018), (232, 150, 110))


def _mountains(wall: _Wall, rng: np.random.Generator) -> None:
    wall.bands([(164, 206, 236), (190, 220, 240), (214, 232, 242)])
    for base, rock in ((0.72, (140, 156, 188)), (0.9, (98, 116, 152))):
        for x in np.arange(-0.1, wall.wide + 0.3, 0.42):
            at, peak = float(x + rng.uniform(-0.08, 0.08)), base - float(rng.uniform(0.3, 0.45))
            wall.fill([(at - 0.36, base + 0.1), (at, peak), (at + 0.36, base + 0.1)], rock)
            snow = [(at - 0.08, peak + 0.1), (at, peak), (at + 0.08, peak + 0.1), (at, peak + 0.07)]
            wall.fill(snow, (244, 248, 252))
    wall.fill(box(0, 0.88, wall.wide, 1.0), (110, 152, 104))


def _meadow(wall: _Wall, rng: np.random.Generator) -> None:
    wall.bands([(158, 214, 240), (184, 226, 244), (160, 206, 124)], 0, 1.0)
    for _ in range(3):
        x, y = float(rng.uniform(0, wall.wide)), float(rng.uniform(0.06, 0.3))
        for step, size in ((-0.07, 0.04), (0.0, 0.06), (0.07, 0.045)):
            wall.fill(oval(x + step, y, size * 1.3, size), (250, 252, 252))
    wall.fill(oval(wall.wide * 0.2, 1.0, wall.wide * 0.8, 0.46), (142, 196, 104))
    wall.fill(oval(wall.wide * 0.9, 1.02, wall.wide * 0.8, 0.4), (120, 182, 92))
    for _ in range(18):
        x, y = float(rng.uniform(0, wall.wide)), float(rng.uniform(0.72, 0.98))
        colour = ((250, 220, 90), (240, 130, 150), (250, 250, 250))[int(rng.integers(3))]
        wall.fill(oval(x, y, 0.014, 0.014, 14), colour)


_PAINTERS: dict[str, _Painter] = dict(
    zip(SCENES, (_studio, _beach, _forest, _city, _night, _sunset, _mountains, _meadow), strict=True)
)
