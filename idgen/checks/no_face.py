"""Why a measure of the face has no value: said by every check that has none because of it."""

from idgen.checks.picture import Instrument, PictureFacts
from idgen.checks.protocol import Finding

NO_FACE = "no_face_found: the row has references, but no face is found in the picture"


def unmeasured(name: str, facts: PictureFacts, *instruments: Instrument) -> Finding:
    """Return the finding of a check that has no value, with the reason where that is something to look at.

    `instruments` are those it needs. A reason is: one of them broke, or a picture of a person has no face. None is: the
    recipe looks for no face, there are no references, no such instrument was asked for.
    """
    broken = tuple(facts.broken[one] for one in instruments if one in facts.broken)
    missing = facts.seen is not None and facts.seen.chosen is None and facts.has_person
    reasons = broken or ((NO_FACE,) if missing and "faces" in instruments else ())
    return Finding(name, None, "warn" if reasons else "ok", reasons, broke=bool(broken))
