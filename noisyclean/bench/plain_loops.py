"""Peers that nobody ships, written by us the plain way: PIL transforms in a ``DataLoader``, float32, one loop.

DivideMix follows its paper (https://arxiv.org/abs/2002.07394); the audit is cleanlab's own recipe, out-of-sample
probabilities from cross-validation of an ordinary training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from noisyclean.types import FloatArray, IntArray

__all__ = ["PlainDivideMix", "cross_validated", "worst_first"]

BATCH_OF_EVALUATION = 500


class _Views(Dataset[Any]):
    """Some rows, each in as many random views as asked."""

    def __init__(self, images: Sequence[Image.Image], rows: Sequence[int], *, num_views: int) -> None:
        from torchvision import transforms

        self.images, self.rows, self.num_views = images, rows, num_views
        last = [transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.25] * 3)]
        size = images[0].size
        random = [transforms.RandomCrop(size, padding=4), transforms.RandomHorizontalFlip()]
        self.transform = transforms.Compose([*random, *last] if num_views else last)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> tuple[int, list[Tensor]]:
        row = self.rows[place]
        return row, [self.transform(self.images[row]) for _ in range(max(1, self.num_views))]


class PlainDivideMix:
    """Two nets; an epoch evaluates both, fits a mixture to each one's losses and trains each by MixMatch.

    Args:
        images_NHWI: Pictures, decoded already.
        label_N: Given labels.
        nets: Two classifiers, on the device.
        num_classes: C.
        batch: Labelled rows of a step, and as many unlabelled ones.
        workers: Processes that augment.
        device: Where the nets are.
    """

    def __init__(
        self,
        images_NHWI: NDArray[np.uint8],
        label_N: Tensor,
        nets: Sequence[nn.Module],
        *,
        num_classes: int,
        batch: int,
        workers: int,
        device: torch.device,
    ) -> None:
        self.images = [Image.fromarray(image) for image in images_NHWI]
        self.label_N, self.nets, self.num_classes = label_N.to(device), nets, num_classes
        self.batch, self.workers, self.device = batch, workers, device
        self.optimizers = [
            torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9, weight_decay=5e-4) for net in self.nets
        ]
        self.plain = self._load(range(len(self.images)), num_views=0, batch=BATCH_OF_EVALUATION)

    def epoch(self, num_steps: int) -> None:
        """Divide, then train both nets for some steps."""
        p_clean = [self._divide(net) for net in self.nets]
        for index in range(2):
            self._train(index, p_clean[1 - index], num_steps)

    def _divide(self, net: nn.Module) -> FloatArray:
        from sklearn.mixture import GaussianMixture

        net.eval()
        parts = []
        with torch.no_grad():
            for row_B, (x_BIHW,) in self.plain:
                logits = net(x_BIHW.to(self.device))
                target = self.label_N[row_B.to(self.device)]
                parts.append(nn.functional.cross_entropy(logits, target, reduction="none").cpu())
        loss_N1 = torch.cat(parts).numpy()[:, None]
        loss_N1 = (loss_N1 - loss_N1.min()) / (np.ptp(loss_N1) + 1e-8)
        mixture = GaussianMixture(2, max_iter=10, tol=1e-2, reg_covar=5e-4, random_state=0).fit(loss_N1)
        p_N: FloatArray = mixture.predict_proba(loss_N1)[:, mixture.means_.argmin()]
        return p_N

    def _train(self, index: int, p_clean_N: FloatArray, num_steps: int) -> None:
        order_N = np.argsort(-p_clean_N)
        num_labelled = min(max(int((p_clean_N > 0.5).sum()), self.batch), len(order_N) - self.batch)
        loaders = [
            self._load(rows.tolist(), num_views=2, batch=self.batch) for rows in np.split(order_N, [num_labelled])
        ]
        streams = [iter(loader) for loader in loaders]
        weight_N = torch.from_numpy(p_clean_N).float().to(self.device)
        for _ in range(num_steps):
            drawn = []
            for side, loader in enumerate(loaders):
                try:
                    drawn.append(next(streams[side]))
                except StopIteration:
                    streams[side] = iter(loader)
                    drawn.append(next(streams[side]))
            self._step(index, drawn, weight_N)

    def _step(self, index: int, drawn: Sequence[tuple[Tensor, list[Tensor]]], weight_N: Tensor) -> None:
        (row_B, labelled), (_, unlabelled) = drawn
        net, other = self.nets[index], self.nets[1 - index]
        x = [view.to(self.device) for view in labelled]
        u = [view.to(self.device) for view in unlabelled]
        row_B = row_B.to(self.device)
        net.eval()
        other.eval()
        with torch.no_grad():
            guess = sum(model(view).softmax(1) for model in (net, other) for view in u) / (2 * len(u))
            belief = sum(net(view).softmax(1) for view in x) / len(x)
            given = nn.functional.one_hot(self.label_N[row_B], self.num_classes).float()
            w = weight_N[row_B, None]
            target_x, target_u = _sharpen(w * given + (1 - w) * belief), _sharpen(guess)
        net.train()
        inputs, targets = torch.cat([*x, *u]), torch.cat([target_x] * 2 + [target_u] * 2)
        share = float(max(share := np.random.default_rng().beta(4, 4), 1 - share))
        partner = torch.randperm(len(inputs), device=self.device)
        logits = net(share * inputs + (1 - share) * inputs[partner])
        mixed = share * targets + (1 - share) * targets[partner]
        num = 2 * len(row_B)
        loss_x = -(logits[:num].log_softmax(1) * mixed[:num]).sum(1).mean()
        loss_u = ((logits[num:].softmax(1) - mixed[num:]) ** 2).mean()
        mean_p = logits.softmax(1).mean(0)
        penalty = (torch.full_like(mean_p, 1 / self.num_classes) * (1 / self.num_classes / mean_p).log()).sum()
        self.optimizers[index].zero_grad()
        (loss_x + 25 * loss_u + penalty).backward()
        self.optimizers[index].step()

    def _load(self, rows: Sequence[int], *, num_views: int, batch: int) -> DataLoader[Any]:
        data = _Views(self.images, rows, num_views=num_views)
        return DataLoader(
            data, batch_size=batch, shuffle=num_views > 0, num_workers=self.workers, drop_last=num_views > 0
        )


def cross_validated(
    images_NHWI: NDArray[np.uint8],
    label_N: IntArray,
    make_net: Callable[[], nn.Module],
    *,
    num_folds: int,
    epochs: int,
    batch: int,
    workers: int,
    device: torch.device,
) -> FloatArray:
    """Out-of-sample probabilities of an ordinary training with crops and flips, shape (N, C)."""
    from sklearn.model_selection import StratifiedKFold

    images = [Image.fromarray(image) for image in images_NHWI]
    p_NC = np.zeros((len(label_N), int(label_N.max()) + 1))
    target_N = torch.from_numpy(label_N).to(device)
    for train, held in StratifiedKFold(num_folds, shuffle=True, random_state=0).split(p_NC, label_N):
        net = make_net().train()
        data = _Views(images, train.tolist(), num_views=1)
        loader = DataLoader(data, batch_size=batch, shuffle=True, num_workers=workers, drop_last=True)
        _fit(net, loader, target_N, epochs=epochs, device=device)
        net.eval()
        with torch.no_grad():
            plain = DataLoader(_Views(images, held.tolist(), num_views=0), batch_size=BATCH_OF_EVALUATION)
            p_NC[held] = torch.cat([net(x.to(device)).softmax(1).cpu() for _, (x,) in plain]).numpy()
    return p_NC


def worst_first(label_N: IntArray, p_NC: FloatArray, method: str) -> FloatArray:
    """How suspicious cleanlab finds each label, shape (N,)."""
    from cleanlab.rank import get_label_quality_scores

    quality_N: FloatArray = get_label_quality_scores(label_N, p_NC, method=method)
    return -quality_N


def _fit(net: nn.Module, loader: DataLoader[Any], target_N: Tensor, *, epochs: int, device: torch.device) -> None:
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=epochs * len(loader))
    for _ in range(epochs):
        for row_B, (x_BIHW,) in loader:
            loss = nn.functional.cross_entropy(net(x_BIHW.to(device)), target_N[row_B.to(device)])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


def _sharpen(p_BC: Tensor) -> Tensor:
    sharp = p_BC**2
    return sharp / sharp.sum(1, keepdim=True)
