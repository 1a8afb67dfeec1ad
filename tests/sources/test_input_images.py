import io

import numpy as np
import pytest
from PIL import Image

from idgen.sources.input_images import cover, cover_cut_out, cover_mask, cover_notes, png, same_shape


def rings(width, height):
    """Circles around the middle, one colour a ring: what is squashed is no circle any more."""
    y, x = np.mgrid[:height, :width]
    far = np.hypot(x - (width - 1) / 2, y - (height - 1) / 2)
    return np.stack([far % 256, 255 - far % 256, np.full_like(far, 90)], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("size", [(512, 768), (65, 64), (1024, 64)])
def test_a_picture_of_the_right_size_is_left_as_it_is(size):
    rgb = rings(*size)
    assert np.array_equal(cover(rgb, *size), rgb)


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (777, 333), (64, 64), (65, 500)])
@pytest.mark.parametrize("target", [(128, 192), (192, 128), (128, 128)])
def test_the_middle_comes_out_at_the_size_asked_for(size, target):
    rgb = np.zeros((size[1], size[0], 3), np.uint8)
    side = min(size) // 4  # a white square in the middle
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    rgb[top : top + side, left : left + side] = 255
    out = cover(rgb, *target)
    assert out.shape == (target[1], target[0], 3)
    ys, xs = np.nonzero(out[..., 0] > 127)
    scale = max(target[0] / size[0], target[1] / size[1])
    assert abs(np.ptp(xs) + 1 - side * scale) <= 1.5
    assert abs(np.ptp(ys) + 1 - side * scale) <= 1.5  # as wide as high: never squashed
    assert abs(xs.mean() - (target[0] - 1) / 2) <= 1 + scale / 2
    assert abs(ys.mean() - (target[1] - 1) / 2) <= 1 + scale / 2


def test_only_one_pair_of_edges_is_cut():
    rgb = np.zeros((100, 200, 3), np.uint8)
    rgb[:, :50] = (255, 0, 0)
    rgb[:, 150:] = (0, 0, 255)
    rgb[:3] = rgb[-3:] = (0, 255, 0)
    out = cover(rgb, 100, 100)
    assert (out[5:-5, 2:-2, 0] < 10).all()  # red and blue are outside
    assert (out[5:-5, 2:-2, 2] < 10).all()
    assert (out[0, 2:-2, 1] > 200).all()
    assert (out[-1, 2:-2, 1] > 200).all()


@pytest.mark.parametrize("shape", [(64, 32_768, 3), (32_768, 64, 3)])
def test_a_strip_is_never_enlarged_as_a_whole(shape):
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert cover(np.zeros(shape, np.uint8), 1024, 1024).shape == (1024, 1024, 3)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB; enlarged: 1.6 GB


@pytest.mark.parametrize(
    ("size", "kinds"),
    [
        ((512, 768), []),
        ((1024, 1536), []),
        ((400, 600), []),
        ((256, 384), ["enlarged"]),
        ((768, 768), ["cut"]),
        ((100, 300), ["enlarged", "cut"]),
    ],
)
def test_warnings_speak_of_stretching_and_of_what_is_cut_off(size, kinds):
    assert [note.split(":")[0] for note in cover_notes(size, 512, 768)] == kinds


def test_the_share_that_is_cut_off_is_right():
    assert cover_notes((200, 100), 100, 100) == ["cut: 50% of its 200x100 px lie outside 100x100 px"]


def test_a_png_keeps_every_pixel_and_nothing_else():
    rgb = rings(70, 50)
    image = Image.open(io.BytesIO(png(rgb)))
    assert (image.format, image.mode, image.info) == ("PNG", "RGB", {})
    assert np.array_equal(np.asarray(image), rgb)


@pytest.mark.parametrize(("width", "height"), [(128, 192), (192, 128), (600, 400)])
def test_a_mask_is_cut_as_its_picture_is_and_never_rings(width, height):
    grey = np.zeros((200, 300), np.uint8)
    grey[50:150, 100:200] = 255
    mask, picture = cover_mask(grey, width, height), cover(np.dstack([grey] * 3), width, height)[..., 0]
    assert mask.shape == (height, width)
    assert np.abs((mask > 127).mean() - (picture > 127).mean()) < 0.01
    row = mask[height // 2].astype(int)
    assert (np.diff(row[: row.argmax()]) >= 0).all()  # up once, without waves
    assert np.array_equal(cover_mask(grey, 300, 200), grey)


def test_a_mask_s_noise_is_black_or_white():
    ends = np.array([[0, 7, 8, 127, 247, 248, 255]], np.uint8).repeat(7, axis=0)
    assert cover_mask(ends, 7, 7)[0].tolist() == [0, 0, 8, 127, 247, 255, 255]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ((300, 200), (300, 200), True), ((300, 200), (150, 100), True), ((301, 200), (150, 100), True),
        ((3000, 2001), (100, 67), True), ((300, 200), (200, 300), False), ((3000, 2000), (3000, 2010), False),
        ((300, 200), (200, 200), False),
    ],
)  # fmt: skip
def test_shapes_are_equal_but_for_rounding(one, other, same):
    assert same_shape(one, other) is same_shape(other, one) is same


def test_a_cut_out_of_its_own_size_keeps_what_is_opaque_bit_by_bit_and_large_ones_are_no_memory_bomb():
    import resource

    layered = np.random.default_rng(3).integers(0, 256, (50, 70, 4)).astype(np.uint8)
    layered[..., 3] = np.where(layered[..., 3] > 127, 255, 0)
    on_white = np.where(layered[..., 3:] > 0, layered[..., :3], np.uint8(255))
    assert np.array_equal(cover_cut_out(on_white, layered[..., 3], 70, 50), on_white)
    large = np.full((8000, 4000, 3), 255, np.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (cover_cut_out(large, large[..., 0] - np.uint8(1), 512, 1024) == 255).all()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # kB, of 32 megapixels
