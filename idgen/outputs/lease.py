"""One driver per catalogue: lease.json, renewed while the driver lives.

No clock but our own is trusted: a lease counts as held while its content keeps changing, and as left behind when it
did not change for a whole lifetime while we watched.
"""

import json
import logging
import os
import socket
import threading
import time
import uuid
from datetime import UTC, datetime
from types import TracebackType

from idgen.errors import Exit, RunError
from idgen.stores.protocol import ObjectExists, ObjectMissing, ObjectStore, StoreError

LEASE_PATH = "lease.json"
_LOOKS = 15
"""How often a waiting driver looks within one lifetime."""

log = logging.getLogger(__name__)


class Lease:
    """The right to write one catalogue, as a context manager or by `acquire` and `release`.

    `lost` is set when somebody else took it, or when it was not renewed for a whole lifetime, even while a request of
    the renewal still hangs: the driver must then stop in order. Two drivers that take over in the same moment both
    write; the one that does not find itself there after a pause gives way. What still slips through meets in the
    ledger, whose parts have different names.
    """

    def __init__(self, store: ObjectStore, owner: str, *, renew_s: float = 10.0, lifetime_s: float = 30.0) -> None:
        self._store = store
        self._renew_s = renew_s
        self._lifetime_s = lifetime_s
        self._identity = {
            "owner": owner,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "token": uuid.uuid4().hex,  # tells our lease from one that an earlier process of the same run left
            "lifetime_s": lifetime_s,
        }
        self._renewals = 0
        self._renewed_s = 0.0  # when the last write that succeeded was begun: nobody takes over within a lifetime of it
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.lost = threading.Event()

    def acquire(self) -> "Lease":
        """Take the lease, waiting up to a lifetime for one that nobody renews.

        Raises RunError (REFUSED) naming owner and host when somebody does, StoreError when the store is away.
        """
        while not self._take():
            found = self._read()
            if found is None:
                continue
            self._watch(found)
            self._write(if_absent=False)
            time.sleep(self._renew_s / 5)
            now = self._read()
            if now is not None and now.get("token") != self._identity["token"]:
                raise self._refusal(now)
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()
        threading.Thread(target=self._guard, name="lease-guard", daemon=True).start()
        return self

    def release(self) -> None:
        """Stop renewing and remove the lease, unless it is somebody else's by now.

        A renewal that hangs is waited for one lifetime.
        """
        self._stop.set()
        if self._thread is not None:
            self._thread.join(self._lifetime_s)
        try:
            found = self._read()
            if found is not None and found.get("token") == self._identity["token"]:
                self._store.delete([LEASE_PATH])
        except StoreError as error:
            log.warning("the lease was not deleted and stays until it expires: %s", error)

    def is_taken_by_namesake(self) -> bool:
        """Whether another driver goes on under our owner's name: the run's folder is that driver's now.

        Raises StoreError.
        """
        found = self._read() if self.lost.is_set() else None
        mine = self._identity
        return found is not None and found.get("owner") == mine["owner"] and found.get("token") != mine["token"]

    def __enter__(self) -> "Lease":
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _take(self) -> bool:
        """True when the lease is ours."""
        try:
            self._write(if_absent=True)
        except ObjectExists:
            found = self._read()
            return found is not None and found.get("token") == self._identity["token"]
        return True

    def _watch(self, found: dict[str, object]) -> None:
        """Return when `found` stayed as it is for one lifetime, or vanished. Raises RunError when it changed."""
        lifetime_s = max(self._lifetime_s, _seconds(found.get("lifetime_s")))
        log.warning(
            "run %s on %s holds the lease; waiting %.0f s for it", found.get("owner"), found.get("host"), lifetime_s
        )
        end = time.monotonic() + lifetime_s
        while time.monotonic() < end:
            time.sleep(lifetime_s / _LOOKS)
            now = self._read()
            if now is None:
                return
            if now != found:
                raise self._refusal(now)

    def _refusal(self, found: dict[str, object]) -> RunError:
        return RunError(
            Exit.REFUSED,
            f"{self._store.root} is being written by run {found.get('owner')!r} on {found.get('host')!r} "
            f"(process {found.get('pid')!r}); wait for it to end, or stop it",
        )

    def _keep(self) -> None:
        """Renew until told to stop, or until the lease is not ours any more."""
        while not self._stop.wait(self._renew_s) and not self.lost.is_set():
            try:
                found = self._read()
                if found is not None and found.get("token") != self._identity["token"]:
                    log.error("run %s on %s took the lease", found.get("owner"), found.get("host"))
                    self.lost.set()
                elif not self.lost.is_set():  # an answer that came too late: another may be taking it this moment
                    self._write(if_absent=found is None)
            except StoreError as error:
                log.warning("the lease was not renewed: %s", error)

    def _guard(self) -> None:
        """Call the lease lost by the clock: a renewal may hang in the store while another driver waits one lifetime."""
        while not self.lost.is_set():
            left_s = self._renewed_s + self._lifetime_s - time.monotonic()
            if left_s <= 0:
                log.error("the lease was not renewed for %.0f s: another run may take it", self._lifetime_s)
                self.lost.set()
            elif self._stop.wait(min(left_s, self._lifetime_s / _LOOKS)):
                return

    def _write(self, *, if_absent: bool) -> None:
        began_s = time.monotonic()
        self._store.put(LEASE_PATH, self._content(), if_absent=if_absent)
        self._renewed_s = began_s

    def _read(self) -> dict[str, object] | None:
        return _content_of(self._store)

    def _content(self) -> bytes:
        self._renewals += 1
        now = {"renewed_at": datetime.now(UTC).isoformat(), "renewals": self._renewals}
        return json.dumps(self._identity | now, indent=1).encode()


def lease_owner(store: ObjectStore) -> str:
    """Return who holds the lease, "" when nobody does. Raises StoreError."""
    found = _content_of(store)
    return "" if found is None else str(found.get("owner", ""))


def _content_of(store: ObjectStore) -> dict[str, object] | None:
    """Return what the lease says, None when there is none; a damaged one is an owner without a name."""
    try:
        data = store.get(LEASE_PATH)
    except ObjectMissing:
        return None
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"owner": "unknown", "host": "unknown", "raw": data.hex()}


def _seconds(value: object) -> float:
    """Return a lifetime somebody else wrote, within reason."""
    return min(float(value), 600.0) if isinstance(value, int | float) else 0.0
