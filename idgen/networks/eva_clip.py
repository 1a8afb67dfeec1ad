"""The vision tower of EVA02-CLIP-L-14-336, through which PuLID and EcomID look at a face; in float32, as theirs.

Module names are the official keys (`visual.*` of EVA02_CLIP_L_336_psz14_s6B.pt); equal to baaivision's eva_clip
(tests/golden). A tower before normalisation, with rotary positions on all patches but the class token. Matrices stay
as the file stores them (networks/stored.py); weights on the meta device load as well.
"""

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from idgen.errors import Exit, RunError
from idgen.networks import checkpoints, projections
from idgen.networks.stored import StoredLinear
from idgen.weights.unused import unread

LEVELS = (3, 7, 11, 15, 19)
"""Blocks, counted from 0, whose outputs PuLID reads; its code takes them as the inputs of 4, 8, 12, 16 and 20."""
OFFICIAL_FILE = "EVA02_CLIP_L_336_psz14_s6B.pt"
_EPSILON = 1e-6
_ROPE_BASE = 10000.0
_PREFIX = "visual."


class _File(TypedDict):
    vision_cfg: dict[str, float]
    embed_dim: float


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaConfig:
    """Sizes of a tower; the defaults are EVA02-CLIP-L-14-336's."""

    side_px: int = 336
    patch_px: int = 14
    layers: int = 24
    width: int = 1024
    head_width: int = 64
    mlp_width: int = 2730
    pooled_width: int = 768
    trained_grid: int = 16
    """Patches per side that the rotary positions were trained with; those of another grid are put between them."""

    @property
    def grid(self) -> int:
        """Patches per side."""
        return self.side_px // self.patch_px

    @property
    def positions(self) -> int:
        """L of EvaFeatures: the class token and the patches; 577."""
        return self.grid**2 + 1

    @classmethod
    def read(cls, path: Path) -> "EvaConfig":
        """Return what a config.json in eva_clip's layout says. Raises RunError when it is of another kind of tower."""
        try:
            settings: _File = json.loads(path.read_text())
            vision = dict(settings["vision_cfg"])
            lacking = [name for name in ("rope", "intp_freq", "naiveswiglu", "subln") if not vision.get(name)]
            if lacking:
                raise RunError(Exit.USAGE, f"{path} is not the config of an EVA02-CLIP tower: it has no {lacking[0]}")
            return cls(
                side_px=int(vision["image_size"]),
                patch_px=int(vision["patch_size"]),
                layers=int(vision["layers"]),
                width=int(vision["width"]),
                head_width=int(vision["head_width"]),
                mlp_width=int(vision["width"] * vision["mlp_ratio"]),
                pooled_width=int(settings["embed_dim"]),
                trained_grid=int(vision["pt_hw_seq_len"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(
                Exit.USAGE,
                f"{path} is not the config of an EVA02-CLIP model in eva_clip's layout ({type(error).__name__} "
                f"{error}): if it belongs to another model, keep the EVA02-CLIP file in a folder of its own",
            ) from error


@dataclass(frozen=True, slots=True)
class EvaFeatures:
    """What PuLID reads of n pictures, float32."""

    pooled: Tensor
    """[n, 768], not normalised: `pulid.id_cond` does that."""
    hidden_states: Tensor
    """[5, n, 577, W], the residual stream after LEVELS, class token first."""


class _Attention(nn.Module):
    def __init__(self, config: EvaConfig) -> None:
        super().__init__()
        width = config.width
        self.head_width = config.head_width
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.q_proj = StoredLinear(width, width, bias=False)
        self.k_proj = StoredLinear(width, width, bias=False)
        self.v_proj = StoredLinear(width, width, bias=False)
        self.inner_attn_ln = nn.LayerNorm(width, eps=_EPSILON)
        self.proj = StoredLinear(width, width)

    def forward(self, states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """[n, L, W] -> [n, L, W]."""
        query, key, value = (
            part.unflatten(-1, (-1, self.head_width)).transpose(1, 2)  # [n, heads, L, d]
            for part in (self.q_proj(states) + self.q_bias, self.k_proj(states), self.v_proj(states) + self.v_bias)
        )
        seen = functional.scaled_dot_product_attention(_turn(query, cos, sin), _turn(key, cos, sin), value)
        out: Tensor = self.proj(self.inner_attn_ln(seen.transpose(1, 2).flatten(2)))
        return out


class _SwiGlu(nn.Module):
    def __init__(self, config: EvaConfig) -> None:
        super().__init__()
        self.w1 = StoredLinear(config.width, config.mlp_width)
        self.w2 = StoredLinear(config.width, config.mlp_width)
        self.ffn_ln = nn.LayerNorm(config.mlp_width, eps=_EPSILON)
        self.w3 = StoredLinear(config.mlp_width, config.width)

    def forward(self, states: Tensor) -> Tensor:
        """[n, L, W] -> [n, L, W]."""
        out: Tensor = self.w3(self.ffn_ln(functional.silu(self.w1(states)) * self.w2(states)))
        return out


class _Block(nn.Module):
    def __init__(self, config: EvaConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=_EPSILON)
        self.attn = _Attention(config)
        self.norm2 = nn.LayerNorm(config.width, eps=_EPSILON)
        self.mlp = _SwiGlu(config)

    def forward(self, states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """[n, L, W] -> [n, L, W]."""
        states = states + self.attn(self.norm1(states), cos, sin)
        out: Tensor = states + self.mlp(self.norm2(states))
        return out


class EvaTower(nn.Module):
    """See the module's docstring. Made by `load` or `from_weights`; moved as a whole by `to(device)`, never cast."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: EvaConfig) -> None:
        super().__init__()
        self.config = config
        width, patch = config.width, config.patch_px
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, config.positions, width))
        self.patch_embed = nn.Sequential(OrderedDict(proj=nn.Conv2d(3, width, patch, stride=patch)))
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width, eps=_EPSILON)
        self.head = StoredLinear(width, config.pooled_width)

    def forward(self, pixel_values: Tensor) -> EvaFeatures:
        """Return features of `pixel_values` [n, 3, S, S], float32, as `pulid.face_features` makes them.

        Rows do not look at each other, but kernels may round differently for another n: who needs a person's bits to
        be the same in any company gives one picture at a time.
        """
        side = self.config.side_px
        if pixel_values.dim() != 4 or pixel_values.shape[1:] != (3, side, side):
            raise ValueError(f"pixels {tuple(pixel_values.shape)} are not for a tower of {side} px")
        states = self.patch_embed(pixel_values.float()).flatten(2).transpose(1, 2)  # [n, patches, W]
        states = torch.cat([self.cls_token.expand(len(states), -1, -1), states], dim=1) + self.pos_embed
        levels = []
        for number, block in enumerate(self.blocks):
            states = block(states, self.cos, self.sin)
            if number in LEVELS:
                levels.append(states)
        return EvaFeatures(self.head(self.norm(states))[:, 0], torch.stack(levels))

    @classmethod
    def load(cls, path: Path, sha256: str | None = None) -> "EvaTower":
        """Return the tower of the official file at `path`, on the CPU; its text half is left out.

        Sizes are those that a config.json beside it says in eva_clip's layout; without one, EVA02-CLIP-L-14-336's.
        Raises RunError as `from_weights`, `EvaConfig.read` and idgen/networks/checkpoints.py.
        """
        beside = path.with_name("config.json")
        config = EvaConfig.read(beside) if beside.is_file() else EvaConfig()
        return cls.from_weights(checkpoints.read(path, sha256), config, path.name)

    @classmethod
    def from_weights(cls, weights: Mapping[str, Tensor], config: EvaConfig, source: str) -> "EvaTower":
        """Return the tower with the `visual.*` of `weights`, frozen.

        Raises RunError when tensors are missing, unknown or of other shapes; `source` names the file in it.
        """
        names = unread(weights, "tower")
        given = {name.removeprefix(_PREFIX): weights[name] for name in names if name.startswith(_PREFIX)}
        outside = [name for name in names if not name.startswith(_PREFIX)]
        if config.layers <= LEVELS[-1]:
            raise RunError(
                Exit.USAGE, f"{source}: PuLID reads block {LEVELS[-1]}, but the tower has only {config.layers} blocks"
            )
        with torch.device("meta"):
            tower = cls(config)
        _check(given, tower.state_dict(), outside, source)
        projections.fill(tower, given, source)
        for name, table in zip(("cos", "sin"), rotations(config), strict=True):
            tower.register_buffer(name, table.to(tower.cls_token.device), persistent=False)
        return tower


def rotations(config: EvaConfig) -> tuple[Tensor, Tensor]:
    """Return cosines and sines [patches, head width] of the rotary positions, float32.

    The first half of a head turns with the patch's row, the second with its column; two neighbours share an angle.
    """
    half = config.head_width // 2
    speeds = 1.0 / (_ROPE_BASE ** (torch.arange(0, half, 2).float() / half))
    places = torch.arange(config.grid) / config.grid * config.trained_grid
    angles = (places[:, None] * speeds).repeat_interleave(2, dim=-1)  # [grid, half]
    grid = (config.grid, config.grid, half)
    both = torch.cat([angles[:, None].expand(grid), angles[None].expand(grid)], dim=-1).flatten(0, 1)
    return both.cos(), both.sin()


def _turn(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn every pair of neighbours in [n, heads, L, d] by its patch's angle; the class token stays as it is."""
    patches = states[:, :, 1:]
    crossed = torch.stack([-patches[..., 1::2], patches[..., 0::2]], dim=-1).flatten(-2)
    return torch.cat([states[:, :, :1], patches * cos + crossed * sin], dim=2)


def _check(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor], outside: list[str], source: str) -> None:
    """Raise RunError unless `given` has the names and shapes of `wanted`, and nothing is `outside` of it."""
    missing, unknown = sorted(wanted.keys() - given.keys()), sorted(given.keys() - wanted.keys()) + outside
    other = [name for name in wanted.keys() & given.keys() if given[name].shape != wanted[name].shape]
    if not given:
        trouble = "it has no visual.* tensors (conversions for timm or transformers have other names)"
    elif missing or unknown:
        trouble = f"{len(missing)} tensors are missing {missing[:3]}, {len(unknown)} unknown {unknown[:3]}"
    elif other:
        name = min(other)
        trouble = f"visual.{name} is {tuple(given[name].shape)}, not {tuple(wanted[name].shape)}"
    else:
        return
    raise RunError(Exit.USAGE, f"{source} is not the EVA02-CLIP that PuLID uses, {OFFICIAL_FILE}: {trouble}")
