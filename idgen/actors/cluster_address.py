"""The address of a job's Ray cluster, checked quickly: Ray itself would try a dead address for minutes."""

import os
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from idgen.config import ClusterConfig
from idgen.errors import Exit, RunError

ANSWERS_WITHIN_S = 30.0
"""A head that is starting up needs seconds; longer waits are for nodes."""
LONGEST_TEMP_CHARS = 36
"""Ray adds up to 71 characters for its sockets, and a socket's path has at most 107."""
SHORT_TEMP = Path("/tmp/ray")
_PAUSE_S = 0.5


def address_of(config: ClusterConfig) -> str:
    """Return the address of the cluster to join, "" for a local one. Raises RunError(USAGE) for anything else."""
    address = config.address or os.environ.get("RAY_ADDRESS", "")
    said_by = "cluster.address" if config.address else "RAY_ADDRESS"
    if address in ("", "local"):
        return ""
    if "://" in address:
        raise RunError(
            Exit.USAGE,
            f"{said_by}={address}: the job must run on a node of the cluster; submit it there (ray job submit), "
            "or give host:port of the head (usually port 6379)",
        )
    host, _, port = address.rpartition(":")
    if address != "auto" and not (host and port.isdigit() and 0 < int(port) < 65536):
        raise RunError(Exit.USAGE, f"{said_by}={address}: write host:port of the cluster's head, auto or local")
    return address


def wait_for_answer(address: str, wait_s: float, check_stop: Callable[[], None]) -> None:
    """Return once somebody listens at host:port. `check_stop` raises to end the wait.

    Raises RunError(UNAVAILABLE) after `wait_s` or ANSWERS_WITHIN_S, whichever is less.
    """
    host, _, port = address.rpartition(":")
    ends_at = time.monotonic() + min(wait_s, ANSWERS_WITHIN_S)
    while True:
        check_stop()
        left_s = ends_at - time.monotonic()
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=min(2.0, max(0.1, left_s))).close()
            return
        except OSError as error:
            if time.monotonic() + _PAUSE_S >= ends_at:
                cause = error.strerror or str(error)
                raise RunError(Exit.UNAVAILABLE, f"no Ray cluster at {address}: {cause}") from error
        time.sleep(_PAUSE_S)


def short_temp_folder() -> str | None:
    """Return where a local Ray keeps its sockets when its own choice makes their paths too long, else None."""
    usual = Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or tempfile.gettempdir(), "ray")
    return str(SHORT_TEMP) if len(os.fsencode(usual)) > LONGEST_TEMP_CHARS else None
