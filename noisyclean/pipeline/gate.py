"""The quality gate: whether few enough labels are estimated to be wrong."""

from __future__ import annotations

from typing import Any

from noisyclean.errors import UsageError

__all__ = ["check_gate", "pass_gate"]


def check_gate(fail_above: float | None) -> None:
    """Refuse a share that is none, before any work is done.

    Raises:
        UsageError: It does not lie in [0, 1].
    """
    if fail_above is not None and not 0 <= fail_above <= 1:
        raise UsageError(f"--fail-above {fail_above}: must lie in [0, 1]")


def pass_gate(rate: float, fail_above: float | None) -> dict[str, Any]:
    """``fail_above``, and ``passed``: whether the estimated share of wrong labels is at most that."""
    return {"fail_above": fail_above, "passed": fail_above is None or rate <= fail_above}
