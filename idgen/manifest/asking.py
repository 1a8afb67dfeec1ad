"""What a run asks for: the manifest's pictures as orders change them; and the new orders of a rerun."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow.compute as pc

from idgen.config import Config
from idgen.manifest.addresses import Addresses
from idgen.manifest.asked_pictures import load_asked, unknown_ids, write_asked
from idgen.manifest.ordering import check_orders, find_orders, merged
from idgen.manifest.reading import StagedManifest
from idgen.manifest.resolve import Resolver
from idgen.manifest.settings import SettingsTable
from idgen.manifest.standing_decisions import standing_decisions
from idgen.manifest.verdicts import Force, load_past
from idgen.reviews.decisions import ACCEPTED
from idgen.reviews.orders import Orders, add_orders, read_orders
from idgen.stores.protocol import ObjectStore


@dataclass(frozen=True, slots=True)
class Asked:
    """What was read to know what is asked for."""

    rows: int
    """Of the manifest."""
    lost: list[str]
    """Ids of select.file that no row has."""
    ordered: int
    """Pictures that this run ordered in the place of rejected ones."""


class Asking:
    """Asks for the pictures of one staged manifest."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        staged: StagedManifest,
        table: SettingsTable,
        addresses: Addresses,
        config: Config,
        scratch: Path,
    ) -> None:
        self._connection, self._staged, self._scratch = connection, staged, scratch
        self._table, self._addresses, self._config = table, addresses, config

    def ask(self, store: ObjectStore, run_id: str, ledger_files: Sequence[str], force: Force | None) -> Asked:
        """Write and load all that the manifest asks for (table `asked`). Raises StoreError, RunError(USAGE).

        A force with `cells` first orders what takes the place of rejected pictures. An order for a picture that people
        accepted since counts no more.
        """
        decisions = standing_decisions(self._connection, store, ledger_files)
        accepted = {*decisions.filter(pc.equal(decisions["decision"], ACCEPTED))["key"].to_pylist()}
        orders: Orders = {key: order for key, order in read_orders(store).items() if key not in accepted}
        rows, lost = self._load(orders, force)
        if force is None or force.cells is None:
            return Asked(rows, lost, 0)
        load_past(self._connection, store, ledger_files)
        new = find_orders(self._connection, decisions, force.cells, self._config.select.limit)
        if new:
            orders = merged(orders, new)
            check_orders(new, self._staged, self._resolver(orders))
            add_orders(store, run_id, [one.order for one in new])
            self._load(orders, force)
        return Asked(rows, lost, len(new))

    def _load(self, orders: Orders, force: Force | None) -> tuple[int, list[str]]:
        late = force is not None and not force.everything
        select = replace(self._config.select, limit=0) if late else self._config.select
        resolver = self._resolver(orders)
        rows = write_asked(self._connection, self._staged, resolver, select, self._scratch)
        load_asked(self._connection, select, self._scratch, resolver.replaced)
        return rows, unknown_ids(self._connection, self._staged, select, self._scratch)

    def _resolver(self, orders: Orders) -> Resolver:
        return Resolver(self._staged.schema.names, self._table, self._addresses, orders)
