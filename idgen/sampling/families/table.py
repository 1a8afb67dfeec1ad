"""The table of families: base.kind of a recipe -> what reads such a base. What they are like is in protocol.py."""

from idgen.recipes.families import FamilyName
from idgen.sampling.families.kolors import Kolors
from idgen.sampling.families.protocol import Reader
from idgen.sampling.families.sd15 import Sd15
from idgen.sampling.families.sdxl import Sdxl
from idgen.sampling.families.unet import UnetBase


def _with_unet(family: type[UnetBase]) -> Reader:
    return Reader(family, family.load_encoder, family.KINDS.name, family.WITHOUT)


READERS: dict[FamilyName, Reader] = {
    "sd15": _with_unet(Sd15),
    "sdxl": _with_unet(Sdxl),
    "kolors": _with_unet(Kolors),
}
