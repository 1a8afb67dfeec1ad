"""Where the face of a picture is asked to be, through the reader with the real face pack: points and drawing."""

import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import idgen.tiny
from idgen.config import FacesConfig, SourcesConfig
from idgen.errors import Code, RowError
from idgen.faces import face_placement
from idgen.faces.alignment import align
from idgen.faces.analysis import Face, FaceAnalyser
from idgen.faces.keypoints import FaceTarget, SourceFace, angle_deg, draw, target_keypoints
from idgen.faces.references import ReferenceReader, Request
from idgen.recipes.variants import FaceNeeds, PictureNeed
from idgen.sources.fetch import Fetcher
from idgen.tiny.people import DrawnPerson, Look
from idgen.tiny.render import draw_portrait

PACK = Path(idgen.tiny.__file__).parent / "facepack"
SOURCES = SourcesConfig(threads=3)
FFHQ = PictureNeed("ffhq", 512, "rgb", "crop", 512)
ECOMID = FaceNeeds(True, (FFHQ,))
POINTS = [0.4, 0.3, 0.6, 0.3, 0.5, 0.4, 0.42, 0.5, 0.58, 0.5]
SIZES = [(512, 512), (640, 384), (384, 640)]


@pytest.fixture(scope="module")
def analyser():
    return FaceAnalyser(PACK, 256, 0.5, threads=1, config=FacesConfig())


class Room:
    """A reader over a folder of photos."""

    def __init__(self, folder, analyser):
        self.folder = folder
        self.reader = ReferenceReader(Fetcher(SOURCES, extra_roots=[str(folder)]), lambda pack: analyser, SOURCES)

    def saved(self, name, rgb):
        Image.fromarray(rgb).save(self.folder / name)
        return str(self.folder / name)

    def photo(self, seed):
        """A lying photo, so that no picture here has its shape."""
        portrait = draw_portrait(DrawnPerson.sample(seed), Look.sample(seed, calm=True), 256).image
        return self.saved(f"{seed}.png", np.pad(portrait, ((0, 0), (90, 30), (0, 0)), "edge"))

    def read(self, *requests):
        return self.reader.read(requests)


@pytest.fixture
def room(tmp_path, analyser):
    return Room(tmp_path, analyser)


def ask(uri, target, size=(512, 512), **changes):
    return Request((uri,), needs=ECOMID, face_target=target, size=size, **changes)


def points_of(identity):
    return np.array(identity.target_keypoints).reshape(5, 2)


def drawing_of(identity):
    return np.asarray(Image.open(io.BytesIO(identity.images["face_keypoints"])))


def source_of(identity, number=0):
    at = slice(10 * number, 10 * number + 10)
    return SourceFace(
        np.array(identity.reference_keypoints[at], np.float32).reshape(5, 2),
        identity.reference_box[4 * number : 4 * number + 4],
        tuple(identity.reference_size[2 * number : 2 * number + 2]),
    )


def shape_of(points):
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    return apart / apart.mean()


@pytest.mark.parametrize("size", SIZES)
def test_points_that_a_row_gives_are_the_points_it_gets(room, size):
    (found,) = room.read(ask(room.photo(7), FaceTarget(keypoints=POINTS), size))
    assert np.array_equal(points_of(found), (np.array(POINTS).reshape(5, 2) * size).astype(np.float32))
    assert np.array_equal(drawing_of(found), draw(points_of(found), size))
    assert drawing_of(found).shape == (size[1], size[0], 3)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("fit", ["fit", "cover"])
def test_the_face_of_a_lying_photo_is_never_squashed(room, fit, size):
    (found,) = room.read(ask(room.photo(7), FaceTarget(fit), size))
    source = source_of(found)
    assert np.abs(shape_of(points_of(found)) - shape_of(source.keypoints)).max() < 1e-4
    assert np.array_equal(points_of(found), target_keypoints(source, FaceTarget(fit), size))
    assert np.array_equal(drawing_of(found), draw(points_of(found), size))


def test_a_face_is_moved_resized_and_turned_as_asked(room):
    box, size = (0.1, 0.2, 0.4, 0.8), (640, 512)
    moved, turned = room.read(
        ask(room.photo(7), FaceTarget("place", box), size),
        ask(room.photo(7), FaceTarget("place", box, angle_deg=25.0), size),
    )
    source, points = source_of(moved), points_of(moved)
    scale = min(0.3 * size[0] / (source.box[2] - source.box[0]), 0.6 * size[1] / (source.box[3] - source.box[1]))
    middle = np.array([source.box[0] + source.box[2], source.box[1] + source.box[3]]) / 2
    assert points == pytest.approx((source.keypoints - middle) * scale + [0.25 * size[0], 0.5 * size[1]], abs=1e-2)
    assert angle_deg(points_of(turned)) == pytest.approx(25.0, abs=1e-3)
    assert np.abs(shape_of(points_of(turned)) - shape_of(points)).max() < 1e-4


def test_the_pose_photo_gives_the_points_and_the_reference_everything_else(room, analyser):
    alone, posed, other = room.read(
        ask(room.photo(7), FaceTarget()),
        ask(room.photo(7), FaceTarget(), face_pose_uri=room.photo(9)),
        ask(room.photo(9), FaceTarget()),
    )
    assert posed.target_keypoints == other.target_keypoints != alone.target_keypoints
    assert posed.images == other.images
    for name in ("reference_keypoints", "reference_box", "reference_digest", "crops"):
        assert getattr(posed, name) == getattr(alone, name)
    assert np.array_equal(posed.id_embedding, alone.id_embedding)


def test_the_first_of_several_references_is_in_the_drawing(room):
    first, both = room.read(
        ask(room.photo(7), FaceTarget()),
        replace(ask(room.photo(7), FaceTarget()), uris=(room.photo(7), room.photo(8))),
    )
    assert both.target_keypoints == first.target_keypoints
    assert len(both.crops[FFHQ.name]) == 2


def test_one_face_is_chosen_for_every_part(room, analyser):
    two = [draw_portrait(DrawnPerson.sample(seed), Look.sample(seed, calm=True), 256).image for seed in (3, 4)]
    scene = np.hstack(two)
    uri = room.saved("two.png", scene)
    left, right = room.read(*(ask(uri, FaceTarget(), face_select=f"index:{n}") for n in (0, 1)))
    for number, found in enumerate((left, right)):
        face = analyser.analyse(scene, f"index:{number}")
        assert found.reference_keypoints == face.keypoints.ravel().tolist()
        assert np.array_equal(found.id_embedding, face.embedding)
        crop = np.frombuffer(found.crops[FFHQ.name][0], np.uint8).reshape(512, 512, 3)
        assert np.array_equal(crop, align(scene, face.keypoints))
        assert np.array_equal(points_of(found), target_keypoints(source_of(found), FaceTarget(), (512, 512)))
    (posed,) = room.read(ask(room.photo(7), FaceTarget(), face_pose_uri=uri, face_select="index:0"))
    assert posed.target_keypoints == left.target_keypoints != right.target_keypoints


def test_rows_that_want_one_face_in_one_place_share_analyses_and_drawings(room, monkeypatch):
    drawn = []
    monkeypatch.setattr(face_placement, "draw", lambda *of: drawn.append(1) or draw(*of))
    face_placement._drawing.cache_clear()
    pose, size = room.photo(9), (384, 512)
    asked = [ask(room.photo(20 + n % 3), FaceTarget(), size, face_pose_uri=pose) for n in range(30)]
    found = room.read(*asked)
    assert (room.reader.fetches, room.reader.analyses, len(drawn)) == (4, 4, 1)
    assert len({id(one.images["face_keypoints"]) for one in found}) == 1
    room.read(*asked)
    assert (room.reader.analyses, len(drawn)) == (4, 1)
    assert len({digest for one in asked for digest in room.reader.digests(one)}) == 4


def test_a_recipe_without_identity_looks_at_no_pose_and_draws_nothing(room):
    (found,) = room.read(Request((room.photo(7),), needs=ECOMID, face_pose_uri=room.photo(9)))
    assert found.target_keypoints is None
    assert found.images == {}
    assert room.reader.fetches == 1


def test_a_face_that_is_cut_off_or_very_small_is_told(room):
    cut = [-0.2, 0.3, 0.1, *POINTS[3:]]
    small = [0.5 + (number - 0.5) / 20 for number in POINTS]
    for points, word in ((cut, "face_cut"), (small, "small_target_face")):
        (found,) = room.read(ask(room.photo(7), FaceTarget(keypoints=points)))
        assert [note.partition(":")[0] for note in found.warnings][1:] == [word]  # after small_photo


def bomb(width, height):
    """A PNG of 169 megapixels in a few bytes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_a_bad_pose_photo_costs_its_own_row_and_the_detail_names_its_column(room):
    flat = np.full((256, 256, 3), 120, np.uint8)
    frames = [Image.fromarray(flat), Image.fromarray(flat // 2)]
    frames[0].save(room.folder / "moves.webp", save_all=True, append_images=frames[1:])
    (room.folder / "bomb.png").write_bytes(bomb(13_000, 13_000))
    (room.folder / "cut.png").write_bytes(Path(room.photo(7)).read_bytes()[:999])
    (room.folder / "text.png").write_text("<html>")
    bad = {
        room.saved("flat.png", flat): Code.NO_FACE,
        str(room.folder / "absent.png"): Code.REFERENCE_MISSING,
        str(room.folder / "moves.webp"): Code.IMAGE_FORMAT,
        str(room.folder / "bomb.png"): Code.IMAGE_TOO_LARGE,
        str(room.folder / "cut.png"): Code.IMAGE_CORRUPT,
        str(room.folder / "text.png"): Code.IMAGE_FORMAT,
        "/etc/passwd": Code.URI_FORBIDDEN,
    }
    good = ask(room.photo(7), FaceTarget(), face_pose_uri=room.photo(9))
    results = room.read(good, *(ask(room.photo(7), FaceTarget(), face_pose_uri=uri) for uri in bad), good)
    assert not isinstance(results[0], RowError)
    assert [one.code for one in results[1:-1]] == list(bad.values())
    assert all(one.detail.startswith("face_pose_uri: ") for one in results[1:-1])
    (error,) = room.read(ask(room.photo(7), FaceTarget(), face_pose_uri=room.photo(9), face_select="index:3"))
    assert error.code == Code.FACE_INDEX_MISSING


@pytest.mark.parametrize(
    ("target", "code", "column"),
    [
        (FaceTarget(keypoints=[*POINTS[2:4], *POINTS[:2], *POINTS[4:6], *POINTS[8:], *POINTS[6:8]]), Code.BAD_VALUE,
         "face_keypoints"),
        (FaceTarget(keypoints=[0.5] * 10), Code.BAD_VALUE, "face_keypoints"),
        (FaceTarget(keypoints=[number + 1 for number in POINTS]), Code.BAD_VALUE, "face_keypoints"),
        (FaceTarget("place"), Code.MISSING_VALUE, "face_box"),
        (FaceTarget(box=(0, 0, 1, 1), keypoints=POINTS), Code.BAD_VALUE, "face_box"),
    ],
)  # fmt: skip
def test_a_place_that_makes_no_face_costs_its_own_row(room, target, code, column):
    error, fine = room.read(ask(room.photo(7), target), ask(room.photo(7), FaceTarget()))
    assert error.code == code
    assert error.detail.startswith(column)
    assert fine.target_keypoints


def test_points_of_a_pose_that_make_no_face_are_the_pose_photo_s_fault():
    broken = Face(None, np.array([0, 0, 9, 9], np.float32), np.full((5, 2), 3, np.float32), 0.9, 1, (64, 64), ())
    request = ask("a", FaceTarget())
    for asked, begins in ((replace(request, face_pose_uri="p"), "face_pose_uri: the five"), (request, "the five")):
        with pytest.raises(RowError) as caught:
            face_placement.place_face(asked, [broken])
        assert caught.value.code == Code.NO_FACE
        assert caught.value.detail.startswith(begins)


def test_somebody_who_lies_in_the_pose_photo_is_not_put_upright(room):
    upright = draw_portrait(DrawnPerson.sample(8), Look.sample(8, calm=True), 320).image
    lying = room.saved("lying.png", np.ascontiguousarray(np.rot90(upright)))
    as_reference, as_pose = room.read(ask(lying, FaceTarget()), ask(room.photo(7), FaceTarget(), face_pose_uri=lying))
    assert "photo_turned" in [warning.partition(":")[0] for warning in as_reference.warnings]
    assert (as_pose.code, as_pose.detail.partition(":")[0]) == (Code.NO_FACE, "face_pose_uri")
