"""A VevoSing of a few thousand random weights in the published layout, with its Whisper."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import WhisperConfig, WhisperForConditionalGeneration

from engines.networks.vevo.flow import FlowTransformer
from engines.networks.vevosing.language import SingingLanguage
from engines.networks.vevosing.pipeline import VevoSingConfig
from engines.networks.vevosing.tokenizer import CocoTokenizer

COCO = {
    "hidden_size": 32,
    "vocos_dim": 16,
    "vocos_intermediate_dim": 24,
    "vocos_num_layers": 1,
}
CONFIG = {
    "content_style": COCO | {"downsample_rate": 4, "codebook_size": 64, "whisper_dim": 32},
    "prosody": COCO | {"downsample_rate": 8, "codebook_size": 16},
    "language": {
        "content_vocab_size": 40,
        "style_vocab_size": 16,
        "content_style_vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    },
    "flow": {
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 4,
        "cond_codebook_size": 64,
        "cond_scale_factor": 4,
    },
    "vocoder": {"dim": 16, "intermediate_dim": 24, "num_layers": 1},
}
WHISPER = {
    "vocab_size": 60,
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "decoder_start_token_id": 0,
}


def save(module: nn.Module, folder: Path) -> None:
    """Write a network's weights into a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {key: tensor.contiguous().clone() for key, tensor in module.state_dict().items()}
    save_file(state, folder / "model.safetensors")


def make(root: Path, whisper: Path, *, data: str = "sing0.4k", content: int | None = None) -> None:
    """Fill two folders; ``content`` is the number of phones where it is not that of ``CONFIG``."""
    torch.manual_seed(3)
    config = json.loads(json.dumps(CONFIG))
    if content is not None:
        config["language"]["content_vocab_size"] = content
    for folder in (root, whisper):
        folder.mkdir(parents=True, exist_ok=True)
    (root / "config.json").write_text(json.dumps(config))
    sizes = VevoSingConfig.of(root)
    save(CocoTokenizer(sizes.content_style), root / "tokenizer/contentstyle_fvq16384_12.5hz")
    save(CocoTokenizer(sizes.prosody), root / "tokenizer/prosody_fvq512_6.25hz")
    language = SingingLanguage(sizes.language)
    with torch.no_grad():
        language.model.lm_head.weight.mul_(20)  # so that what is given matters to what is drawn
    save(language, root / f"contentstyle_modeling/ar_emilia101k_{data}")
    save(FlowTransformer(sizes.flow), root / f"acoustic_modeling/fm_emilia101k_{data}")
    save(sizes.vocoder.build(), root / "acoustic_modeling/Vocoder")
    torch.save({"mean": torch.zeros(32), "std": torch.ones(32)}, root / "whisper_stats.pt")
    save(WhisperForConditionalGeneration(WhisperConfig(**WHISPER)), whisper)
    (whisper / "config.json").write_text(json.dumps(WHISPER))
    (whisper / "preprocessor_config.json").write_text(json.dumps({"feature_size": 80}))
