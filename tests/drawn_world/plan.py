"""How much is drawn and how long each stage trains: all of the training's numbers that cost time. No torch here."""

from dataclasses import dataclass, field, fields, replace
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Length:
    """Of one stage's training."""

    steps: int
    batch: int
    rate: float = 1e-3
    """The learning rate's peak."""
    warm: float = 0.03
    """Share of the steps over which the rate rises."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Sizes and lengths. The defaults are for two CPU cores, in three hours with two stages at a time (README.md)."""

    seed: int = 7
    picture_px: int = 80
    """A multiple of 16: four pixels to a latent, and two more halvings in the UNets."""
    people: int = 9000
    looks: int = 4
    """Calm drawings of each person."""
    references: int = 2
    """Drawings of each person that are embedded: what conditions is never the picture that is learnt."""
    placed_people: int = 6000
    """Of the same people, those who are also drawn elsewhere: smaller, moved, leaning."""
    placed_looks: int = 2
    seen_people: int = 2500
    """Of the same people, those whose references image encoders look at."""
    judged_people: int = 3000
    """Others, for the judge alone."""
    judged_looks: int = 8
    taught: float = 0.0
    """Share of the SD1.5-like base's prediction in the SDXL-like one's target; a third more time. Not tried."""
    stops_early: bool = True
    """A base that heeds neither prompt nor person after a quarter of its steps ends the training: go on or mend it."""
    measured: int = 64
    """Pictures on which separation is measured."""
    evaluated_people: int = 50
    evaluated_prompts: int = 2
    """Of each of them."""
    crowd: int = 100
    """Among whom the right person is to be the nearest."""
    denoising_steps: int = 20

    judge: Length = field(default_factory=lambda: Length(steps=2400, batch=64, rate=2e-3))
    reader: Length = field(default_factory=lambda: Length(steps=800, batch=64, rate=2e-3))
    autoencoder: Length = field(default_factory=lambda: Length(steps=5000, batch=8))
    critic: Length = field(default_factory=lambda: Length(steps=4000, batch=64, rate=2e-3))
    sd15: Length = field(default_factory=lambda: Length(steps=3400, batch=48))
    plus: Length = field(default_factory=lambda: Length(steps=500, batch=48))
    sdxl: Length = field(default_factory=lambda: Length(steps=5200, batch=48))
    identity_net: Length = field(default_factory=lambda: Length(steps=1600, batch=32))
    inpaint: Length = field(default_factory=lambda: Length(steps=800, batch=32))
    pulid: Length = field(default_factory=lambda: Length(steps=1400, batch=48))
    kolors_reading: Length = field(default_factory=lambda: Length(steps=300, batch=32))
    kolors: Length = field(default_factory=lambda: Length(steps=1000, batch=48, rate=5e-4))
    kolors_plus: Length = field(default_factory=lambda: Length(steps=500, batch=48))

    autoencoder_widths: tuple[int, ...] = (16, 48, 96)
    sd15_widths: tuple[int, ...] = (64, 128, 160)
    sdxl_widths: tuple[int, ...] = (64, 128, 160)
    sdxl_depths: tuple[int, ...] = (1, 1, 1)
    """Attention layers per block; the largest level has none."""
    text_width: int = 128
    """Of every UNet's cross-attention; a multiple of 64, as FaceID-Plus has a head per 64."""

    @property
    def latent_side(self) -> int:
        """Latents along a picture's side."""
        return self.picture_px // 4


_ALL_SHORT: dict[str, Any] = {
    field.name: Length(steps=4, batch=2) for field in fields(Plan) if isinstance(getattr(Plan(), field.name), Length)
}

PLANS: dict[str, Plan] = {
    "cpu": Plan(),
    "draft": replace(
        Plan(),
        reader=Length(steps=400, batch=64, rate=2e-3), autoencoder=Length(steps=1600, batch=8, rate=1.5e-3),
        critic=Length(steps=400, batch=64, rate=2e-3), sd15=Length(steps=900, batch=48),
        sdxl=Length(steps=1200, batch=48),
    ),
    "gpu": replace(
        Plan(),
        people=20_000, placed_people=12_000, seen_people=5000,
        autoencoder=Length(steps=5000, batch=16), critic=Length(steps=2000, batch=128, rate=2e-3),
        sd15=Length(steps=2500, batch=192, rate=1.5e-3), plus=Length(steps=400, batch=128),
        sdxl=Length(steps=3000, batch=192, rate=1.5e-3), identity_net=Length(steps=1200, batch=128),
        inpaint=Length(steps=600, batch=128), pulid=Length(steps=900, batch=128),
        kolors=Length(steps=800, batch=128, rate=7e-4), kolors_plus=Length(steps=400, batch=128),
    ),
    "toy": replace(
        Plan(),
        picture_px=32, people=12, looks=2, placed_people=8, seen_people=6, judged_people=8, judged_looks=3,
        taught=0.5, stops_early=False, measured=4, evaluated_people=2, evaluated_prompts=2, crowd=4, denoising_steps=2,
        **_ALL_SHORT,
        autoencoder_widths=(8, 8, 16), sd15_widths=(16, 16, 32), sdxl_widths=(16, 16, 32), sdxl_depths=(1, 1, 1),
        text_width=64,
    ),
}  # fmt: skip
"""By the name that --plan takes; toy shows in seconds that everything runs, and learns nothing; draft shows in about an
hour whether the bases learn what they are told; gpu has larger batches and more people, for minutes on a large GPU [not
measured]."""
