"""Ridge regression with exact leave-one-out predictions: out of sample without cross-validation.

For a linear smoother ``prediction = H y`` the prediction of a sample by the fit without it is
``y_i - (y_i - prediction_i) / (1 - H_ii)`` (Allen's PRESS, 1974); leaving out a group takes the block of H instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["RidgeSystem", "leave_out_predictions", "leave_out_views"]

LEAST_LEFT = 1e-6
"""Smallest ``1 - H_ii``; a sample alone in its direction would divide by zero."""


@dataclass(frozen=True, kw_only=True)
class RidgeSystem:
    """Normal equations of standardised features in their eigenbasis, the intercept unpenalised; float64."""

    mean_D: Tensor
    scale_D: Tensor
    basis_DD: Tensor
    eigenvalue_D: Tensor
    moment_DC: Tensor
    """Products of rotated features and centred targets."""
    target_mean_C: Tensor
    num_samples: int

    @classmethod
    def accumulate(cls, blocks: Iterable[tuple[Tensor, Tensor]]) -> RidgeSystem:
        """Build the system from (features, targets) blocks, each seen once; memory O(D^2)."""
        count = 0
        sums: list[Tensor] = []
        num_features = 0
        for z_BD, target_BC in blocks:
            joint = torch.cat([z_BD.double(), target_BC.double()], dim=1)
            part = [joint.sum(dim=0), joint.T @ joint]
            sums = part if not sums else [total.add_(more) for total, more in zip(sums, part, strict=True)]
            count += len(z_BD)
            num_features = z_BD.shape[1]
        mean, product = sums[0] / count, sums[1]
        product = product - count * torch.outer(mean, mean)
        scale_D = (product.diagonal()[:num_features] / count).clamp(min=1e-12).sqrt()
        gram_DD = product[:num_features, :num_features] / torch.outer(scale_D, scale_D)
        eigenvalue_D, basis_DD = torch.linalg.eigh(gram_DD)
        return cls(
            mean_D=mean[:num_features],
            scale_D=scale_D,
            basis_DD=basis_DD,
            eigenvalue_D=eigenvalue_D.clamp(min=0),
            moment_DC=basis_DD.T @ (product[:num_features, num_features:] / scale_D[:, None]),
            target_mean_C=mean[num_features:],
            num_samples=count,
        )

    def rotate(self, z_BD: Tensor) -> Tensor:
        """Standardised features in the eigenbasis."""
        return ((z_BD.double() - self.mean_D) / self.scale_D) @ self.basis_DD

    def predict(self, rotated_BD: Tensor, penalty: float) -> Tensor:
        """Predicted targets, shape (B, C)."""
        return rotated_BD @ (self.moment_DC / (self.eigenvalue_D + penalty)[:, None]) + self.target_mean_C

    def linear(self, penalty: float) -> tuple[Tensor, Tensor]:
        """Weight (C, D) and bias (C,) that predict from features as they are."""
        weight_DC = self.basis_DD @ (self.moment_DC / (self.eigenvalue_D + penalty)[:, None]) / self.scale_D[:, None]
        return weight_DC.T, self.target_mean_C - self.mean_D @ weight_DC


def leave_out_predictions(
    system: RidgeSystem, rotated_BD: Tensor, target_BC: Tensor, penalty: float, groups: Sequence[Tensor] = ()
) -> Tensor:
    """Predict each sample by the fit without it, and without its group.

    Args:
        system: The fit on all samples.
        rotated_BD: Rotated features of the samples asked about.
        target_BC: Their targets.
        penalty: Ridge penalty, positive.
        groups: Rows (within this block) of each group of more than one sample.

    Returns:
        Shape (B, C).

    Deviations: the scales of the features keep the sample in.
    """
    shrink_D = 1 / (system.eigenvalue_D + penalty)
    residual_BC = target_BC.double() - system.predict(rotated_BD, penalty)
    leverage_B = rotated_BD.square() @ shrink_D + 1 / system.num_samples
    left_out_BC = residual_BC / (1 - leverage_B).clamp(min=LEAST_LEFT)[:, None]
    for rows in groups:
        if len(rows) == system.num_samples:
            # Nothing is left to fit: the mean target, and no trace of the sample's own.
            left_out_BC[rows] = target_BC[rows].double() - system.target_mean_C
            continue
        root_GE = _root_of_smoother(system, rotated_BD[rows], shrink_D)
        left_out_BC[rows] = _without_group(root_GE, residual_BC[rows])
    return target_BC.double() - left_out_BC


def leave_out_views(
    system: RidgeSystem, rotated_BD: Tensor, view_BD: Tensor, target_BC: Tensor, penalty: float
) -> Tensor:
    """Predict another view of each sample by the fit without the sample.

    Args:
        system: The fit on all samples.
        rotated_BD: Rotated features the samples are fitted by.
        view_BD: Rotated features of the other view.
        target_BC: Targets of the samples.
        penalty: Ridge penalty, positive.

    Returns:
        Shape (B, C).
    """
    shrink_D = 1 / (system.eigenvalue_D + penalty)
    residual_BC = target_BC.double() - system.predict(rotated_BD, penalty)
    left_B = (1 - rotated_BD.square() @ shrink_D - 1 / system.num_samples).clamp(min=LEAST_LEFT)
    shared_B = (view_BD * rotated_BD) @ shrink_D + 1 / system.num_samples
    return system.predict(view_BD, penalty) - (shared_B / left_B)[:, None] * residual_BC


def _root_of_smoother(system: RidgeSystem, rotated_GD: Tensor, shrink_D: Tensor) -> Tensor:
    """A factor R of a group's block of the smoother, ``H = R R^T``; its last column is the intercept's."""
    intercept_G1 = rotated_GD.new_full((len(rotated_GD), 1), system.num_samples**-0.5)
    return torch.cat([rotated_GD * shrink_D.sqrt(), intercept_G1], dim=1)


def _without_group(root_GE: Tensor, residual_GC: Tensor) -> Tensor:
    """Residuals of a group by the fit without it, ``(I - H)^-1 r``, in whichever of the two spaces is smaller."""
    num, dim = root_GE.shape
    ridge = (1 + LEAST_LEFT) * torch.eye(min(num, dim), dtype=root_GE.dtype, device=root_GE.device)
    if num <= dim:
        alone_GC: Tensor = torch.linalg.solve(ridge - root_GE @ root_GE.T, residual_GC)
        return alone_GC
    inner: Tensor = torch.linalg.solve(ridge - root_GE.T @ root_GE, root_GE.T @ residual_GC)
    return residual_GC + root_GE @ inner
