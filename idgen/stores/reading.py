"""Reading a store through pyarrow: its errors become the stores' own."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from idgen.stores.protocol import ObjectMissing, StoreError


@contextmanager
def reading(what: str, *also: type[Exception]) -> Iterator[None]:
    """Turn what pyarrow (and what reads through it: `also`) raises in the block into StoreError or ObjectMissing."""
    try:
        yield
    except FileNotFoundError as error:
        raise ObjectMissing(f"{what} is incomplete: {error}") from error
    except (OSError, pa.ArrowException, *also) as error:
        raise StoreError(f"{what} cannot be read: {error}") from error
