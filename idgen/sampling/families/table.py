"""The table of families: base.kind of a recipe -> what reads such a base. What they are like is in protocol.py."""

from idgen.recipes.families import FamilyName
from idgen.sampling.families.kolors import Kolors
from idgen.sampling.families.protocol import Reader
from idgen.sampling.families.sd15 import Sd15
from idgen.sampling.families.sdxl import Sdxl

READERS: dict[FamilyName, Reader] = {
    "sd15": Reader(Sd15, Sd15.load_encoder),
    "sdxl": Reader(Sdxl, Sdxl.load_encoder),
    "kolors": Reader(Kolors, Kolors.load_encoder),
}
