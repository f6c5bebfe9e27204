"""VITS where the fixture doesn't reach: files, symbols, alignment, training and its losses."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from engines.networks.blocks.adversarial import (
    Layer,
    SpectralConv1d,
    discriminator_loss,
    feature_matching,
)
from engines.networks.blocks.alignment import monotonic_path
from engines.networks.blocks.draws import normal, uniform
from engines.networks.blocks.lengths import random_starts, repeat_tokens, segments
from engines.networks.blocks.mel import MelRecipe
from engines.networks.blocks.splines import rational_quadratic
from engines.networks.vits.config import VitsConfig
from engines.networks.vits.discriminator import VitsDiscriminator
from engines.networks.vits.losses import divergence, generator_loss
from engines.networks.vits.network import Vits, log_likelihood
from engines.networks.vits.symbols import SymbolTable, split_phones
from engines.networks.weights import WeightsError

MODEL = {
    "text_token_num": 20,
    "inter_channels": 6,
    "hidden_channels": 8,
    "filter_channels": 12,
    "n_heads": 4,
    "n_layers": 3,
    "kernel_size": 5,
    "p_dropout": 0.1,
    "resblock": "1",
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3, 5]],
    "upsample_rates": [4, 4],
    "upsample_initial_channel": 8,
    "upsample_kernel_sizes": [8, 8],
    "gin_channels": 4,
    "n_speakers": 2,
}
PREPROCESS = {"n_fft": 32, "hop_size": 16, "segment_size": 96}


def network(**changes: object) -> Vits:
    torch.manual_seed(0)
    return Vits(replace(VitsConfig.read({"model": MODEL, "preprocess": PREPROCESS}), **changes))


def draws(seed: int):
    return normal(torch.Generator().manual_seed(seed))


def best_path(scores: torch.Tensor) -> float:
    """The largest total by trying every path of (N, T)."""
    tokens, frames = scores.shape
    totals = []
    for starts in combinations(range(1, frames), tokens - 1):
        ends = [*starts, frames]
        begins = [0, *starts]
        totals.append(
            sum(
                float(scores[n, a:b].sum())
                for n, (a, b) in enumerate(zip(begins, ends, strict=True))
            )
        )
    return max(totals)


def test_the_alignment_is_the_best_of_all_monotonic_paths():
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(3, 4, 9, generator=generator)
    tokens, frames = torch.tensor([4, 2, 3]), torch.tensor([9, 7, 3])
    path = monotonic_path(scores, tokens, frames)
    for item, (n, t) in enumerate(zip(tokens.tolist(), frames.tolist(), strict=True)):
        inside = path[item, :n, :t]
        assert float(path[item].sum()) == t
        assert inside.sum(0).eq(1).all()
        assert inside.sum(1).ge(1).all()
        assert float((inside * scores[item, :n, :t]).sum()) == pytest.approx(
            best_path(scores[item, :n, :t]), abs=1e-5
        )


def test_ties_stay_or_advance_as_asked():
    scores, lengths = torch.zeros(1, 2, 3), (torch.tensor([2]), torch.tensor([3]))
    assert monotonic_path(scores, *lengths).sum(2).tolist() == [[1, 2]]
    assert monotonic_path(scores, *lengths, advance_on_ties=True).sum(2).tolist() == [[2, 1]]


def test_fewer_frames_than_tokens_are_refused():
    with pytest.raises(ValueError, match="more tokens than frames"):
        monotonic_path(torch.zeros(1, 3, 2), torch.tensor([3]), torch.tensor([2]))


def test_tokens_last_as_long_as_they_should():
    x = torch.tensor([[[1.0, 2.0, 3.0]], [[4.0, 5.0, 6.0]]])
    durations = torch.tensor([[2, 0, 3], [0, 1, 0]])
    assert repeat_tokens(x, durations, 5).tolist() == [[[1, 1, 3, 3, 3]], [[5, 0, 0, 0, 0]]]


def test_segments_lie_inside_their_clips_and_longer_ones_are_refused():
    lengths, most = torch.tensor([9, 4]), torch.full((2,), 1 - 1e-6)
    assert random_starts(torch.zeros(2), lengths, 4).tolist() == [0, 0]
    assert random_starts(most, lengths, 4).tolist() == [5, 0]
    assert random_starts(most, lengths, 4, last=False).tolist() == [4, 0]
    clips = torch.arange(18).reshape(2, 9)
    assert segments(clips, torch.tensor([5, 0]), 4).tolist() == [[5, 6, 7, 8], [9, 10, 11, 12]]
    with pytest.raises(ValueError, match="5 frames can't be cut from a clip of 4"):
        random_starts(most, lengths, 5)


def test_the_likelihood_is_that_of_the_normal_distribution():
    z, mean, log_scale = torch.randn(2, 3, 5), torch.randn(2, 3, 4), torch.randn(2, 3, 4) * 0.3
    expected = torch.distributions.Normal(
        mean[:, :, :, None], log_scale.exp()[:, :, :, None]
    ).log_prob(z[:, :, None])
    torch.testing.assert_close(log_likelihood(z, mean, log_scale), expected.sum(1))


def test_the_spline_is_undone_by_its_inverse_and_its_slope_is_the_derivative():
    generator = torch.Generator().manual_seed(1)
    shape = [torch.randn(64, size, generator=generator) for size in (10, 10, 9)]
    x = torch.linspace(-6, 6, 64, requires_grad=True)
    y, log_slope = rational_quadratic(x, *shape, bound=5.0, inverse=False)
    torch.testing.assert_close(torch.autograd.grad(y.sum(), x)[0].log(), log_slope)
    back, inverse_slope = rational_quadratic(y, *shape, bound=5.0, inverse=True)
    torch.testing.assert_close(back, x, atol=1e-4, rtol=0)
    torch.testing.assert_close(inverse_slope, -log_slope, atol=1e-3, rtol=0)


def test_the_skipped_coupling_has_no_part_in_the_durations():
    flow = network().dp.flows
    for parameter in flow.parameters():
        nn.init.normal_(parameter, 0, 0.3)
    x, mask, condition = torch.randn(1, 2, 6), torch.ones(1, 1, 6), torch.randn(1, 8, 6)
    y, _ = flow(x, mask, condition)
    torch.testing.assert_close(flow.inverse_first(y, mask, condition), x[:, :1], atol=1e-3, rtol=0)


def test_a_seed_gives_the_same_speech_and_a_length_scale_a_longer_one():
    vits, symbols, lengths = network().eval(), torch.arange(12)[None], torch.tensor([12])
    with torch.no_grad():
        first, again, other = (
            vits.synthesise(symbols, lengths, draws(seed), speaker=torch.tensor([1]))
            for seed in (5, 5, 6)
        )
        slow = vits.synthesise(
            symbols, lengths, draws(5), speaker=torch.tensor([1]), length_scale=3.0
        )
    assert torch.equal(first.audio, again.audio)
    assert not torch.equal(first.z_p[..., :5], other.z_p[..., :5])
    assert slow.audio.shape[-1] > 2 * first.audio.shape[-1]
    assert first.audio.shape[-1] == int(first.durations.sum()) * 16


def test_what_is_decoded_can_be_cut():
    vits, symbols = network().eval(), torch.arange(12)[None]
    speech = vits.synthesise(symbols, torch.tensor([12]), draws(5), max_frames=4)
    assert speech.audio.shape == (1, 1, 64)


@pytest.mark.parametrize("stochastic", [True, False])
def test_training_reaches_every_parameter_of_the_generator(stochastic: bool):
    vits = network(use_sdp=stochastic).train()
    for module in vits.modules():
        if isinstance(module, nn.Conv1d):  # the last ones begin at zero, and pass no gradient back
            nn.init.normal_(module.weight, 0, 0.2)
    critic = VitsDiscriminator([Layer(4, 15), Layer(8, 41, stride=4, groups=4)], [4, 4, 4, 4, 4])
    generator = torch.Generator().manual_seed(1)
    audio = torch.randn(2, 1, 20 * 16, generator=generator)
    mel = MelRecipe(22050, 32, 16, 4, epsilon=1e-6)
    out = vits(
        torch.randint(20, (2, 7), generator=generator),
        torch.tensor([7, 5]),
        mel.magnitude(audio[:, 0]),
        torch.tensor([20, 14]),
        normal(generator),
        uniform(generator),
        speaker=torch.tensor([0, 1]),
    )
    assert out.audio.shape == (2, 1, 96)
    assert out.path.sum(1).sum(1).tolist() == [20, 14]
    starts = [start * 16 for start in out.starts.tolist()]
    target = torch.stack(
        [item[:, start : start + 96] for item, start in zip(audio, starts, strict=True)]
    )
    loss = generator_loss(
        mel=mel.log_mel(out.audio[:, 0]),
        target_mel=mel.log_mel(target[:, 0]),
        divergence=divergence(out.z_p, out.log_scale_q, out.mean_p, out.log_scale_p, out.mask),
        fake=critic(out.audio),
        real=critic(target),
        duration=out.duration_loss,
    )
    loss.total.backward()
    assert loss.total.isfinite()
    still = [name for name, value in vits.named_parameters() if value.grad is None]
    assert still == []


def test_discriminators_of_the_same_sound_agree():
    critic = VitsDiscriminator([Layer(4, 15)], [2, 2, 2, 2, 2])
    audio = torch.randn(1, 1, 100)
    real, fake = critic(audio), critic(audio)
    assert len(real) == 6
    assert feature_matching(real, fake).item() == 0
    halves = [type(one)(torch.full_like(one.scores, 0.5), one.features) for one in real]
    assert float(discriminator_loss(halves, halves)) == pytest.approx(6 * 0.5)


def test_spectral_norm_finds_the_largest_singular_value():
    conv = SpectralConv1d(3, 6, 5, stride=1, padding=2, groups=1).train()
    for _ in range(200):
        weight = conv.weight
    largest = torch.linalg.matrix_norm(weight.detach().flatten(1), 2)
    assert float(largest) == pytest.approx(1, abs=1e-3)
    conv.eval()
    before = conv.weight_u.clone()
    conv(torch.randn(1, 3, 9))
    assert torch.equal(conv.weight_u, before)


def test_espeaks_phones_are_split_and_numbered():
    phones = split_phones("h|ə|l|oʊ|,|_w|ɜː|l|d")
    assert phones == ["h", "ə", "l", "oʊ", ",", "_", "w", "ɜː", "l", "d"]
    table = SymbolTable.of(["b", "a", "_"])
    assert table.ids == {"<pad>": 0, "<bos>": 1, "<eos>": 2, "<eps>": 3, "_": 4, "a": 5, "b": 6}
    assert table.encode(["a", "_", "b"]) == [0, 1, 0, 5, 0, 4, 0, 6, 0, 2, 0]
    assert table.encode(["a"], blanks=False) == [1, 5, 2]
    assert table.unknown(["a", "x"]) == ["x"]


def test_the_numbers_in_symbols_dict_do_not_count(tmp_path: Path):
    (tmp_path / "symbols.dict").write_text("b 0\na 7\n\n", encoding="utf-8")
    assert SymbolTable.read(tmp_path / "symbols.dict").ids["a"] == 4
    with pytest.raises(WeightsError, match=r"symbols\.dict can't be read"):
        SymbolTable.read(tmp_path / "other" / "symbols.dict")


def folder_with(tmp_path: Path, vits: Vits, steps: tuple[int, ...]) -> Path:
    (tmp_path / "args.json").write_text(json.dumps({"model": MODEL, "preprocess": PREPROCESS}))
    for step in steps:
        place = tmp_path / "checkpoint" / f"epoch-{step:04d}_step-{step * 10:07d}_loss-1.5"
        place.mkdir(parents=True)
        torch.save(
            {f"module.{k}": v + 0 for k, v in vits.state_dict().items()},
            place / "pytorch_model.bin",
        )
        with torch.no_grad():
            vits.enc_p.emb.weight.fill_(step)
    return tmp_path


def test_the_newest_checkpoint_of_a_published_folder_is_read(tmp_path: Path):
    folder = folder_with(tmp_path, network(), (8, 9, 10))
    vits = Vits.from_published(folder)
    assert vits.enc_p.emb.weight.unique().tolist() == [9.0]
    assert not vits.training


def test_a_checkpoint_that_does_not_fit_is_refused_by_key(tmp_path: Path):
    folder = folder_with(tmp_path, network(), (1,))
    file = next(folder.glob("checkpoint/*/pytorch_model.bin"))
    state = network().state_dict()
    del state["emb_g.weight"]
    save_file({k: v.contiguous() for k, v in state.items()}, file.with_name("model.safetensors"))
    with pytest.raises(WeightsError, match=r"VITS .*1 missing: emb_g\.weight"):
        Vits.from_published(folder)
    for file in folder.glob("checkpoint/*/*"):
        file.unlink()
    with pytest.raises(WeightsError, match="no checkpoint"):
        Vits.from_published(folder)
    (folder / "args.json").write_text('{"model": {}}')
    with pytest.raises(WeightsError, match="no section “preprocess”"):
        Vits.from_published(folder)
