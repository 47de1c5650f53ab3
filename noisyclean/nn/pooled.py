"""What our own nets share, so that timm takes them for its own: the methods it calls and the config it reads."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

__all__ = ["PooledClassifier", "default_cfg"]


class PooledClassifier(nn.Module):
    """A net that ends in a global average and one linear layer; a subclass has the rest.

    A subclass sets ``num_features`` and calls :meth:`reset_classifier` when it has made its layers.
    """

    num_features: int

    def forward_features(self, x_BIHW: Tensor) -> Tensor:
        """Feature map before pooling, shape (B, D, H, W)."""
        raise NotImplementedError

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Pool to (B, D); with ``pre_logits`` stop there, else classify to (B, C)."""
        pooled_BD = features.permute(0, 2, 3, 1).flatten(1, 2).mean(dim=1)  # keeps channels last for its gradient
        if pre_logits:
            return pooled_BD
        logits_BC: Tensor = self.fc(pooled_BD)
        return logits_BC

    def forward(self, x_BIHW: Tensor) -> Tensor:
        """Logits, shape (B, C)."""
        return self.forward_head(self.forward_features(x_BIHW))

    def get_classifier(self) -> nn.Module:
        """The last layer."""
        return self.fc

    def reset_classifier(self, num_classes: int, global_pool: str = "avg") -> None:  # noqa: ARG002
        """Put a new classifier in place."""
        self.num_classes = num_classes
        self.fc = nn.Linear(self.num_features, num_classes) if num_classes > 0 else nn.Identity()


def default_cfg(input_px: int, *, first_conv: str) -> dict[str, Any]:
    """What timm calls a pretrained config, for a net that has no published weights."""
    return {
        "url": "",
        "num_classes": 1000,
        "input_size": (3, input_px, input_px),
        "pool_size": None,
        "crop_pct": 1.0,
        "interpolation": "bilinear",
        "mean": (0.5, 0.5, 0.5),
        "std": (0.25, 0.25, 0.25),
        "first_conv": first_conv,
        "classifier": "fc",
    }
