"""Opens onnxruntime sessions that load fast and do not grow."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def open_session(model: bytes | str | Path, device: str, threads: int) -> InferenceSession:
    """An onnxruntime session whose memory does not grow with the number of runs.

    ``device`` is a torch device string: ``cuda`` uses CUDA where onnxruntime has it, everything
    else runs on the processor with ``threads`` threads.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_cpu_mem_arena = False  # the arena keeps the largest block of every shape seen
    options.enable_mem_pattern = False
    options.enable_mem_reuse = (
        False  # planning reuse takes 5 s for a VITS graph in onnxruntime 1.31
    )
    options.log_severity_level = 3
    providers: list[Any] = ["CPUExecutionProvider"]
    if (
        device.startswith("cuda")
        and "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    ):
        index = int(device.partition(":")[2] or 0)
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": index}))
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, sess_options=options, providers=providers)


def give_memory_back() -> None:
    """Return freed memory to the system, where the C library can (glibc).

    Every sentence has other tensor sizes, so that the heap would keep a different mix of freed
    blocks after each job.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
