"""Networks: importing this package registers our small-image nets with timm."""

from noisyclean.nn import compact, preact, resnet_small  # noqa: F401
from noisyclean.nn.backbone import create_backbone, embed_with, freeze_a_copy, require_backbone

__all__ = ["create_backbone", "embed_with", "freeze_a_copy", "require_backbone"]
