"""A tiny EnCodec with random weights, saved as the published one is: 8 kHz, hop 32, 16 codebooks."""

from pathlib import Path

RATE, HOP, LATENTS = 8000, 32, 6


def save_encodec(folder: Path) -> Path:
    """The folder with ``config.json`` and ``model.safetensors``."""
    import torch
    from transformers import EncodecConfig, EncodecModel

    torch.manual_seed(4)
    model = EncodecModel(
        EncodecConfig(
            sampling_rate=RATE, upsampling_ratios=[8, 4], codebook_size=16, codebook_dim=LATENTS,
            hidden_size=LATENTS, num_filters=4, num_lstm_layers=1, target_bandwidths=[40.0],
            num_residual_layers=1,
        )
    )  # fmt: skip
    for layer in model.quantizer.layers:
        layer.codebook.embed.normal_()
    model.save_pretrained(folder)
    return folder
