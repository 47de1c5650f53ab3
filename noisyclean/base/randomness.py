"""Randomness as a function of (seed, key), not of history; NumPy's half, free of torch."""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["numpy_generator", "seed_from"]


def seed_from(seed: int, *key: str | int) -> int:
    """Fold a key such as (stage, epoch, step, rank) into a seed; equal keys give equal seeds on every machine."""
    digest = hashlib.blake2b(repr((seed, *key)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def numpy_generator(seed: int, *key: str | int) -> np.random.Generator:
    """A NumPy generator whose stream is a function of (seed, key) and of nothing that happened before."""
    return np.random.default_rng(seed_from(seed, *key))
