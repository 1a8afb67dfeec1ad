"""Which photos and images a row's picture is made from: who it shows, what it starts from, what guides it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from idgen import values
from idgen.columns import BY_NAME, LOOK_IMAGE
from idgen.errors import Code, RowError
from idgen.manifest.addresses import Addresses
from idgen.manifest.settings import Settings
from idgen.values import Cell


@dataclass(frozen=True, slots=True)
class ReferencePhotos:
    """The references of one row."""

    uris: list[str]
    sha256: list[str] | None
    contents: list[str]
    """What of them enters the key."""


def reference_photos_of(given: Mapping[str, Cell], settings: Settings, addresses: Addresses) -> ReferencePhotos:
    """Return the row's references, absolute. Raises RowError: missing, too many, or both kinds where one is unused."""
    one, several = given.get("reference_uri"), given.get("reference_uris")
    if one is not None and several is not None:
        raise values.bad("reference_uris", "give reference_uri or reference_uris, not both")
    recipe = settings.recipe
    photos = [one] if one is not None else []
    uris = photos if several is None else BY_NAME["reference_uris"].check("reference_uris", several, recipe)
    _check_number(given, len(uris), settings)
    column = "reference_uri" if several is None else "reference_uris"
    uris = [addresses.absolute(BY_NAME["reference_uri"].check(column, uri, recipe)) for uri in uris]
    if "reference_sha256" not in given:
        return ReferencePhotos(uris, None, [addresses.redacted(uri) for uri in uris])
    sums = BY_NAME["reference_sha256"].check("reference_sha256", given["reference_sha256"], recipe)
    if len(sums) != len(uris):
        raise values.bad("reference_sha256", f"{len(sums)} sums for {len(uris)} photos")
    return ReferencePhotos(uris, sums, sums)


def images_of(
    given: Mapping[str, Cell], names: Sequence[str], settings: Settings, addresses: Addresses
) -> dict[str, str]:
    """Return the absolute address of each of the row's other images, by column. Raises RowError."""
    checked = {name: BY_NAME[name].check(name, given[name], settings.recipe) for name in names if name in given}
    return {name: addresses.absolute(uri) for name, uri in checked.items()}


def _check_number(given: Mapping[str, Cell], photos: int, settings: Settings) -> None:
    recipe, has_picture = settings.recipe, LOOK_IMAGE in given
    if not photos and (settings.needs_face or (recipe.max_references and not settings.takes_picture)):
        raise RowError(Code.MISSING_VALUE, "reference_uri: the row has no photo of the person")
    if not photos and not has_picture and settings.takes_picture:
        raise RowError(Code.MISSING_VALUE, "reference_uri: the row has neither a photo nor an ip_adapter_image_uri")
    if photos > recipe.max_references:
        raise values.bad("reference_uris", f"{photos} photos, but {recipe.name} takes at most {recipe.max_references}")
    if photos and has_picture and not settings.needs_face:
        raise values.bad(LOOK_IMAGE, "give it or a reference, not both: one would be ignored")
    if "reference_mask_uri" in given and (photos != 1 or has_picture):
        raise values.bad("reference_mask_uri", "needs exactly one reference, and no ip_adapter_image_uri")
