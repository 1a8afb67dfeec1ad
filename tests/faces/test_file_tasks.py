"""What a row asks for and what it gets, through the reader with the real face pack and files in a folder."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import idgen.tiny
from idgen.config import FacesConfig, SourcesConfig
from idgen.errors import Code, RowError
from idgen.faces.analysis import FaceAnalyser
from idgen.faces.crops import box_square, cut
from idgen.faces.references import InputImage, ReferenceReader, Request
from idgen.recipes.variants import FaceNeeds, PictureNeed
from idgen.sources.clip_pixels import prepare
from idgen.sources.fetch import Fetcher
from idgen.sources.input_images import cover
from idgen.tiny.people import DrawnPerson, Look
from idgen.tiny.render import draw_portrait

PACK = Path(idgen.tiny.__file__).parent / "facepack"
SOURCES = SourcesConfig(threads=3)
PICTURE, FACE = PictureNeed("picture", 224, "rgb", "crop", 224), PictureNeed("face", 224, "rgb", "crop", 224)
ALIGNED = PictureNeed("aligned", 224, "bgr", "crop", 224)
BOX, LARGER = PictureNeed("bbox", 336, "rgb", "crop", 336), PictureNeed("picture", 336, "rgb", "crop", 336)
IP_ADAPTER, PLUS_FACE = FaceNeeds(False, (PICTURE,)), FaceNeeds(False, (FACE,))
FACEID_PLUS, BOTH = FaceNeeds(True, (ALIGNED,)), FaceNeeds(True, (ALIGNED, FACE))
KOLORS = FaceNeeds(True, (BOX, LARGER))
NOTHING = FaceNeeds(False, ())


def portrait(seed):
    return draw_portrait(DrawnPerson.sample(seed), Look.sample(seed, calm=True), 256).image


def saved(path, rgb, **options):
    Image.fromarray(rgb).save(path, **options)
    return str(path)


class Room:
    """A reader over a folder of photos; counts the packs it loads."""

    def __init__(self, folder, analyser):
        self.folder = folder
        self.packs = []
        self.reader = ReferenceReader(
            Fetcher(SOURCES, extra_roots=[str(folder)]), lambda pack: self.packs.append(pack) or analyser, SOURCES
        )

    def photo(self, seed):
        path = self.folder / f"{seed}.png"
        return str(path) if path.exists() else saved(path, portrait(seed))

    def read(self, *requests, **options):
        return self.reader.read(requests, **options)


@pytest.fixture(scope="module")
def analyser():
    return FaceAnalyser(PACK, 256, 0.5, threads=1, config=FacesConfig())


@pytest.fixture
def room(tmp_path, analyser):
    return Room(tmp_path, analyser)


def pixels(crop):
    return np.frombuffer(crop, np.uint8).reshape(224, 224, 3)


def test_a_picture_prompt_is_taken_as_it_is_without_any_face_pack(room):
    (found,) = room.read(Request((), needs=IP_ADAPTER, ip_adapter_image_uri=room.photo(1)))
    assert np.array_equal(pixels(*found.crops[PICTURE.name]), prepare(portrait(1), 224, "crop"))
    assert (room.reader.analyses, room.packs) == (0, [])
    assert found.id_embedding is found.reference_box is found.reference_digest is found.reference_size is None


def test_references_stand_in_for_a_picture_prompt_without_any_face_pack(room):
    (found,) = room.read(Request((room.photo(2), room.photo(1)), needs=IP_ADAPTER))
    assert [pixels(crop)[0, 0].tolist() for crop in found.crops[PICTURE.name]] == [
        prepare(portrait(n), 224, "crop")[0, 0].tolist() for n in (2, 1)
    ]
    assert (room.reader.analyses, room.packs) == (0, [])
    assert found.id_embedding is found.reference_box is found.reference_faces is None
    assert found.reference_size == [256] * 4
    assert found.reference_digest == [
        hashlib.sha256((room.folder / f"{n}.png").read_bytes()).hexdigest() for n in (2, 1)
    ]


def test_plus_face_of_a_reference_is_cut_where_the_face_was_found(room, analyser):
    (found,) = room.read(Request((room.photo(7),), needs=PLUS_FACE))
    face = analyser.analyse(portrait(7), "largest")
    assert np.array_equal(pixels(*found.crops[FACE.name]), cut(FACE, portrait(7), face))
    assert found.reference_box == pytest.approx(face.box.tolist())
    assert found.id_embedding is None  # nobody needs it
    assert room.reader.analyses == 1


def test_plus_face_of_a_picture_prompt_is_a_face_that_people_cut(room):
    (found,) = room.read(Request((), needs=PLUS_FACE, ip_adapter_image_uri=room.photo(7)))
    assert np.array_equal(pixels(*found.crops[FACE.name]), prepare(portrait(7), 224, "crop"))
    assert (room.reader.analyses, room.packs) == (0, [])


def test_two_references_give_two_embeddings_and_two_crops_in_their_order(room, analyser):
    both, first, second = room.read(*(
        Request(tuple(map(room.photo, seeds)), needs=FACEID_PLUS) for seeds in ((7, 8), (7,), (8,))
    ))  # fmt: skip
    assert both.crops[ALIGNED.name] == first.crops[ALIGNED.name] + second.crops[ALIGNED.name]
    assert np.array_equal(both.id_embedding, np.concatenate([first.id_embedding, second.id_embedding]))
    face = analyser.analyse(portrait(8), "largest")
    assert np.array_equal(pixels(both.crops[ALIGNED.name][1]), cut(ALIGNED, portrait(8), face))


def test_with_faceid_and_plus_face_the_prompt_is_the_face_and_the_reference_the_person(room):
    alone, given = room.read(
        Request((room.photo(7), room.photo(8)), needs=BOTH),
        Request((room.photo(7), room.photo(8)), needs=BOTH, ip_adapter_image_uri=room.photo(9)),
    )
    assert given.crops[ALIGNED.name] == alone.crops[ALIGNED.name]
    assert np.array_equal(given.id_embedding, alone.id_embedding)
    assert len(alone.crops[FACE.name]) == 2
    assert np.array_equal(pixels(*given.crops[FACE.name]), prepare(portrait(9), 224, "crop"))


def test_the_box_of_a_face_is_cut_from_the_reference_and_the_picture_prompt_is_whole(room):
    alone, given = room.read(
        Request((room.photo(7),), needs=KOLORS),
        Request((room.photo(7),), needs=KOLORS, ip_adapter_image_uri=room.photo(9)),
    )
    box = np.array(alone.reference_box, np.float32)
    assert given.crops[BOX.name] == alone.crops[BOX.name] == [box_square(portrait(7), box, 336).tobytes()]
    assert alone.crops[LARGER.name] == [prepare(portrait(7), 336, "crop").tobytes()]
    assert given.crops[LARGER.name] == [prepare(portrait(9), 336, "crop").tobytes()]


def test_the_mask_reaches_the_face_s_square(room):
    mask = np.zeros((256, 256, 3), np.uint8)
    mask[60:200, 60:200] = 255
    where = saved(room.folder / "mask.png", mask)
    masked, bare = room.read(
        Request((room.photo(7),), needs=PLUS_FACE, reference_mask_uri=where), Request((room.photo(7),), needs=PLUS_FACE)
    )
    crop, plain = pixels(*masked.crops[FACE.name]), pixels(*bare.crops[FACE.name])
    assert (crop[:5] == 255).all()
    assert not (plain[:5] == 255).all()
    assert np.array_equal(crop[100:120, 100:120], plain[100:120, 100:120])
    assert room.reader.fetches == 2


def test_a_mask_on_its_side_is_turned_as_the_photo_is(room):
    """Camera and mask tool may both write EXIF: each file is turned by its own."""
    mask = np.zeros((256, 256, 3), np.uint8)
    mask[60:200, 60:240] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    straight = saved(room.folder / "straight.png", mask)
    turned = saved(room.folder / "turned.png", np.rot90(mask), exif=exif)
    one, other = room.read(
        *(Request((room.photo(7),), needs=PLUS_FACE, reference_mask_uri=uri) for uri in (straight, turned))
    )
    assert one.crops == other.crops


def test_an_input_image_comes_as_a_png_of_the_row_s_size(room):
    (found,) = room.read(Request((), needs=NOTHING, images=(InputImage("init_image_uri", room.photo(7), 96, 128),)))
    image = Image.open(io.BytesIO(found.images["init_image_uri"]))
    assert (image.format, image.mode, image.size) == ("PNG", "RGB", (96, 128))
    assert np.array_equal(np.asarray(image), cover(portrait(7), 96, 128))
    assert found.crops == {}
    assert [warning.split(":")[:2] for warning in found.warnings] == [["init_image_uri", " cut"]]


def test_an_input_image_is_turned_upright_and_its_transparency_is_white(room):
    layered = np.zeros((90, 120, 4), np.uint8)
    layered[:, :60] = (10, 200, 30, 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # 90 degrees to the right
    where = saved(room.folder / "turned.png", layered, exif=exif)
    (found,) = room.read(Request((), needs=NOTHING, images=(InputImage("init_image_uri", where, 90, 120),)))
    image = np.asarray(Image.open(io.BytesIO(found.images["init_image_uri"])))
    assert image[10, 45].tolist() == [10, 200, 30]
    assert image[110, 45].tolist() == [255, 255, 255]


def test_what_is_transparent_in_a_map_or_a_mask_is_nothing(room):
    layered = np.zeros((256, 256, 4), np.uint8)
    layered[:128] = 255
    where = saved(room.folder / "cut-out.png", layered)
    images = tuple(InputImage(column, where, 64, 64) for column in ("control_pose_uri", "init_image_uri"))
    grey = saved(room.folder / "grey.png", layered[..., :3])
    maps, layered_mask, plain_mask = room.read(
        Request((), needs=NOTHING, images=images),
        *(Request((room.photo(7),), needs=PLUS_FACE, reference_mask_uri=mask) for mask in (where, grey)),
    )
    pose, start = (np.asarray(Image.open(io.BytesIO(maps.images[image.column]))) for image in images)
    assert (pose[:24].min(), pose[40:].max(), start.min()) == (255, 0, 255)
    assert layered_mask.crops == plain_mask.crops
    assert [note for note in maps.warnings if note.startswith("control_pose_uri")] == [
        "control_pose_uri: transparency: shown on black"
    ]


def test_a_map_drawn_in_dark_lines_on_nothing_is_shown_in_white_ones_and_an_inverted_or_blank_one_is_told(room):
    layered = np.zeros((64, 64, 4), np.uint8)
    layered[20:24, 8:56, 3] = 255
    paths = {
        "dark": saved(room.folder / "dark.png", layered),
        "white": saved(room.folder / "white.png", np.repeat(layered[..., 3:], 3, 2)),
        "inverted": saved(room.folder / "inverted.png", 255 - np.repeat(layered[..., 3:], 3, 2)),
        "blank": saved(room.folder / "blank.png", np.zeros((64, 64, 3), np.uint8)),
    }
    asked = (Request((), needs=NOTHING, images=(InputImage("control_canny_uri", at, 64, 64),)) for at in paths.values())
    found = dict(zip(paths, room.read(*asked), strict=True))
    assert found["dark"].images == found["white"].images
    assert {name: one.warnings for name, one in found.items()} == {
        "dark": ["control_canny_uri: transparency: its dark lines are shown white on black"],
        "white": [],
        "inverted": ["control_canny_uri: control_map_inverted: most of it is bright; a canny map is bright on black"],
        "blank": ["control_canny_uri: control_map_blank: it has only one colour, so it controls nothing"],
    }


def test_one_photo_in_every_place_is_fetched_once(room):
    uri = room.photo(7)
    images = tuple(InputImage(f"control_{name}_uri", uri, 64, 64) for name in ("pose", "depth"))
    (found,) = room.read(Request((uri, uri), needs=BOTH, ip_adapter_image_uri=uri, images=images))
    assert room.reader.fetches == 1
    assert room.reader.analyses == 1
    assert found.images["control_pose_uri"] == found.images["control_depth_uri"]


def test_rows_that_share_photos_share_fetches_analyses_and_bytes(room):
    pose = room.photo(3)
    requests = [
        Request((room.photo(20 + n % 4),), needs=FACEID_PLUS, images=(InputImage("control_pose_uri", pose, 64, 96),))
        for n in range(40)
    ]
    found = room.read(*requests)
    assert (room.reader.fetches, room.reader.analyses) == (5, 4)
    assert len({id(row.images["control_pose_uri"]) for row in found}) == 1
    assert len({id(row.crops[ALIGNED.name][0]) for row in found}) == 4


def test_another_recipe_s_needs_are_analysed_anew_but_not_fetched_anew(room):
    uri = room.photo(7)
    plain = room.read(Request((uri,)))
    plus = room.read(Request((uri,), needs=FACEID_PLUS))
    room.read(Request((uri,), needs=IP_ADAPTER), Request((uri,)), Request((uri,), needs=FACEID_PLUS))
    assert (room.reader.fetches, room.reader.analyses) == (1, 2)
    assert np.array_equal(plain[0].id_embedding, plus[0].id_embedding)


def test_a_photo_cut_for_several_sizes_of_pictures_is_fitted_for_each(room):
    uri = room.photo(7)
    sizes = [(64, 64), (96, 64), (64, 64)]
    found = room.read(*(Request((), needs=NOTHING, images=(InputImage("init_image_uri", uri, *s),)) for s in sizes))
    assert [Image.open(io.BytesIO(row.images["init_image_uri"])).size for row in found] == sizes
    assert room.reader.fetches == 1


COLUMNS = ["ip_adapter_image_uri", "reference_mask_uri", "init_image_uri", "control_pose_uri"]


def asking(room, column, uri):
    """A row whose file of `column` is `uri`."""
    if column == "ip_adapter_image_uri":
        return Request((), needs=PLUS_FACE, ip_adapter_image_uri=uri)
    if column == "reference_mask_uri":
        return Request((room.photo(7),), needs=PLUS_FACE, reference_mask_uri=uri)
    return Request((room.photo(7),), images=(InputImage(column, uri, 64, 64),))


@pytest.mark.parametrize("column", COLUMNS)
def test_a_bad_file_costs_its_own_row_and_the_detail_names_its_column(room, column, tmp_path):
    (room.folder / "text.png").write_text("<html>")
    (room.folder / "cut.png").write_bytes(Path(room.photo(7)).read_bytes()[:999])
    bad = {
        str(room.folder / "absent.png"): Code.REFERENCE_MISSING,
        str(room.folder / "text.png"): Code.IMAGE_FORMAT,
        str(room.folder / "cut.png"): Code.IMAGE_CORRUPT,
        saved(room.folder / "tiny.png", portrait(7)[:40, :40]): Code.IMAGE_TOO_SMALL,
        "/etc/passwd": Code.URI_FORBIDDEN,
        "ftp://host/x.png": Code.URI_FORBIDDEN,
    }
    good = asking(room, column, saved(room.folder / "good.png", np.full((256, 256, 3), 255, np.uint8)))
    results = room.read(good, *(asking(room, column, uri) for uri in bad), good)
    assert not isinstance(results[0], RowError)
    assert not isinstance(results[-1], RowError)
    assert [result.code for result in results[1:-1]] == list(bad.values())
    assert all(result.detail.startswith(f"{column}: ") for result in results[1:-1])


def test_a_mask_without_the_face_is_a_bad_value(room):
    black = saved(room.folder / "black.png", np.zeros((64, 64, 3), np.uint8))
    (error,) = room.read(Request((room.photo(7),), needs=PLUS_FACE, reference_mask_uri=black))
    assert (error.code, error.detail[:19]) == (Code.BAD_VALUE, "reference_mask_uri:")


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (Request(()), Code.MISSING_VALUE),
        (Request((), needs=FACEID_PLUS, ip_adapter_image_uri="x.png"), Code.MISSING_VALUE),
        (Request((), needs=IP_ADAPTER), Code.MISSING_VALUE),
        (Request(("a", "b"), needs=PLUS_FACE, reference_mask_uri="m"), Code.BAD_VALUE),
    ],
)
def test_what_the_plan_should_have_refused_costs_its_own_row(room, asked, code):
    error, fine = room.read(asked, Request((), needs=NOTHING))
    assert error.code == code
    assert fine.warnings == []
    assert room.reader.digests(asked) == []
    assert room.reader.fetches == 0


def test_no_face_in_a_photo_matters_only_where_a_face_is_looked_for(room):
    flat = saved(room.folder / "flat.png", np.full((256, 256, 3), 120, np.uint8))
    error, fine = room.read(Request((flat,), needs=PLUS_FACE), Request((flat,), needs=IP_ADAPTER))
    assert error.code == Code.NO_FACE
    assert len(fine.crops[PICTURE.name]) == 1


def test_each_file_of_a_row_is_begun_and_ended_alone_and_can_be_given_up(room):
    asked = Request((room.photo(7),), images=(InputImage("control_pose_uri", room.photo(8), 64, 64),))
    events = []
    room.read(asked, begin=lambda d: events.append(d), end=lambda d: events.append(d))
    reference, pose = room.reader.digests(asked)
    assert events == [reference, reference, pose, pose]
    again = Room(room.folder, None)
    (error,) = again.reader.read(
        [asked], skip={pose: RowError(Code.WORKER_CRASHED, "reading the file"), reference: RowError(Code.NO_FACE)}
    )
    assert error.code == Code.NO_FACE
    assert (again.reader.fetches, again.packs) == (0, [])


def test_the_order_of_errors_is_references_first(room):
    absent = str(room.folder / "absent.png")
    (error,) = room.read(Request((room.photo(7), absent), images=(InputImage("init_image_uri", absent, 64, 64),)))
    assert (error.code, error.detail[:19]) == (Code.REFERENCE_MISSING, "reference 2 of 2: n")


def test_a_photo_too_small_to_please_is_told_of_references_only(room):
    (found,) = room.read(Request((room.photo(7),), images=(InputImage("control_depth_uri", room.photo(8), 256, 256),)))
    assert [warning.split(":")[0] for warning in found.warnings] == ["small_photo"]
