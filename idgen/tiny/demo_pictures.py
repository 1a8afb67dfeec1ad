"""Pictures that manifests bring beside photos of people: a pose map, a product that is cut out, its soft edges."""

from PIL import Image, ImageDraw, ImageFilter

SHIRT = (
    (0.36, 0.46), (0.43, 0.52), (0.57, 0.52), (0.64, 0.46), (0.88, 0.58), (0.80, 0.74), (0.70, 0.69), (0.71, 0.97),
    (0.29, 0.97), (0.30, 0.69), (0.20, 0.74), (0.12, 0.58),
)  # fmt: skip
"""The shirt's outline, as shares of the picture's side."""
JOINTS = {
    "head": (0.50, 0.16), "neck": (0.50, 0.30), "left hand": (0.24, 0.52), "left elbow": (0.32, 0.40),
    "right elbow": (0.70, 0.36), "right hand": (0.82, 0.18), "hips": (0.50, 0.58), "left knee": (0.40, 0.76),
    "left foot": (0.36, 0.95), "right knee": (0.61, 0.76), "right foot": (0.66, 0.95),
}  # fmt: skip
"""Of the pose map, as shares of its side."""
BONES = (
    ("head", "neck", "red"), ("neck", "left elbow", "orange"), ("left elbow", "left hand", "yellow"),
    ("neck", "right elbow", "lime"), ("right elbow", "right hand", "green"), ("neck", "hips", "cyan"),
    ("hips", "left knee", "dodgerblue"), ("left knee", "left foot", "blue"), ("hips", "right knee", "violet"),
    ("right knee", "right foot", "magenta"),
)  # fmt: skip


def pose_map(size_px: int) -> Image.Image:
    """Draw a stick figure on black, as ControlNets for poses are shown people."""
    image = Image.new("RGB", (size_px, size_px))
    pen = ImageDraw.Draw(image)
    for start, end, colour in BONES:
        ends = [tuple(size_px * share for share in JOINTS[name]) for name in (start, end)]
        pen.line(ends, fill=colour, width=size_px // 40)
    return image


def shirt(size_px: int) -> Image.Image:
    """Draw a striped shirt as shops cut products out: opaque on nothing."""
    outline = [(size_px * x, size_px * y) for x, y in SHIRT]
    cut = Image.new("L", (size_px, size_px))
    ImageDraw.Draw(cut).polygon(outline, fill=255)
    cloth = Image.new("RGB", (size_px, size_px), "ivory")
    pen = ImageDraw.Draw(cloth)
    for top in range(0, size_px, size_px // 12):
        pen.rectangle((0, top, size_px, top + size_px // 32), fill="navy")
    cloth.putalpha(cut)
    return cloth


def soft_edges(product: Image.Image) -> Image.Image:
    """Draw its edges white on black, soft as HED draws them."""
    on_black = Image.alpha_composite(Image.new("RGBA", product.size, "black"), product).convert("L")
    edges = on_black.filter(ImageFilter.FIND_EDGES).filter(ImageFilter.GaussianBlur(1))
    return edges.point(lambda value: min(255, 2 * value)).convert("RGB")
