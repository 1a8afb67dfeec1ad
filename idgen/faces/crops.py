"""The pixels that an adapter's image encoder looks at: the whole picture, a square around the face, the aligned face.

Aligned faces are insightface's own, as the FaceID-Plus cards cut them; the detector's box is cut as Kolors' authors do.
How plus-face and full-face want their face cut was never published ("cropped face", "segmented"): the square, its
factor and the white background are ours.
"""

import numpy as np
import numpy.typing as npt
from insightface.utils import face_align
from PIL import Image

from idgen.errors import Code, RowError
from idgen.faces.alignment import align
from idgen.faces.analysis import Face
from idgen.recipes.variants import FROM_FACES, PictureNeed
from idgen.sources.clip_pixels import prepare

FACE_SCALE = 1.5
"""Side of the square, in longer sides of the detector's box, which ends at forehead and chin: takes hair and ears in.
Ours."""
ALIGNED_PX = (112, 128)
"""An aligned face's side is a multiple of one of these, or insightface knows no frame for it."""
MASK_WHITE = 128
MOST_SIDES = 2
"""A box's square is at most so many times the photo's shorter side: no file makes a square of gigabytes."""

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]


def aligned(pixels: Pixels, keypoints: Floats, crop_px: int) -> Pixels:
    """Return the upright face as uint8 [crop_px, crop_px, 3] in the channel order of `pixels` [H, W, 3].

    insightface's norm_crop: a similarity to five fixed points, bilinear, black where the photo ends. Multiples of 112
    frame the face as ArcFace sees it, other multiples of 128 (256) leave room at its sides. ValueError otherwise.
    """
    if crop_px <= 0 or all(crop_px % side for side in ALIGNED_PX):
        raise ValueError(f"an aligned face cannot have {crop_px} px; use a multiple of 112 or 128")
    return np.asarray(face_align.norm_crop(pixels, keypoints, crop_px), dtype=np.uint8)


def face_square(rgb: Pixels, box: Floats, mask: Pixels | None = None) -> Pixels:
    """Return the square around the face's `box` [4] (xyxy) in `rgb` [H, W, 3], FACE_SCALE times its longer side.

    Moved into the photo where it would reach beyond; white where the photo ends although it was moved. `mask` (uint8
    [h, w, 3], white = the face) turns everything else white; one of another size is stretched to the photo's.
    Raises RowError bad_value when the mask has nothing of the box.
    """
    x, y, side = _window(box, (rgb.shape[1], rgb.shape[0]))
    window = (x, y, x + side, y + side)
    square = Image.new("RGB", (side, side), "white")
    photo = Image.fromarray(rgb)
    inside = (max(x, 0), max(y, 0), min(x + side, photo.width), min(y + side, photo.height))
    square.paste(photo.crop(inside), (inside[0] - x, inside[1] - y))
    if mask is not None:
        shown = _mask(mask, photo.size)
        if np.asarray(shown.crop(_whole(box, photo.size))).max() < MASK_WHITE:
            raise RowError(
                Code.BAD_VALUE,
                "reference_mask_uri: white marks the face, but the mask has no white at the face that was found",
            )
        square = Image.composite(square, Image.new("RGB", square.size, "white"), shown.crop(window))
    return np.asarray(square, dtype=np.uint8)


def box_square(rgb: Pixels, box: Floats, size_px: int) -> Pixels:
    """Return the square about the middle of `box` [4] (xyxy), its longer side wide, as uint8 [size_px, size_px, 3].

    Without margin, black where the photo ends. Kolors' authors give Pillow's `crop` the corners in fractions of a
    pixel, which it rounds one by one (half to even), so what is resized (bicubic) may be a pixel wider than high.
    """
    middle, half = (box[:2] + box[2:]) / 2, max(box[2:] - box[:2]) / 2
    half = np.clip(half, 1.0, MOST_SIDES * min(rgb.shape[:2]) / 2)
    left, top, right, bottom = (float(edge) for edge in (*(middle - half), *(middle + half)))
    square = Image.fromarray(rgb).crop((left, top, right, bottom))
    return np.asarray(square.resize((size_px, size_px), Image.Resampling.BICUBIC), dtype=np.uint8)


def cut(need: PictureNeed, rgb: Pixels, face: Face | None, mask: Pixels | None = None) -> Pixels:
    """Return what `need` asks for of the photo `rgb`, uint8 [size_px, size_px, 3] in its channel order.

    Without a face the picture counts as one that people have cut. Raises RowError as `face_square` and `align`,
    ValueError for kinds FROM_FACES without a face.
    """
    if need.kind in FROM_FACES and face is None:
        raise ValueError(f"a crop of kind {need.kind} needs a face")
    if need.kind == "aligned" and face is not None:
        seen = aligned(rgb, face.keypoints, need.crop_px)
    elif need.kind == "ffhq" and face is not None:
        return align(rgb, face.keypoints)
    elif need.kind == "bbox" and face is not None:
        seen = box_square(rgb, face.box, need.size_px)  # which `prepare` leaves as it is
    elif need.kind == "face" and face is not None:
        seen = face_square(rgb, face.box, mask)
    else:
        seen = rgb
    pixels = prepare(seen, need.size_px, need.clip_fit)
    return pixels if need.color == "rgb" else np.ascontiguousarray(pixels[..., ::-1])


def _window(box: Floats, size: tuple[int, int]) -> tuple[int, int, int]:
    """Return left, top and side of the square in a photo of `size` (width, height); may reach beyond it.

    A box is what a detector says, so the side is bounded by the photo's: no file makes a square of gigabytes.
    """
    most = min(max(size), 2 * min(size))
    side = max(1, min(round(FACE_SCALE * float(max(box[2] - box[0], box[3] - box[1]))), most))
    left, top = (
        int(np.clip(round(float(low + high - side) / 2), min(0, length - side), max(0, length - side)))
        for low, high, length in ((box[0], box[2], size[0]), (box[1], box[3], size[1]))
    )
    return left, top, side


def _whole(box: Floats, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the box in whole pixels inside the photo, at least one of them."""
    left, top = (int(np.clip(np.floor(low), 0, length - 1)) for low, length in zip(box[:2], size, strict=True))
    right, bottom = (int(np.clip(np.ceil(high), 1, length)) for high, length in zip(box[2:], size, strict=True))
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _mask(mask: Pixels, size: tuple[int, int]) -> Image.Image:
    grey = Image.fromarray(mask).convert("L")
    return grey if grey.size == size else grey.resize(size, Image.Resampling.BILINEAR)
