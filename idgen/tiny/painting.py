"""Makes random weights paint: without it a random UNet and a random decoder give grey grit.

The UNet passes its input through to its output, normalised: a fair guess of the noise. What its random deep layers say
is added softly, and becomes coloured shapes. The decoder blends latents smoothly instead of rattling.
"""

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor

from idgen.tiny.random_weights import draw

LATENTS = 4
PAINT = 0.5
"""Strength of what the deep layers say against the noise estimate."""
DETAIL = 0.35
"""Share of the shallow layers in it: more gives smaller shapes."""
SD15_SCALING = 0.18215
ENCODED = 12.0
LOG_VARIANCE = -10.0
"""Of what a picture is encoded to; trained encoders are about as sure."""
MEAN_SILU = 0.207
"""Of a standard normal: taken off, so that pictures are neither dark nor light on the whole."""


@torch.no_grad()
def denoise(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """Lead the input along the last skip connection to the output, as pairs x and -x: silu(x) - silu(-x) = x."""
    through = 2 * LATENTS
    unet.conv_in.weight[:through] = 0
    unet.conv_in.bias[:through] = 0
    for channel in range(LATENTS):
        unet.conv_in.weight[channel, channel, 1, 1] = 1
        unet.conv_in.weight[channel + LATENTS, channel, 1, 1] = -1
    for block in unet.up_blocks:
        for resnet in block.resnets:
            _soften_skip(resnet)
    last = unet.up_blocks[-1].resnets[-1]
    width = unet.config.block_out_channels[0]
    attentions = getattr(unet.up_blocks[-1], "attentions", [])  # SDXL has none at its largest size
    for layer in (last.conv2, last.conv_shortcut, *(attention.proj_out for attention in attentions[-1:])):
        layer.weight[:through] = 0
        layer.bias[:through] = 0
    for channel in range(through):
        last.conv_shortcut.weight[channel, last.in_channels - width + channel] = 1
    unet.conv_out.weight *= PAINT
    unet.conv_out.weight[:, :through] = 0
    unet.conv_out.bias.zero_()
    for channel in range(LATENTS):
        unet.conv_out.weight[channel, channel, 1, 1] = 1
        unet.conv_out.weight[channel, channel + LATENTS, 1, 1] = -1
    for norm in (last.norm1, unet.conv_norm_out):
        norm.weight.fill_(1)
        norm.bias.zero_()
    return unet


def _soften_skip(resnet: ResnetBlock2D) -> None:
    """Let an up block listen to what comes from below more than to the noisy skip connection."""
    shortcut = resnet.conv_shortcut
    below = resnet.in_channels - resnet.out_channels
    shortcut.weight[:, below:] *= DETAIL
    resnet.conv1.weight[:, below:] *= DETAIL


@torch.no_grad()
def clear_decoder(vae: AutoencoderKL) -> AutoencoderKL:
    """Make the decoder blend: smooth upsampling, quiet residuals, and colours mixed from all channels."""
    decoder = vae.decoder
    vae.post_quant_conv.weight[:, :, 0, 0] = torch.eye(LATENTS)
    vae.post_quant_conv.bias.zero_()
    for name, module in decoder.named_modules():
        if name.endswith("upsamplers.0.conv"):
            module.weight.copy_(0.1 * module.weight + _smooth(module.weight.shape[0]))
        elif name.endswith(("conv2", "to_out.0")):
            module.weight *= 0.4
    loudness = vae.config.scaling_factor / SD15_SCALING  # latents of other families come in louder or softer
    decoder.conv_in.weight.copy_(_centred("decoder.conv_in", tuple(decoder.conv_in.weight.shape), loudness))
    decoder.conv_out.weight.copy_(_centred("decoder.conv_out", tuple(decoder.conv_out.weight.shape), 1.7))
    decoder.conv_out.bias.copy_(-MEAN_SILU * decoder.conv_out.weight.sum((1, 2, 3)))
    return vae


@torch.no_grad()
def clear_encoder(vae: AutoencoderKL) -> AutoencoderKL:
    """Make latents of a picture as large as those that pictures are made of, and all but free of chance."""
    vae.quant_conv.weight[:LATENTS] *= ENCODED
    vae.quant_conv.bias[:LATENTS] = 0
    vae.quant_conv.weight[LATENTS:] = 0
    vae.quant_conv.bias[LATENTS:] = LOG_VARIANCE
    return vae


def _smooth(channels: int) -> Tensor:
    """[C, C, 3, 3]: each channel blurred by itself."""
    line = torch.tensor([0.25, 0.5, 0.25])
    return torch.eye(channels)[:, :, None, None] * torch.outer(line, line)


def _centred(name: str, shape: tuple[int, ...], gain: float) -> Tensor:
    """A 3x3 filter that looks at its own pixel only, [O, I, 3, 3]."""
    weight = torch.zeros(shape)
    weight[:, :, 1, 1] = draw(f"sd15.{name}", shape[:2], gain)
    return weight
