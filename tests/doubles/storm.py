"""Runs in which processes of every kind are killed, at moments drawn from a seed, until the run's command ends well."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from doubles.catalogue import PEOPLE, PHOTOS, rows
from doubles.gpu_cluster import Shop, add_node

from idgen.actors.monitor import MonitorState
from idgen.actors.stages import Faces, Sampling

WORDS = (
    "planner.shard_seconds=32", "sampling.batch_size=8", "faces.num_cpus=0.25", "sampling.num_cpus=0.25",
    "run.id=storm",
)  # fmt: skip
TITLES = {
    "sampler": f"MapBatches({Sampling.__name__})",
    "faces": f"MapBatches({Faces.__name__})",
    "monitor": MonitorState.__name__,
}
"""What Ray calls the processes."""
TRIES = 60
IN_HAND = 5
"""Batches that a killed sampler may have in hand: one in the making, two each for two publishers."""
BATCH_ROWS = 8
GOES_ON = (0, 6)
"""What a job whose cluster lost something may end with."""


class Storm(Shop):
    """A catalogue of `count` pictures of `photos` photos, on a cluster with a node that may be killed."""

    def __init__(self, folder, cluster, count, photos, quick_s):
        super().__init__(folder, cluster)
        self.cluster, self.count = cluster, count
        self.node = add_node(cluster, 2, 1)
        self.log = folder / "attempts"
        self.kills = Counter()
        self._words = (*WORDS, f"sources.roots=[{folder / 'photos'}]")
        self._faults = {"quick_s": quick_s, "log": str(self.log)}
        self.write([{**row, "photo": self._photo(n % photos)} for n, row in enumerate(rows(count))])

    def undisturbed(self, folder):
        """Make the same manifest elsewhere without kills; return its images by key."""
        calm = Shop(folder, self.cluster)
        shutil.copy(self.manifest, calm.manifest)
        said = calm.run(*self._words, faults={"quick_s": 0.0})
        assert f"ok {self.count}" in said, said[-4000:]
        return images(calm)

    def run_through(self, seed, kills, every_s):
        """Kill `kills` times while the command runs, starting it again until it ends well; return what it printed."""
        dice, printed, process = random.Random(seed), "", None
        for _ in range(TRIES):
            with open(self.folder / "printed", "a", encoding="utf-8") as out:
                process = self._begin(out)
                self._disturb(process, dice, kills, every_s)
                code = process.wait(300)
            printed = (self.folder / "printed").read_text()
            if code == 0:
                return printed
            assert code in (*GOES_ON, -signal.SIGKILL), (code, printed[-6000:])
        raise AssertionError(f"not done after {TRIES} starts: {printed[-6000:]}")

    def attempts(self):
        """How often each key was sampled."""
        return Counter(self.log.read_text().split())

    def repeated(self):
        """Pictures sampled again."""
        return sum(self.attempts().values()) - self.count

    def _begin(self, out):
        process = self.start(*self._words, faults=self._faults)
        # its pipe would fill up
        copying = subprocess.Popen(["cat"], stdin=process.stdout, stdout=out)
        process.stdout.close()
        process.copying = copying
        return process

    def _disturb(self, process, dice, kills, every_s):
        """Kill until the process ends or there were enough kills; begin once something new is published."""
        published = len(self.ledger())
        while process.poll() is None and self.kills.total() < kills:
            time.sleep(dice.uniform(*every_s))
            if len(self.ledger()) == published:
                continue  # what is still loading was killed before
            what = dice.choice(["sampler", "sampler", "faces", "monitor", "driver", "node"])
            if self._kill(what, process, dice):
                self.kills[what] += 1
                published = len(self.ledger())

    def _kill(self, what, process, dice):
        if what == "driver":
            process.kill()
            return True
        if what == "node":
            self.cluster.remove_node(self.node, allow_graceful=False)
            self.node = add_node(self.cluster, 2, 1)
            return True
        victims = processes(TITLES[what], str(self.log))
        with suppress(ProcessLookupError, IndexError):
            os.kill(dice.choice(victims), signal.SIGKILL)
            return True
        return False

    def _photo(self, number):
        """A photo whose content nobody else has."""
        path = self.folder / "photos" / f"{number:03d}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((PHOTOS / f"{PEOPLE[number % len(PEOPLE)]}.png").read_bytes() + bytes([number]))
        return str(path)


def processes(title, mark):
    """Ray processes of a title whose environment holds `mark`, so that no other cluster is touched."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            named = title in (folder / "cmdline").read_text(errors="ignore")
            if named and mark in (folder / "environ").read_text(errors="ignore"):
                found.append(int(folder.name))
    return found


def images(catalogue):
    """Every image of a catalogue: path below images/ -> bytes."""
    root = Path(catalogue.output, "images")
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.*")}
