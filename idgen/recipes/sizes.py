"""The picture sizes that SDXL was trained on: what the plan's warning measures against."""

_LYING = (
    (2048, 512), (1984, 512), (1920, 512), (1856, 512), (1792, 576), (1728, 576), (1664, 576), (1600, 640), (1536, 640),
    (1472, 704), (1408, 704), (1344, 704), (1344, 768), (1280, 768), (1216, 832), (1152, 832), (1152, 896), (1088, 896),
    (1088, 960), (1024, 960),
)  # fmt: skip

SDXL_SIZES: tuple[tuple[int, int], ...] = (
    *_LYING,
    (1024, 1024),
    *((height, width) for width, height in reversed(_LYING) if (width, height) != (1344, 704)),
)
"""Width and height in pixels of the 40 buckets, widest first (SDXL, arXiv 2307.01952, appendix I).

The paper lists 1344x704 lying but not standing.
"""

TOLERANCE = 0.03
"""Share of a side: half the 64 px between two trained sizes."""


def nearest_size(width: int, height: int) -> tuple[int, int]:
    """Return the trained size whose shape is nearest to width : height, by ratio; `ValueError` for sides below 1."""
    if width < 1 or height < 1:
        raise ValueError(f"a picture of {width}x{height} px is not possible")
    return min(
        SDXL_SIZES, key=lambda size: max(size[0] * height, width * size[1]) / min(size[0] * height, width * size[1])
    )


def near_trained(width: int, height: int) -> bool:
    """Return whether a size is a trained one or so little off that it is as good."""
    trained_width, trained_height = nearest_size(width, height)
    return abs(width / trained_width - 1) <= TOLERANCE and abs(height / trained_height - 1) <= TOLERANCE
