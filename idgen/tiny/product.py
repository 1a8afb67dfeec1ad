"""A product that is cut out: a striped shirt, opaque on nothing."""

from PIL import Image, ImageDraw

OUTLINE = (
    (0.36, 0.46), (0.43, 0.52), (0.57, 0.52), (0.64, 0.46), (0.88, 0.58), (0.80, 0.74), (0.70, 0.69), (0.71, 0.97),
    (0.29, 0.97), (0.30, 0.69), (0.20, 0.74), (0.12, 0.58),
)  # fmt: skip
"""The shirt's, as shares of a square's side."""
LOW = 0.14
"""By how much of it the picture shows the shirt lower, so that a large face has room above."""


def shirt(size_px: int) -> Image.Image:
    """Draw a striped shirt as shops cut products out: opaque on nothing; its lower end is not in the picture."""
    outline = [(size_px * x, size_px * (y + LOW)) for x, y in OUTLINE]
    cut = Image.new("L", (size_px, size_px))
    ImageDraw.Draw(cut).polygon(outline, fill=255)
    cloth = Image.new("RGB", (size_px, size_px), "ivory")
    pen = ImageDraw.Draw(cloth)
    for top in range(0, size_px, size_px // 12):
        pen.rectangle((0, top, size_px, top + size_px // 32), fill="navy")
    cloth.putalpha(cut)
    return cloth
