"""Names the format of a file that is not a supported photo, by its first bytes, whatever its name says."""

_BRANDS = {
    "avif": "AVIF", "avis": "an AVIF sequence", "heic": "HEIC", "heix": "HEIC", "heim": "HEIC", "heis": "HEIC",
    "hevc": "a HEIC sequence", "hevx": "a HEIC sequence", "mif1": "HEIF", "msf1": "a HEIF sequence",
    "crx ": "Canon's raw", "qt  ": "a QuickTime video", "isom": "an MP4 video", "mp42": "an MP4 video",
    "mp41": "an MP4 video",
}  # fmt: skip
_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF (or a camera's raw photo)"),
    (b"MM\0*", "TIFF (or a camera's raw photo)"),
    (b"II+\0", "BigTIFF"),
    (b"MM\0+", "BigTIFF"),
    (b"BM", "BMP"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"8BPS", "a Photoshop file"),
    (b"%PDF-", "a PDF"),
    (b"\0\0\1\0", "an icon (ICO)"),
)
_READ = "only JPEG, PNG, WebP and AVIF are read"


def named(data: bytes) -> str:
    """Return one sentence that says what `data` is, as far as that is known, and what is read instead."""
    if data[4:8] == b"ftyp":
        brand = data[8:12].decode("latin-1")
        brands = {brand, *(data[at : at + 4].decode("latin-1") for at in range(16, min(_box_end(data), 64), 4))}
        if _BRANDS.get(brand) == "HEIF" and brands & {"heic", "heix"}:
            brand = "heic"
        kind = _BRANDS.get(brand, "a container without a photo of a known format")
        return f"this is {kind}, as iPhones write it; {_READ}" if kind == "HEIC" else f"this is {kind}; {_READ}"
    for beginning, kind in _BEGINNINGS:
        if data.startswith(beginning):
            return f"this is {kind}; {_READ}"
    return "not a JPEG, PNG, WebP or AVIF file"


def is_avif(data: bytes) -> bool:
    """Tell whether the file says that it is an AVIF, still or not."""
    return data[4:8] == b"ftyp" and b"avi" in data[8 : min(_box_end(data), 64)]


def _box_end(data: bytes) -> int:
    return int.from_bytes(data[:4], "big")
