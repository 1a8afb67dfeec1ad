"""One batch through a real publisher."""

from doubles.pictures import SIGNATURES

from idgen.config import ImagesConfig
from idgen.outputs.publisher import Publisher


def publish(store, pictures, images, run_id="run-1", config=None, **options):
    """Publish a batch as shard s of a run; return its ledger rows. `options` are the publisher's own."""
    rows = []
    target = Publisher(
        store,
        run_id=run_id,
        shard="s",
        shard_try=0,
        images=config or ImagesConfig(),
        signature_parameters=SIGNATURES,
        published=rows.extend,
        **options,
    )
    target.submit(pictures, images, "sample", 1.0)
    target.close()
    return rows
