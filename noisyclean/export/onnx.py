"""A model folder as one ONNX file, checked against onnxruntime before it counts as written."""

from __future__ import annotations

import importlib.util
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch

import noisyclean.nn  # noqa: F401  registers our nets
from noisyclean.base.files import atomic_path, read_json
from noisyclean.errors import EnvironmentProblem, NoisycleanError, UsageError

__all__ = ["export_onnx"]

TOLERANCE = 1e-3
"""Largest difference of a logit between torch and onnxruntime."""
OPSET = 18
NUM_CHECKED = 4


def export_onnx(model: Path, out: Path) -> dict[str, Any]:
    """Write ``out``: normalised images (batch, 3, side, side) named ``images`` to ``logits``; any batch size.

    How to prepare pixels, and the class names, are in the file's metadata under ``noisyclean``.

    Args:
        model: A model folder.
        out: The file.

    Returns:
        ``largest_difference`` of a logit from torch's.

    Raises:
        UsageError: There is no model folder.
        EnvironmentProblem: The extra ``onnx`` is not installed.
        NoisycleanError: onnxruntime computes something else than torch.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            raise EnvironmentProblem(f"--to onnx needs {package}", hint="pip install 'noisyclean[onnx]'")
    if not (model / "config.json").is_file():
        raise UsageError(f"{model}: holds no config.json", hint="Give a finished run or a model folder.")
    config = read_json(model / "config.json")
    net = timm.create_model(f"local-dir:{model.resolve()}", pretrained=True).eval()
    side = config["pretrained_cfg"]["input_size"][-1]
    example = torch.randn(NUM_CHECKED, 3, side, side, generator=torch.Generator().manual_seed(0))
    with atomic_path(out) as temporary:
        _write(net, example, config, temporary)
        difference = _largest_difference(net, example, temporary)
        if difference > TOLERANCE:
            raise NoisycleanError(f"onnxruntime's logits differ from torch's by {difference:.2g}; nothing was written")
    return {"largest_difference": difference}


def _write(net: torch.nn.Module, example: torch.Tensor, config: dict[str, Any], path: Path) -> None:
    import onnx

    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            net,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    described = {"label_names": config["label_names"], "noisyclean": config["noisyclean"]}
    described |= {name: config["pretrained_cfg"][name] for name in ("mean", "std")}
    onnx.helper.set_model_props(proto, {"noisyclean": json.dumps(described)})
    onnx.checker.check_model(proto)
    path.write_bytes(proto.SerializeToString())


def _largest_difference(net: torch.nn.Module, example: torch.Tensor, path: Path) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    largest = 0.0
    for batch in (example, example[:1]):
        (got,) = session.run(["logits"], {"images": batch.numpy()})
        with torch.inference_mode():
            largest = max(largest, float(np.abs(got - net(batch).numpy()).max()))
    return largest
