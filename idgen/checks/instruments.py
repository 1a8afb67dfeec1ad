"""Takes the measures that need a network, once per picture, before the checks look at it.

Face analysis costs more than all checks together, so it is done here and nowhere else; checks are then functions of
pixels and facts. Publishing threads call this, several at once.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from idgen.checks.picture import Embedding, Instrument, PictureFacts, Pixels, Place, SeenFaces
from idgen.errors import RunError

log = logging.getLogger(__name__)

Found = TypeVar("Found")


class Finder(Protocol):
    """What is used of faces.analysis.FaceAnalyser."""

    def see(self, rgb: Pixels, near: Place | None, *, embedding: bool) -> SeenFaces:
        """Return the faces of a finished picture [H, W, 3]."""
        ...


class Judge(Protocol):
    """What is used of faces.judge.Judge."""

    def embed(self, rgb: Pixels, points: Embedding) -> Embedding:
        """Return the embedding [W] of the face with the five points [5, 2]."""
        ...


class SafetyModel(Protocol):
    """What is used of safety_model.SafetyModel."""

    def score(self, rgb: Pixels) -> float:
        """Return how likely the picture is not safe for work, 0..1."""
        ...


@dataclass(frozen=True, slots=True)
class Instruments:
    """Those of one recipe; None = not asked for. Each is given by a function that keeps what it loads."""

    finder: Callable[[], Finder] | None = None
    judge: Callable[[], Judge] | None = None
    safety: Callable[[], SafetyModel] | None = None

    def measure(self, picture: Pixels, facts: PictureFacts) -> PictureFacts:
        """Return the facts with what the instruments say of the picture.

        Faces are looked for only where nobody has looked at these pixels yet. An instrument that breaks costs its own
        measures: `broken` says which, as a warning `check_failed`. Raises RunError where this node cannot have one, as
        every picture would lack its measures.
        """
        facts = self._seen(picture, facts)
        facts = self._judged(picture, facts)
        safety = self.safety
        if safety is None or facts.unsafe_score is not None:
            return facts
        return _with(facts, "safety", lambda: replace(facts, unsafe_score=safety().score(picture)))

    def _seen(self, picture: Pixels, facts: PictureFacts) -> PictureFacts:
        finder = self.finder
        if finder is None or facts.seen is not None:
            return facts
        own = facts.id_embeddings is not None and len(facts.id_embeddings) > 0

        def look() -> PictureFacts:
            """Look for faces."""
            return replace(facts, seen=finder().see(picture, facts.wanted_place, embedding=own))

        return _with(facts, "faces", look)

    def _judged(self, picture: Pixels, facts: PictureFacts) -> PictureFacts:
        judge, seen = self.judge, facts.seen
        if judge is None or seen is None or seen.points is None or facts.judge_embeddings is None:
            return facts
        points = seen.points

        def look() -> PictureFacts:
            """Ask the judge."""
            return replace(facts, seen=replace(seen, judge_embedding=judge().embed(picture, points)))

        return _with(facts, "judge", look)


NO_INSTRUMENTS = Instruments()
"""For pictures of which pixels alone are checked."""


def _with(facts: PictureFacts, name: Instrument, take: Callable[[], PictureFacts]) -> PictureFacts:
    try:
        return take()
    except RunError:
        raise
    except Exception as error:
        log.exception("the instrument %s broke", name)
        return replace(facts, broken={**facts.broken, name: f"check_failed: {name} ({type(error).__name__})"})
