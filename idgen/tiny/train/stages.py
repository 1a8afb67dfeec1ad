"""The table of stages, in their order."""

from collections.abc import Callable

from idgen.tiny.train import (
    autoencoder,
    critic,
    drawings,
    evaluate,
    export,
    identity_net,
    judge,
    kolors,
    plus,
    pulid,
    sd15,
    sdxl,
    seen,
)
from idgen.tiny.train.workspace import Workspace

STAGES: dict[str, Callable[[Workspace], None]] = {
    "render": drawings.render,
    "judge": judge.train,
    "autoencoder": autoencoder.train,
    "latents": autoencoder.encode_all,
    "critic": critic.train,
    "sd15": sd15.train,
    "seen": seen.look,
    "plus": plus.train,
    "sdxl": sdxl.train,
    "identity_net": identity_net.train,
    "pulid": pulid.train,
    "kolors": kolors.train,
    "kolors_plus": kolors.train_plus,
    "export": export.export,
    "evaluate": evaluate.evaluate,
}
