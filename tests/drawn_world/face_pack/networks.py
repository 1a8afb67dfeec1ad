"""The two small networks of the face pack. Only the training scripts import this module (it needs torch)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Conv(nn.Sequential):
    """Convolution, batch norm, ReLU; the norm is folded into the weights on export."""

    def __init__(self, inner: int, outer: int, size: int = 3, stride: int = 1, act: bool = True) -> None:
        convolution = nn.Conv2d(inner, outer, size, stride, size // 2, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(outer), *([nn.ReLU(inplace=True)] if act else []))


class Residual(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(Conv(width, width), Conv(width, width, act=False))

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to the same shape."""
        return torch.relu(x + self.body(x))


class Detector(nn.Module):
    """Per stride a map [B, H, W, 2, 15]: raw score, 4 distances and 10 keypoint offsets in strides."""

    reach: Tensor

    def __init__(self, reach: tuple[tuple[float, float], ...], neck: int = 48) -> None:
        super().__init__()
        self.stem = nn.Sequential(Conv(3, 16, stride=2), Conv(16, 32, stride=2), Conv(32, 32))
        self.stages = nn.ModuleList(
            nn.Sequential(Conv(inner, outer, stride=2), Residual(outer))
            for inner, outer in ((32, 48), (48, 64), (64, 72))
        )
        self.fine = Conv(32 * 4, neck, 1)  # stride-4 detail for the keypoints of small faces
        self.laterals = nn.ModuleList(Conv(width, neck, 1, act=False) for width in (48, 64, 72))
        self.smooth = nn.ModuleList(Conv(neck, neck) for _ in range(3))
        self.score_tower, self.place_tower = Conv(neck, neck), nn.Sequential(Conv(neck, neck), Conv(neck, neck))
        self.score = nn.ModuleList(nn.Conv2d(neck, 2, 1) for _ in range(3))
        self.place = nn.ModuleList(nn.Conv2d(neck, 28, 1) for _ in range(3))
        self.register_buffer("reach", torch.tensor(reach), persistent=False)
        for name, weight in self.score.named_parameters():
            if name.endswith("bias"):
                nn.init.constant_(weight, -4.0)  # nearly every cell is background

    def forward(self, x: Tensor) -> list[Tensor]:
        """Pictures [B, 3, H, W], sides multiples of 32, to one map per stride."""
        detail = x = self.stem(x)
        levels = []
        for stage, lateral in zip(self.stages, self.laterals, strict=True):
            x = stage(x)
            levels.append(lateral(x))
        levels[1] = levels[1] + nn.functional.interpolate(levels[2], scale_factor=2.0)
        levels[0] = levels[0] + nn.functional.interpolate(levels[1], scale_factor=2.0)
        levels[0] = levels[0] + self.fine(nn.functional.pixel_unshuffle(detail, 2))
        return [self._head(i, smooth(level)) for i, (smooth, level) in enumerate(zip(self.smooth, levels, strict=True))]

    def _head(self, index: int, level: Tensor) -> Tensor:
        score_map, place_map = self.score_tower(level), self.place_tower(level)
        with torch.autocast("cpu", enabled=False):  # half precision would round the keypoints
            score = self.score[index](score_map.float()).permute(0, 2, 3, 1).unsqueeze(-1)
            place = self.place[index](place_map.float()).permute(0, 2, 3, 1).unflatten(-1, (2, 14))
        box, points = place[..., :4] + 1.0, place[..., 4:]
        reach = self.reach[index].view(2, 1)
        return torch.cat([score, box * reach, points * reach], -1)


class ScrfdOutputs(nn.Module):
    """The detector with its maps flattened in SCRFD's order: scores, boxes, keypoints, each for stride 8, 16, 32."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """One picture to nine outputs."""
        maps = [level.reshape(-1, 15) for level in self.net(x)]
        scores = [level[:, :1].sigmoid() for level in maps]
        return (*scores, *(level[:, 1:5] for level in maps), *(level[:, 5:] for level in maps))


class Recogniser(nn.Module):
    """An aligned face [B, 3, 112, 112] to an embedding [B, 512], not normalised, as ArcFace gives it."""

    def __init__(self, width: int = 40) -> None:
        super().__init__()
        a, b, c = width, width * 8 // 5, width * 11 // 5
        self.body = nn.Sequential(
            Conv(3, 24, stride=2), Conv(24, a, stride=2), Residual(a), Conv(a, b, stride=2), Residual(b),
            Conv(b, c, stride=2), Residual(c), Conv(c, 160, 1),
            nn.Conv2d(160, 160, 7, groups=160, bias=False), nn.BatchNorm2d(160), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Linear(160, 512, bias=False), nn.BatchNorm1d(512))

    def forward(self, x: Tensor) -> Tensor:
        """Crops [B, 3, 112, 112] to [B, 512]."""
        embedding: Tensor = self.head(self.body(x))
        return embedding
