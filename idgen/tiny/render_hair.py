"""Hair in two layers: what hangs behind the head and what lies on it."""

from __future__ import annotations

import math

import numpy as np

from idgen.tiny.people import DrawnPerson, mix
from idgen.tiny.render_canvas import Frame, Points, Sheet, arc, loop, oval

_CAPPED = {"short": 0.16, "quiff": 0.14, "bob": 0.2, "long": 0.16, "wavy": 0.2, "bun": 0.12, "pigtails": 0.14}


def draw_hair_behind(sheet: Sheet, frame: Frame, person: DrawnPerson) -> None:
    """The layer behind neck and face; nothing for most short styles."""
    width, height, volume = person.face_width, person.face_height, person.hair_volume
    shade = mix(person.hair, (0, 0, 0), 0.09)
    style = person.hair_style
    if style == "afro":
        sheet.fill(frame, oval(0, -0.42, width + 0.42 * volume, height * 0.72 + 0.36 * volume), person.hair)
    elif style == "bob":
        side = width + 0.24 * volume
        sheet.fill(frame, loop([(-side, -0.3), (0, -height - 0.2), (side, -0.3), (side + 0.06, 0.78),
                                (side - 0.5, 0.94), (0.5 - side, 0.94), (-side - 0.06, 0.78)]), shade)  # fmt: skip
    elif style in ("long", "wavy"):
        side = width + 0.2 * volume
        drop = np.array([(-side, -0.4), (0, -height - 0.16), (side, -0.4), (side + 0.04, 0.5), (side + 0.1, 1.2),
                         (side - 0.02, 1.85), (0, 1.7), (0.02 - side, 1.85), (-side - 0.1, 1.2),
                         (-side - 0.04, 0.5)], np.float32)  # fmt: skip
        if style == "wavy":
            drop[[3, 5, 7, 9], 0] *= (1.18, 1.2, 1.2, 1.18)
            drop[[4, 8], 0] *= 0.92
        sheet.fill(frame, loop(drop), shade)
    elif style == "bun":
        sheet.fill(frame, oval(0, -height - 0.3, 0.38 * volume, 0.34 * volume), shade)
    elif style == "pigtails":
        for side in (-1, 1):
            sheet.fill(frame, oval(side * (width + 0.3), 0.42, 0.27 * volume, 0.6), shade)


def draw_hair_front(sheet: Sheet, frame: Frame, person: DrawnPerson, turn: float) -> None:
    """The layer over the forehead; `turn` moves the hairline with the face (face units)."""
    width, height, volume, hair = person.face_width, person.face_height, person.hair_volume, person.hair
    style = person.hair_style
    if style == "bald":
        return
    if style == "buzz":
        sheet.fill(frame, _cap(person, turn, 0.05, -0.34, (-0.62, -0.66, -0.62)), mix(hair, person.skin, 0.12))
        return
    if style == "curly":
        sheet.fill(frame, _cap(person, turn, 0.1, -0.2, (-0.55, -0.5, -0.55)), hair)
        for angle in np.linspace(math.pi * 0.97, math.pi * 2.03, 9):
            curl = (width * math.cos(angle), -0.12 + (height - 0.1) * math.sin(angle))
            sheet.fill(frame, oval(curl[0], curl[1], 0.28 * volume, 0.27 * volume, 24), hair)
        for x in (-0.5, -0.18, 0.16, 0.48):
            sheet.fill(frame, oval(x * width + turn, -height + 0.38, 0.22, 0.2, 24), hair)
        return
    if style == "afro":
        sheet.fill(frame, _cap(person, turn, 0.1, -0.2, (-0.52, -0.6, -0.52)), hair)
        return
    sheet.fill(frame, _cap(person, turn, _CAPPED[style] * volume, _TEMPLE[style], _line(person)), hair)
    if style == "quiff":
        top, side = -height - 0.1, person.hair_side
        sheet.fill(frame, loop([(-0.74 * width, top + 0.42), (-0.6 * width, top + 0.02),
                                (0.2 * side * width, top - 0.3 * volume), (0.72 * width, top + 0.04),
                                (0.74 * width, top + 0.42), (turn, top + 0.52)]), hair)  # fmt: skip
    if style in ("long", "wavy", "pigtails"):  # a parting, in the hair's own shadow
        start = (person.hair_side * 0.12 * (style == "wavy"), -height - 0.12)
        end = (start[0] + turn, -height + 0.3)
        sheet.stroke(frame, [start, end], mix(hair, (0, 0, 0), 0.25), 0.045)


_TEMPLE = {"short": -0.22, "quiff": -0.3, "bob": 0.42, "long": 0.3, "wavy": 0.3, "bun": -0.16, "pigtails": -0.08}


def _line(person: DrawnPerson) -> tuple[float, float, float]:
    """Heights of the hairline: left, middle, right."""
    high, side = -person.face_height + 0.34, person.hair_side
    if person.hair_style == "bob":  # a straight fringe
        return high + 0.2, high + 0.22, high + 0.2
    if person.hair_style in ("long", "pigtails"):  # parted in the middle
        return high + 0.3, high - 0.06, high + 0.3
    if person.hair_style == "bun":
        return high + 0.06, high - 0.06, high + 0.06
    return high + 0.16 - 0.14 * side, high + 0.05, high + 0.16 + 0.14 * side  # swept to one side


def _cap(person: DrawnPerson, turn: float, thick: float, temple: float, line: tuple[float, float, float]) -> Points:
    """Hair on the skull: over the top from temple to temple, back along the hairline."""
    width, height = person.face_width, person.face_height
    outside = arc(0, temple, width + thick * 0.6, height + thick + temple, math.pi, 2 * math.pi, 32)
    inner = np.array([(0.97 * width, temple), (0.8 * width, (temple + line[2]) / 2), (0.5 * width + turn, line[2]),
                      (turn, line[1]), (-0.5 * width + turn, line[0]), (-0.8 * width, (temple + line[0]) / 2),
                      (-0.97 * width, temple)], np.float32)  # fmt: skip
    return np.concatenate([outside, inner])
