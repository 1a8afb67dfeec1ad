"""Rules between the settings of a row, and which of the recipe's defaults a row gets."""

from collections.abc import Collection, Mapping
from dataclasses import asdict

from idgen import values
from idgen.columns import INIT_IMAGE, MAP_OF, MASK_IMAGE, POSE_IMAGE, SCALE_OF, SHOWN_TO, TOLD_SIZES
from idgen.recipes.recipe import Control, Recipe
from idgen.recipes.schedulers import SCHEDULERS
from idgen.values import Cell


def defaults_of(recipe: Recipe, given: Collection[str], images: Collection[str]) -> dict[str, Cell]:
    """Return what null columns of the recipe's rows become, by column.

    `given` are the other columns that a row sets, `images` its image columns. What decides nothing in a row is left
    out, and so never reaches its key.
    """
    defaults = asdict(recipe.defaults)
    inpaint = inpaints(recipe, images)
    unused = {
        "shortcut_scale": "shortcut_scale" not in recipe.columns,
        "strength": INIT_IMAGE not in images or inpaint,  # with the control inpaint: from noise
        "mask_mode": not inpaint or MASK_IMAGE not in images,
        "paste_back": not inpaint,
        "face_fit": not has_control(recipe, "identity") or "face_keypoints" in given,
        "face_pass": "face_pass" not in recipe.columns,
    }
    if "face_box" in given:
        defaults["face_fit"] = "place"
    defaults = {name: value for name, value in defaults.items() if not unused.get(name)}
    return defaults | {SCALE_OF[control.name]: control.scale for control in _used(recipe, images)}


def has_control(recipe: Recipe, name: str) -> bool:
    """Return whether one of the recipe's controls is called `name`."""
    return any(control.name == name for control in recipe.controls)


def inpaints(recipe: Recipe, images: Collection[str]) -> bool:
    """Return whether rows that set these image columns are shown to the control inpaint."""
    return has_control(recipe, "inpaint") and INIT_IMAGE in images


def check_together(
    columns: Mapping[str, Cell], recipe: Recipe, images: Collection[str], schedulers: Collection[str]
) -> None:
    """Raise RowError(BAD_VALUE) for resolved settings that contradict each other or would change nothing."""
    steps = columns["num_inference_steps"]
    if columns["scheduler"] not in schedulers:
        raise values.bad("scheduler", f"must be one of {', '.join(sorted(schedulers))}")
    spec = SCHEDULERS.get(columns["scheduler"])
    if spec is not None and steps > spec.max_steps:
        raise values.bad("num_inference_steps", f"{columns['scheduler']} allows at most {spec.max_steps}")
    if recipe.base.steps and steps not in recipe.base.steps:
        allowed = " or ".join(str(number) for number in recipe.base.steps)
        raise values.bad("num_inference_steps", f"the base of {recipe.name} was made for {allowed}")
    if "strength" in columns and INIT_IMAGE not in images:
        raise values.bad("strength", "has no effect without init_image_uri")
    if "strength" in columns and steps * float(f"{columns['strength']:.6g}") < 1:  # float32's 0.02 of 50 is 1
        raise values.bad("strength", f"leaves none of the {steps} steps; give at least {1 / steps:.3g}")
    _check_controls(columns, recipe, images)
    _check_face(columns, images)
    _check_told_sizes(columns)
    _check_inpaint(columns, recipe, images)


def _check_controls(columns: Mapping[str, Cell], recipe: Recipe, images: Collection[str]) -> None:
    for name, image in SHOWN_TO.items():
        if SCALE_OF[name] in columns and image not in images:
            raise values.bad(SCALE_OF[name], f"has no effect without {image}")
    used = _used(recipe, images)
    for name in ("control_guidance_start", "control_guidance_end"):
        if name in columns and not used:
            raise values.bad(name, "has no effect without a control image")
    for control in used:
        end = columns.get("control_guidance_end", control.end)
        if columns.get("control_guidance_start", control.start) >= end:
            raise values.bad("control_guidance_start", f"must be less than the end, {end:g} for {control.name}")


def _check_face(columns: Mapping[str, Cell], images: Collection[str]) -> None:
    """Only one thing may say where the face is: its points, its box, or how its photo lies in the picture."""
    box, points, fit = (columns.get(name) for name in ("face_box", "face_keypoints", "face_fit"))
    if points is not None and box is not None:
        raise values.bad("face_keypoints", "says where the face is, as face_box does; give one of them")
    if points is not None and fit is not None:
        raise values.bad("face_fit", "has no effect with face_keypoints, which say where the face is; leave it empty")
    if points is not None and POSE_IMAGE in images:
        raise values.bad(POSE_IMAGE, "gives the face's points, as face_keypoints does; give one of them")
    if box is not None and fit not in (None, "place"):
        raise values.bad("face_fit", f"{fit} has no effect with face_box, which says where the face is; leave it empty")
    if box is None and fit == "place":
        raise values.bad("face_fit", "place needs face_box, which says where to place the face")


def _check_told_sizes(columns: Mapping[str, Cell]) -> None:
    """Half a size would be filled up with half of the picture's own."""
    for one, other in _TOLD_TOGETHER:
        for name, missing in ((one, other), (other, one)):
            if name in columns and missing not in columns:
                raise values.bad(name, f"needs {missing} as well")


_TOLD_TOGETHER = tuple(zip(TOLD_SIZES[::2], TOLD_SIZES[1::2], strict=True))
"""Height and width, top and left: each of them stands beside its other in the table."""


def _check_inpaint(columns: Mapping[str, Cell], recipe: Recipe, images: Collection[str]) -> None:
    if inpaints(recipe, images):
        if "mask_mode" in columns and MASK_IMAGE not in images:
            raise values.bad(
                "mask_mode", "has no effect without mask_image_uri: the transparent part of init_image_uri is repainted"
            )
        return
    lacks = f"because {recipe.name} has no control inpaint" if INIT_IMAGE in images else "without init_image_uri"
    if MASK_IMAGE in images:
        raise values.bad(MASK_IMAGE, f"has no effect {lacks}")
    if "mask_mode" in columns:
        raise values.bad("mask_mode", f"has no effect {lacks}")
    if columns.get("paste_back"):
        raise values.bad("paste_back", f"has no effect {lacks}")


def _used(recipe: Recipe, images: Collection[str]) -> list[Control]:
    """Return the controls that rows with these images are made with; every row has a face for identity."""
    shown = {"identity": True, "inpaint": inpaints(recipe, images)}
    return [one for one in recipe.controls if shown.get(one.name, MAP_OF.get(one.name) in images)]
