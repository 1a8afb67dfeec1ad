"""Prompts that were encoded ahead: where the sampler gets them from."""

from collections.abc import Mapping
from contextlib import suppress

from idgen.errors import Code, RowError
from idgen.outputs import encoded_prompts
from idgen.sampling.caches import Text
from idgen.stores.protocol import ObjectMissing, ObjectStore, StoreError


class StoredTexts:
    """The texts of one encoder in the output's store; follows families.protocol.TextSource.

    Keeps nothing itself: the sampler's PromptCache does.
    """

    def __init__(self, store: ObjectStore, encoder: str, failed: Mapping[str, str]) -> None:
        """`failed`: path of a text that could not be made -> code, of all encoders."""
        self._store = store
        self._encoder = encoder
        self._failed = failed

    def get(self, prompt: str) -> Text:
        """See TextSource. A text that is not there costs the rows that need it, and nothing else.

        One that is there but is no text goes: a pass encodes only what its listing lacks.
        """
        path = encoded_prompts.path(self._encoder, encoded_prompts.digest(prompt))
        if path in self._failed:
            raise RowError(Code(self._failed[path]), f"the prompt was not encoded ahead: there is no {path}")
        try:
            return Text.from_bytes(self._store.get(path))
        except ObjectMissing as error:
            raise RowError(Code.TEXT_MISSING, f"{path} was there when sampling began, but is gone") from error
        except ValueError as error:
            with suppress(StoreError):  # then the next run's reader tries again
                self._store.delete([path])
            raise RowError(Code.TEXT_MISSING, f"{path} cannot be read: {error}") from error
        except StoreError as error:
            raise RowError(Code.TEXT_MISSING, f"{path} cannot be read: {error}") from error
