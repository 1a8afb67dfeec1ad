"""Small text files that an option names, as people and spreadsheets store them."""

from pathlib import Path

from idgen.errors import Exit, RunError

UTF16 = (b"\xff\xfe", b"\xfe\xff")
"""What a file in UTF-16 begins with."""


def read_text(option: str, path: str, max_bytes: int | None = None) -> str:
    """Return the text of a local file, UTF-8 or UTF-16. Raises RunError(USAGE) that names `option` and the file."""
    try:
        if max_bytes is not None and Path(path).stat().st_size > max_bytes:
            raise RunError(Exit.USAGE, f"{option}: {path} has more than {max_bytes // 2**20} MB")
        data = Path(path).read_bytes()
        return data.decode("utf-16" if data.startswith(UTF16) else "utf-8-sig")
    except FileNotFoundError:
        raise RunError(Exit.USAGE, f"{option}: there is no file {path}") from None
    except UnicodeError:
        raise RunError(Exit.USAGE, f"{option}: the text of {path} is not UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise RunError(Exit.USAGE, f"{option}: {path} cannot be read ({error.strerror})") from None
