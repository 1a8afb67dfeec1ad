"""Whether files are what a recipe says they are, by the names and shapes of their tensors; nothing is loaded."""

import re
from pathlib import Path

from idgen.errors import Exit, RunError
from idgen.recipes.families import FAMILIES, FamilyName, family_of
from idgen.recipes.recipe import AdapterSpec, Recipe
from idgen.recipes.variants import VARIANTS, Variant
from idgen.schemas import EMBEDDING_WIDTH
from idgen.weights import control_rules, face_layouts, face_networks
from idgen.weights.hashes import Files
from idgen.weights.headers import Shapes, shapes_of
from idgen.weights.locations import locate
from idgen.weights.part_rules import check_part, present, settings, unet_settings
from idgen.weights.recognition import FILES, PROJECTIONS, instead, is_a, own_shapes, projection_of
from idgen.weights.roles import WeightPart, files_of

_ATTENTION_WIDTH_KEY = "cross_attention_dim"
_TENSORS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")


def check_layout(part: WeightPart, recipe: Recipe) -> str:
    """Return in a few words what a part that is there was found to be. Raises RunError(USAGE) when it is another."""
    files = files_of(part, recipe)
    check_part(part, recipe)
    match part.kind:
        case "adapter":
            return _check_adapter(files[0][1], _spec(part, recipe), recipe)
        case "image_encoder" | "face_parser" | "context":
            return _check_beside_adapter(files, part, recipe)
        case "lora":
            return _check_lora(files[0][1], recipe)
        case "unet":
            return _check_unet(files[0][1], recipe)
        case "vae":
            return _check_is("vae", _weights_of(files))
        case "base" if files[0][0] == "checkpoint":
            return _check_single_base(files[0][1])
        case "base":
            return _check_base_folder(locate(part.location, part.revision), recipe, len(files))
        case "text":
            return _check_text(locate(part.location, part.revision), recipe.base.kind, len(files))
        case "control" if "config.json" not in dict(files) or _has_other_config(part, recipe):
            return _check_net(_weights_of(files), recipe)
        case "control" | "control_config":
            return control_rules.NET
        case "face_pack":
            return face_networks.check_networks([path for _, path in files], locate(part.location))
        case _:
            return f"{len(files)} files"


def _spec(part: WeightPart, recipe: Recipe) -> AdapterSpec:
    """Return the adapter that a part belongs to."""
    return next(spec for spec in recipe.adapters if spec.name == part.role.partition(":")[2])


def _check_beside_adapter(files: Files, part: WeightPart, recipe: Recipe) -> str:
    """Check what an adapter needs beside its own file."""
    if part.kind == "face_parser":
        return face_layouts.check_parser(files[0][1])
    if part.kind == "context":
        return face_layouts.check_context(files[0][1], _text_width(recipe))
    if VARIANTS[_spec(part, recipe).kind].pulid is not None:
        return face_layouts.check_tower(locate(part.location))
    return _check_is("image_encoder", _weights_of(files))


def _weights_of(files: Files) -> Path:
    """Return the first of a part's files that holds tensors."""
    return next((path for _, path in files if path.suffix in _TENSORS), files[0][1])


def _has_other_config(part: WeightPart, recipe: Recipe) -> bool:
    """Return whether a ControlNet takes the settings of another folder, as EcomID's IdentityNet does."""
    return any(control.config for control in recipe.controls if control.name == part.role.partition(":")[2])


def _check_net(path: Path, recipe: Recipe) -> str:
    said = face_layouts.check_net(path)
    _check_width(path, _widths_read(path), recipe)
    return said


def _check_unet(path: Path, recipe: Recipe) -> str:
    said = _check_is("unet", path)
    _check_width(path, _widths_read(path), recipe)
    for family in FAMILIES.values():
        own, projects = family.text_projection, any(family.text_projection in name for name in shapes_of(path))
        if own and projects != (family == FAMILIES[recipe.base.kind]):
            what = f"{'a' if projects else 'not a'} UNet of {family.title}"
            raise RunError(Exit.USAGE, f"{path} is {what}, but the recipe's base.kind is {recipe.base.kind}")
    return said


def _widths_read(path: Path) -> list[int]:
    """Return how wide the text is that each cross-attention of a UNet, or of a copy of one, reads."""
    return [shape[1] for name, shape in shapes_of(path).items() if name.endswith("attn2.to_k.weight")]


def _check_width(path: Path, read: list[int], recipe: Recipe) -> None:
    """Compare what cross-attention in the file reads with the text of the base, where that is there."""
    wanted = _text_width(recipe)
    if read and wanted is not None and wanted not in read:
        raise RunError(Exit.USAGE, f"{path} is for text {read[0]} wide, but {recipe.base.weights} has {wanted}")


def _check_lora(path: Path, recipe: Recipe) -> str:
    shapes = shapes_of(path)
    if is_a("adapter", shapes):
        raise RunError(Exit.USAGE, f"{path} is not a LoRA: it is the file of an IP-Adapter, give it in adapters")
    said = _check_is("lora", path)
    first = re.compile(r".*attn2[._]to_k[._](processor\.)?(lora_A|lora_down|lora\.down)\b.*weight")
    _check_width(path, [shape[1] for name, shape in shapes.items() if first.fullmatch(name)], recipe)
    return said


def _check_adapter(path: Path, spec: AdapterSpec, recipe: Recipe) -> str:
    variant = VARIANTS[spec.kind]
    if variant.pulid is not None:
        place = present(spec.image_encoder)
        tower = face_layouts.tower_shapes(place) if place is not None else None
        return face_layouts.check_pulid(path, variant.pulid.version, _text_width(recipe), tower)
    shapes = shapes_of(path)
    if is_a("training", shapes):
        raise RunError(Exit.USAGE, f"{path} is {FILES['training'].what}")
    found = projection_of(own_shapes(shapes)) if is_a("branches", shapes) else ""
    if found != variant.projection:
        raise RunError(
            Exit.USAGE, f"{path} is not {spec.kind}: its projection is {found or 'unknown'}, not {variant.projection}"
        )
    has_lora = any("_lora." in name for name in shapes)
    if has_lora != variant.lora:
        raise RunError(Exit.USAGE, f"{path} is not {spec.kind}: it has {'a' if has_lora else 'no'} LoRA")
    _check_text_width(path, shapes, variant, recipe)
    _check_input_width(path, shapes, spec, variant, recipe)
    return f"{spec.kind}, {len(shapes)} tensors"


def _text_width(recipe: Recipe) -> int | None:
    """Return how wide the text is that the base's UNet reads, None where that is not there."""
    width = unet_settings(recipe).get(_ATTENTION_WIDTH_KEY)
    return width if isinstance(width, int) else None


def _check_text_width(path: Path, shapes: Shapes, variant: Variant, recipe: Recipe) -> None:
    """Compare with the base's UNet where it is there; families differ in the width of their text."""
    unet = unet_settings(recipe)
    made = shapes["image_proj.norm.weight"][0] if variant.through_text and "image_proj.norm.weight" in shapes else None
    read = next(shape[1] for name, shape in shapes.items() if name.endswith("to_k_ip.weight"))
    for found, key in ((read, _ATTENTION_WIDTH_KEY), (made, FAMILIES[recipe.base.kind].text_width_setting)):
        wanted = unet.get(key)
        if isinstance(wanted, int) and found not in (wanted, None):
            raise RunError(
                Exit.USAGE,
                f"{path} is made for a base with text {found} wide, but {recipe.base.weights} has {wanted}",
            )


def _check_input_width(path: Path, shapes: Shapes, spec: AdapterSpec, variant: Variant, recipe: Recipe) -> None:
    """Compare with the image encoder, where it is there, or with the face's embedding."""
    name, axis = PROJECTIONS[variant.projection].reads
    shape = own_shapes(shapes).get(name, ())
    if len(shape) <= axis:
        raise RunError(Exit.USAGE, f"{path} is not {spec.kind}: it has no matrix image_proj.{name}")
    found = shape[axis]
    wanted: object = EMBEDDING_WIDTH
    if variant.features is not None:
        folder = present(spec.image_encoder)
        encoder = settings(folder / "config.json") if folder is not None else {}
        inner = encoder.get("vision_config")
        encoder = inner if inner and isinstance(inner, dict) else encoder
        wanted = encoder.get("projection_dim" if variant.features == "image_embeds" else "hidden_size")
        _check_side(spec, variant, encoder)
    if isinstance(wanted, int) and found != wanted:
        source = spec.image_encoder or "the face pack"
        raise RunError(
            Exit.USAGE, f"{path} takes features {found} wide, but {source} gives {wanted}: is it the wrong encoder?"
        )


def _check_side(spec: AdapterSpec, variant: Variant, encoder: dict[str, object]) -> None:
    """Kolors' encoder looks at more pixels than its namesake of the same width."""
    side = encoder.get("image_size")
    if isinstance(side, int) and side != variant.clip_px:
        raise RunError(
            Exit.USAGE,
            f"{spec.image_encoder} is an encoder of {side} px, but {spec.kind} needs one of {variant.clip_px} px",
        )


def _check_base_folder(folder: Path, recipe: Recipe, files: int) -> str:
    """Kolors has SDXL's layers, so only its settings tell the two apart."""
    unet, wanted = settings(folder / FAMILIES[recipe.base.kind].denoiser / "config.json"), recipe.base.kind
    found = family_of(unet)
    if unet and found != wanted:
        raise RunError(Exit.USAGE, f"{folder} is {_what(found, wanted)}, but the recipe's base.kind is {wanted}")
    return f"{files} files"


def _what(found: FamilyName, wanted: FamilyName) -> str:
    """Return what a base is that is none of the `wanted` family."""
    if FAMILIES[found].text_projection:
        return f"a {FAMILIES[found].title} base"
    return f"not a {FAMILIES[wanted].title} base" if FAMILIES[wanted].text_projection else f"a base of kind {found}"


def _check_text(folder: Path, kind: FamilyName, files: int) -> str:
    found = settings(folder / "text_encoder" / "config.json").get("model_type")
    family = FAMILIES[kind]
    if found != family.text_model:
        says = f"its config says {found or 'nothing'}"
        raise RunError(Exit.USAGE, f"{folder} has no text encoder of {family.title}: {says}")
    return f"{found}, {files} files"


def _check_single_base(path: Path) -> str:
    if looks := instead("base", shapes_of(path)):
        raise RunError(Exit.USAGE, f"{path} is {looks}")
    return _check_is("base", path)


def _check_is(kind: str, path: Path) -> str:
    """Return in a few words what a file was found to be. Raises RunError unless it is of that `kind`."""
    shapes, what = shapes_of(path), FILES[kind].what
    if not is_a(kind, shapes):
        raise RunError(Exit.USAGE, f"{path} is not {what}")
    return f"{what}, {len(shapes)} tensors"
