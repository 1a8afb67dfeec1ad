"""Who is drawn and how: identities (`DrawnPerson`) and everything else about one picture (`Look`).

Lengths are in face units: the head's centre is (0, 0), x to the right, y down, and a broad face is 2.0 wide.
A person never changes between pictures; a look never tells who it is. Names double as words for prompts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RGB = tuple[int, int, int]

SKINS: tuple[RGB, ...] = (
    (255, 226, 202), (248, 208, 176), (236, 188, 150), (216, 164, 122),
    (190, 134, 94), (154, 103, 70), (118, 78, 54), (92, 60, 44),
)  # fmt: skip
HAIR_COLOURS: dict[str, RGB] = {
    "black": (40, 36, 42), "dark brown": (78, 50, 38), "brown": (122, 80, 50), "auburn": (150, 62, 40),
    "ginger": (212, 112, 48), "blond": (230, 188, 104), "grey": (152, 152, 160), "blue": (62, 96, 180),
    "pink": (224, 112, 156), "teal": (40, 140, 140),
}  # fmt: skip
_HAIR_SHARES = (0.16, 0.15, 0.14, 0.11, 0.11, 0.11, 0.1, 0.04, 0.04, 0.04)
HAIR_STYLES: tuple[str, ...] = (
    "bald", "buzz", "short", "quiff", "curly", "afro", "bob", "long", "wavy", "bun", "pigtails",
)  # fmt: skip
BEARDS: tuple[str, ...] = ("none", "moustache", "goatee", "full")
GLASSES: tuple[str, ...] = ("none", "round", "square", "wide")
FRAME_COLOURS: dict[str, RGB] = {
    "black": (34, 34, 40), "red": (196, 48, 52), "blue": (44, 92, 190), "gold": (206, 158, 50),
}  # fmt: skip
IRISES: tuple[RGB, ...] = ((70, 46, 34), (52, 104, 168), (62, 122, 74), (96, 104, 116))
LIPS: tuple[RGB, ...] = ((190, 88, 84), (168, 66, 74), (206, 104, 104), (146, 70, 62))

SHIRTS: dict[str, RGB] = {
    "red": (206, 62, 60), "blue": (58, 102, 186), "green": (66, 146, 88), "yellow": (240, 196, 72),
    "white": (240, 240, 236), "black": (52, 52, 60), "purple": (130, 88, 172), "orange": (236, 136, 60),
}  # fmt: skip
SCENES: tuple[str, ...] = ("studio", "beach", "forest", "city", "night", "sunset", "mountains", "meadow")
EXPRESSIONS: tuple[str, ...] = ("serious", "smiling", "laughing", "surprised")


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnPerson:
    """An identity: the numbers that stay the same in every drawing of this person. Lengths in face units."""

    skin: RGB
    hair_style: str  # one of HAIR_STYLES
    hair: RGB
    beard: str  # one of BEARDS
    beard_colour: RGB
    glasses: str  # one of GLASSES
    frame: RGB
    iris: RGB
    lips: RGB
    face_width: float  # half width
    face_height: float  # half height
    jaw: float  # exponent of the lower outline: below 1 square, above 1 pointed
    eye_gap: float  # half the distance between the eyes
    eye_y: float
    eye_size: float  # half width of an eye
    eye_round: float  # height / width of an eye
    brow_lift: float  # above the eye
    brow_width: float  # stroke width
    brow_tilt: float  # radians, positive: outer end lower
    nose_length: float  # below the eyes
    nose_width: float
    mouth_y: float
    mouth_width: float  # half width
    lip_width: float  # stroke width
    ear_size: float
    hair_volume: float  # factor on the hair's thickness
    hair_side: int  # -1 or 1: where the parting is
    blush: float  # 0 to 1

    @classmethod
    def sample(cls, seed: int) -> DrawnPerson:
        """The person of this seed; equal seeds give equal people."""
        rng = np.random.default_rng([seed, 101])
        skin_at = float(rng.uniform(0, len(SKINS) - 1))
        low = int(skin_at)
        skin = mix(SKINS[low], SKINS[min(low + 1, len(SKINS) - 1)], skin_at - low)
        style = HAIR_STYLES[int(rng.integers(len(HAIR_STYLES)))]
        hair = str(rng.choice(tuple(HAIR_COLOURS), p=_HAIR_SHARES))
        dyed = hair in ("blue", "pink", "teal")
        # A beard under every second chin would make it the one thing that tells people apart.
        beard = str(rng.choice(BEARDS, p=(0.62, 0.12, 0.1, 0.16)))
        glasses = str(rng.choice(GLASSES, p=(0.6, 0.15, 0.15, 0.1)))
        uniform = rng.uniform
        return cls(
            skin=skin,
            hair_style=style,
            hair=jitter(HAIR_COLOURS[hair], rng, 10),
            beard=beard,
            beard_colour=mix(HAIR_COLOURS["dark brown" if dyed else hair], (0, 0, 0), 0.12),
            glasses=glasses,
            frame=_pick(rng, tuple(FRAME_COLOURS.values())),
            iris=_pick(rng, IRISES),
            lips=mix(_pick(rng, LIPS), skin, 0.25),
            face_width=float(uniform(0.84, 1.0)),
            face_height=float(uniform(1.08, 1.28)),
            jaw=float(uniform(0.62, 1.08)),
            eye_gap=float(uniform(0.34, 0.46)),
            eye_y=float(uniform(-0.14, 0.02)),
            eye_size=float(uniform(0.15, 0.205)),
            eye_round=float(uniform(0.72, 1.02)),
            brow_lift=float(uniform(0.24, 0.34)),
            brow_width=float(uniform(0.06, 0.125)),
            brow_tilt=float(uniform(-0.16, 0.24)),
            nose_length=float(uniform(0.3, 0.44)),
            nose_width=float(uniform(0.1, 0.19)),
            mouth_y=float(uniform(0.58, 0.7)),
            mouth_width=float(uniform(0.26, 0.4)),
            lip_width=float(uniform(0.075, 0.125)),
            ear_size=float(uniform(0.16, 0.25)),
            hair_volume=float(uniform(0.85, 1.2)),
            hair_side=int(rng.choice((-1, 1))),
            blush=float(uniform(0.0, 1.0)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Everything about one drawing that is not the person. Angles in radians, shifts in parts of the picture."""

    yaw: float
    pitch: float
    roll: float
    zoom: float  # 1.0: the head fills two thirds of a portrait's height
    shift_x: float
    shift_y: float
    expression: str  # one of EXPRESSIONS
    gaze_x: float  # -1 to 1
    gaze_y: float
    brightness: float  # factor
    light_side: float  # -1 (from the left) to 1
    warmth: float  # -1 (bluish) to 1 (reddish)
    shirt: str  # a key of SHIRTS
    scene: str  # one of SCENES
    scene_seed: int
    noise: float  # standard deviation, in grey levels of 255

    @classmethod
    def sample(cls, seed: int, *, calm: bool = False) -> Look:
        """The look of this seed. `calm`: nearly frontal, even light, serious or smiling, no noise."""
        rng = np.random.default_rng([seed, 202])
        swing = 0.35 if calm else 1.0
        spread = (rng.uniform(-1, 1, 11) * swing).tolist()
        return cls(
            yaw=spread[0] * 0.2,
            pitch=spread[1] * 0.12,
            roll=spread[2] * 0.16,
            zoom=1.0 + spread[3] * 0.12,
            shift_x=spread[4] * 0.06,
            shift_y=spread[5] * 0.03,
            expression=str(rng.choice(EXPRESSIONS[:2] if calm else EXPRESSIONS)),
            gaze_x=spread[6] * 0.8,
            gaze_y=spread[7] * 0.5,
            brightness=1.0 + spread[8] * 0.12,
            light_side=spread[9],
            warmth=spread[10],
            shirt=str(rng.choice(tuple(SHIRTS))),
            scene=str(rng.choice(SCENES)),
            scene_seed=int(rng.integers(2**31)),
            noise=0.0 if calm else float(rng.uniform(0, 5)),
        )


def mix(first: RGB, second: RGB, share: float) -> RGB:
    """`first` with `share` (0 to 1) of `second` mixed in."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def jitter(colour: RGB, rng: np.random.Generator, levels: int) -> RGB:
    """`colour` moved by at most `levels` in each channel."""
    moved = np.clip(np.asarray(colour) + rng.integers(-levels, levels + 1, 3), 0, 255)
    return int(moved[0]), int(moved[1]), int(moved[2])


def _pick(rng: np.random.Generator, colours: tuple[RGB, ...]) -> RGB:
    return colours[int(rng.integers(len(colours)))]
