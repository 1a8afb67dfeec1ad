"""Masks of product photos, through the reader with files in a folder: what is white, what lies over what."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from test_face_placement import bomb

from idgen.config import SourcesConfig
from idgen.errors import Code, RowError
from idgen.faces.references import InputImage, ReferenceReader, Request
from idgen.recipes.variants import FaceNeeds
from idgen.sampling.pasting import paste_back
from idgen.sources.fetch import Fetcher

SOURCES = SourcesConfig(threads=3)
NOTHING = FaceNeeds(False, ())
WIDE = (300, 200)
SHOE = (slice(60, 141), slice(110, 191))  # rows and columns of the product


class Room:
    """A reader over a folder; no face is ever looked for."""

    def __init__(self, folder):
        self.folder = folder
        self.reader = ReferenceReader(Fetcher(SOURCES, extra_roots=[str(folder)]), lambda pack: None, SOURCES)

    def saved(self, name, pixels, **options):
        Image.fromarray(pixels).save(self.folder / name, **options)
        return str(self.folder / name)

    def photo(self):
        rgb = np.zeros((*WIDE[::-1], 3), np.uint8)
        rgb[SHOE] = 255
        return self.saved("shoe.png", rgb)

    def mask(self, name="mask.png", scale=1, **options):
        """White is the product."""
        grey = np.zeros(WIDE[::-1], np.uint8)
        grey[SHOE] = 255
        image = Image.fromarray(grey).resize((WIDE[0] * scale, WIDE[1] * scale), Image.Resampling.NEAREST)
        return self.saved(name, np.asarray(image), **options)

    def cut_out(self, name="cut-out.png", opaque=255, **options):
        layered = np.zeros((*WIDE[::-1], 4), np.uint8)
        layered[..., 0] = 200
        layered[(*SHOE, 3)] = opaque
        return self.saved(name, layered, **options)

    def read(self, *rows):
        return self.reader.read(rows)

    def masked(self, *rows):
        return [np.asarray(Image.open(io.BytesIO(one.images["mask_image_uri"]))) for one in self.read(*rows)]


@pytest.fixture
def room(tmp_path):
    return Room(tmp_path)


def ask(photo, mask="", mode="repaint_white", size=WIDE):
    start = InputImage("init_image_uri", photo, size[0], size[1])
    given = InputImage("mask_image_uri", mask or photo, size[0], size[1], mode if mask else "alpha")
    return Request((), needs=NOTHING, images=(start, given))


def start_of(identity):
    return np.asarray(Image.open(io.BytesIO(identity.images["init_image_uri"])))


def test_white_is_made_anew_or_kept(room):
    anew, kept = room.masked(ask(room.photo(), room.mask()), ask(room.photo(), room.mask(), "keep_white"))
    wanted = np.zeros(WIDE[::-1], np.uint8)
    wanted[SHOE] = 255
    assert np.array_equal(anew, wanted)
    assert np.array_equal(kept, 255 - wanted)


def test_without_a_mask_what_is_opaque_is_kept(room):
    (alpha,) = room.masked(ask(room.cut_out()))
    (kept,) = room.masked(ask(room.photo(), room.mask(), "keep_white"))
    assert np.array_equal(alpha, kept)
    (found,) = room.read(ask(room.cut_out()))
    assert found.warnings == []  # a cut-out is meant to be transparent
    assert (start_of(found)[0, 0].tolist(), start_of(found)[100, 150].tolist()) == ([255] * 3, [200, 0, 0])


@pytest.mark.parametrize("size", [(900, 600), (300, 200), (1200, 900)])
def test_a_cut_out_has_no_white_line_around_it_when_it_is_pasted_on_its_own_colour(room, size):
    """A cut-out's edge is half transparent: what is pasted there is the product's colour, not its mix with white."""
    large = Image.new("L", (3600, 2400))
    ImageDraw.Draw(large).ellipse((600, 400, 3000, 2000), fill=255)
    navy, alpha = (20, 40, 70), np.asarray(large.resize((900, 600), Image.Resampling.LANCZOS))
    uri = room.saved("navy.png", np.dstack([np.full((600, 900, 3), navy, np.uint8), alpha]))
    (found,) = room.read(ask(uri, size=size))
    (mask,) = room.masked(ask(uri, size=size))
    pasted = paste_back(np.full((*size[::-1], 3), navy, np.uint8), start_of(found), mask)
    assert ((mask > 0) & (mask < 255)).sum() > 200
    assert np.abs(pasted.astype(int) - navy).max() <= 8  # Lanczos rings a little; mixed with white it would be 55
    assert np.abs(start_of(found)[mask == 0].astype(int) - navy).max() <= (1 if size == (900, 600) else 8)
    assert (start_of(found)[mask == 255] == 255).mean() > 0.99  # but for noise that the mask leaves out


@pytest.mark.parametrize("size", [(96, 128), (128, 96), (64, 200), (450, 300), (640, 640)])
@pytest.mark.parametrize("scale", [1, 2])
def test_the_mask_lies_over_the_photo_at_every_size(room, size, scale):
    """The photo is white where the mask is: whatever is cut or scaled, both halves stay together."""
    (found,) = room.read(ask(room.photo(), room.mask(scale=scale), size=size))
    mask = np.asarray(Image.open(io.BytesIO(found.images["mask_image_uri"])))
    photo = start_of(found)[..., 0]
    assert mask.shape == photo.shape == size[::-1]
    assert (mask > 127).mean() == pytest.approx((photo > 127).mean(), abs=0.01)
    assert ((mask > 127) != (photo > 127)).sum() <= 8  # corners, where the filters differ
    assert set(np.unique(mask[photo < 20])) <= set(range(60))


def test_what_is_kept_is_black_to_the_last_bit_right_beside_the_edge(room):
    """Lanczos would leave waves of 2 and 3 there, and kept pixels would not come back as they were."""
    (mask,) = room.masked(ask(room.photo(), room.mask(), size=(110, 75)))
    assert 0 < (mask > 127).sum() < mask.size
    edge = (mask > 0) & (mask < 255)
    white = np.argwhere(mask == 255)
    top, left = white.min(axis=0) - 2
    bottom, right = white.max(axis=0) + 2
    outside = np.ones_like(edge)
    outside[top : bottom + 1, left : right + 1] = False
    assert not mask[outside].any()


def test_noise_of_a_jpeg_and_of_a_cut_out_is_no_mask(room):
    noisy = np.asarray(Image.open(room.mask())).astype(int) + np.random.default_rng(1).integers(-7, 8, WIDE[::-1])
    clean, cleaned, cut_out = room.masked(
        ask(room.photo(), room.mask()),
        ask(room.photo(), room.saved("noisy.png", noisy.clip(0, 255).astype(np.uint8))),
        ask(room.cut_out("almost.png", opaque=250)),
    )
    assert np.array_equal(cleaned, clean)
    assert np.array_equal(cut_out, 255 - clean)


def test_grey_is_how_much(room):
    ramp = np.repeat(np.linspace(0, 255, WIDE[0]).astype(np.uint8)[None], WIDE[1], axis=0)
    (mask,) = room.masked(ask(room.photo(), room.saved("ramp.png", ramp)))
    inner = (ramp >= 8) & (ramp <= 247)
    assert np.array_equal(mask[inner], ramp[inner])


def test_photo_mask_and_transparency_are_each_turned_by_their_own_orientation(room):
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = np.rot90(np.asarray(Image.open(room.mask())))
    layered = np.rot90(np.asarray(Image.open(room.cut_out())))
    straight, turned, alpha = room.masked(
        ask(room.photo(), room.mask(), "keep_white"),
        ask(room.photo(), room.saved("turned.png", lying, exif=exif), "keep_white"),
        ask(room.saved("turned-cut-out.png", layered, exif=exif)),
    )
    assert np.array_equal(straight, turned)
    assert np.array_equal(straight, alpha)


def test_a_photo_without_transparency_and_without_a_mask_is_told_what_it_lacks(room):
    opaque = np.dstack([np.asarray(Image.open(room.photo())), np.full(WIDE[::-1], 255, np.uint8)])
    for uri in (room.photo(), room.saved("opaque.png", opaque)):
        (error,) = room.read(ask(uri))
        assert error.code == Code.MISSING_VALUE
        assert error.detail.startswith("mask_image_uri: ")
        assert "no transparent part" in error.detail


@pytest.mark.parametrize("shape", [(200, 300), (300, 210), (290, 200), (64, 64)])
def test_a_mask_of_another_shape_is_refused(room, shape):
    other = room.saved("other.png", np.zeros(shape[::-1], np.uint8))
    error, fine = room.read(ask(room.photo(), other), ask(room.photo(), room.mask()))
    assert error.code == Code.BAD_VALUE
    assert error.detail.startswith(f"mask_image_uri: {shape[0]}x{shape[1]} px")
    assert "300x200" in error.detail
    assert not isinstance(fine, RowError)


@pytest.mark.parametrize("shape", [(150, 100), (100, 67), (301, 200), (900, 601)])
def test_a_mask_may_be_smaller_or_larger_and_rounded(room, shape):
    (mask,) = room.masked(ask(room.photo(), room.saved("scaled.png", np.full(shape[::-1], 255, np.uint8))))
    assert (mask == 255).all()


def test_a_mask_that_says_nothing_is_told(room):
    black, white = (room.saved(f"{level}.png", np.full(WIDE[::-1], level, np.uint8)) for level in (0, 255))
    found = room.read(ask(room.photo(), black), ask(room.photo(), white), ask(room.photo(), black, "keep_white"))
    assert [one.warnings[-1].split(":")[1].strip() for one in found] == [
        "mask_keeps_all", "mask_keeps_nothing", "mask_keeps_nothing"
    ]  # fmt: skip


def test_a_hostile_mask_costs_its_own_row_and_the_detail_names_its_column(room):
    frames = [Image.open(room.mask()).copy() for _ in range(2)]
    frames[1].putpixel((0, 0), 99)
    frames[0].save(room.folder / "moves.webp", save_all=True, append_images=frames[1:])
    (room.folder / "bomb.png").write_bytes(bomb(13_000, 13_000))
    (room.folder / "text.png").write_text("<html>")
    (room.folder / "cut.png").write_bytes(Path(room.mask()).read_bytes()[:60])
    (room.folder / "empty.png").write_bytes(b"")
    bad = {
        str(room.folder / "bomb.png"): Code.IMAGE_TOO_LARGE,
        str(room.folder / "moves.webp"): Code.IMAGE_FORMAT,
        str(room.folder / "text.png"): Code.IMAGE_FORMAT,
        str(room.folder / "cut.png"): Code.IMAGE_CORRUPT,
        str(room.folder / "empty.png"): Code.IMAGE_CORRUPT,
        room.saved("tiny.png", np.zeros((20, 30), np.uint8)): Code.IMAGE_TOO_SMALL,
        str(room.folder / "absent.png"): Code.REFERENCE_MISSING,
        "/etc/passwd": Code.URI_FORBIDDEN,
    }
    good = ask(room.photo(), room.mask())
    results = room.read(good, *(ask(room.photo(), uri) for uri in bad), good)
    assert [one.code for one in results[1:-1]] == list(bad.values())
    assert all(one.detail.startswith("mask_image_uri: ") for one in results[1:-1])
    assert not [one for one in (results[0], results[-1]) if isinstance(one, RowError)]


def test_a_broken_photo_is_the_photo_s_fault_not_its_mask_s(room):
    (room.folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (error,) = room.read(ask(str(room.folder / "bad.png")))
    assert (error.code, error.detail.partition(":")[0]) == (Code.IMAGE_CORRUPT, "init_image_uri")


def test_rows_share_masks_and_a_cut_out_is_fetched_and_decoded_once(room, monkeypatch):
    from idgen.faces import file_analysis

    decoded = []
    monkeypatch.setattr(
        file_analysis, "decode", lambda *of, original=file_analysis.decode: decoded.append(1) or original(*of)
    )
    found = room.read(*(ask(room.cut_out()) for _ in range(20)), *(ask(room.photo(), room.mask()) for _ in range(20)))
    assert (room.reader.fetches, len(decoded)) == (3, 3)
    assert len({id(one.images["mask_image_uri"]) for one in found}) == 2
    digests = {digest for asked in (ask("a"), ask("a", "b")) for digest in room.reader.digests(asked)}
    assert len(digests) == 4  # two masks, and "a" as a cut-out and as a photo
