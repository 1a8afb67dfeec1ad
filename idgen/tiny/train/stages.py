"""The table of stages, in their order."""

from collections.abc import Callable

from idgen.tiny.train import autoencoder, critic, drawings, judge, sd15
from idgen.tiny.train.workspace import Workspace

STAGES: dict[str, Callable[[Workspace], None]] = {
    "render": drawings.render,
    "judge": judge.train,
    "autoencoder": autoencoder.train,
    "latents": autoencoder.encode_all,
    "critic": critic.train,
    "sd15": sd15.train,
}
