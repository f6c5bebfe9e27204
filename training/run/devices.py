"""Where a run computes: the processes that ``accelerate`` starts, the device, the precision."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engines.base import StudioError
from training.config import Precision

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator

DEVICE, THREADS = "STUDIO_DEVICE", "STUDIO_THREADS"


@dataclass(frozen=True)
class Place:
    """The processes, this one's device, and the dtype that the frozen base computes in."""

    accelerator: Accelerator
    dtype: torch.dtype

    @property
    def device(self) -> torch.device:
        """Of this process."""
        return self.accelerator.device

    def autocast(self) -> AbstractContextManager[Any]:
        """The context of a forward pass."""
        import torch

        if self.dtype is torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def __str__(self) -> str:
        count = self.accelerator.num_processes
        many = f", {count} processes" if count > 1 else ""
        return f"{self.device}{many}, {str(self.dtype).removeprefix('torch.')}"


def prepare(precision: Precision) -> Place:
    """Join the other processes, if any, and settle device and dtype.

    ``STUDIO_DEVICE`` (auto, cpu, cuda, cuda:1, mps) and ``STUDIO_THREADS`` are the studio's settings.
    """
    import torch
    from accelerate import Accelerator

    wanted = os.environ.get(DEVICE) or "auto"
    threads = int(os.environ.get(THREADS) or 0)
    if threads:
        torch.set_num_threads(threads)
    if wanted.startswith("cuda:") and torch.cuda.is_available():
        torch.cuda.set_device(wanted)
    accelerator = Accelerator(cpu=wanted == "cpu")
    found = accelerator.device.type
    if wanted not in ("auto", "cpu") and wanted.split(":")[0] != found:
        raise StudioError(f"Device {wanted!r} is not here; found {found!r}. Use {DEVICE}=auto.")
    return Place(accelerator, _dtype(precision, accelerator.device))


def _dtype(precision: Precision, device: torch.device) -> torch.dtype:
    import torch

    if precision is Precision.FLOAT32:
        return torch.float32
    if precision is Precision.BFLOAT16 or fast_bfloat16(device):
        return torch.bfloat16
    return torch.float32


def fast_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16; others only imitate it, slower."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        able = torch.cpu.get_capabilities()
        return bool(able.get("amx_bf16") or able.get("avx512_bf16"))
    return False
