"""Processes of a team but the first: started by ``torchrun`` or by ``--gpus N``, they do what the first calls for."""

from __future__ import annotations

import os

__all__ = ["follow_if_called"]


def follow_if_called() -> bool:
    """Serve the first process until it is done, where this one was started for that; tells whether it was."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or os.environ.get("RANK", "0") == "0":
        return False
    from noisyclean.engine.team import follow
    from noisyclean.pipeline.fitting import JOBS

    follow(JOBS)
    return True
