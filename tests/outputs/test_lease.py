"""One driver per catalogue."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from idgen.errors import Exit, RunError
from idgen.outputs.lease import LEASE_PATH, Lease
from idgen.stores.local import LocalStore
from idgen.stores.protocol import StoreError

FAST = {"renew_s": 0.3, "lifetime_s": 1.5}


def held(store):
    return json.loads(store.get(LEASE_PATH))


def test_a_free_lease_is_taken_at_once_and_given_back(store):
    started = time.monotonic()
    with Lease(store, "run-1") as lease:
        assert time.monotonic() - started < 5
        assert held(store)["owner"] == "run-1"
        assert not lease.lost.is_set()
    assert store.head(LEASE_PATH) is None


def test_a_second_driver_is_refused_and_told_who_and_where(store):
    with Lease(store, "run-1", **FAST) as first:
        with pytest.raises(RunError) as error:
            Lease(store, "run-2", **FAST).acquire()
        assert error.value.exit_code == Exit.REFUSED
        assert "'run-1'" in error.value.message
        assert held(store)["host"] in error.value.message
        assert not first.lost.is_set()
        assert held(store)["owner"] == "run-1"


def test_a_lease_left_behind_is_taken_after_one_lifetime(store):
    store.put(LEASE_PATH, json.dumps({"owner": "dead", "host": "h", "token": "t", "lifetime_s": 1.0}).encode())
    started = time.monotonic()
    with Lease(store, "run-2", **FAST):
        assert time.monotonic() - started >= FAST["lifetime_s"]
        assert held(store)["owner"] == "run-2"


def test_the_owners_own_longer_lifetime_is_waited_for(store):
    store.put(LEASE_PATH, json.dumps({"owner": "dead", "token": "t", "lifetime_s": 2.5}).encode())
    started = time.monotonic()
    with Lease(store, "run-2", renew_s=0.2, lifetime_s=0.5):
        assert time.monotonic() - started >= 2.5


@pytest.mark.parametrize("content", [b"", b"not json", b"[1]", b'{"lifetime_s": "x"}', b"\xff"])
def test_a_damaged_lease_is_one_that_nobody_renews(store, content):
    store.put(LEASE_PATH, content)
    with Lease(store, "run-2", renew_s=0.2, lifetime_s=0.5):
        assert held(store)["owner"] == "run-2"


def test_clocks_of_other_machines_do_not_matter(store):
    """The owner's clock stands in 1999, but it renews: it lives."""
    stop = threading.Event()

    def renew():
        for n in range(1000):
            content = {"owner": "old clock", "token": "t", "renewed_at": "1999-01-01", "renewals": n}
            store.put(LEASE_PATH, json.dumps(content).encode())
            if stop.wait(0.3):
                return

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        time.sleep(0.1)
        with pytest.raises(RunError, match="old clock"):
            Lease(store, "run-2", **FAST).acquire()
    finally:
        stop.set()
        thread.join()


def test_a_lease_that_goes_away_while_we_wait_is_ours(store):
    with Lease(store, "run-1", renew_s=60, lifetime_s=20):
        timer = threading.Timer(1, lambda: store.delete([LEASE_PATH]))
        timer.start()
        started = time.monotonic()
        second = Lease(store, "run-2", renew_s=60, lifetime_s=10)
        second._renew_s = 0.3
        second.acquire()
        assert time.monotonic() - started < 10
        second.release()


def test_of_six_drivers_that_find_a_dead_lease_one_wins(store):
    store.put(LEASE_PATH, b"dead")
    leases = [Lease(store, f"run-{n}", renew_s=2.0, lifetime_s=3.0) for n in range(6)]
    winners, refusals = [], []

    def run(lease):
        try:
            lease.acquire()
        except RunError as error:
            refusals.append(error.exit_code)
        else:
            winners.append(lease)

    threads = [threading.Thread(target=run, args=(lease,)) for lease in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    time.sleep(2.5)
    winners = [lease for lease in winners if not lease.lost.is_set()]
    assert len(winners) == 1
    assert set(refusals) <= {Exit.REFUSED}
    assert held(store)["token"] == winners[0]._identity["token"]
    winners[0].release()


def test_a_taken_lease_is_lost_and_left_alone(store):
    lease = Lease(store, "run-1", **FAST).acquire()
    theirs = json.dumps({"owner": "run-2", "host": "h", "token": "theirs"}).encode()
    store.put(LEASE_PATH, theirs)
    assert lease.lost.wait(20)
    lease.release()
    assert store.get(LEASE_PATH) == theirs


class Away:
    """A store that fails while `away` is set."""

    def __init__(self, store):
        self._store, self.away, self.root = store, threading.Event(), store.root

    def __getattr__(self, name):
        if self.away.is_set():
            raise StoreError("away")
        return getattr(self._store, name)


def test_a_short_absence_of_the_store_is_survived_and_a_long_one_is_not(tmp_path):
    store = Away(LocalStore(tmp_path))
    lease = Lease(store, "run-1", renew_s=0.1, lifetime_s=3.0).acquire()
    store.away.set()
    time.sleep(0.5)
    store.away.clear()
    before = held(store)["renewals"]
    time.sleep(1)
    assert not lease.lost.is_set()
    assert held(store)["renewals"] > before
    store.away.set()
    assert lease.lost.wait(20)
    lease.release()  # says nothing: it can not be deleted, and its lifetime ends


def test_a_killed_driver_frees_the_catalogue(tmp_path):
    code = (
        "import sys, time; from idgen.stores.opening import open_store; from idgen.outputs.lease import Lease\n"
        "Lease(open_store(sys.argv[1]), 'killed', renew_s=0.2, lifetime_s=1.0).acquire(); print('held', flush=True)\n"
        "time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout.readline() == b"held\n"
    store = LocalStore(tmp_path)
    with pytest.raises(RunError, match="killed"):
        Lease(store, "second", **FAST).acquire()
    process.kill()
    process.communicate()
    with Lease(store, "third", **FAST):
        assert held(store)["owner"] == "third"


class Hanging:
    """A store whose `name` hangs while `open` is not set."""

    def __init__(self, store, name):
        self._store, self._name, self.open, self.root = store, name, threading.Event(), store.root
        self.open.set()

    def __getattr__(self, name):
        if name == self._name:
            self.open.wait(20)
        return getattr(self._store, name)


@pytest.mark.parametrize("name", ["get", "put"])
def test_a_renewal_that_hangs_loses_the_lease_within_its_lifetime(tmp_path, name):
    direct = LocalStore(tmp_path)
    store = Hanging(direct, name)
    lease = Lease(store, "slow", renew_s=0.1, lifetime_s=1.5).acquire()
    time.sleep(0.3)
    store.open.clear()
    began = time.monotonic()
    assert lease.lost.wait(10)
    assert time.monotonic() - began < 2.5
    if name == "get":
        theirs = json.dumps({"owner": "next", "token": "theirs"}).encode()
        direct.put(LEASE_PATH, theirs)
        store.open.set()
        time.sleep(0.5)
        assert direct.get(LEASE_PATH) == theirs
    store.open.set()
    lease.release()


def test_an_answer_that_comes_after_the_lifetime_renews_nothing(tmp_path):
    direct = LocalStore(tmp_path)
    store = Hanging(direct, "get")
    lease = Lease(store, "slow", renew_s=0.1, lifetime_s=1.0).acquire()
    store.open.clear()
    assert lease.lost.wait(10)
    before = held(direct)["renewals"]
    store.open.set()
    time.sleep(0.5)
    assert held(direct)["renewals"] == before
    lease.release()
    assert direct.head(LEASE_PATH) is None


def test_a_driver_that_hung_knows_when_another_one_goes_on_under_its_name(store):
    with Lease(store, "night", **FAST) as lease:
        assert not lease.is_taken_by_namesake()
        for owner, is_namesake in (("other", False), ("night", True)):
            store.put(LEASE_PATH, json.dumps({"owner": owner, "token": "another"}).encode())
            assert lease.lost.wait(5)
            assert lease.is_taken_by_namesake() == is_namesake
