"""A Vevo of a few thousand random weights in the published layout, with its HuBERT."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import HubertModel

from engines.networks.blocks.hubert import sized
from engines.networks.blocks.repcodec import RepCodec
from engines.networks.vevo.content import ContentCodec
from engines.networks.vevo.flow import FlowTransformer
from engines.networks.vevo.language import ContentStyleLanguage
from engines.networks.vevo.pipeline import VevoConfig

LANGUAGE = {
    "output_vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
CONVNEXT = {"vocos_dim": 16, "vocos_intermediate_dim": 24, "vocos_num_layers": 1}
CHANNELS = ("input_channels", "output_channels", "encode_channels", "decode_channels", "code_dim")
CONFIG = {
    "hubert": {"layers": 2},
    "content_style": {"codebook_size": 64, "hidden_size": 32} | CONVNEXT,
    "content": dict.fromkeys(CHANNELS, 32),
    "from_phones": LANGUAGE | {"input_vocab_size": 1024},
    "from_content": LANGUAGE | {"input_vocab_size": 1056},
    "flow": {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "cond_codebook_size": 64},
    "vocoder": {"dim": 16, "intermediate_dim": 24, "num_layers": 1},
}
HUBERT = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "conv_dim": [16] * 7,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "conv_bias": False,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}


def save(state: dict[str, Tensor], file: Path) -> None:
    """Write a weight file and the folder it lies in."""
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, file)


def make(root: Path, speech: Path, *, pickled: bool = False) -> None:
    """Fill two folders; ``pickled`` has HuBERT's weights as its publisher does."""
    torch.manual_seed(3)
    for folder in (root, speech):
        folder.mkdir(parents=True, exist_ok=True)
    (root / "config.json").write_text(json.dumps(CONFIG))
    (speech / "config.json").write_text(json.dumps(HUBERT))
    sizes = VevoConfig.of(root)
    for folder, config in (
        ("PhoneToVq8192", sizes.from_phones),
        ("Vq32ToVq8192", sizes.from_content),
    ):
        state = ContentStyleLanguage(config).state_dict()
        save(state, root / "contentstyle_modeling" / folder / "model.safetensors")
    acoustic = root / "acoustic_modeling"
    flow = FlowTransformer(sizes.flow).state_dict()
    save(flow, acoustic / "Vq8192ToMels/model.safetensors")
    (acoustic / "Vocoder").mkdir()
    torch.save(sizes.vocoder.build().state_dict(), acoustic / "Vocoder/pytorch_model.bin")
    codec = RepCodec(sizes.content_style).state_dict()
    save(codec, root / "tokenizer/vq8192/model.safetensors")
    (root / "tokenizer/vq32").mkdir()
    content = {"model": {"repcodec": ContentCodec(sizes.content).state_dict()}}
    torch.save(content, root / "tokenizer/vq32/hubert_large_l18_c32.pkl")
    statistics = {"mean": torch.zeros(32), "std": torch.full((32,), 0.5)}
    save(statistics, root / "hubert_large_l18_mean_std.safetensors")
    state = HubertModel(sized(speech / "config.json")).state_dict()
    if pickled:
        torch.save(state, speech / "pytorch_model.bin")
    else:
        save(state, speech / "model.safetensors")
