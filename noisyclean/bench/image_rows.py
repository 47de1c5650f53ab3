"""Rows about pixels and neighbours: ``decode``, ``augment``, ``augment-kornia``, ``neighbours``."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import normalize

from noisyclean.base.log import Silent
from noisyclean.base.runtime import generator
from noisyclean.bench.harness import Contest
from noisyclean.bench.limits import finish
from noisyclean.bench.peers import FewFiles, faiss_neighbours, image_folder_loader, kornia_augmenter, per_sample_loader
from noisyclean.bench.workload import Workload, generated_photos
from noisyclean.data.augment import strong
from noisyclean.data.decode import PixelMapping
from noisyclean.data.store import build_store
from noisyclean.engine.neighbours import nearest_neighbours

__all__ = ["augment", "augment_kornia", "decode", "neighbours"]

FLOAT_BYTES = 4
DIM = 128


def decode(work: Workload) -> Contest:
    """Files to uint8 pictures of 224 px."""
    amounts, threads = work.amounts, work.runtime.threads
    if work.is_generated:
        files = generated_photos(work.scratch / "photos", min(amounts.files, 64))
    else:
        files = [path for path in work.files if path.suffix.lower() != ".gif"][: amounts.files]
    mapping = PixelMapping(size_px=amounts.photo_px)
    folder = FewFiles(work.scratch / "folder", files).root
    loader = image_folder_loader(folder, size_px=amounts.photo_px, workers=threads)
    names = [str(path) for path in files]
    store = work.scratch / "decoded"

    def ours() -> np.ndarray:
        shutil.rmtree(store, ignore_errors=True)
        return build_store(store, names, mapping, threads=threads, reporter=Silent()).images_NHWI

    def peer() -> torch.Tensor:
        return torch.cat([x_BIHW for x_BIHW, _ in loader])

    def check() -> str:
        distance = np.abs(ours().astype(np.int16) - peer().permute(0, 2, 3, 1).numpy().astype(np.int16))
        return f"mean difference {distance.mean():.2f}/255, 99 % within {np.quantile(distance, 0.99):.0f}/255"

    def peak() -> float:
        return threads * _decoded_a_second(files, 2 * amounts.photo_px)

    amount = len(files)
    return Contest(ours=ours, peer=peer, amount=amount, bound="decoder", work=amount, peak=peak, check=check)


def augment(work: Workload) -> Contest:
    """SimCLR's views of pictures of 32 px, against one picture at a time."""
    loader = per_sample_loader(work.small_NHWI[: work.amounts.images], batch=256, workers=work.runtime.threads)

    def peer() -> None:
        for _ in loader:
            pass

    return _augment(work, peer)


def augment_kornia(work: Workload) -> Contest:
    """The same, against kornia's batched augmentation."""
    augmenter = kornia_augmenter(work.pixels.size_px).to(work.runtime.device)
    rows = torch.arange(work.amounts.images, device=work.runtime.device).split(work.amounts.simclr_batch)

    def peer() -> None:
        for index_B in rows:
            augmenter(work.pixels.take(index_B).permute(0, 3, 1, 2).float() / 255)
        finish(work.runtime.device)

    return _augment(work, peer)


def _augment(work: Workload, peer: Callable[[], object]) -> Contest:
    pixels, device = work.pixels, work.runtime.device
    rows = torch.arange(work.amounts.images, device=device).split(work.amounts.simclr_batch)
    calls = itertools.count()

    def ours() -> None:
        draw = generator(device, 0, "bench", next(calls))
        for index_B in rows:
            pixels.random(pixels.take(index_B), strong(), draw)
        finish(device)

    bytes_a_view = pixels.images_LHWI[0].numel() * (1 + FLOAT_BYTES)
    amount = work.amounts.images
    return Contest(ours=ours, peer=peer, amount=amount, unit="views/s", bound="memory", work=amount * bytes_a_view)


def neighbours(work: Workload) -> Contest:
    """Exact nearest neighbours of every row among all others."""
    num, k, device = work.amounts.neighbours, work.amounts.k, work.runtime.device
    draw = torch.Generator().manual_seed(0)
    centre_CD = torch.randn(100, DIM, generator=draw)
    z_ND = normalize(centre_CD[torch.arange(num) % 100] + 0.7 * torch.randn(num, DIM, generator=draw), dim=1)
    on_device_ND, array_ND = z_ND.to(device), z_ND.numpy()

    def ours() -> torch.Tensor:
        index_NK, _ = nearest_neighbours(on_device_ND, num_neighbours=k)
        finish(device)
        return index_NK

    def peer() -> np.ndarray:
        return faiss_neighbours(array_ND, k=k, threads=work.runtime.threads)

    def check() -> str:
        few = slice(0, 1000)
        mine, theirs = ours()[few].cpu().numpy(), peer()[few]
        same = np.mean([len(np.intersect1d(a, b)) / k for a, b in zip(mine, theirs, strict=True)])
        return f"{same:.2%} of the neighbours are the same"

    flops = 2.0 * num * num * DIM
    return Contest(ours=ours, peer=peer, amount=num, unit="rows/s", bound="product", work=flops, check=check)


def _decoded_a_second(files: Sequence[Path], side: int) -> float:
    """Files that Pillow alone decodes with one thread, at the scale that suits pictures of ``side`` pixels."""
    start = time.perf_counter()
    for file in files:
        with Image.open(file) as image:
            image.draft(None, (side, side))
            image.load()
    return len(files) / (time.perf_counter() - start)
