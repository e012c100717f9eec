"""Features made by a network: `aman_maps`, which ResNet-18 computes from magnified frames.

They live here because the data room knows no networks. The weights come from a file that the user names in
``MER_AMAN_RESNET18``: a published checkpoint, or what ``mer weights import`` made of one. Published features are made
with a ResNet-18 trained on FER+, which its authors have distributed in their repository (``assets``) since 2024-11-22.
Without a file the network keeps random weights, always the same ones, and the feature's definition says so.
"""

from __future__ import annotations

import os
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from mer_data.features import FEATURES, feature
from mer_data.features.magnification import FACTORS, FRAMES, magnified_11x9
from mer_data.features.spec import ClipFrames
from mer_data.hashing import digest_bytes
from mer_data.problems import BadInput, Problem
from orchestrator.published_weights import read_checkpoint

if TYPE_CHECKING:
    from torch import nn

AMAN_VARIABLE = "MER_AMAN_RESNET18"
AMAN_FILE = "Resnet18_FER+_pytorch.pth.tar"  # as the authors' code calls it
RANDOM_WEIGHTS = "random, seed 0"
# Of ImageNet, RGB.
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


def _weights_file() -> Path | None:
    told = os.environ.get(AMAN_VARIABLE)
    return Path(told).expanduser() if told else None


def _origin() -> str:
    """What the weights are, as part of the feature's identity."""
    path = _weights_file()
    if path is None:
        return RANDOM_WEIGHTS
    try:
        return f"sha256 {digest_bytes(path.read_bytes())}"
    except OSError as error:
        remedy = f"correct or unset {AMAN_VARIABLE}"
        raise BadInput(Problem(str(path), f"cannot be read: {error.strerror}", remedy)) from error


@lru_cache(maxsize=1)
def aman_network() -> nn.Module:
    """The network that `aman_maps` come from, with the weights named in the environment or random ones.

    A checkpoint trained with ``DataParallel`` has the prefix ``module.`` on its keys; its classifier ``fc`` belongs to
    what the network was trained for, and is left out, as the authors' code does.

    Raises
    ------
    BadInput
        If the file cannot be read, or is not of a ResNet-18.
    """
    import torch

    from mer_models.networks.resnet18 import ResNet18
    from mer_models.reference import WrongCheckpoint, from_reference

    torch.set_num_threads(1)  # an actor has one core
    path = _weights_file()
    if path is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return ResNet18().eval()
    state = read_checkpoint(path)
    state = {key: tensor for key, tensor in state.items() if not key.removeprefix("module.").startswith("fc.")}
    try:
        return from_reference("aman_resnet18", state)
    except WrongCheckpoint as error:
        raise BadInput(
            Problem(str(path), f"is not a ResNet-18: {error}", f"correct or unset {AMAN_VARIABLE}")
        ) from None


def _compute(frames: ClipFrames) -> npt.NDArray[np.float16]:
    """Maps of layer 3 of every magnified frame, float16 ``[frames, factors, 256, 14, 14]``."""
    import torch

    magnified = magnified_11x9(frames)  # [J, I, 224, 224, 3], BGR
    network, out = aman_network(), []
    with torch.inference_mode():
        for of_frame in magnified:
            rgb = of_frame[..., ::-1].astype(np.float32) / 255
            standard = (rgb - _MEAN) / _DEVIATION
            batch = torch.from_numpy(np.ascontiguousarray(standard.transpose(0, 3, 1, 2)))
            out.append(network(batch).numpy().astype(np.float16))
    return np.stack(out)


def _definition() -> dict[str, Any]:
    return {
        "magnified": FEATURES["magnified_11x9"].describe(),
        "network": "ResNet-18 to layer 3, evaluation mode, ImageNet normalisation",
        "weights": _origin(),
        "torch": version("torch"),
        "opencv": cv2.__version__,
    }


feature(
    name="aman_maps",
    version=1,
    frames=FEATURES["magnified_11x9"].frames,
    channels=(),
    size=(FRAMES, len(FACTORS), 256, 14, 14),
    dtype="float16",
    params=_definition(),
)(_compute)
