"""Things that are not faces but share something with them: round, skin-coloured, two dots, a curved line."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from idgen.tiny.people import HAIR_COLOURS, RGB, SHIRTS, SKINS, mix
from idgen.tiny.render_canvas import Frame, Sheet, arc, bend, box, loop, oval

_Thing = Callable[[Sheet, Frame, RGB, np.random.Generator], None]


def draw_clutter(sheet: Sheet, rng: np.random.Generator, count: int) -> None:
    """Scatter `count` things over the sheet; draw people afterwards, they stand in front."""
    colours = (*SHIRTS.values(), *SKINS, *HAIR_COLOURS.values())
    side = min(sheet.width_px, sheet.height_px)
    for _ in range(count):
        frame = Frame(
            centre_x=float(rng.uniform(0, sheet.width_px)),
            centre_y=float(rng.uniform(0, sheet.height_px)),
            scale=float(np.exp(rng.uniform(np.log(0.02), np.log(0.22)))) * side,
            roll=float(rng.normal(0, 0.25)),
        )
        colour = colours[int(rng.integers(len(colours)))]
        _THINGS[int(rng.integers(len(_THINGS)))](sheet, frame, colour, rng)


def _balloon(sheet: Sheet, frame: Frame, colour: RGB, rng: np.random.Generator) -> None:
    sheet.stroke(frame, bend((0, 1.2), (0.3, 2.0), (-0.1, 2.8)), (90, 90, 90), 0.05)
    sheet.fill(frame, oval(0, 0, 0.95, 1.2), colour)
    sheet.fill(frame, oval(-0.35, -0.5, 0.2, 0.28), mix(colour, (255, 255, 255), 0.5))


def _eggs(sheet: Sheet, frame: Frame, colour: RGB, rng: np.random.Generator) -> None:
    """A plate with two fried eggs: the nearest thing to two eyes."""
    sheet.fill(frame, oval(0, 0, 1.2, 1.1), mix(colour, (255, 255, 255), 0.4))
    for side in (-1, 1):
        sheet.fill(frame, oval(side * 0.45, -0.1, 0.38, 0.36), (252, 252, 248))
        sheet.fill(frame, oval(side * 0.45, -0.1, 0.18, 0.18), (250, 190, 50))


def _button(sheet: Sheet, frame: Frame, colour: RGB, rng: np.random.Generator) -> None:
    sheet.fill(frame, oval(0, 0, 1, 1), colour)
    sheet.stroke(frame, oval(0, 0, 0.8, 0.8), mix(colour, (0, 0, 0), 0.25), 0.1, True)
    for x, y in ((-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25))[: 2 + 2 * int(rng.integers(2))]:
        sheet.fill(frame, oval(x, y, 0.13, 0.13, 16), (40, 36, 40))


def _clock(sheet: Sheet, frame: Frame, colour: RGB, rng: np.random.Generator) -> None:
    sheet.fill(frame, oval(0, 0, 1.1, 1.1), colour)
    sheet.fill(frame, oval(0, 0, 0.9, 0.9), (250, 248, 240))
    for angle, reach in zip(rng.uniform(0, 6.28, 2), (0.75, 0.5), strict=True):
        sheet.stroke(frame, [(0, 0), (reach * np.cos(angle), reach * np.sin(angle))], (40, 40, 46), 0.09)


def _pot(sheet: Sheet, frame: Frame, colour: RGB, rng: np.random.Generator) -> None:
    for x, y in ((-0.6, -0.9), (0.6, -0.9), (0, -1.25), (-0.3, -0.6), (0.35, -0.6)):
        sheet.fill(frame, oval(x, y, 0.42, 0.5, 24), (70, 150, 84))
    sheet.fill(frame, [(-0.7, -0.3), (0.7, -0.3), (0.5, 1.0), (-0.5, 1.0)], colour)


def _lights(sheet: Sheet, frame: Frame, colour: RGB, rng: np.random.Generator) -> None:
    sheet.fill(frame, box(-0.55, -1.4, 0.55, 1.4), (60, 62, 70))
    for y, lamp in ((-0.9, (220, 70, 60)), (0.0, (244, 196, 70)), (0.9, (80, 180, 100))):
        sheet.fill(frame, oval(0, y, 0.36, 0.36, 24), lamp)


def _car(sheet: Sheet, frame: Frame, colour: RGB, rng: np.random.Generator) -> None:
    sheet.fill(frame, loop([(-1.5, 0.5), (-1.4, -0.1), (-0.7, -0.7), (0.7, -0.7), (1.4, -0.1), (1.5, 0.5)]), colour)
    for side in (-1, 1):
        sheet.fill(frame, box(side * 0.4 - 0.3, -0.5, side * 0.4 + 0.3, -0.1), (200, 226, 240))
        sheet.fill(frame, oval(side * 0.8, 0.5, 0.34, 0.34, 24), (40, 40, 46))
        sheet.fill(frame, oval(side * 0.8, 0.5, 0.15, 0.15, 16), (210, 210, 214))


def _gift(sheet: Sheet, frame: Frame, colour: RGB, rng: np.random.Generator) -> None:
    ribbon = mix(colour, (255, 255, 255), 0.6)
    sheet.fill(frame, box(-1, -0.8, 1, 1), colour)
    sheet.fill(frame, box(-0.14, -0.8, 0.14, 1), ribbon)
    for side in (-1, 1):
        sheet.stroke(frame, oval(side * 0.35, -1.0, 0.32, 0.22, 24), ribbon, 0.13, True)


def _back_of_head(sheet: Sheet, frame: Frame, colour: RGB, rng: np.random.Generator) -> None:
    """Somebody who looks away: shirt, neck and hair, no face."""
    skin = SKINS[int(rng.integers(len(SKINS)))]
    hair = tuple(HAIR_COLOURS.values())[int(rng.integers(len(HAIR_COLOURS)))]
    sheet.fill(frame, loop([(-1.5, 3.4), (-1.3, 1.7), (0, 1.3), (1.3, 1.7), (1.5, 3.4)]), colour)
    sheet.fill(frame, box(-0.4, 0.6, 0.4, 1.6), skin)
    for side in (-1, 1):
        sheet.fill(frame, oval(side * 0.98, 0.1, 0.17, 0.25, 20), skin)
    sheet.fill(frame, oval(0, -0.1, 1.0, 1.2), hair)


def _plain_skin(sheet: Sheet, frame: Frame, colour: RGB, rng: np.random.Generator) -> None:
    """A face's shape and colour without anything on it, or a cap of hair at most."""
    skin = SKINS[int(rng.integers(len(SKINS)))]
    sheet.fill(frame, oval(0, 0, 0.9, 1.15), skin)
    if rng.random() < 0.5:
        sheet.fill(frame, arc(0, -0.25, 0.98, 1.05, np.pi, 2 * np.pi), colour)


def _ball(sheet: Sheet, frame: Frame, colour: RGB, rng: np.random.Generator) -> None:
    sheet.fill(frame, oval(0, 0, 1, 1), colour)
    for y in (-0.5, 0.0, 0.5):
        reach = float(np.sqrt(1 - y * y))
        sheet.stroke(frame, bend((-reach, y), (0, y + 0.35), (reach, y)), mix(colour, (255, 255, 255), 0.6), 0.1)


def _dots(sheet: Sheet, frame: Frame, colour: RGB, rng: np.random.Generator) -> None:
    """A card with dots and lines in no facial order."""
    sheet.fill(frame, box(-1, -1, 1, 1), colour)
    for x, y in rng.uniform(-0.75, 0.75, (5, 2)):
        sheet.fill(frame, oval(float(x), float(y), 0.16, 0.16, 16), mix(colour, (20, 20, 24), 0.8))
    x, y = rng.uniform(-0.4, 0.4, 2).tolist()
    sheet.stroke(frame, bend((x - 0.4, y), (x, y + 0.3), (x + 0.4, y)), (190, 80, 80), 0.14)


_THINGS: tuple[_Thing, ...] = (
    _balloon, _eggs, _button, _clock, _pot, _lights, _car, _gift, _back_of_head, _plain_skin, _ball, _dots,
)  # fmt: skip
