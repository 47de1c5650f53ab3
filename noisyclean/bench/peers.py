"""What a user would have without us: the peers' own code where there is some, plain loops where there is none.

Our own plain loops are in ``plain_loops.py``. Nothing here is called outside benchmarks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

__all__ = [
    "MEAN",
    "STD",
    "FewFiles",
    "InMemory",
    "LightlySimCLR",
    "faiss_neighbours",
    "image_folder_loader",
    "kornia_augmenter",
    "per_sample_loader",
]

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
"""Of ImageNet's channels, by which peers normalise."""


class InMemory(Dataset[Any]):
    """Decoded pictures behind a per-sample transform, as a ``DataLoader`` wants them.

    Args:
        items: The pictures.
        transform: Called with one of them, in a worker.
    """

    def __init__(self, items: Sequence[Any], transform: Callable[[Any], Any]) -> None:
        self.items = items
        self.transform = transform

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        """One transformed picture."""
        return self.transform(self.items[index])


class FewFiles:
    """A folder of one class that links to some files: what ``ImageFolder`` can read."""

    def __init__(self, folder: Path, files: Sequence[Path]) -> None:
        self.root = folder
        (folder / "all").mkdir(parents=True, exist_ok=True)
        for index, file in enumerate(files):
            link = folder / "all" / f"{index:07d}{file.suffix}"
            if not link.exists():
                link.symlink_to(file.resolve())


def image_folder_loader(folder: Path, *, size_px: int, workers: int) -> DataLoader[Any]:
    """Files by torchvision's ``ImageFolder`` on all cores, resized; uint8 tensors (B, 3, size, size)."""
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    transform = v2.Compose([v2.Resize((size_px, size_px)), v2.PILToTensor()])
    return _loader(ImageFolder(str(folder), transform=transform), batch=64, workers=workers, shuffle=False)


def per_sample_loader(images_NHWI: NDArray[np.uint8], *, batch: int, workers: int) -> DataLoader[Any]:
    """Views by torchvision's v2 transforms, one picture at a time, on all cores: SimCLR's view."""
    from torchvision.transforms import v2

    size = images_NHWI.shape[1]
    transform = v2.Compose(
        [
            v2.RandomResizedCrop(size, scale=(0.2, 1.0), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
            v2.RandomGrayscale(0.2),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )
    items = list(torch.from_numpy(images_NHWI).permute(0, 3, 1, 2).contiguous())
    return _loader(InMemory(items, transform), batch=batch, workers=workers, shuffle=False)


def kornia_augmenter(size_px: int) -> nn.Module:
    """Views by kornia's batched augmentation: SimCLR's view of float images in [0, 1]."""
    from kornia import augmentation

    augment: nn.Module = augmentation.AugmentationSequential(
        augmentation.RandomResizedCrop((size_px, size_px), scale=(0.2, 1.0)),
        augmentation.RandomHorizontalFlip(),
        augmentation.ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8),
        augmentation.RandomGrayscale(p=0.2),
        augmentation.Normalize(torch.tensor(MEAN), torch.tensor(STD)),
        data_keys=["input"],
    )
    return augment


def faiss_neighbours(z_ND: NDArray[np.float32], *, k: int, threads: int) -> NDArray[np.int64]:
    """Neighbours by faiss' flat index: exact, itself left out; shape (N, k)."""
    import faiss

    faiss.omp_set_num_threads(threads)
    index = faiss.IndexFlatIP(z_ND.shape[1])
    index.add(z_ND)
    found: NDArray[np.int64] = index.search(z_ND, k + 1)[1][:, 1:]
    return found


class LightlySimCLR:
    """SimCLR as lightly's documentation has it: its transform in a ``DataLoader``, its head, its loss.

    Args:
        images_NHWI: Pictures, decoded already.
        net: A backbone without classifier.
        num_features: Its width.
        batch: Pictures in a step.
        workers: Processes that augment.
        device: Where the net is trained.
        dtype: Of autocast; float32 switches it off.
        is_channels_last: The memory format.
        lr: The learning rate.
    """

    def __init__(
        self,
        images_NHWI: NDArray[np.uint8],
        net: nn.Module,
        *,
        num_features: int,
        batch: int,
        workers: int,
        device: torch.device,
        dtype: torch.dtype,
        is_channels_last: bool,
        lr: float = 0.06,
    ) -> None:
        from lightly.loss import NTXentLoss
        from lightly.models.modules import SimCLRProjectionHead
        from lightly.transforms.simclr_transform import SimCLRTransform

        transform = SimCLRTransform(
            input_size=images_NHWI.shape[1], gaussian_blur=0.0, cj_strength=0.5, cj_bright=0.8, min_scale=0.2
        )
        items = [Image.fromarray(image) for image in images_NHWI]
        self.loader = _loader(InMemory(items, transform), batch=batch, workers=workers)
        self.format = torch.channels_last if is_channels_last else torch.contiguous_format
        self.device = device
        self.dtype = dtype
        self.net = net.to(device).to(memory_format=self.format).train()
        self.head = SimCLRProjectionHead(num_features, num_features, 128).to(device)
        self.criterion = NTXentLoss(temperature=0.5)
        parameters = [*self.net.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.SGD(parameters, lr=lr, momentum=0.9, weight_decay=5e-4)

    def epoch(self) -> None:
        """One pass over the pictures."""
        for first, second in self.loader:
            with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32):
                z0, z1 = (self._project(view) for view in (first, second))
                loss = self.criterion(z0, z1)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    def _project(self, view_BIHW: Tensor) -> Tensor:
        h_BD = self.net(view_BIHW.to(self.device, non_blocking=True, memory_format=self.format))
        z_BD: Tensor = self.head(h_BD.flatten(start_dim=1))
        return z_BD


def _loader(data: Dataset[Any], *, batch: int, workers: int, shuffle: bool = True) -> DataLoader[Any]:
    """Workers live on from epoch to epoch: their start is not counted against the peer."""
    return DataLoader(
        data, batch_size=batch, shuffle=shuffle, num_workers=workers, persistent_workers=workers > 0, drop_last=shuffle
    )
