"""The networks of a finished audit, ready to look at more images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from noisyclean.base.runtime import Runtime
from noisyclean.data.augment import training_views
from noisyclean.data.batches import load_pixels
from noisyclean.engine.inference import embed, evaluation_views, log_probabilities
from noisyclean.errors import UsageError
from noisyclean.nn import create_backbone
from noisyclean.pipeline.finished import FinishedRun, weight_files

__all__ = ["AuditNets", "Look"]


@dataclass(frozen=True)
class Look:
    """What one network makes of some images; on the CPU."""

    z_ND: Tensor
    """L2-normalised pooled features."""
    log_p_NC: Tensor
    """Log-probabilities of the classes, averaged over the fixed views."""


class AuditNets:
    """The averaged networks of a run's training, with the normalisation they were trained with.

    Args:
        finished: The run.
        runtime: Device and dtype.

    Raises:
        UsageError: The run's weights are gone.
    """

    def __init__(self, finished: FinishedRun, runtime: Runtime) -> None:
        plan = finished.plan
        paths = weight_files(finished)
        missing = [path for path in paths if not path.exists()]
        if missing:
            raise UsageError(f"{missing[0]}: is gone", hint="Run the same audit command again; it restores it.")
        self.runtime = runtime
        self.nets: list[nn.Module] = []
        for path in paths:
            net = create_backbone(plan.backbone, num_classes=len(finished.classes), seed=plan.seed)
            net.load_state_dict(load_file(path))
            self.nets.append(net.to(runtime.device))
        self._augmentation = training_views(plan.augment, is_strong=False)
        self._mean, self._std = finished.normalisation

    def look(self, images_NHWI: NDArray[np.uint8]) -> list[Look]:
        """What each network makes of some images."""
        statistics = torch.tensor(self._mean), torch.tensor(self._std)
        pixels = load_pixels(np.ascontiguousarray(images_NHWI), self.runtime.device, statistics=statistics)
        views = evaluation_views(self._augmentation, pixels.size_px)
        everything = torch.arange(len(pixels))
        return [
            Look(
                z_ND=embed(net, pixels, everything, self.runtime).cpu(),
                log_p_NC=log_probabilities(net, pixels, views, self.runtime).cpu(),
            )
            for net in self.nets
        ]
