"""Stages autoencoder and latents: an AutoencoderKL that all bases share, and what it makes of the drawings.

Four pixels to a latent. Latents are brought to mean 0 and deviation 1 per channel inside the quant convolutions, so the
scaling factor is 1.
"""

from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional

from drawn_world import drawings
from drawn_world.loop import Loop
from drawn_world.pictures import Pictures, unit
from drawn_world.plan import Plan
from drawn_world.recogniser import Recogniser, face_crops
from drawn_world.workspace import Workspace

CHANNELS = 4
PLACED_SHARE = 0.35
DIVERGENCE = 2e-7
"""Of the sum over all latents, beside means over pixels."""
LOG_VARIANCE = -7.0
"""Where the encoder begins: sure of what it sees."""


def config(plan: Plan) -> dict[str, Any]:
    """Return AutoencoderKL's settings."""
    widths = plan.autoencoder_widths
    return {
        "down_block_types": ("DownEncoderBlock2D",) * len(widths),
        "up_block_types": ("UpDecoderBlock2D",) * len(widths),
        "block_out_channels": widths,
        "layers_per_block": 1,
        "norm_num_groups": 1,  # torch's kernels are slow below 16 channels a group, three times backwards
        "latent_channels": CHANNELS,
        "sample_size": plan.picture_px,
        "scaling_factor": 1.0,
        "force_upcast": False,
        "mid_block_add_attention": False,
    }


def train(space: Workspace) -> None:
    """Train it, then fold the latents' means and deviations in."""
    if space.weights("autoencoder").exists():
        return
    torch.manual_seed(space.plan.seed)
    net = AutoencoderKL(**config(space.plan)).to(memory_format=torch.channels_last)
    with torch.no_grad():
        net.quant_conv.bias[CHANNELS:] = LOG_VARIANCE
    pictures, recogniser = Pictures(space), Recogniser().to(space.device)
    loop = Loop("autoencoder_raw", net, space.plan.autoencoder, space)
    for _ in loop:
        pixels, _, points = pictures.batch(space.plan.autoencoder.batch, PLACED_SHARE, loop.numbers())
        terms = _terms(net, recogniser, pixels, points, loop.generator(), space)
        psnr = -10 * torch.log10(terms.pop("square"))
        loop.update(torch.stack(list(terms.values())).sum(), {**terms, "psnr": psnr})
    loop.finish()
    standardise(net, pictures)
    torch.save({name: tensor.cpu() for name, tensor in net.state_dict().items()}, space.weights("autoencoder"))


def load(space: Workspace) -> Any:
    """Return the trained autoencoder, frozen."""
    net = AutoencoderKL(**config(space.plan))
    net.load_state_dict(torch.load(space.weights("autoencoder"), weights_only=True))
    return net.requires_grad_(False).eval().to(space.device, memory_format=torch.channels_last)


@torch.no_grad()
def standardise(net: Any, pictures: Pictures) -> None:
    """Fold mean and deviation of every latent channel over many drawings into the quant convolutions."""
    rng, means = np.random.default_rng(1), []
    for _ in range(16):
        pixels, _, _ = pictures.batch(32, PLACED_SHARE, rng)
        means.append(net.encode(pixels).latent_dist.mean)
    values = torch.cat(means).permute(1, 0, 2, 3).flatten(1)
    mean, spread = values.mean(1), values.std(1)
    net.post_quant_conv.bias += net.post_quant_conv.weight[:, :, 0, 0] @ mean
    net.post_quant_conv.weight *= spread[None, :, None, None]
    net.quant_conv.bias[:CHANNELS] = (net.quant_conv.bias[:CHANNELS] - mean) / spread
    net.quant_conv.weight[:CHANNELS] /= spread[:, None, None, None]
    net.quant_conv.bias[CHANNELS:] -= 2 * spread.log()


@torch.no_grad()
def encode_all(space: Workspace) -> None:
    """Stage latents: encode every drawing, calm_latents.npy and placed_latents.npy, float16."""
    net = load(space)
    for kind in ("calm", "placed"):
        path = space.data(f"{kind}_latents")
        if path.exists():
            continue
        pixels = drawings.load(space, kind)
        side = space.plan.latent_side
        draft = path.with_suffix(".part.npy")
        shape = (*pixels.shape[:2], CHANNELS, side, side)
        out = np.lib.format.open_memmap(draft, "w+", np.float16, shape)
        for start in range(0, len(pixels), 16):
            part = torch.from_numpy(np.array(pixels[start : start + 16])).to(space.device)
            with space.autocast():
                means = net.encode(
                    unit(part.flatten(0, 1)).contiguous(memory_format=torch.channels_last)
                ).latent_dist.mean
            out[start : start + 16] = means.unflatten(0, part.shape[:2]).half().cpu().numpy()
            space.check_time()
        draft.replace(path)
        space.note(
            "latents", what=kind, mean=float(np.mean(out[:50])), deviation=float(np.std(out[:50], dtype=np.float32))
        )


def _through(net: Any, pixels: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return what comes back of `pixels`, and the latents' mean and log variance; `noise` is [B, 4, h, h]."""
    mean, logvar = net.quant_conv(net.encoder(pixels)).chunk(2, dim=1)
    logvar = logvar.clamp(-30, 20)
    return net.decoder(net.post_quant_conv(mean + (0.5 * logvar).exp() * noise)), mean, logvar


def _terms(
    net: Any, recogniser: Recogniser, pixels: Tensor, points: Tensor, generator: torch.Generator,
    space: Workspace,
) -> dict[str, Tensor]:  # fmt: skip
    """Return the parts of the loss, weighted."""
    side = space.plan.latent_side
    noise = torch.randn(len(pixels), CHANNELS, side, side, generator=generator).to(pixels.device)
    with space.autocast():
        out, mean, logvar = _through(net, pixels.contiguous(memory_format=torch.channels_last), noise)
    out, mean, logvar = out.float(), mean.float(), logvar.float()
    away = out - pixels
    slopes = away.diff(dim=2).abs().mean() + away.diff(dim=3).abs().mean()
    ours, theirs = face_crops(out, points, 112), face_crops(pixels, points, 112)
    with torch.no_grad():
        wanted = functional.normalize(recogniser(theirs))
    found = functional.normalize(recogniser(ours))
    return {
        "pixels": away.abs().mean(),
        "slopes": 0.5 * slopes,
        "pooled": functional.avg_pool2d(away, 8).abs().mean(),
        "faces": 0.5 * (ours - theirs).abs().mean(),
        "identity": 0.1 * (1 - (found * wanted).sum(1)).mean(),
        "divergence": DIVERGENCE * 0.5 * (mean**2 + logvar.exp() - 1 - logvar).mean(0).sum(),
        "square": (away.detach() ** 2).mean() / 4,
    }
