"""Weights put into a net, and never only some of them in silence."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from noisyclean.errors import UsageError
from noisyclean.nn.backbone import classifier_of

__all__ = ["load_encoder", "share_matched"]

LEAST_MATCHED = 0.99


def load_encoder(net: nn.Module, state: Mapping[str, Tensor], *, source: str) -> None:
    """Load all weights but the classifier's; a loose load that matched nothing would be a random net.

    Args:
        net: A timm model; its classifier keeps its own weights.
        state: Weights by timm's names.
        source: Where they come from, for messages.

    Raises:
        UsageError: Under 99 % of the net's tensors are there in the right shape.
    """
    share, missing = share_matched(net, state)
    if share < LEAST_MATCHED:
        raise UsageError(
            f"{source}: has {share:.0%} of the net's weights; {missing[0]} is the first one missing",
            hint="Name the architecture the weights are of: --backbone NAME.",
        )
    wanted = net.state_dict()
    fitting = {
        name: value for name, value in state.items() if name in _encoder(net) and wanted[name].shape == value.shape
    }
    net.load_state_dict(fitting, strict=False)


def share_matched(net: nn.Module, state: Mapping[str, Tensor]) -> tuple[float, list[str]]:
    """Share of the net's tensors, its classifier's left out, that are there in the right shape; and the others."""
    wanted = net.state_dict()
    names = _encoder(net)
    missing = [name for name in names if name not in state or state[name].shape != wanted[name].shape]
    return 1 - len(missing) / max(len(names), 1), missing


def _encoder(net: nn.Module) -> list[str]:
    classifier = {id(parameter) for parameter in classifier_of(net).parameters()}
    return [name for name, value in net.state_dict(keep_vars=True).items() if id(value) not in classifier]
