"""Tiny pipelines of diffusers with random weights and the real classes, saved as the hub has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests import tiny_musicgen

WORDS = 64  # of CLAP's vocabulary


def roberta() -> Any:
    """CLAP's tokenizer with letters only."""
    from transformers import RobertaTokenizer

    letters = [
        "<s>",
        "<pad>",
        "</s>",
        "<unk>",
        "<mask>",
        *"abcdefghijklmnopqrstuvwxyz",
        "Ġ",
        ".",
        ",",
    ]
    vocab = {letter: number for number, letter in enumerate(letters)}
    return RobertaTokenizer(vocab=vocab, merges=[], model_max_length=16)


def _t5() -> Any:
    from transformers import T5Config, T5EncoderModel

    tokenizer = tiny_musicgen.tokenizer()
    tokenizer.model_max_length = 16
    config = T5Config(
        vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2
    )
    return tokenizer, T5EncoderModel(config).eval()


def _clap_text() -> dict[str, Any]:
    return {
        "vocab_size": WORDS, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 32, "max_position_embeddings": 40, "projection_dim": 16, "pad_token_id": 1,
    }  # fmt: skip


def _sound(latent: int = 4) -> dict[str, Any]:
    """Scheduler, autoencoder and vocoder: 8 mel bands, 16 samples a frame, 16 kHz."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    vocoder = SpeechT5HifiGan(
        SpeechT5HifiGanConfig(
            model_in_dim=8, sampling_rate=16_000, upsample_initial_channel=8, upsample_rates=[4, 4],
            upsample_kernel_sizes=[8, 8], resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1, 3]],
            normalize_before=False,
        )
    )  # fmt: skip
    with torch.no_grad():
        for weight in vocoder.parameters():
            weight.normal_(0, 0.3)  # that of the class is silent
    return {
        "vocoder": vocoder,
        "scheduler": DDIMScheduler(
            beta_start=0.0015, beta_end=0.0195, beta_schedule="scaled_linear", clip_sample=False,
            set_alpha_to_one=False,
        ),
        "vae": AutoencoderKL(
            block_out_channels=[8, 16], in_channels=1, out_channels=1, norm_num_groups=4,
            down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2,
            latent_channels=latent,
        ),
    }  # fmt: skip


def audioldm(folder: Path, width: int = 8) -> Path:
    """Save a tiny AudioLDM."""
    import torch
    from diffusers import AudioLDMPipeline, UNet2DConditionModel
    from transformers import ClapTextConfig, ClapTextModelWithProjection

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            block_out_channels=(width, 2 * width), layers_per_block=1, norm_num_groups=4, sample_size=16,
            in_channels=4, out_channels=4, cross_attention_dim=(width, 2 * width), attention_head_dim=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            class_embed_type="simple_projection", projection_class_embeddings_input_dim=16,
            class_embeddings_concat=True,
        )  # fmt: skip
        text = ClapTextModelWithProjection(ClapTextConfig(**_clap_text()))
        pipeline = AudioLDMPipeline(
            text_encoder=text.eval(), tokenizer=roberta(), unet=unet, **_sound()
        )
    pipeline.save_pretrained(folder)
    return folder


def audioldm2(folder: Path, width: int = 8, layers: int = 1) -> Path:
    """Save a tiny AudioLDM 2; its index names GPT2Model, as the published ones do."""
    import torch
    from diffusers import AudioLDM2Pipeline, AudioLDM2ProjectionModel, AudioLDM2UNet2DConditionModel
    from transformers import (
        ClapConfig,
        ClapFeatureExtractor,
        ClapModel,
        GPT2Config,
        GPT2LMHeadModel,
    )

    audio = {
        "spec_size": 16, "window_size": 2, "num_mel_bins": 16, "hidden_size": 16, "depths": [1, 1],
        "num_attention_heads": [2, 2], "num_hidden_layers": 2, "patch_size": 2, "patch_stride": [2, 2],
        "patch_embeds_hidden_size": 8, "projection_dim": 16, "num_classes": 4,
    }  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tokenizer, t5 = _t5()
        unet = AudioLDM2UNet2DConditionModel(
            block_out_channels=(width, 2 * width), layers_per_block=layers, norm_num_groups=4, sample_size=16,
            in_channels=4, out_channels=4, cross_attention_dim=((16, None, 16), (16, None, 16)),
            attention_head_dim=4, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        )  # fmt: skip
        clap = ClapModel(
            ClapConfig(text_config=_clap_text(), audio_config=audio, projection_dim=16)
        )
        gpt2 = GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=64, n_positions=64)
        gpt2.max_new_tokens = 4
        pipeline = AudioLDM2Pipeline(
            text_encoder=clap.eval(), text_encoder_2=t5, tokenizer=roberta(), tokenizer_2=tokenizer,
            projection_model=AudioLDM2ProjectionModel(16, 16, 16),
            language_model=GPT2LMHeadModel(gpt2).eval(),
            feature_extractor=ClapFeatureExtractor(feature_size=16, hop_length=160, fft_window_size=400),
            unet=unet, **_sound(),
        )  # fmt: skip
    pipeline.save_pretrained(folder)
    index = folder / "model_index.json"
    index.write_text(index.read_text().replace("GPT2LMHeadModel", "GPT2Model"))
    return folder


def stable_audio(folder: Path) -> Path:
    """Save a tiny Stable Audio: stereo, 8 kHz, 64 samples a latent, 2 s at most."""
    import torch
    from diffusers import (
        AutoencoderOobleck,
        CosineDPMSolverMultistepScheduler,
        StableAudioDiTModel,
        StableAudioPipeline,
        StableAudioProjectionModel,
    )

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tokenizer, t5 = _t5()
        pipeline = StableAudioPipeline(
            vae=AutoencoderOobleck(
                encoder_hidden_size=8, downsampling_ratios=[4, 4, 4], decoder_channels=4,
                decoder_input_channels=4, audio_channels=2, channel_multiples=[1, 2, 2], sampling_rate=8000,
            ),
            text_encoder=t5, tokenizer=tokenizer,
            projection_model=StableAudioProjectionModel(
                text_encoder_dim=16, conditioning_dim=16, min_value=0, max_value=32
            ),
            transformer=StableAudioDiTModel(
                sample_size=250, in_channels=4, num_layers=1, attention_head_dim=8, num_attention_heads=2,
                num_key_value_attention_heads=2, out_channels=4, cross_attention_dim=16,
                cross_attention_input_dim=16, time_proj_dim=8, global_states_input_dim=32,
            ),
            scheduler=CosineDPMSolverMultistepScheduler(
                solver_order=2, prediction_type="v_prediction", sigma_data=1.0, sigma_schedule="exponential"
            ),
        )  # fmt: skip
    pipeline.save_pretrained(folder)
    return folder
