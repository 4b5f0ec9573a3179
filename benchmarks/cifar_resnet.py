"""ResNet-20 and ResNet-56 for CIFAR-10 (He et al. 2015, section 4.2), their published weights, and images.
Imports torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of red, green and blue over 255: what the published weights were trained with."""
PADDING = 4


class Block(nn.Module):
    """Two convolutions of 3 x 3 beside a shortcut, which takes every second pixel where ``stride`` is 2 and
    fills up with channels of zeros: it has no weights."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.added = stride, outputs - inputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        if self.added:
            half = self.added // 2
            x = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, self.added - half))
        return functional.relu(made + x)


class ResNet(nn.Module):
    """``depth`` is 6 n + 2: three stages of n blocks, of 16, 32 and 64 channels."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        count = (depth - 2) // 6
        self.layer1 = _stage(16, 16, 1, count)
        self.layer2 = _stage(16, 32, 2, count)
        self.layer3 = _stage(32, 64, 2, count)
        self.linear = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


def _stage(inputs: int, outputs: int, stride: int, count: int) -> nn.Sequential:
    first = Block(inputs, outputs, stride)
    return nn.Sequential(first, *(Block(outputs, outputs, 1) for _ in range(count - 1)))


def trained(depth: int, data: Path) -> ResNet:
    """With the published weights, from ``data``/cifar_resnet."""
    model = ResNet(depth)
    with np.load(data / "cifar_resnet" / f"resnet{depth}.npz") as file:
        state = {name: torch.from_numpy(file[name]) for name in file.files}
    # The file leaves out what only training counts.
    missing, unknown = model.load_state_dict(state, strict=False)
    assert not unknown and all(name.endswith("num_batches_tracked") for name in missing)
    return model.eval()


@dataclass(frozen=True, slots=True)
class Images:
    """``pixels``: [images, 3, 32, 32], normalised; ``labels``: 0 to 9."""

    pixels: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def shuffled(self, size: int, epoch: int, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Batches of one epoch, the last incomplete one left out: each image shifted by up to ``PADDING``
        pixels either way and mirrored half the time."""
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(len(self))
        padded = functional.pad(self.pixels, (PADDING,) * 4)
        for start in range(0, len(self) - size + 1, size):
            rows = order[start : start + size]
            down, right = (torch.from_numpy(rng.integers(0, 2 * PADDING + 1, size)) for _ in range(2))
            mirrored = torch.from_numpy(rng.random(size) < 0.5)
            side = torch.arange(32)
            across = torch.where(mirrored[:, None], side.flip(0), side) + right[:, None]
            chosen = torch.from_numpy(rows)
            moved = padded[chosen[:, None, None], :, (side + down[:, None])[:, :, None], across[:, None, :]]
            yield moved.permute(0, 3, 1, 2), self.labels[chosen]


def images(data: Path) -> tuple[Images, Images]:
    """(9,000 to train on, 2,000 to judge by) from ``data``/cifar10: some of both kept as JPEG, see there."""
    with np.load(data / "cifar10" / "cifar10_subset.npz") as some:
        train, labels = some["x_train"], some["y_train"]
        judged = _images(some["x_test"], some["y_test"])
    with np.load(data / "cifar10" / "cifar10_train4000_lossless.npz") as more:
        train, labels = np.concatenate([train, more["x"]]), np.concatenate([labels, more["y"]])
    return _images(train, labels), judged


def _images(pixels: np.ndarray, labels: np.ndarray) -> Images:
    scaled = (pixels / np.float32(255) - np.array(MEAN, np.float32)) / np.array(SPREAD, np.float32)
    x = torch.from_numpy(np.ascontiguousarray(scaled.transpose(0, 3, 1, 2)))
    return Images(x, torch.from_numpy(labels.astype(np.int64)))


def right(model: nn.Module, judged: Images) -> np.ndarray:
    """Whether each image of ``judged`` is told right by ``model``, which is left in evaluation."""
    model.eval()
    with torch.no_grad():
        found = [model(x).argmax(1) for x in judged.pixels.split(500)]
    return (torch.cat(found) == judged.labels).numpy()
