"""SimCLR on CIFAR-10's files: wall time, and how often nearest neighbours are right. One JSON object at the end.

    python -m noisyclean.bench.simclr DATA --out OUT [--epochs 200] [--images 10000] [--backbone NAME]
        [--set simclr.KEY=VALUE ...] [--seed 0] [--device cuda] [--compile] [--ordinary] [--trace | --lightly]

DATA holds ``train/``, ``test/``, ``truth.csv`` and ``test.csv`` (``path,label``). Accuracy on the test set is that of a
vote of the 200 nearest training images, each weighted by exp(similarity / 0.1), as usual. SIGTERM stops it at a
checkpoint and the same call continues; seconds are those of all calls.

``--lightly`` trains the same net by lightly's SimCLR instead, in one go, at its own settings: two views of 512 images,
temperature .5, and the rate of its benchmarks, falling as a cosine. ``--trace`` runs steps of SimCLR and of DivideMix
on generated pictures: how fast they are, by themselves and as a share of the device's peak, and what the device does
in them; profiles are written to OUT.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from noisyclean.base.log import Silent
from noisyclean.base.runtime import Runtime, at_work, choose_runtime
from noisyclean.bench.harness import interleave, share_reached
from noisyclean.bench.limits import Limits, count_flops
from noisyclean.bench.peers import MEAN, STD, LightlySimCLR
from noisyclean.bench.training_rows import ordinary, our_dividemix, our_simclr
from noisyclean.bench.workload import FULL, TINY, open_workload
from noisyclean.config import SimCLRConfig, overlay, read_overrides
from noisyclean.data.augment import strong
from noisyclean.data.batches import Pixels, load_pixels
from noisyclean.data.decode import PixelMapping
from noisyclean.data.ingest import read_labels
from noisyclean.data.store import build_store
from noisyclean.engine.checkpoint import Checkpoint
from noisyclean.engine.inference import embed
from noisyclean.engine.loop import fit
from noisyclean.engine.neighbours import neighbours_among
from noisyclean.errors import Interrupted
from noisyclean.nn import create_backbone
from noisyclean.nn.backbone import feature_width
from noisyclean.pretrain.simclr import SimCLR

NUM_NEIGHBOURS, TEMPERATURE = 200, 0.1
LIGHTLY_BATCH, LIGHTLY_LR = 512, 0.24
"""Lightly's benchmark of CIFAR-10 takes .06 at 128 images, and in proportion."""
TRACED_IMAGES, TIMED_CALLS = 16_384, 3


def main() -> None:
    """Train or trace, then print."""
    asked = arguments()
    asked.out.mkdir(parents=True, exist_ok=True)
    runtime = replace(choose_runtime(asked.device), compiles=asked.compile, replays=not asked.ordinary)
    work = trace if asked.trace else train_lightly if asked.lightly else train
    with at_work(runtime):
        print(json.dumps(work(asked, runtime)))


def train(asked: argparse.Namespace, runtime: Runtime) -> dict[str, Any]:
    """Pre-train on the training images and judge on the test images."""
    pixels, label_N = load(asked, "truth.csv", runtime)
    seed = asked.seed
    net = create_backbone(asked.backbone, num_classes=0, seed=seed, key=("simclr",)).to(runtime.device)
    config = settings(asked, most=len(pixels) // 4)
    task = SimCLR(
        pixels=pixels, label_N=label_N, net=net, augmentation=strong(), config=config, runtime=runtime, seed=seed
    )
    clock = asked.out / "seconds.json"
    before = json.loads(clock.read_text()) if clock.exists() else 0.0
    start = time.monotonic()
    try:
        history = fit(
            task,
            title="simclr",
            num_epochs=config.epochs,
            checkpoint=Checkpoint(asked.out / "checkpoint.pt"),
            reporter=Silent(),
        )
    except Interrupted:
        clock.write_text(json.dumps(before + time.monotonic() - start))
        raise SystemExit(130) from None
    seconds = before + time.monotonic() - start
    return {
        "epochs": config.epochs,
        "seconds": round(seconds, 1),
        "views_per_second": round(config.num_views * len(pixels) * config.epochs / seconds),
        "loss": history[-1]["loss"],
        "neighbours_agree": {
            epoch + 1: round(figures["neighbours agree"], 4)
            for epoch, figures in enumerate(history)
            if "neighbours agree" in figures
        },
        "knn_accuracy": judged(asked, net, pixels, label_N, runtime),
    }


def train_lightly(asked: argparse.Namespace, runtime: Runtime) -> dict[str, Any]:
    """The same by a peer, in float32."""
    statistics = torch.tensor(MEAN), torch.tensor(STD)
    pixels, label_N = load(asked, "truth.csv", runtime, statistics)
    net = create_backbone(asked.backbone, num_classes=0, seed=asked.seed, key=("simclr",)).to(runtime.device)
    batch = min(LIGHTLY_BATCH, len(pixels) // 4)
    torch.manual_seed(asked.seed)
    peer = LightlySimCLR(
        pixels.images_LHWI.cpu().numpy(),
        net,
        num_features=feature_width(net),
        batch=batch,
        workers=runtime.threads,
        device=runtime.device,
        dtype=torch.float32,
        is_channels_last=False,
        lr=LIGHTLY_LR * batch / LIGHTLY_BATCH,
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(peer.optimizer, asked.epochs)
    start = time.monotonic()
    for _ in range(asked.epochs):
        peer.epoch()
        schedule.step()
    return {
        "epochs": asked.epochs,
        "seconds": round(time.monotonic() - start, 1),
        "knn_accuracy": judged(asked, net, pixels, label_N, runtime),
    }


@dataclass(frozen=True)
class _Plan:
    """What ``--set`` changes."""

    simclr: SimCLRConfig
    reasons: Mapping[str, str] = field(default_factory=dict)


def settings(asked: argparse.Namespace, *, most: int) -> SimCLRConfig:
    """Of SimCLR: the usual ones but for what was asked, at most so many images in a step."""
    plan = overlay(_Plan(simclr=SimCLRConfig(epochs=asked.epochs)), read_overrides(None, asked.set))
    return replace(plan.simclr, batch=min(plan.simclr.batch, most))


def load(
    asked: argparse.Namespace, table: str, runtime: Runtime, statistics: tuple[Tensor, Tensor] | None = None
) -> tuple[Pixels, Tensor]:
    """Decoded images of a table, normalised by their own statistics or by these, and their labels; on the device."""
    given = read_labels(asked.data, asked.data / table).table
    files, label_N = given.file_N.tolist()[: asked.images], given.label_N[: asked.images]
    folder = asked.out / Path(table).stem
    store = build_store(folder, files, PixelMapping(size_px=32), threads=runtime.threads, reporter=Silent())
    pixels = load_pixels(store.images_NHWI, runtime.device, statistics=statistics)
    return pixels, torch.from_numpy(label_N).to(runtime.device)


def judged(asked: argparse.Namespace, net: torch.nn.Module, pixels: Pixels, label_N: Tensor, runtime: Runtime) -> float:
    """Accuracy of the training images' votes on the test images, all normalised alike."""
    test, label_M = load(asked, "test.csv", runtime, (pixels.mean_3, pixels.std_3))
    z_ND, z_MD = (embed(net, each, torch.arange(len(each)), runtime) for each in (pixels, test))
    return neighbour_accuracy(z_ND, label_N, z_MD, label_M)


def neighbour_accuracy(z_ND: Tensor, label_N: Tensor, z_MD: Tensor, label_M: Tensor) -> float:
    """Share of the test images whose nearest training images vote for their label."""
    index_MK = neighbours_among(z_MD, z_ND, num_neighbours=min(NUM_NEIGHBOURS, len(z_ND) // 4))
    similarity_MK = torch.stack([z_ND[index_K] @ z_D for index_K, z_D in zip(index_MK, z_MD, strict=True)])
    weight_MK = (similarity_MK / TEMPERATURE).exp()
    votes_MC = weight_MK.new_zeros(len(z_MD), int(label_N.max()) + 1).scatter_add_(1, label_N[index_MK], weight_MK)
    return float((votes_MC.argmax(dim=1) == label_M).float().mean())


def trace(asked: argparse.Namespace, runtime: Runtime) -> dict[str, Any]:
    """Time and profile the steps of the speed table."""
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if runtime.device.type == "cuda" else [])
    found: dict[str, Any] = {}
    amounts = TINY if asked.tiny else replace(FULL, images=TRACED_IMAGES, divided=TRACED_IMAGES)
    limits, peaks = Limits(runtime), list[float]()
    with open_workload(None, amounts, runtime) as work:
        config = settings(asked, most=amounts.simclr_batch)
        for name, make in (("simclr", partial(our_simclr, config=config)), ("dividemix", our_dividemix)):
            counted, steps = ordinary(make, work), make(work)
            counted.begin()
            flops = count_flops(counted.train)
            steps.begin()
            timing, _ = interleave(steps.train, lambda: peaks.append(limits.convolution()), repeats=TIMED_CALLS)
            with profile(activities=activities) as profiler:
                start = time.perf_counter()
                steps.train()
                wall_s = time.perf_counter() - start
            profiler.export_chrome_trace(str(asked.out / f"{name}.trace.json"))
            found[name] = {
                "step_ms": round(1e3 * timing.median_s / steps.num, 3),
                "of_limit": round(share_reached(flops, timing, peaks), 4),
                "spread": round(timing.spread, 3),
                **busiest(profiler, wall_s, on_device=len(activities) > 1),
            }
    return {"peak": statistics.median(peaks), **found}


def busiest(profiler: profile, wall_s: float, *, on_device: bool) -> dict[str, Any]:
    """The ten operations that took longest, as shares of the wall time."""
    key = "self_device_time_total" if on_device else "self_cpu_time_total"
    seconds = {event.key: getattr(event, key) / 1e6 for event in profiler.key_averages()}
    first = sorted(seconds, key=lambda name: -seconds[name])[:10]
    return {
        "busy": round(sum(seconds.values()) / wall_s, 3),
        "operations": {name: round(seconds[name] / wall_s, 3) for name in first},
    }


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--images", type=int, help="use the first so many of each table")
    parser.add_argument("--backbone", default="noisyclean_resnet18")
    parser.add_argument("--set", action="append", default=[], metavar="simclr.KEY=VALUE", help="a setting of SimCLR")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compile", action="store_true", help="compile the passes")
    parser.add_argument("--ordinary", action="store_true", help="replay no steps")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--trace", action="store_true", help="time and profile steps")
    instead.add_argument("--lightly", action="store_true", help="train by lightly")
    parser.add_argument("--tiny", action="store_true", help="hardly any work in --trace")
    return parser.parse_args()


if __name__ == "__main__":
    main()
