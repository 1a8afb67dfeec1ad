import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from idgen.sources.clip_pixels import prepare


def noise(width, height, seed=0):
    return np.random.default_rng([width, height, seed]).integers(0, 256, (height, width, 3), dtype=np.uint8)


def by_transformers(rgb, size_px, **settings):
    """Up to the uint8 stage: neither rescaled nor normalised."""
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    sizes = {"size": {"shortest_edge": size_px}, "crop_size": {"height": size_px, "width": size_px}} | settings
    processor = CLIPImageProcessorPil(do_rescale=False, do_normalize=False, **sizes)
    pixels = processor(Image.fromarray(rgb))["pixel_values"][0]
    assert np.asarray(pixels).dtype == np.uint8
    return np.asarray(pixels).transpose(1, 2, 0)


SIZES = [
    (224, 224), (256, 256), (1, 1), (64, 64), (100, 224), (224, 225), (225, 224), (223, 224), (512, 768), (1024, 768),
    (333, 500), (997, 1009), (64, 1500), (1500, 64), (300, 299), (301, 599), (449, 300), (3, 5),
]  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
def test_crop_is_bit_for_bit_what_transformers_does(size):
    rgb = noise(*size)
    ours = prepare(rgb, 224, "crop")
    assert ours.shape == (224, 224, 3)
    assert ours.dtype == np.uint8
    assert np.array_equal(ours, by_transformers(rgb, 224))


def test_crop_equals_transformers_over_many_random_sizes_and_squares():
    rng = np.random.default_rng(5)
    for _ in range(60):
        (width, height), size_px = rng.integers(2, 400, 2).tolist(), int(rng.integers(8, 120))
        rgb = noise(width, height)
        assert np.array_equal(prepare(rgb, size_px, "crop"), by_transformers(rgb, size_px)), (width, height, size_px)


@pytest.mark.parametrize("size", SIZES)
def test_squash_is_what_transformers_does_when_told_both_edges(size):
    rgb = noise(*size)
    told = by_transformers(rgb, 224, size={"height": 224, "width": 224})
    assert np.array_equal(prepare(rgb, 224, "squash"), told)


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (301, 200), (200, 301), (64, 1300), (900, 64), (250, 250)])
def test_pad_puts_the_whole_picture_into_a_white_square(size):
    rgb = noise(*size)
    side = max(size)
    square = np.full((side, side, 3), 255, np.uint8)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = rgb
    naive = np.asarray(Image.fromarray(square).resize((224, 224), Image.Resampling.BICUBIC))
    assert np.array_equal(prepare(rgb, 224, "pad"), naive)


def test_the_three_fits_are_three_pictures():
    rgb = noise(300, 200)
    fits = [prepare(rgb, 224, fit).astype(int) for fit in ("crop", "squash", "pad")]
    assert min(np.abs(fits[a] - fits[b]).max() for a, b in ((0, 1), (0, 2), (1, 2))) > 20


@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
def test_the_order_of_channels_does_not_matter_and_stays(fit):
    rgb = noise(120, 90)
    assert np.array_equal(prepare(rgb[..., ::-1], 64, fit)[..., ::-1], prepare(rgb, 64, fit))


def test_a_square_of_the_right_size_is_left_as_it_is():
    rgb = noise(224, 224)
    for fit in ("crop", "squash", "pad"):
        assert np.array_equal(prepare(rgb, 224, fit), rgb)


@pytest.mark.slow
@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("shape", [(64, 32_768, 3), (32_768, 64, 3)])
def test_a_strip_makes_no_gigabytes(fit, shape):
    code = (
        "import resource, numpy as np; from idgen.sources.clip_pixels import prepare\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000,) * 2)\n"
        f"print(prepare(np.zeros({shape}, np.uint8), 224, {fit!r}).shape)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.stdout.strip() == "(224, 224, 3)", run.stderr


def test_the_module_needs_neither_torch_nor_transformers():
    modules = "idgen.sources.clip_pixels, idgen.sources.input_images, idgen.faces.crops"
    code = f"import sys, {modules}; print({{'torch', 'transformers'}} & {{*sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.stdout.strip() == "set()", run.stderr
