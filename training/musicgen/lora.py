"""LoRA on the decoder of a MusicGen, by peft: wrap, save, load, and the change it makes.

A checkpoint is a PEFT folder (``adapter_config.json``, ``adapter_model.safetensors``) that
``engines.music.musicgen.lora`` reads.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.base import StudioError
from training.config import RunConfig

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from torch import nn

ADAPTER = "default"
WEIGHTS = "adapter_model.safetensors"


def wrap(decoder: nn.Module, config: RunConfig, base_id: str, dropout: float) -> PeftModel:
    """A PeftModel of ``decoder`` with new adapters, drawn from the run's seed; all else is frozen."""
    import torch
    from peft import LoraConfig, get_peft_model

    from training.musicgen import lora_linear

    torch.manual_seed(config.seed)
    wanted = LoraConfig(
        r=config.lora_r,
        lora_alpha=config.lora_alpha,
        lora_dropout=dropout,
        target_modules=list(config.target_modules),
        bias="none",
    )
    model = get_peft_model(decoder, wanted)
    model.peft_config[ADAPTER].base_model_name_or_path = base_id
    lora_linear.install(model)
    return model


def quiet(decoder: nn.Module) -> None:
    """Switch the base's own dropout off: only the adapter learns, and it has its own.

    It also makes train mode, which gradient checkpointing needs, free of noise.
    """
    for module in decoder.modules():
        for name in ("dropout", "activation_dropout", "attention_dropout", "layerdrop"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)


def tensors(model: PeftModel) -> dict[str, torch.Tensor]:
    """The adapter's weights on the CPU, named as in a PEFT folder."""
    from peft import get_peft_model_state_dict

    found = get_peft_model_state_dict(model, save_embedding_layers=False)
    return {name: tensor.detach().cpu().contiguous() for name, tensor in found.items()}


def save(model: PeftModel, folder: Path) -> None:
    """Write a PEFT folder."""
    import safetensors.torch

    # bytes written by Python: safetensors' own writer hides the system's error when the disk is full
    (folder / WEIGHTS).write_bytes(safetensors.torch.save(tensors(model), {"format": "pt"}))
    config: Any = copy.copy(model.peft_config[ADAPTER])
    config.inference_mode = True
    config.target_modules = sorted(config.target_modules)  # a set's order differs between processes
    config.save_pretrained(str(folder))


def load(model: PeftModel, folder: Path) -> None:
    """Put saved weights into ``model``; raises ``StudioError`` when any is missing or too many."""
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    saved, here = load_file(folder / WEIGHTS), tensors(model)
    shapes = {name: tensor.shape for name, tensor in here.items()}
    if shapes != {name: tensor.shape for name, tensor in saved.items()}:
        raise StudioError(
            f"The checkpoint {folder} is of another configuration (rank, adapted layers or base). "
            "Start a new run instead of resuming this one."
        )
    set_peft_model_state_dict(model, saved)


def deltas(model: PeftModel) -> dict[str, torch.Tensor]:
    """What the adapter adds to each weight of the decoder now: module path to (out, in) float32."""
    from peft.tuners.lora import LoraLayer

    decoder = model.get_base_model()
    return {
        name: module.get_delta_weight(ADAPTER).detach().float()  # type: ignore[attr-defined]
        for name, module in decoder.named_modules()
        if isinstance(module, LoraLayer)
    }
