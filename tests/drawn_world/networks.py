"""Small convolutional networks that look at pictures or latents during training; none of them paints."""

from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from idgen.tiny.people import EXPRESSIONS, SCENES, SHIRTS

GROUPS = 8


def conv(inner: int, outer: int, stride: int = 1) -> nn.Sequential:
    """Return a 3x3 convolution with norm and activation."""
    return nn.Sequential(
        nn.Conv2d(inner, outer, 3, stride, 1, bias=False), nn.GroupNorm(GROUPS, outer), nn.SiLU(inplace=True)
    )


class Judge(nn.Module):
    """Faces [B, 3, 64, 64] in -1..1 to embeddings [B, 512]; another architecture than the face pack's recogniser.

    Plain convolutions with group norms, over a frame that shows the hair too, at a lower resolution.
    """

    SIDE_PX = 64
    ROOM = 0.2
    """More on each side than ArcFace's frame."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 32, 64, 96, 128, 192)
        layers = [conv(a, b, 1 if a == 3 else 2) for a, b in pairwise(widths)]
        self.body = nn.Sequential(*layers, conv(192, 192), nn.Flatten())
        self.head = nn.Linear(192 * 16, 512)

    def forward(self, faces: Tensor) -> Tensor:
        """See the class."""
        out: Tensor = self.head(self.body(faces))
        return out


class Reader(nn.Module):
    """Pictures [B, 3, S, S] to logits of scene, shirt and expression, one after the other: [B, 20]."""

    SIZES: ClassVar[list[int]] = [len(SCENES), len(SHIRTS), len(EXPRESSIONS)]

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(3, 24, 2), conv(24, 48, 2), conv(48, 96), conv(96, 128, 2), conv(128, 128), conv(128, 192, 2)
        )
        self.pool = nn.AdaptiveAvgPool2d(3)
        self.head = nn.Linear(192 * 9, sum(self.SIZES))

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        out: Tensor = self.head(self.pool(self.body(pictures)).flatten(1))
        return out


class Critic(nn.Module):
    """Latents [B, 4, h, h] to (embedding [B, 512], keypoints [B, 10] in 0..1, facts [B, 20] as Reader's)."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(4, 64), conv(64, 96), conv(96, 128, 2), conv(128, 160), conv(160, 192, 2), conv(192, 192), nn.Flatten()
        )
        flat = 192 * (-(-side // 4)) ** 2
        self.identity = nn.Linear(flat, 512)
        self.points = nn.Linear(flat, 10)
        self.facts = nn.Linear(flat, sum(Reader.SIZES))

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        seen = self.body(latents)
        return self.identity(seen), self.points(seen), self.facts(seen)
