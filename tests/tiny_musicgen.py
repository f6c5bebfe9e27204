"""A tiny MusicGen with random weights and the real classes: it loads by the same
``from_pretrained`` as the published ones, and decodes in milliseconds."""

from __future__ import annotations

from pathlib import Path

PAD = 2048
WORDS = (
    "a the and with for of slow fast quiet loud soft warm dark bright happy sad calm energetic "
    "peaceful jazz rock pop folk classical electronic ambient piano guitar drums bass violin flute "
    "theme melody rhythm beat song lead featuring subtle acoustic energy high low medium bpm"
)


def make(
    folder: Path,
    *,
    melody: bool = False,
    stereo: bool = False,
    seed: int = 0,
    sample_rate: int = 3200,
    hidden_size: int = 32,
    num_layers: int = 2,
    dropout: float = 0.1,
    hears: bool = False,
) -> Path:
    """Save a tiny MusicGen into ``folder`` (made if needed) and return it.

    T5 with 16 channels, EnCodec with 4 codebooks of 2048 entries at 50 frames/s (``sample_rate``
    must be a multiple of 800), a decoder of ``hidden_size`` and 4 heads; 8 codebooks in ``stereo``.
    Random codecs give all sounds nearly the same codes; one that ``hears`` tells them apart.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _model(melody, stereo, sample_rate, hidden_size, num_layers, dropout)
        if hears:
            _tune(model.audio_encoder, sample_rate)
    model.generation_config.update(
        bos_token_id=PAD, pad_token_id=PAD, decoder_start_token_id=PAD,
        do_sample=True, guidance_scale=3.0, max_length=1500,
    )  # fmt: skip
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer().save_pretrained(folder)
    return folder


def tokenizer():
    """A T5 tokenizer of some words and all printable ASCII, built without any file."""
    from transformers import T5Tokenizer

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -8.0)]
    pieces += [(f"▁{word}", -4.0) for word in dict.fromkeys(WORDS.split())]
    pieces += [(chr(code), -9.0) for code in range(33, 127)]
    return T5Tokenizer(vocab=pieces, extra_ids=0, additional_special_tokens=[])


def _model(melody, stereo, sample_rate, hidden_size, num_layers, dropout):
    import torch
    from transformers import (
        EncodecConfig,
        MusicgenConfig,
        MusicgenForConditionalGeneration,
        MusicgenMelodyConfig,
        MusicgenMelodyForConditionalGeneration,
        T5Config,
    )

    text = T5Config(
        vocab_size=len(tokenizer()), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2,
        decoder_start_token_id=0,
    )  # fmt: skip
    hop = sample_rate // 50
    audio = EncodecConfig(
        sampling_rate=sample_rate, target_bandwidths=[2.2], codebook_size=2048, hidden_size=16,
        num_filters=4, num_lstm_layers=2, upsampling_ratios=[hop // 16, 4, 4],
        use_causal_conv=False, use_conv_shortcut=False, norm_type="weight_norm",
    )  # fmt: skip
    decoder = {
        "vocab_size": 2048, "max_position_embeddings": 2048, "num_hidden_layers": num_layers,
        "ffn_dim": 2 * hidden_size, "num_attention_heads": 4, "hidden_size": hidden_size,
        "dropout": dropout, "num_codebooks": 8 if stereo else 4,
        "audio_channels": 2 if stereo else 1, "pad_token_id": PAD, "bos_token_id": PAD,
        "decoder_start_token_id": PAD, "initializer_factor": 0.3,
    }  # fmt: skip
    parts = {"text_encoder": text.to_dict(), "audio_encoder": audio.to_dict(), "decoder": decoder}
    shared = {"pad_token_id": PAD, "bos_token_id": PAD, "decoder_start_token_id": PAD}
    if melody:
        config = MusicgenMelodyConfig(**parts, **shared, num_chroma=12, chroma_length=235)
        model = MusicgenMelodyForConditionalGeneration(config)
    else:
        model = MusicgenForConditionalGeneration(MusicgenConfig(**parts, **shared))
    for layer in model.audio_encoder.quantizer.layers:
        layer.codebook.embed.copy_(torch.randn_like(layer.codebook.embed))
    return model.eval()


def _tune(codec, sample_rate):
    """Bring what the encoder says of tones and noise to unit variance, and take codebook entries
    from it, each codebook from what the ones before leave."""
    import torch

    times = torch.arange(sample_rate) / sample_rate
    pitches = torch.logspace(1.8, 3.0, 24)[:, None]
    loudness = torch.linspace(0.02, 0.5, 24)[:, None]
    sounds = torch.cat(
        [0.6 * torch.sin(2 * torch.pi * pitches * times), loudness * torch.randn(24, sample_rate)]
    )
    with torch.no_grad():
        last = codec.encoder.layers[-1].conv
        gain = 1 / codec.encoder(sounds[:, None]).std()
        last.parametrizations.weight.original0.mul_(gain)
        last.bias.mul_(gain)
        rest = codec.encoder(sounds[:, None]).transpose(1, 2).flatten(0, 1)
        for layer in codec.quantizer.layers:
            entries = layer.codebook.embed
            drawn = rest[torch.randint(len(rest), (len(entries),))]
            entries.copy_(drawn + 0.05 * rest.std(0) * torch.randn_like(entries))
            rest = rest - entries[torch.cdist(rest, entries).argmin(1)]
