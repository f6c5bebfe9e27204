"""A MusicGen of the recipe's shape, and the folder that a trained one is saved to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.recipes import score
from training.recipes.recipe import Recipe

QUIET = 0.1  # of heads at the start, that no code is near certain


def build(recipe: Recipe, codec: Any, tokenizer: Any) -> Any:
    """A ``MusicgenForConditionalGeneration`` with fresh weights around a trained ``codec``.

    Tied or shared weights there are none. It hears as many frames at once as its pieces had. It begins
    with what is known of the codes, see ``acquaint``.
    """
    import torch
    from transformers import MusicgenConfig, MusicgenForConditionalGeneration, T5Config

    text, decoder, shape = recipe.music.text, recipe.music.decoder, recipe.codec
    pad = score.vocabulary()
    special: dict[str, Any] = {
        "pad_token_id": pad,
        "bos_token_id": pad,
        "decoder_start_token_id": pad,
    }
    t5 = T5Config(
        vocab_size=len(tokenizer), d_model=text.dimension, d_ff=text.inner,
        d_kv=text.dimension // text.heads, num_layers=text.layers, num_heads=text.heads,
        dropout_rate=decoder.dropout, feed_forward_proj="gated-gelu",
    )  # fmt: skip
    frames = round(recipe.corpus.seconds * shape.frame_rate)
    config = MusicgenConfig(
        text_encoder=t5.to_dict() | {"decoder_start_token_id": 0},
        audio_encoder=codec.config.to_dict(),
        decoder={
            "vocab_size": pad, "max_position_embeddings": frames + shape.codebooks,
            "num_hidden_layers": decoder.layers, "ffn_dim": decoder.inner,
            "num_attention_heads": decoder.heads, "hidden_size": decoder.hidden,
            "dropout": decoder.dropout, "num_codebooks": shape.codebooks, **special,
        },
        **special,
    )  # fmt: skip
    torch.manual_seed(recipe.seed)
    model = MusicgenForConditionalGeneration(config)
    model.audio_encoder.load_state_dict(codec.state_dict())
    acquaint(model)
    model.generation_config.update(
        **special, do_sample=True, max_length=frames + shape.codebooks,
        guidance_scale=recipe.music.guidance_scale, temperature=recipe.music.temperature,
        top_k=recipe.music.top_k, top_p=recipe.music.top_p,
    )  # fmt: skip
    return model


def acquaint(model: Any) -> None:
    """Set embeddings and heads of the codes so that codes which say the same in some respect are alike in it
    from the first step on, and as loud as the positions that are added to them. With the usual start, a
    fiftieth of that, small models spend hundreds of steps on learning which code is which.
    """
    import torch

    from training.recipes.codec import likenesses

    decoder = model.decoder
    width = decoder.config.hidden_size
    parts = zip(
        likenesses(width), decoder.model.decoder.embed_tokens, decoder.lm_heads, strict=True
    )
    with torch.no_grad():
        for vectors, embedding, head in parts:
            embedding.weight[: len(vectors)] = vectors
            head.weight[: len(vectors)] = vectors * (QUIET / width**0.5)


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """As fp16 ``safetensors`` with tokenizer and configuration; loads by ``from_pretrained``."""
    import torch

    model.to(torch.float16).save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
