"""What may get a copy under the shop's name while a run goes on: `images.publish`, before people have looked."""

from typing import Literal

Publish = Literal["ok", "not_held", "accepted"]

HELD = "held"
"""A picture's verdict, when a gate holds it back."""


def may_copy_at_once(publish: Publish, verdict: str) -> bool:
    """Return whether a picture that was just made gets its named copy now; the end of the run decides on the others."""
    return publish == "ok" or (publish == "not_held" and verdict != HELD)
