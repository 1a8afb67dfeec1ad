"""What weight files hold beside the weights that are read: marks of how they were trained, scales, leftovers.

Nothing of a file is passed over. A tensor is used, or stands in unused.py with the reason, or its file is refused by
name. No torch here.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from idgen.errors import Exit, RunError
from idgen.weights.unused import Role, unread

V_PREDICTION, ZERO_SNR = "v_pred", "ztsnr"
"""Empty tensors by which single files say what diffusers has in a scheduler's settings."""
_EDM = re.compile(r"edm_mean|edm_std|edm_vpred\.\w+")
"""Playground v2.5's and CosXL's."""
_MARKS = re.compile(rf"{V_PREDICTION}|{ZERO_SNR}|scaled_fp8|{_EDM.pattern}")
"""Those that stand outside of all parts; `schedule` and `check_numbers` judge them."""
_SCALES = re.compile(r"scaled_fp8|.*\.(scale_weight|weight_scale(_2)?|scale_input|input_scale|comfy_quant)")
_FLOATS = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")
_THREE_IN_ONE = re.compile(r".*\.in_proj_(weight|bias)")
"""Query, key and value of OpenCLIP's attention, which are three tensors in transformers."""


def check_numbers(dtypes: Mapping[str, str], source: Path) -> None:
    """Raise RunError when weights of `source` are no numbers by themselves: fp8 with scales beside it, integers.

    `dtypes` are those of the file's tensors, in the words of .safetensors.
    """
    scales = [name for name in dtypes if _SCALES.fullmatch(name)]
    if scales:
        raise RunError(
            Exit.USAGE,
            f"{source} is scaled fp8: {len(scales)} scales such as {min(scales)} belong to its weights, and idgen "
            "does not apply them; give the fp16 or bf16 file of these weights",
        )
    whole = [name for name in weights_of(dtypes) if dtypes[name] not in _FLOATS]
    if whole:
        raise RunError(
            Exit.USAGE,
            f"{source} is quantised: {min(whole)} is {dtypes[min(whole)]}, as {len(whole)} of its {len(dtypes)} "
            "tensors are; give the fp16 or bf16 file of these weights",
        )


def schedule(names: Iterable[str], source: Path) -> dict[str, object]:
    """Return the scheduler settings that a file's marks say. Raises RunError for those that nothing here can follow."""
    found = set(names)
    edm = sorted(name for name in found if _EDM.fullmatch(name))
    if edm:
        raise RunError(
            Exit.USAGE,
            f"{source} was trained with EDM (it has {edm[0]}, as Playground v2.5 and CosXL have), which no scheduler "
            "here supports: use a base with epsilon or v-prediction",
        )
    if ZERO_SNR in found and V_PREDICTION not in found:
        raise RunError(
            Exit.USAGE,
            f"{source} has {ZERO_SNR} without {V_PREDICTION}: epsilon prediction cannot start from pure noise",
        )
    settings: dict[str, object] = {}
    if V_PREDICTION in found:
        settings["prediction_type"] = "v_prediction"
    if ZERO_SNR in found:
        settings["rescale_betas_zero_snr"] = True
    return settings


def check_outside(names: Iterable[str], prefixes: tuple[str, ...], source: Path) -> None:
    """Raise RunError when a base in a single file holds something outside of its parts' `prefixes`."""
    odd = [name for name in weights_of(names) if not name.startswith(prefixes)]
    if odd:
        raise left_over(source, odd, "they do not belong to a base of this family")


def check_expected(unexpected: Iterable[str], source: Path, what: str, role: Role) -> None:
    """Raise RunError when a library found tensors in `source` that `what` has no place for, but for known ones."""
    strange = sorted(unread(unexpected, role))
    if strange:
        raise left_over(source, strange, f"{what} has no place for them")


def check_all_read(names: Iterable[str], made: int, source: Path, what: str) -> None:
    """Raise RunError when more tensors have `names` than `what`, which has `made` of its own, can be made of.

    All of them are known to be filled, so as many as are too many were passed over; sampling/part_names.py says which.
    """
    count = sum(3 if _THREE_IN_ONE.fullmatch(name) else 1 for name in weights_of(names))
    if count > made:
        raise RunError(
            Exit.USAGE,
            f"{source}: {count - made} tensors would not be read: it has {count} for {what}, which has {made}; a "
            "file must be used completely or not at all",
        )


def weights_of(names: Iterable[str]) -> list[str]:
    """Return those of a single file's `names` that are neither marks nor known to be unused."""
    return [name for name in unread(names, "file") if not _MARKS.fullmatch(name)]


def left_over(source: Path | str, names: list[str], why: str) -> RunError:
    """Return the error of a file with tensors of these `names` that nothing reads; `why` follows them."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return RunError(
        Exit.USAGE,
        f"{source}: {len(names)} tensors would not be read ({', '.join(names[:3])}{more}): {why}; "
        "a file must be used completely or not at all",
    )
