"""Whether a ControlNet can work beside a base's UNet, by the settings of both. No torch here."""

from collections.abc import Iterable, Mapping

from idgen.weights.recognition import is_a

NET = "ControlNetModel"
"""Class in diffusers."""
IMAGE_CHANNELS = 3
_SAME = ("in_channels", "block_out_channels", "layers_per_block")
"""Settings that a net and the UNet it is a copy of have in common, beside the width of the text."""


def kind_fault(settings: Mapping[str, object], names: Iterable[str] = ()) -> str | None:
    """Return what a folder holds instead of a ControlNet, None when it holds one.

    `settings` are those of its config.json, `names` those of its tensors, as far as they are known.
    """
    kind = str(settings.get("_class_name", NET if "block_out_channels" in settings else "nothing"))
    if "Union" in kind or is_a("union_net", names):
        return "a ControlNet Union, many nets in one, which is not supported: give a separate net for each control"
    return None if kind == NET else f"not a ControlNet: its config says {kind}"


def fault(net: Mapping[str, object], unet: Mapping[str, object]) -> str | None:
    """Return why a net of settings `net` cannot work beside a UNet of settings `unet`, None when it can.

    What one of them does not say is not compared.
    """
    width, wanted = net.get("cross_attention_dim"), unet.get("cross_attention_dim")
    width, wanted = _alike(width, wanted)
    if None not in (width, wanted) and width != wanted:
        return f"was made for text {width} wide, but the base's is {wanted}: SD 1.5 and SDXL need different ControlNets"
    for setting in _SAME:
        own, other = _alike(net.get(setting), unet.get(setting))
        if None not in (own, other) and own != other:
            return f"has {setting} {own}, but the base's UNet has {other}: use a net of the base's family"
    channels = net.get("conditioning_channels", IMAGE_CHANNELS)
    if channels != IMAGE_CHANNELS:
        return f"takes control images of {channels} channels, but they have {IMAGE_CHANNELS}"
    return None


def _alike(own: object, other: object) -> tuple[object, object]:
    """Return both as lists of one length where one is a number for every block, as diffusers reads it."""
    lists = [list(value) if isinstance(value, list | tuple) else value for value in (own, other)]
    length = next((len(value) for value in lists if isinstance(value, list)), None)
    if length is None or None in lists:
        return lists[0], lists[1]
    wide = [value if isinstance(value, list) else [value] * length for value in lists]
    return wide[0], wide[1]
