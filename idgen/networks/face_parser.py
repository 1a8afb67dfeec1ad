"""The face parser: which of 19 classes each pixel of an aligned face belongs to.

BiSeNet (Yu et al. 2018) on an 18-layer ResNet, as facexlib trains it for CelebAMask-HQ; module names are the official
keys of `parsing_bisenet.pth`. Equal to facexlib's (tests/golden/test_face_cases.py). Written from a list of its
layers, without torchvision or facexlib.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from idgen.errors import Exit, RunError
from idgen.networks import transfers
from idgen.networks.projections import check_keys

CLASSES = 19
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""ImageNet's, of RGB in 0..1."""

WIDTH = 64
"""Channels of the first convolution in the official file; all others are multiples of it."""

_FACTOR = 32
"""A side of the picture is a multiple of the deepest stride."""


class FaceParser(nn.Module):
    """RGB of aligned faces -> classes. Float32, in eval mode. On CUDA let TF32 be off: it moves a few borders."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.cp = _ContextPath(width)
        self.ffm = _Fusion(4 * width, 4 * width)
        self.conv_out = _Head(4 * width, 4 * width)
        # the two side heads help in training alone; they are here for the strict load
        self.conv_out16 = _Head(2 * width, width)
        self.conv_out32 = _Head(2 * width, width)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Return logits [n, 19, H, W] of normalised RGB [n, 3, H, W], both sides multiples of 32."""
        detail, context = self.cp(pixel_values)
        logits = self.conv_out(self.ffm(detail, context))
        height, width = pixel_values.shape[-2:]
        return enlarge(logits, (height, width))

    @torch.inference_mode()
    def labels(self, faces: NDArray[np.uint8]) -> Tensor:
        """Return the classes, uint8 [n, H, W] on the module's device, of RGB faces uint8 [n, H, W, 3].

        One face at a time, so that what stands beside a face changes nothing. ValueError for other shapes.
        """
        if (
            faces.dtype != np.uint8
            or faces.ndim != 4
            or faces.shape[-1] != 3
            or any(s % _FACTOR for s in faces.shape[1:3])
        ):
            raise ValueError(
                f"faces {faces.dtype} {faces.shape} are not uint8 [n, H, W, 3] with sides in steps of {_FACTOR}"
            )
        device = self.conv_out.conv_out.weight.device
        each = [self(transfers.upload(normalise(face), device)[None]).argmax(1).to(torch.uint8) for face in faces]
        return torch.cat(each) if each else torch.empty(faces.shape[:3], dtype=torch.uint8, device=device)

    @classmethod
    def from_weights(cls, weights: Mapping[str, Tensor], source: str) -> "FaceParser":
        """Return the parser with the tensors of the official file, or of a narrower one like it, float32, frozen.

        Raises RunError when keys are missing or unknown or a shape is another one; `source` names the file in it.
        """
        with torch.device("meta"):
            module = cls(_width(weights))
        places = module.state_dict()
        check_keys(weights, set(places), source, "the face parser", "give facexlib's parsing_bisenet.pth")
        for name, place in places.items():
            if weights[name].shape != place.shape:
                raise RunError(
                    Exit.USAGE,
                    f"{source}: the face parser's {name} is {tuple(weights[name].shape)}, not {tuple(place.shape)}",
                )
        module.load_state_dict({name: weights[name].to(place.dtype) for name, place in places.items()}, assign=True)
        return module.requires_grad_(False).eval()


def _width(weights: Mapping[str, Tensor]) -> int:
    """Return the channels of the first convolution; the official file's where that is not there."""
    first = weights.get("cp.resnet.conv1.weight")
    return first.shape[0] if first is not None and first.dim() == 4 and first.shape[0] else WIDTH


def normalise(face: NDArray[np.uint8]) -> Tensor:
    """Return float32 [3, H, W], as the parser wants it, of an RGB picture uint8 [H, W, 3]."""
    pixels = torch.from_numpy(face.transpose(2, 0, 1).copy()).float() / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return (pixels - mean) / std


def enlarge(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Return `logits` [n, C, h, w] at `size` (height, width): bilinear, corner pixels on corner pixels."""
    return functional.interpolate(logits, size, mode="bilinear", align_corners=True)


class _ConvNorm(nn.Module):
    """Convolution that keeps the size, batch norm, ReLU."""

    def __init__(self, seen: int, out: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(seen, out, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        """Return [n, out, h, w]."""
        return functional.relu(self.bn(self.conv(x)))


class _Block(nn.Module):
    """A residual block of two 3x3 convolutions."""

    def __init__(self, seen: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(seen, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        changes = stride != 1 or seen != out
        self.downsample = (
            nn.Sequential(nn.Conv2d(seen, out, 1, stride, bias=False), nn.BatchNorm2d(out)) if changes else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's features, its shortcut added."""
        change = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(change + (x if self.downsample is None else self.downsample(x)))


class _ResNet18(nn.Module):
    """The backbone: features at 1/8, 1/16 and 1/32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _stage(width, width, 1)
        self.layer2 = _stage(width, 2 * width, 2)
        self.layer3 = _stage(2 * width, 4 * width, 2)
        self.layer4 = _stage(4 * width, 8 * width, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the features at 1/8, 1/16 and 1/32."""
        quarter = self.layer1(functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, 1))
        eighth = self.layer2(quarter)
        sixteenth = self.layer3(eighth)
        return eighth, sixteenth, self.layer4(sixteenth)


def _stage(seen: int, out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(_Block(seen, out, stride), _Block(out, out, 1))


class _Attention(nn.Module):
    """Attention refinement: each channel times a weight in 0..1 that its mean decides. No skip."""

    def __init__(self, seen: int, out: int) -> None:
        super().__init__()
        self.conv = _ConvNorm(seen, out)
        self.conv_atten = nn.Conv2d(out, out, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x`, each channel weighed."""
        features: Tensor = self.conv(x)
        weight: Tensor = self.bn_atten(self.conv_atten(_mean(features))).sigmoid()
        return features * weight


class _ContextPath(nn.Module):
    """What is seen from afar, brought up to 1/8 step by step."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.resnet = _ResNet18(width)
        self.arm16 = _Attention(4 * width, 2 * width)
        self.arm32 = _Attention(8 * width, 2 * width)
        self.conv_head32 = _ConvNorm(2 * width, 2 * width)
        self.conv_head16 = _ConvNorm(2 * width, 2 * width)
        self.conv_avg = _ConvNorm(8 * width, 2 * width, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the backbone's features and the context, both [n, 2 * width, H / 8, W / 8]."""
        eighth, sixteenth, last = self.resnet(x)
        whole = _repeat(self.conv_avg(_mean(last)), last)
        context = self.conv_head32(_repeat(self.arm32(last) + whole, sixteenth))
        return eighth, self.conv_head16(_repeat(self.arm16(sixteenth) + context, eighth))


class _Fusion(nn.Module):
    """Joins detail and context, and adds what its attention picks of both."""

    def __init__(self, seen: int, out: int) -> None:
        super().__init__()
        self.convblk = _ConvNorm(seen, out, 1)
        self.conv1 = nn.Conv2d(out, out // 4, 1, bias=False)
        self.conv2 = nn.Conv2d(out // 4, out, 1, bias=False)

    def forward(self, detail: Tensor, context: Tensor) -> Tensor:
        """Return [n, out, h, w] of both."""
        features: Tensor = self.convblk(torch.cat([detail, context], 1))
        weight: Tensor = self.conv2(functional.relu(self.conv1(_mean(features)))).sigmoid()
        return features * weight + features


class _Head(nn.Module):
    """Features -> logits at their own size."""

    def __init__(self, seen: int, hidden: int) -> None:
        super().__init__()
        self.conv = _ConvNorm(seen, hidden)
        self.conv_out = nn.Conv2d(hidden, CLASSES, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [n, classes, h, w]."""
        out: Tensor = self.conv_out(self.conv(x))
        return out


def _mean(features: Tensor) -> Tensor:
    return features.mean((2, 3), keepdim=True)


def _repeat(features: Tensor, like: Tensor) -> Tensor:
    """Return `features` at the size of `like`, each value repeated."""
    return functional.interpolate(features, like.shape[-2:], mode="nearest")
