"""Checkpoints of audiocraft (AudioGen, MusicGen and fine-tunes of them) in the classes of Transformers.

Audiocraft exports two files: ``state_dict.bin`` with the language model and ``compression_state_dict.bin``
with its EnCodec, or with the name of a published one. Both hold ``best_state`` and the configuration
``xp.cfg`` as YAML. They are read with ``weights_only``. The text encoder, a published T5, is not in them.

``python -m engines.parts.audiocraft FOLDER OUT --text-encoder T5 [--audio-encoder ENCODEC]`` writes a folder
that MusicGen's engine reads from models/own.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.base import StudioError

if TYPE_CHECKING:
    import torch

STATE, COMPRESSION = "state_dict.bin", "compression_state_dict.bin"
LONGEST_POSITIONS = 2048
RENAMED = (
    (r"^emb\.(\d+)\.", r"model.decoder.embed_tokens.\1."),
    (r"^linears\.(\d+)\.", r"lm_heads.\1."),
    (r"^out_norm\.", "model.decoder.layer_norm."),
    (r"^transformer\.layers\.", "model.decoder.layers."),
    (r"\.cross_attention\.", ".encoder_attn."),
    (r"\.norm_cross\.", ".encoder_attn_layer_norm."),
    (r"\.norm1\.", ".self_attn_layer_norm."),
    (r"\.norm2\.", ".final_layer_norm."),
    (r"\.linear([12])\.", r".fc\1."),
)
PROJECTION = "condition_provider.conditioners.description.output_proj."
MELODY = "condition_provider.conditioners.self_wav."
CODEC = (
    (r"^(encoder|decoder)\.model\.", r"\1.layers."),
    (r"\.conv\.conv\.", ".conv."),
    (r"\.convtr\.convtr\.", ".conv."),
    (r"^quantizer\.vq\.layers\.", "quantizer.layers."),
    (r"\._codebook\.", ".codebook."),
    (r"\.weight_g$", ".parametrizations.weight.original0"),
    (r"\.weight_v$", ".parametrizations.weight.original1"),
)


def read(file: Path) -> Mapping[str, Any]:
    """An exported file; raises ``StudioError`` for what isn't one, and for pickles that would run code."""
    import pickle

    import torch

    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise StudioError(
            f"{file.parent.name}/{file.name} is not a checkpoint that can be read safely: {reason}.",
            "model",
        ) from error
    if not isinstance(content, dict) or not ({"best_state", "pretrained"} & set(content)):
        raise StudioError(
            f"{file.parent.name}/{file.name} has no best_state: export the checkpoint with audiocraft's "
            "export_lm and export_encodec.",
            "model",
        )
    return content


def settings(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The configuration in an exported file."""
    import yaml

    given = content.get("xp.cfg", {})
    return yaml.safe_load(given) if isinstance(given, str) else given


def text_encoder(config: Mapping[str, Any]) -> str:
    """The name of the T5 that the language model was trained with."""
    conditioners = config.get("conditioners", {})
    return conditioners.get("description", {}).get("t5", {}).get("name", "t5-base")


def renamed(
    state: Mapping[str, torch.Tensor], rules: tuple[tuple[str, str], ...]
) -> dict[str, Any]:
    """``state`` with each name changed by all rules."""
    out = {}
    for name, value in state.items():
        for pattern, new in rules:
            name = re.sub(pattern, new, name)
        out[name] = value
    return out


def language_model(content: Mapping[str, Any]) -> tuple[Any, Any]:
    """The decoder (``MusicgenForCausalLM``) and the text's projection (``Linear``) of ``state_dict.bin``.

    Raises ``StudioError`` for what the classes have no place for, such as a melody's conditioner.
    """
    import torch
    from transformers import MusicgenForCausalLM
    from transformers.models.musicgen.configuration_musicgen import MusicgenDecoderConfig

    state, config = dict(content["best_state"]), settings(content)
    if any(name.startswith(MELODY) for name in state):
        raise StudioError(
            "Checkpoints that follow a melody can't be converted: use the published one.", "model"
        )
    codebooks = sum(bool(re.fullmatch(r"emb\.\d+\.weight", name)) for name in state)
    if not codebooks or f"{PROJECTION}weight" not in state:
        raise StudioError(
            f"{STATE} holds no language model of audiocraft's that reads a text.", "model"
        )
    entries, width = state["emb.0.weight"].shape
    layers = 1 + max(
        int(found[1]) for name in state if (found := re.match(r"transformer\.layers\.(\d+)", name))
    )
    lm = config.get("transformer_lm", {})
    fine = MusicgenDecoderConfig(
        vocab_size=entries - 1, max_position_embeddings=LONGEST_POSITIONS, num_hidden_layers=layers,
        ffn_dim=state["transformer.layers.0.linear1.weight"].shape[0], hidden_size=width,
        num_attention_heads=int(lm.get("num_heads", width // 64)), num_codebooks=codebooks,
        audio_channels=2 if config.get("channels") == 2 else 1, activation_function="gelu",
        pad_token_id=entries - 1, bos_token_id=entries - 1,
    )  # fmt: skip
    projection = torch.nn.Linear(state[f"{PROJECTION}weight"].shape[1], width)
    projection.load_state_dict(
        {n: state.pop(f"{PROJECTION}{n}").float() for n in ("weight", "bias")}
    )
    with torch.device("meta"):
        decoder = MusicgenForCausalLM(fine)
    _filled(decoder, _parted(renamed(state, RENAMED)), STATE)
    positions = decoder.model.decoder.embed_positions  # computed, not learnt
    positions.weights = positions.get_embedding(LONGEST_POSITIONS, width)
    return decoder.eval(), projection.eval()


def _parted(state: Mapping[str, Any]) -> dict[str, Any]:
    """Fused projections of queries, keys and values, one by one."""
    out = {}
    for name, value in state.items():
        if name.endswith(".in_proj_weight"):
            for part, piece in zip("qkv", value.chunk(3), strict=True):
                out[name.replace("in_proj_weight", f"{part}_proj.weight")] = piece.clone()
        else:
            out[name] = value
    return out


def _filled(network: Any, state: Mapping[str, Any], file: str) -> None:
    """Put ``state`` into ``network``; raises ``StudioError`` that names what's missing or left over."""
    own = network.state_dict()
    missing = sorted(set(own) - set(state))
    extra = sorted(set(state) - set(own))
    shapes = [name for name in own if name in state and own[name].shape != state[name].shape]
    if missing or extra or shapes:
        named = [*missing, *extra, *shapes]
        what = (
            "lacks"
            if missing
            else "has no place in the model for"
            if extra
            else "has in another shape"
        )
        raise StudioError(f"{file} {what} {', '.join(named[:3])}.", "model")
    network.load_state_dict({name: value.float() for name, value in state.items()}, assign=True)


def audio_encoder(content: Mapping[str, Any]) -> Any:
    """The ``EncodecModel`` of ``compression_state_dict.bin``."""
    from transformers import EncodecConfig, EncodecModel

    config = settings(content)
    state = renamed(content["best_state"], CODEC)
    seanet = config.get("seanet", {})
    layers = [
        name for name in state if re.fullmatch(r"quantizer\.layers\.\d+\.codebook\.embed", name)
    ]
    if not layers:
        raise StudioError(f"{COMPRESSION} holds no EnCodec of audiocraft's.", "model")
    entries, width = state[layers[0]].shape
    ratios = list(seanet.get("ratios", (8, 5, 4, 2)))
    rate, hop = int(config.get("sample_rate", 16_000)), 1
    for ratio in ratios:
        hop *= ratio
    bits = (entries - 1).bit_length()
    model = EncodecModel(
        EncodecConfig(
            target_bandwidths=[len(layers) * bits * (rate / hop) / 1000], sampling_rate=rate,
            audio_channels=int(config.get("channels", 1)), upsampling_ratios=ratios, hidden_size=width,
            num_filters=int(seanet.get("n_filters", 64)), num_lstm_layers=int(seanet.get("lstm", 2)),
            num_residual_layers=int(seanet.get("n_residual_layers", 1)), codebook_size=entries,
            codebook_dim=width, norm_type="weight_norm", use_causal_conv=bool(seanet.get("causal", False)),
            use_conv_shortcut=not seanet.get("true_skip", True), normalize=False,
        )
    )  # fmt: skip
    _filled(model, state, COMPRESSION)
    return model.eval()


def whole(folder: Path, text: Path, audio: Path | None = None) -> tuple[Any, Any]:
    """The ``MusicgenForConditionalGeneration`` of an exported ``folder`` and its tokenizer.

    ``text`` is the folder of the T5, ``audio`` that of a published EnCodec where the export only names one.
    """
    import transformers
    from transformers import MusicgenConfig, MusicgenForConditionalGeneration

    decoder, projection = language_model(read(folder / STATE))
    packed = read(folder / COMPRESSION)
    if "best_state" in packed:
        codec = audio_encoder(packed)
    elif audio is None:
        raise StudioError(
            f"{COMPRESSION} names {packed['pretrained']} and holds no weights: give that EnCodec's folder.",
            "model",
        )
    else:
        codec = transformers.EncodecModel.from_pretrained(audio, local_files_only=True)
    try:
        encoder = transformers.T5EncoderModel.from_pretrained(text, local_files_only=True)
        tokenizer = transformers.AutoTokenizer.from_pretrained(text, local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise StudioError(
            f"{text.name} is not a T5 that can be loaded: {error}", "model"
        ) from error
    if encoder.config.d_model != projection.in_features:
        raise StudioError(
            f"The text encoder in {text.name} has {encoder.config.d_model} channels; the checkpoint was "
            f"trained with {projection.in_features}.",
            "model",
        )
    pad = decoder.config.pad_token_id
    tokens: dict[str, Any] = {
        "pad_token_id": pad, "bos_token_id": pad, "decoder_start_token_id": pad,
    }  # fmt: skip
    config = MusicgenConfig(
        text_encoder=encoder.config.to_dict(), audio_encoder=codec.config.to_dict(),
        decoder=decoder.config.to_dict(), **tokens,
    )  # fmt: skip
    for part in (encoder, codec, decoder):
        _kept(part)
    model = MusicgenForConditionalGeneration(config, encoder, codec, decoder)
    if hasattr(model, "enc_to_dec_proj"):
        model.enc_to_dec_proj.load_state_dict(projection.state_dict())
    else:  # the class has a projection only where the widths differ
        raise StudioError(
            f"The text encoder and the decoder of {folder.name} are both {projection.in_features} wide; "
            "MusicGen's class has no projection then, and this checkpoint has one.",
            "model",
        )
    model.generation_config.update(**tokens, do_sample=True, guidance_scale=3.0, max_length=1500)
    return model.eval(), tokenizer


def _kept(network: Any) -> None:
    """Mark all of a network as made: the class that holds it would draw its weights anew."""
    for each in (*network.modules(), *network.parameters(), *network.buffers()):
        each._is_hf_initialized = True


def main() -> None:
    """Convert an exported folder to one of Transformers'."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--text-encoder", type=Path, required=True)
    parser.add_argument("--audio-encoder", type=Path)
    asked = parser.parse_args()
    model, tokenizer = whole(asked.folder, asked.text_encoder, asked.audio_encoder)
    model.save_pretrained(asked.out, safe_serialization=True)
    tokenizer.save_pretrained(asked.out)


if __name__ == "__main__":
    main()
