"""One head with neck and shoulders, and where its box and five keypoints lie."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from idgen.tiny.people import SHIRTS, DrawnPerson, Look, mix
from idgen.tiny.render_canvas import Frame, Points, Sheet, arc, bend, loop, oval
from idgen.tiny.render_hair import draw_hair_behind, draw_hair_front

_INK = (46, 36, 40)
_SMILE = {"serious": 0.015, "smiling": 0.16, "laughing": 0.2, "surprised": -0.02}


@dataclass(frozen=True, slots=True)
class Head:
    """A person's head in a frame; turns points on the face with the look's yaw and pitch."""

    person: DrawnPerson
    look: Look
    frame: Frame

    def turned(self, points: ArrayLike) -> Points:
        """Points [n, 2] on the face, moved as if the face were a globe that yaws and pitches."""
        x, y = np.asarray(points, np.float32).reshape(-1, 2).T
        depth = np.sqrt(np.maximum(0.1, 1.2 - x**2 - 0.45 * y**2))
        across = x * math.cos(self.look.yaw) + depth * math.sin(self.look.yaw)
        down = y * math.cos(self.look.pitch) + depth * math.sin(self.look.pitch)
        return np.stack([across, down], axis=1).astype(np.float32)

    def outline(self) -> Points:
        """The edge of the face from forehead to chin [n, 2], face units."""
        angles = np.linspace(0, 2 * math.pi, 72, endpoint=False)
        x, y = np.cos(angles), np.sin(angles)
        # The jaw decides only the lower half; both halves meet with the same slope at y = 0.
        power = np.where(y > 0, self.person.jaw, 0.86)
        wide = np.sign(x) * np.abs(x) ** power * self.person.face_width
        return np.stack([wide, y * self.person.face_height], axis=1).astype(np.float32)

    def mouth_corners(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Left and right corner before turning, face units."""
        lift, narrow = _SMILE[self.look.expression], 0.6 if self.look.expression == "surprised" else 1.0
        half = self.person.mouth_width * narrow * (1 + 0.6 * max(lift, 0))
        y = self.person.mouth_y - 0.35 * lift
        return (-half, y), (half, y)

    def keypoints_px(self) -> NDArray[np.float32]:
        """Left eye, right eye, nose, left and right mouth corner as seen in the picture: [5, 2]."""
        person = self.person
        nose = (0.0, person.eye_y + person.nose_length)
        face = [(-person.eye_gap, person.eye_y), (person.eye_gap, person.eye_y), nose, *self.mouth_corners()]
        return self.frame.to_px(self.turned(face))

    def box_px(self) -> NDArray[np.float32]:
        """Bounding box of the face's outline, without hair and ears: x1, y1, x2, y2."""
        edge = self.frame.to_px(self.outline())
        return np.concatenate([edge.min(0), edge.max(0)]).astype(np.float32)


def draw_head(sheet: Sheet, head: Head) -> None:
    """Draw one person, from back to front."""
    person, frame = head.person, head.frame
    turn = 0.5 * math.sin(head.look.yaw)
    draw_hair_behind(sheet, frame, person)
    _draw_body(sheet, head)
    for side in (-1, 1):
        x = side * (person.face_width + 0.02) - 0.4 * turn
        ear = oval(x, person.eye_y + 0.16, person.ear_size * 0.72, person.ear_size)
        sheet.fill(frame, ear, mix(person.skin, (120, 40, 30), 0.12))
    sheet.fill(frame, head.outline(), person.skin)
    _draw_cheeks(sheet, head)
    _draw_beard(sheet, head)
    _draw_nose(sheet, head)
    _draw_mouth(sheet, head)
    for side in (-1, 1):
        _draw_eye(sheet, head, side)
    draw_hair_front(sheet, frame, person, turn)
    for side in (-1, 1):
        _draw_brow(sheet, head, side)
    _draw_glasses(sheet, head)


def _draw_body(sheet: Sheet, head: Head) -> None:
    """Neck and shirt; they stay upright while the head leans."""
    upright = Frame(head.frame.centre_x, head.frame.centre_y, head.frame.scale, head.frame.roll * 0.3)
    shirt, skin = SHIRTS[head.look.shirt], head.person.skin
    height, wide = head.person.face_height, 1.28 + 0.3 * head.person.face_width
    waist, feet = height + 3.2, height + 6.0
    for side in (-1, 1):
        leg = [(side * 0.05, waist - 0.4), (side * 1.2, waist - 0.4), (side * 1.05, feet), (side * 0.4, feet)]
        sheet.fill(upright, leg, (70, 76, 104))
    chest = np.concatenate([
        [(-1.25, waist)], bend((-wide, height + 1.0), (-wide + 0.12, height + 0.42), (-0.5, height + 0.3)),
        bend((0.5, height + 0.3), (wide - 0.12, height + 0.42), (wide, height + 1.0)), [(1.25, waist)],
    ])  # fmt: skip
    sheet.fill(upright, chest, shirt)
    neck = loop([(-0.4, height - 0.5), (0.4, height - 0.5), (0.44, height + 0.32), (0, height + 0.62),
                 (-0.44, height + 0.32)])  # fmt: skip
    sheet.fill(upright, neck, mix(skin, (90, 30, 30), 0.2))
    collar = bend((-0.5, height + 0.28), (0, height + 0.98), (0.5, height + 0.28))
    sheet.stroke(upright, collar, mix(shirt, (0, 0, 0), 0.2), 0.1)


def _draw_cheeks(sheet: Sheet, head: Head) -> None:
    """A blush on each cheek."""
    person = head.person
    warm = mix(person.skin, (224, 80, 80), 0.5)
    for side in (-1, 1):
        x, y = head.turned([(side * (person.eye_gap + 0.16), person.eye_y + 0.4)])[0]
        sheet.tint(head.frame, oval(x, y, 0.2, 0.15), warm, 0.15 + 0.5 * person.blush)


def _draw_beard(sheet: Sheet, head: Head) -> None:
    """Beard and moustache, below the mouth that is drawn later."""
    person, colour = head.person, head.person.beard_colour
    y, half = person.mouth_y, person.mouth_width
    if person.beard == "full":
        edge = head.outline()
        edge = edge[edge[:, 1] > 0.16]  # from the right ear round the chin to the left ear
        inner = head.turned([(-0.72 * person.face_width, 0.36), (-half - 0.12, y - 0.16), (0, y - 0.14),
                             (half + 0.12, y - 0.16), (0.72 * person.face_width, 0.36)])  # fmt: skip
        sheet.fill(head.frame, np.concatenate([edge * (1.02, 1.035), inner]), colour)
    elif person.beard == "goatee":
        chin, wide = person.face_height, half + 0.12
        patch = loop([(-wide, y - 0.1), (0, y - 0.14), (wide, y - 0.1), (wide * 0.9, y + 0.2), (0.24, chin),
                      (-0.24, chin), (-wide * 0.9, y + 0.2)])  # fmt: skip
        sheet.fill(head.frame, head.turned(patch), colour)
    if person.beard != "none":
        top = loop([(0, y - 0.2), (half + 0.04, y - 0.1), (half + 0.1, y + 0.06), (0, y - 0.03),
                    (-half - 0.1, y + 0.06), (-half - 0.04, y - 0.1)])  # fmt: skip
        sheet.fill(head.frame, head.turned(top), colour)


def _draw_nose(sheet: Sheet, head: Head) -> None:
    """A soft shadow and the tip's rounded edge."""
    person = head.person
    tip, half = person.eye_y + person.nose_length, person.nose_width
    shade = mix(person.skin, (110, 36, 30), 0.36)
    edge = arc(0, tip - 0.03, half, 0.1, 0.05 * math.pi, 0.95 * math.pi)
    side = -person.hair_side
    bridge = bend((0.06 * side, person.eye_y + 0.12), (0.1 * side, tip - 0.1), (half * side, tip))
    sheet.stroke(head.frame, head.turned(bridge), mix(person.skin, shade, 0.5), 0.05)
    sheet.stroke(head.frame, head.turned(edge), shade, 0.085)


def _draw_mouth(sheet: Sheet, head: Head) -> None:
    """A thick line that bends with the expression; open when laughing or surprised."""
    person, expression = head.person, head.look.expression
    left, right = head.mouth_corners()
    y = person.mouth_y
    if expression == "surprised":
        sheet.fill(head.frame, head.turned(oval(0, y + 0.04, right[0] * 0.85, 0.17)), mix(person.lips, (30, 0, 0), 0.6))
        sheet.stroke(head.frame, head.turned(oval(0, y + 0.04, right[0], 0.17)), person.lips, person.lip_width, True)
        return
    if expression == "laughing":
        bowl = np.concatenate([bend(left, (0, y + 0.02), right), bend(right, (0, y + 0.56), left)])
        sheet.fill(head.frame, head.turned(bowl), mix(person.lips, (40, 0, 0), 0.65))
        teeth = np.concatenate([bend(left, (0, y + 0.02), right), bend(right, (0, y + 0.22), left)])
        sheet.fill(head.frame, head.turned(teeth), (250, 248, 244))
        sheet.stroke(head.frame, head.turned(bowl), person.lips, person.lip_width * 0.7, True)
        return
    curve = bend(left, (0, y + 2.2 * _SMILE[expression] + 0.01), right)
    sheet.stroke(head.frame, head.turned(curve), person.lips, person.lip_width)


def _draw_eye(sheet: Sheet, head: Head, side: int) -> None:
    """White, iris and pupil that follow the gaze, and a thick upper lid."""
    person, look = head.person, head.look
    x, y = head.turned([(side * person.eye_gap, person.eye_y)])[0]
    wide = person.eye_size
    tall = wide * person.eye_round * (1.15 if look.expression == "surprised" else 1.0)
    iris = min(tall, wide) * 0.74
    sheet.fill(head.frame, oval(x, y, wide, tall), (252, 252, 250))
    iris_x, iris_y = x + look.gaze_x * (wide - iris) * 0.9, y + look.gaze_y * (tall - iris) * 0.9
    sheet.fill(head.frame, oval(iris_x, iris_y, iris, iris), person.iris)
    sheet.fill(head.frame, oval(iris_x, iris_y, iris * 0.56, iris * 0.56, 24), (20, 18, 22))
    glint = oval(iris_x - iris * 0.32, iris_y - iris * 0.36, iris * 0.24, iris * 0.24, 16)
    sheet.fill(head.frame, glint, (255, 255, 255))
    sheet.stroke(head.frame, arc(x, y, wide * 1.02, tall, 1.06 * math.pi, 1.94 * math.pi), _INK, 0.062)


def _draw_brow(sheet: Sheet, head: Head, side: int) -> None:
    """One eyebrow; raised when surprised."""
    person = head.person
    lift = person.brow_lift + (0.09 if head.look.expression == "surprised" else 0.0)
    colour = mix(person.hair, (30, 20, 20), 0.35)
    if sum(abs(a - b) for a, b in zip(colour, person.skin, strict=True)) < 90:
        colour = mix(colour, (20, 12, 12), 0.5)  # a brow in the skin's colour would vanish
    y, tilt = person.eye_y - lift, math.tan(person.brow_tilt) * 0.24
    inner, outer = side * (person.eye_gap - 0.19), side * (person.eye_gap + 0.23)
    curve = bend((inner, y - tilt * 0.5), (side * person.eye_gap, y - 0.09), (outer, y + tilt))
    sheet.stroke(head.frame, head.turned(curve), colour, person.brow_width)


def _draw_glasses(sheet: Sheet, head: Head) -> None:
    """Thick frames with clear lenses."""
    person = head.person
    if person.glasses == "none":
        return
    half = {"round": 0.285, "square": 0.29, "wide": 0.31}[person.glasses]
    for side in (-1, 1):
        x, y = head.turned([(side * person.eye_gap, person.eye_y + 0.02)])[0]
        if person.glasses == "round":
            lens = oval(x, y, half, half)
        else:
            tall = half * (0.86 if person.glasses == "square" else 0.62)
            lens = loop([(x - half, y - tall), (x + half, y - tall), (x + half, y + tall), (x - half, y + tall)])
            lens = np.clip(lens, (x - half, y - tall), (x + half, y + tall))
        sheet.tint(head.frame, lens, (255, 255, 255), 0.12)
        sheet.stroke(head.frame, lens, person.frame, 0.075, True)
        arm = [(x + side * half, y - 0.04), (side * (person.face_width + 0.02), y - 0.06)]
        sheet.stroke(head.frame, arm, person.frame, 0.065)
    inner = person.eye_gap - half
    bridge = bend((-inner, person.eye_y), (0, person.eye_y - 0.08), (inner, person.eye_y))
    sheet.stroke(head.frame, head.turned(bridge), person.frame, 0.07)
