"""The face parser loads its official layout and nothing else; the face-feature image is gray where a person is."""

import numpy as np
import pytest
import torch

from idgen.errors import Exit, RunError
from idgen.networks.face_features import GRAY_WEIGHTS, WHITE_CLASSES, face_feature_image
from idgen.networks.face_parser import CLASSES, FaceParser, normalise

HAIR, SKIN = 17, 1


def official(width: int = 64) -> dict[str, torch.Tensor]:
    """Random weights under the official keys; batch counts as the file has them."""
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        places = FaceParser(width).state_dict()
    return {
        key: torch.zeros((), dtype=torch.int64)
        if key.endswith("num_batches_tracked")
        else torch.rand(place.shape, generator=generator) / (place[0].numel() if place.ndim == 4 else 1)
        for key, place in places.items()
    }


@pytest.fixture(scope="module")
def weights():
    torch.set_num_threads(1)
    return official()


def faces(count: int, side: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)


def test_the_layout_has_the_official_files_191_tensors_and_13_million_parameters(weights):
    parser = FaceParser.from_weights(weights, "a file")
    assert len(parser.state_dict()) == 191
    assert round(sum(one.numel() for one in parser.parameters()) / 1e6, 1) == 13.3
    assert not parser.training
    assert not any(one.requires_grad for one in parser.parameters())


def test_weights_in_half_precision_are_computed_in_float32(weights):
    halves = {key: value.half() if value.is_floating_point() else value for key, value in weights.items()}
    state = FaceParser.from_weights(halves, "a file").state_dict()
    assert all(torch.equal(state[key], value.to(state[key].dtype)) for key, value in halves.items())
    assert {value.dtype for value in state.values()} == {torch.float32, torch.int64}


def test_a_narrower_network_of_the_same_layout_is_read_as_it_is():
    parser = FaceParser.from_weights(official(4), "a file")
    assert parser.cp.resnet.layer4[1].conv2.weight.shape == (32, 32, 3, 3)
    assert parser.labels(faces(1)).shape == (1, 64, 64)
    with pytest.raises(RunError, match=r"is \(16, .* not \(32, "):
        FaceParser.from_weights(official(8) | {"ffm.convblk.conv.weight": torch.zeros(16, 16, 1, 1)}, "a file")


def test_missing_unknown_and_misshapen_tensors_are_refused_by_name(weights):
    without = {key: value for key, value in weights.items() if key != "ffm.conv1.weight"}
    for wrong, named in (
        (without, r"a file: the face parser .*ffm\.conv1\.weight"),
        (weights | {"surprise": torch.zeros(1)}, "surprise"),
        (
            weights | {"conv_out.conv_out.weight": torch.zeros(11, 256, 1, 1)},
            r"conv_out\.conv_out\.weight is \(11, 256",
        ),
    ):
        with pytest.raises(RunError, match=named) as caught:
            FaceParser.from_weights(wrong, "a file")
        assert caught.value.exit_code == Exit.USAGE


def test_labels_are_the_classes_of_each_face_alone(weights):
    parser, seen = FaceParser.from_weights(weights, "a file"), faces(3)
    labels = parser.labels(seen)
    assert labels.dtype == torch.uint8
    assert labels.shape == (3, 64, 64)
    assert int(labels.max()) < CLASSES
    for number, face in enumerate(seen):
        assert torch.equal(parser.labels(face[None])[0], labels[number])
        logits = parser(normalise(face)[None])
        assert logits.shape == (1, CLASSES, 64, 64)
        assert torch.equal(logits[0].argmax(0).to(torch.uint8), labels[number])
    assert parser.labels(seen[:0]).shape == (0, 64, 64)


@pytest.mark.parametrize("wrong", [faces(1).astype(np.float32), faces(1)[0], faces(1)[..., :2], faces(1, 60)])
def test_pictures_of_other_shapes_are_refused(weights, wrong):
    with pytest.raises(ValueError, match="steps of 32"):
        FaceParser.from_weights(weights, "a file").labels(wrong)


def test_the_person_is_gray_hair_too_and_everything_else_is_white():
    seen = faces(2, 32)
    labels = torch.arange(CLASSES, dtype=torch.uint8).repeat(108)[: 2 * 32 * 32].reshape(2, 32, 32)
    image = face_feature_image(seen, labels).numpy()
    gray = (seen.astype(np.float64) / 255) @ GRAY_WEIGHTS
    kept = np.isin(labels.numpy(), [1, 2, 3, 4, 5, 6, 10, 11, 12, 13, HAIR])
    wanted = np.where(kept, gray, 1.0)
    assert image.dtype == np.float32
    assert np.abs(image - wanted[:, None]).max() < 1e-6
    assert (image[:, 0] == image[:, 1]).all()
    assert (image[:, 0] == image[:, 2]).all()


def test_white_hair_stands_out(monkeypatch):
    seen, labels = faces(1, 32) // 2, torch.full((1, 32, 32), SKIN, dtype=torch.uint8)
    labels[:, :16] = HAIR
    right = face_feature_image(seen, labels)
    monkeypatch.setattr("idgen.networks.face_features.WHITE_CLASSES", (*WHITE_CLASSES, HAIR))
    assert float((face_feature_image(seen, labels) - right).abs().max()) > 0.5


def test_labels_of_another_size_are_refused():
    with pytest.raises(ValueError, match="do not match"):
        face_feature_image(faces(1, 32), torch.zeros(1, 16, 16, dtype=torch.uint8))
