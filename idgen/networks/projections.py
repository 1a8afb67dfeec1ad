"""The small networks that turn an identity into tokens. Sizes are read from the weights, never assumed."""

from collections.abc import Mapping

from torch import Tensor, nn

from idgen.errors import Exit, RunError


class FaceIdProjection(nn.Module):
    """IP-Adapter-FaceID's MLP: embedding -> T tokens. Module names are the official keys."""

    def __init__(self, embedding_width: int, hidden_width: int, tokens: int, token_width: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(
            nn.Linear(embedding_width, hidden_width), nn.GELU(), nn.Linear(hidden_width, tokens * token_width)
        )
        self.norm = nn.LayerNorm(token_width)

    def forward(self, embedding: Tensor) -> Tensor:
        """Return tokens [n, T, D] of normalised embeddings [n, 512]."""
        tokens = self.proj(embedding).unflatten(-1, (-1, self.norm.normalized_shape[0]))
        out: Tensor = self.norm(tokens)
        return out

    @classmethod
    def from_weights(cls, weights: Mapping[str, Tensor], source: str) -> "FaceIdProjection":
        """Return the module with `weights` (`proj.0.weight` ... `norm.bias`), float32.

        Raises RunError when keys are missing, unknown or of shapes that do not fit; `source` names the file in it.
        """
        expected = {"proj.0.weight", "proj.0.bias", "proj.2.weight", "proj.2.bias", "norm.weight", "norm.bias"}
        check_keys(weights, expected, source, "image_proj")
        hidden_width, embedding_width = weights["proj.0.weight"].shape
        token_width = weights["norm.weight"].shape[0]
        tokens, rest = divmod(weights["proj.2.weight"].shape[0], token_width)
        if rest:
            raise RunError(Exit.USAGE, f"{source}: image_proj makes no whole number of {token_width}-wide tokens")
        module = cls(embedding_width, hidden_width, tokens, token_width)
        module.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
        return module.requires_grad_(False).eval()


def check_keys(weights: Mapping[str, Tensor], expected: set[str], source: str, part: str) -> None:
    """Raise RunError when the keys of `part` are not exactly the expected ones; the message shows which."""
    missing, unknown = sorted(expected - weights.keys()), sorted(weights.keys() - expected)
    if not missing and not unknown:
        return
    raise RunError(
        Exit.USAGE,
        f"{source}: {part} is not laid out as this kind of adapter is: {len(missing)} keys missing {missing[:3]}, "
        f"{len(unknown)} unknown {unknown[:3]}; is `kind` in the recipe right for this file?",
    )
