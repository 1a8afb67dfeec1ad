"""Face parser, 512 alignment and keypoint drawing give what facexlib and InstantID gave; mistakes do not."""

import hashlib
import zlib

import cv2
import numpy as np
import pytest
import torch
from golden.cases import HERE, Case
from torch.nn import functional

from idgen.faces import alignment
from idgen.faces.alignment import BORDER_RGB, SIDE_PX, TEMPLATE, affine, align
from idgen.faces.keypoints import draw
from idgen.networks import face_features, face_parser
from idgen.networks.face_features import WHITE_CLASSES, face_feature_image
from idgen.networks.face_parser import FaceParser, normalise
from idgen.networks.image_encoder import MEAN, STD

pytestmark = pytest.mark.golden


def case_of(name: str) -> Case:
    folder = HERE.parents[2] / "shared" / "goldens" / "cases" / name
    if not folder.is_dir():
        pytest.skip(f"no ../shared/goldens/cases/{name} beside this checkout")
    return Case(folder.resolve())


def made_of_key(key: str, shape: list[int]) -> np.ndarray:
    """The tensor that the case's rules make of a key."""
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    n = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode()))).standard_normal(shape)
    if len(shape) == 4:
        centred = n - n.mean(axis=1, keepdims=True) if key.endswith("conv_out.weight") else n
        return (centred * np.sqrt(1.4 / (shape[1] * shape[2] * shape[3]))).astype(np.float32)
    if key.endswith("running_var"):
        return (1 + 0.1 * np.abs(n)).astype(np.float32)
    return (0.1 * n if key.endswith(("running_mean", "bias")) else 1 + 0.1 * n).astype(np.float32)


@pytest.fixture(scope="module")
def parser_case():
    return case_of("face-parser")


@pytest.fixture(scope="module")
def weights(parser_case):
    return {key: made_of_key(key, shape) for key, shape, _ in parser_case.facts["layout"]}


@pytest.fixture
def parser(weights):
    """A parser of its own for each test, so that one may break it."""
    torch.set_num_threads(1)
    return FaceParser.from_weights({key: torch.from_numpy(value.copy()) for key, value in weights.items()}, "the case")


def logits_of(parser: FaceParser, case: Case, number: int, *, bgr: bool = False) -> torch.Tensor:
    face = case.inputs["image"][number].numpy()
    with torch.inference_mode():
        return parser(normalise(face[..., ::-1] if bgr else face)[None])[0]


def farthest(logits: torch.Tensor, case: Case, number: int) -> float:
    return float((logits[:, 4::8, 4::8] - case.expected["logits"][number]).abs().max())


def test_the_made_weights_are_the_ones_of_the_case(parser_case, weights):
    facts = parser_case.facts["weights"]
    for key, first in facts["first_values"].items():
        assert weights[key].ravel()[:3] == pytest.approx(first, abs=1e-6)
    digest = hashlib.sha256(b"".join(value.tobytes() for value in weights.values())).hexdigest()
    assert digest == facts["sha256"]


@pytest.mark.parametrize("number", [0, 1])
def test_the_parser_gives_facexlibs_logits_and_labels(parser, parser_case, number):
    tolerance, wanted = parser_case.facts["tolerance"], parser_case.expected["labels"][number]
    logits = logits_of(parser, parser_case, number)
    assert farthest(logits, parser_case, number) <= tolerance["logits"]
    best = logits.topk(2, dim=0).values
    sure = best[0] - best[1] > tolerance["labels_where_own_top2_margin_above"]
    labels = parser.labels(parser_case.inputs["image"][number : number + 1].numpy())[0]
    differing = labels != wanted
    assert not (differing & sure).any()
    assert float(differing.float().mean()) <= tolerance["labels_mismatch_share"]


def test_mistakes_in_the_parser_stand_out(parser, parser_case, monkeypatch):
    def smallest_mistake() -> float:
        return 100 * parser_case.facts["tolerance"]["logits"]

    assert farthest(logits_of(parser, parser_case, 0, bgr=True), parser_case, 0) > smallest_mistake()

    def loose_corners(logits, size):
        return functional.interpolate(logits, size, mode="bilinear", align_corners=False)

    with monkeypatch.context() as patch:
        patch.setattr(face_parser, "enlarge", loose_corners)
        assert farthest(logits_of(parser, parser_case, 0), parser_case, 0) > smallest_mistake()
    for part in parser.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.eps = 1e-3
    assert farthest(logits_of(parser, parser_case, 0), parser_case, 0) > smallest_mistake()


def aligned_beyond(case: Case, crop: np.ndarray, number: int) -> list[str]:
    """What of a crop is farther from the original's than the case allows."""
    tolerance, wanted = case.facts["tolerance"], case.expected["aligned"][number].numpy()
    levels = np.abs(crop.astype(int) - wanted.astype(int))
    major = int(cv2.__version__.split(".")[0])
    share = tolerance["aligned_share_of_pixels_differing"]["opencv 5.0" if major >= 5 else "opencv 4.11"]
    found = {"levels": levels.max() > tolerance["aligned_max_abs"], "share": levels.any(-1).mean() > share}
    return [name for name, beyond in found.items() if beyond]


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_alignment_gives_facexlibs_matrix_and_pixels(number, dtype):
    case = case_of("face-align")
    points = case.inputs["kps"][number].numpy().astype(dtype)
    matrix = affine(points)
    assert np.abs(matrix - case.expected["affine"][number].numpy()).max() <= case.facts["tolerance"]["affine"]
    crop = align(case.inputs["image"][number].numpy(), points)
    assert aligned_beyond(case, crop, number) == []
    assert crop.shape == (SIDE_PX, SIDE_PX, 3)
    assert crop.dtype == np.uint8


def test_least_squares_instead_of_lmeds_stands_out(monkeypatch):
    case = case_of("face-align")
    points, rgb = case.inputs["kps"][1].numpy(), case.inputs["image"][1].numpy()
    x, y = points.astype(float).T
    one, none = np.ones(5), np.zeros(5)
    rows = np.concatenate([np.stack([x, -y, one, none], 1), np.stack([y, x, none, one], 1)])
    a, b, right, down = np.linalg.lstsq(rows, TEMPLATE.T.ravel(), rcond=None)[0]
    matrix = np.array([[a, -b, right], [b, a, down]])
    with monkeypatch.context() as patch:
        patch.setattr(alignment, "affine", lambda _: matrix)
        assert aligned_beyond(case, align(rgb, points), 1) == ["levels", "share"]
    assert aligned_beyond(case, align(rgb, points), 1) == []


def test_the_border_in_bgr_order_stands_out(monkeypatch):
    case = case_of("face-align")
    points, rgb = case.inputs["kps"][1].numpy(), case.inputs["image"][1].numpy()
    monkeypatch.setattr(alignment, "BORDER_RGB", BORDER_RGB[::-1])
    assert aligned_beyond(case, align(rgb, points), 1)


def pixels_beyond(case: Case, image: torch.Tensor) -> bool:
    """Whether EVA's pixel values are farther from the original's than the case allows."""
    small = functional.interpolate(image, (336, 336), mode="bicubic", align_corners=False, antialias=False)
    mean, std = (torch.from_numpy(one)[:, None, None] for one in (MEAN, STD))
    levels = ((small - mean) / std - case.inputs["eva_pixel_values"]).abs().max()
    return float(levels) > case.facts["tolerance"]["eva_pixel_values"]


def test_the_gray_face_on_white_is_pulids_and_white_hair_stands_out(monkeypatch):
    case = case_of("pulid_v1.1")
    faces, labels = case.inputs["aligned_face"].numpy(), case.inputs["parsing_labels"]
    assert not pixels_beyond(case, face_feature_image(faces, labels))
    assert pixels_beyond(case, face_feature_image(faces[..., ::-1], labels))
    monkeypatch.setattr(face_features, "WHITE_CLASSES", (*WHITE_CLASSES, 17))
    assert pixels_beyond(case, face_feature_image(faces, labels))


def test_the_drawings_are_instantids_to_the_bit():
    case = case_of("draw-kps")
    for number, size in enumerate(case.facts["sizes_wh"]):
        picture = draw(case.inputs[f"kps_{number:02}"].numpy(), tuple(size))
        assert np.array_equal(picture, case.expected[f"image_{number:02}"].numpy()), number
    assert number == 23


@pytest.mark.parametrize("name", ["instantid", "ecomid", "ecomid_inpaint", "ecomid_softedge"])
def test_the_drawings_inside_whole_cases_are_the_same(name):
    case = case_of(name)
    wanted = case.inputs["kps_image"].numpy()
    for points, picture in zip(case.inputs["kps"].numpy(), wanted, strict=True):
        assert np.array_equal(draw(points, (picture.shape[1], picture.shape[0])), picture)
