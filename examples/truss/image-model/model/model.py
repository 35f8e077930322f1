"""An image model that compiles on its first replica and restores what was compiled on every other one.

The network is a small stand-in, so that this file runs anywhere: put your own pipeline in `build_network`.
"""

from __future__ import annotations

import logging
import os
from typing import Any

import torch
from b10_transfer import OperationStatus, last_result, load_compile_cache, save_compile_cache
from torch import nn

logger = logging.getLogger(__name__)

# The sizes that requests come in: each is compiled once, during the warm-up.
SIZES = tuple(int(size) for size in os.environ.get("IMAGE_SIZES", "64,96").split(","))


class Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(4, channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(nn.functional.silu(self.norm(x)))


def build_network(channels: int = 16, depth: int = 3) -> nn.Module:
    blocks = [Block(channels) for _ in range(depth)]
    return nn.Sequential(nn.Conv2d(3, channels, 1), *blocks, nn.Conv2d(channels, 3, 1)).eval()


class Model:
    def __init__(self, **kwargs: Any) -> None:
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.network: nn.Module | None = None

    def load(self) -> None:
        network = build_network().to(self.device)
        # Before torch.compile. It never raises: without a cache the model compiles, as on the first replica.
        loaded = load_compile_cache()
        logger.info("compile cache: %s", last_result())
        self.network = torch.compile(network, dynamic=False)
        self.warm_up()
        if loaded != OperationStatus.SUCCESS:
            save_compile_cache()

    def warm_up(self) -> None:
        for size in SIZES:
            self.denoise(torch.zeros(1, 3, size, size))

    def denoise(self, image: torch.Tensor) -> torch.Tensor:
        assert self.network is not None, "load() comes first"
        with torch.inference_mode():
            return self.network(image.to(self.device)).cpu()

    def predict(self, request: dict[str, Any]) -> dict[str, Any]:
        image = torch.tensor(request["image"], dtype=torch.float32)
        return {"image": self.denoise(image).tolist()}
