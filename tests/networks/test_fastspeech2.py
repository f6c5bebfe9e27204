"""FastSpeech2 and Jets where the fixtures don't reach: symbols, files, guards, alignment, gradients."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import betabinom

from engines.networks.blocks.adversarial import Layer
from engines.networks.blocks.draws import uniform
from engines.networks.fastspeech2.config import FastSpeech2Config
from engines.networks.fastspeech2.losses import fastspeech2_loss
from engines.networks.fastspeech2.network import FastSpeech2, Targets
from engines.networks.fastspeech2.symbols import SYMBOLS, encode
from engines.networks.fastspeech2.variance import audible, frames_of
from engines.networks.jets.alignment import AlignmentModule, diagonal_prior
from engines.networks.jets.config import JetsConfig, Upsampling, Variance
from engines.networks.jets.discriminator import JetsDiscriminator
from engines.networks.jets.losses import discriminator_loss, generator_loss
from engines.networks.jets.network import Jets
from engines.networks.weights import WeightsError

ARGS = {
    "model": {
        "transformer": {
            "encoder_layer": 1,
            "encoder_head": 4,
            "encoder_hidden": 8,
            "decoder_layer": 3,
            "decoder_head": 2,
            "decoder_hidden": 8,
            "conv_filter_size": 12,
            "conv_kernel_size": [9, 1],
        },
        "variance_predictor": {"filter_size": 10, "kernel_size": 3},
        "variance_embedding": {"n_bins": 8},
        "max_seq_len": 30,
    },
    "hifigan": {
        "resblock": "2",
        "upsample_rates": [8, 4],
        "upsample_kernel_sizes": [16, 8],
        "upsample_initial_channel": 8,
        "resblock_kernel_sizes": [3],
        "resblock_dilation_sizes": [[1, 2]],
    },
    "preprocess": {"n_mel": 4},
    "train": {"segment_size": 20},
}
FIXTURES = Path(__file__).parent / "fixtures"


def network() -> FastSpeech2:
    torch.manual_seed(0)
    model = FastSpeech2(FastSpeech2Config.read(ARGS, postnet=8)).eval()
    model.variance_adaptor.spread_bins((-2.0, 3.0), (-1.0, 1.0))
    return model


def jets(**changes: object) -> Jets:
    torch.manual_seed(0)
    return Jets(replace(JetsConfig.read(ARGS, postnet=8), **changes)).eval()


def test_the_symbols_are_those_the_published_voice_was_trained_on():
    manifest = json.loads((FIXTURES / "fastspeech2" / "manifest.json").read_text())
    assert manifest["text"]["symbols"] == SYMBOLS
    assert [SYMBOLS[n] for n in encode(["HH", "AY1", "sp", "nothing"])] == ["@HH", "@AY1", "@sp"]


def test_bins_spread_from_the_least_to_the_largest_value():
    adaptor = network().variance_adaptor
    assert adaptor.pitch_bins.tolist() == pytest.approx(np.linspace(-2, 3, 7).tolist())
    low, high = adaptor.embed_pitch(torch.tensor([-9.0, 9.0]))
    table = adaptor.get_submodule("pitch_embedding").weight
    assert torch.equal(low, table[0])
    assert torch.equal(high, table[7])


def test_durations_are_rounded_half_to_even_and_never_negative():
    frames = torch.tensor([-0.9, 0.5, 1.5, 2.5, 2.51])
    assert frames_of((frames + 1).double().log()).tolist() == [0, 0, 2, 2, 3]


def test_a_text_without_any_frame_still_gives_one():
    assert audible(torch.tensor([[0, 0], [0, 3]])).tolist() == [[1, 0], [0, 3]]
    model = network()
    with torch.no_grad():
        model.variance_adaptor.duration_predictor.linear_layer.bias.fill_(-9)
        mels = model.synthesise(torch.tensor([[70, 80, 90]]), torch.tensor([3]))
    assert mels.mel.shape == (1, 1, 4)
    assert mels.mel.isfinite().all()


@torch.no_grad()
def test_the_encoder_does_not_see_padding_and_the_predictors_say_nothing_of_it():
    model, symbols = network(), torch.tensor([[70, 80, 90, 0, 0], [71, 72, 73, 74, 75]])
    both = model.synthesise(symbols, torch.tensor([3, 5]))
    alone = model.synthesise(symbols[:1, :3], torch.tensor([3]))
    torch.testing.assert_close(both.encoded[0, :3], alone.encoded[0])
    assert both.encoded[0, 3:].eq(0).all()
    assert both.pitch[0, 3:].tolist() == [0, 0]


@torch.no_grad()
def test_texts_longer_than_the_table_of_positions_are_read():
    model = network()
    symbols = torch.randint(64, 150, (1, 50), generator=torch.Generator().manual_seed(1))
    length = torch.tensor([50])
    longer = FastSpeech2(replace(model.config, max_seq_len=60)).eval()
    state = model.state_dict()
    state |= {k: v for k, v in longer.state_dict().items() if k.endswith("position_enc")}
    longer.load_state_dict(state)
    ours, theirs = model.synthesise(symbols, length), longer.synthesise(symbols, length)
    torch.testing.assert_close(ours.encoded, theirs.encoded)


def test_training_reaches_every_parameter():
    model = network().train()
    targets = Targets(torch.randn(2, 3), torch.randn(2, 3), torch.tensor([[2, 0, 4], [1, 1, 0]]))
    mels = model(torch.tensor([[70, 80, 90], [75, 76, 0]]), torch.tensor([3, 2]), targets)
    assert mels.mel.shape == (2, 6, 4)
    fastspeech2_loss(mels, targets, torch.randn(2, 6, 4)).total.backward()
    assert [name for name, value in model.named_parameters() if value.grad is None] == []


def published(tmp_path: Path, model: FastSpeech2 | Jets) -> Path:
    (tmp_path / "args.json").write_text(json.dumps(ARGS))
    place = tmp_path / "checkpoint" / "epoch-0001_step-0000010_loss-1.0"
    place.mkdir(parents=True)
    torch.save(model.state_dict(), place / "pytorch_model.bin")
    return tmp_path


def test_a_published_folder_speaks(tmp_path: Path):
    model = FastSpeech2(FastSpeech2Config.read(ARGS))
    model.variance_adaptor.spread_bins((-2.0, 3.0), (-1.0, 1.0))
    again = FastSpeech2.from_published(published(tmp_path, model))
    given = torch.tensor([[70, 80, 90]]), torch.tensor([3])
    assert torch.equal(model.eval().synthesise(*given).mel, again.synthesise(*given).mel)


def test_a_folder_of_another_model_is_refused_by_key(tmp_path: Path):
    folder = published(tmp_path, FastSpeech2(FastSpeech2Config.read(ARGS)))
    with pytest.raises(WeightsError, match=r"Jets .*missing: alignment_module\.t_conv1\.weight"):
        Jets.from_published(folder)
    (folder / "args.json").write_text('{"model": {}, "preprocess": {}}')
    with pytest.raises(WeightsError, match="no section “transformer”"):
        FastSpeech2.from_published(folder)


def test_jets_from_a_folder_follows_its_controls(tmp_path: Path):
    model = Jets.from_published(published(tmp_path, Jets(JetsConfig.read(ARGS))))
    symbols, length = torch.tensor([[70, 80, 90]]), torch.tensor([3])
    with torch.no_grad():
        model.variance_adaptor.duration_predictor.linear_layer.bias.fill_(1.6)
        plain = model.synthesise(symbols, length)
        slow = model.synthesise(symbols, length, duration_control=2.0)
        high = model.synthesise(symbols, length, pitch_control=3.0)
    assert plain.audio.shape == (1, 1, 32 * int(plain.durations.sum()))
    assert slow.durations.tolist() == (2 * plain.durations).tolist()
    torch.testing.assert_close(high.pitch, 3 * plain.pitch)
    assert not torch.equal(high.audio, plain.audio)


def test_the_prior_is_beta_binomial():
    prior = diagonal_prior(torch.tensor([4, 2]), torch.tensor([6, 3]), 6, 4)
    for t in range(6):
        expected = betabinom.logpmf(np.arange(4), 4, t + 1, 6 - t)
        np.testing.assert_allclose(prior[0, t], expected, atol=1e-5)
    assert prior[1, 3:].eq(-torch.inf).all()
    assert prior[1, :, 2:].eq(-torch.inf).all()


def test_means_of_tokens_are_over_their_frames():
    torch.manual_seed(1)
    tokens, frames = torch.tensor([3, 2]), torch.tensor([8, 5])
    alignment = AlignmentModule(4, 3)(torch.randn(2, 3, 4), torch.randn(2, 8, 3), tokens, frames)
    assert alignment.durations.sum(1).tolist() == [8, 5]
    values = torch.arange(8.0).expand(2, -1)
    ends = [int(end) for end in alignment.durations[0].cumsum(0)]
    expected = [values[0, a:b].mean().item() for a, b in zip([0, *ends], ends, strict=False)]
    assert alignment.token_means(values)[0].tolist() == pytest.approx(expected)
    assert alignment.token_means(values)[1, 2] == 0


@pytest.mark.parametrize("upsampling", list(Upsampling))
@pytest.mark.parametrize("variance", list(Variance))
def test_a_step_of_jets_reaches_what_inference_uses(variance: Variance, upsampling: Upsampling):
    model = jets(upsampling=upsampling).train()
    critic = JetsDiscriminator([Layer(4, 15), Layer(4, 41, stride=4, groups=2)], [2, 2, 2, 2, 2])
    generator = torch.Generator().manual_seed(2)
    mel = torch.randn(2, 40, 4, generator=generator)
    pitch, energy = torch.randn(2, 2, 40, generator=generator)
    out = model(
        torch.tensor([[70, 80, 90, 91], [75, 76, 0, 0]]),
        torch.tensor([4, 2]),
        mel,
        torch.tensor([40, 31]),
        pitch,
        energy,
        uniform(generator),
        variance=variance,
    )
    target = torch.randn(2, 1, 20 * 32, generator=generator)
    fake, real = critic(out.audio), critic(target)
    loss = generator_loss(out, target, fake=fake, real=real)
    loss.total.backward()
    discriminator_loss(real, critic(out.audio.detach())).total.backward()
    unused = ("mel_linear", "postnet", "variance_adaptor.pitch_emb", "variance_adaptor.energy_emb")
    still = {
        name.split(".")[0]
        for name, value in model.named_parameters()
        if value.grad is None and not name.startswith(unused)
    }
    assert still == (
        {"pitch_embed", "energy_embed"} if variance is Variance.AS_PUBLISHED else set()
    )
    assert all(value.grad.isfinite().all() for value in critic.parameters())
