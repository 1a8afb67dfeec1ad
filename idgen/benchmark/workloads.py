"""What is measured: which recipes, at which size, and how fast they can be at best. No torch here."""

from dataclasses import dataclass

H200_TFLOPS = 790.0
"""What an H200 does in dense bfloat16: a product of two random matrices of 8192 x 8192, measured on one on 2026-10-28
(769 to 798 in other runs)."""

DOOR_RECIPES = ("faceid-sd15", "faceid-sdxl", "instantid", "ecomid", "pulid-v1", "kolors-faceid-plus")


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """One recipe's pictures at full size; the scheduler is Euler everywhere, one UNet call a step."""

    side_px: int
    steps: int
    guidance_scale: float
    batch: int
    tflop: float
    """A picture's operations, two per multiply-add: counted on the full-size networks without weights (torch's
    FlopCounterMode), with guidance, text and decoder; Kolors without its text encoder, which runs ahead."""

    @property
    def limit_images_per_s(self) -> float:
        """On an H200 that does nothing but these operations."""
        return H200_TFLOPS / self.tflop


SPEED_RECIPES: dict[str, Workload] = {
    "faceid-sdxl": Workload(side_px=1024, steps=20, guidance_scale=7.5, batch=8, tflop=281.1),
    "instantid": Workload(side_px=1024, steps=20, guidance_scale=5.0, batch=8, tflop=401.5),
    "faceid-plusv2-sd15": Workload(side_px=512, steps=20, guidance_scale=7.5, batch=32, tflop=34.7),
    "kolors-faceid-plus": Workload(side_px=1024, steps=25, guidance_scale=5.0, batch=8, tflop=358.6),
    # as InstantID: its UNet's 18 tokens instead of 16 are less than the last digit
    "ecomid": Workload(side_px=1024, steps=20, guidance_scale=6.0, batch=8, tflop=401.5),
}
"""In the order in which they are measured: what is wanted most comes first."""
SCHEDULER = "euler"

TINY_SIDE_PX, TINY_STEPS, TINY_BATCH = 64, 4, 2
"""On the tiny world's weights the same code runs, and its speed says nothing about real ones."""
