"""NaturalSpeech 2 and Noro beyond what their fixtures reach: batches, steps, losses, files, features."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from engines.networks.blocks.attention import Attention
from engines.networks.blocks.film_wavenet import FilmWaveNetConfig
from engines.networks.blocks.positions import sinusoid_table
from engines.networks.blocks.prompt_encoder import Positions
from engines.networks.blocks.score_diffusion import DiffusionKind, ScoreDiffusion
from engines.networks.naturalspeech2.losses import Batch, code_loss, losses
from engines.networks.naturalspeech2.network import NaturalSpeech2
from engines.networks.naturalspeech2.symbols import PHONES, phone_ids
from engines.networks.noro.features import MEL, content_frames, normalise_f0, pad_to_multiple
from engines.networks.noro.network import Noro
from engines.networks.weights import WeightsError

HIDDEN, LATENTS = 64, 6
ENCODER = {
    "encoder_layer": 1,
    "encoder_hidden": HIDDEN,
    "encoder_head": 2,
    "conv_filter_size": 8,
    "conv_kernel_size": 3,
    "encoder_dropout": 0.2,
}
PREDICTOR = {
    "input_size": HIDDEN,
    "filter_size": HIDDEN,
    "kernel_size": 3,
    "conv_layers": 4,
    "cross_attn_per_layer": 3,
    "attn_head": 2,
    "drop_out": 0.5,
}
WAVENET = {
    "input_size": LATENTS,
    "hidden_size": HIDDEN,
    "out_size": LATENTS,
    "num_layers": 4,
    "cross_attn_per_layer": 3,
    "dilation_cycle": 2,
    "attn_head": 2,
    "drop_out": 0.2,
}
NOISE = {"beta_min": 0.05, "beta_max": 20}
MODEL = {
    "latent_dim": LATENTS,
    "prior_encoder": {
        "vocab_size": 100,
        "pitch_min": 50,
        "pitch_max": 1100,
        "pitch_bins_num": 16,
        "encoder": ENCODER,
        "duration_predictor": PREDICTOR,
        "pitch_predictor": PREDICTOR,
    },
    "diffusion": {"wavenet": WAVENET, "ode_solver": "euler", **NOISE},
    "prompt_encoder": ENCODER,
    "query_emb": {"query_token_num": 3, "head_num": 2},
}
NORO = {
    "reference_encoder": {**ENCODER, "ref_in_dim": LATENTS, "num_query_emb": 3},
    "diffusion": {"diff_wavenet": WAVENET, "ode_solve_method": "euler", **NOISE},
    "vc_feature": {"content_feature_dim": 5},
}


@pytest.fixture(scope="module")
def network() -> NaturalSpeech2:
    torch.manual_seed(3)
    network = NaturalSpeech2.read(MODEL).eval()
    nn.init.constant_(network.prior_encoder.duration_predictor.linear.bias, 1.5)
    return network


def test_attention_is_torchs():
    theirs = nn.MultiheadAttention(8, 2, batch_first=True)
    ours = Attention(8, 2)
    ours.load_state_dict(theirs.state_dict())
    query, memory = torch.randn(2, 5, 8), torch.randn(2, 4, 8)
    seen = torch.tensor([[True, True, True, True], [True, True, False, False]])
    expected, _ = theirs(query, memory, memory, key_padding_mask=~seen)
    torch.testing.assert_close(ours(query, ours.memory(memory), seen), expected)


def test_positions_are_the_items_as_published_and_the_frames_when_corrected():
    x, table = torch.zeros(2, 3, 4), sinusoid_table(3, 4)
    published = Positions(4, as_published=True)(x)
    assert torch.equal(published, table[:2, None].expand(-1, 3, -1))
    assert torch.equal(Positions(4, as_published=False)(x), table.expand(2, -1, -1))


@torch.no_grad()
def test_one_prior_leads_a_batch_of_variations_and_is_projected_once(network: NaturalSpeech2):
    prompt, voice = network.hear(torch.randn(1, LATENTS, 7))
    condition = network.prior_encoder(torch.tensor([phone_ids(["HH", "AY1"])]), prompt).condition
    z, calls = torch.randn(3, LATENTS, condition.shape[1]), []
    layer = network.diffusion.diff_estimator.layers[0]
    watch = layer.cond_proj.register_forward_hook(lambda *_: calls.append(1))
    together = list(network.sample(condition, voice, z, steps=4))
    watch.remove()
    assert (len(together), len(calls)) == (4, 1)
    for place in range(3):
        *_, alone = network.sample(condition, voice, z[place : place + 1], steps=4)
        torch.testing.assert_close(together[-1][place], alone[0], atol=1e-4, rtol=0)


@torch.no_grad()
def test_a_caller_can_stop_between_two_steps(network: NaturalSpeech2):
    calls = []
    watch = network.diffusion.diff_estimator.mlp.register_forward_hook(lambda *_: calls.append(1))
    _, voice = network.hear(torch.randn(1, LATENTS, 7))
    steps = network.sample(torch.randn(1, 5, HIDDEN), voice, torch.randn(1, LATENTS, 5))
    next(steps)
    next(steps)
    steps.close()
    watch.remove()
    assert len(calls) == 2


@pytest.mark.parametrize("kind", DiffusionKind)
def test_a_denoiser_that_knows_the_answer_is_followed_to_it(
    kind: DiffusionKind, monkeypatch: pytest.MonkeyPatch
):
    diffusion = ScoreDiffusion(FilmWaveNetConfig.read(WAVENET), kind=kind)
    answer, z = torch.randn(1, LATENTS, 5), torch.randn(2, LATENTS, 5)
    predicted = answer if kind is DiffusionKind.DIFFUSION else z - answer
    monkeypatch.setattr(diffusion.diff_estimator, "denoise", lambda *_: predicted)
    condition, prompt = torch.zeros(1, 5, HIDDEN), torch.zeros(1, 3, HIDDEN)
    *_, found = diffusion.sample(condition, prompt, z, 200)
    torch.testing.assert_close(found, answer.expand_as(z), atol=0.1, rtol=0)


def test_another_solver_is_refused():
    with pytest.raises(WeightsError, match="euler, not midpoint"):
        NaturalSpeech2.read({**MODEL, "diffusion": MODEL["diffusion"] | {"ode_solver": "midpoint"}})


@torch.no_grad()
def test_duration_and_pitch_follow_their_scales(network: NaturalSpeech2):
    prompt, _ = network.hear(torch.randn(1, LATENTS, 7))
    phones = torch.tensor([phone_ids(["S", "IY1", "sp"])])
    plain = network.prior_encoder(phones, prompt)
    slow = network.prior_encoder(phones, prompt, duration_scale=3.0)
    expected = ((plain.log_durations.exp() - 1) * 3).round().clamp(min=0).long()
    assert torch.equal(slow.durations, expected)
    assert slow.condition.shape[1] == int(expected.sum())
    high = network.prior_encoder(phones, prompt, pitch_scale=2.0)
    torch.testing.assert_close(high.log_f0.exp(), plain.log_f0.exp() * 2)
    with pytest.raises(ValueError, match="No phone lasts a frame"):
        network.prior_encoder(phones, prompt, duration_scale=1e-6)


def training_batch() -> Batch:
    generator = torch.Generator().manual_seed(8)
    codebooks = torch.randn(2, 5, LATENTS, generator=generator)
    codes = torch.randint(0, 5, (2, 2, 9), generator=generator)
    latents = sum(book[rows] for book, rows in zip(codebooks, codes, strict=True))
    return Batch(
        prompt=torch.randn(2, LATENTS, 6, generator=generator),
        prompt_mask=torch.arange(6) < torch.tensor([[6], [4]]),
        phones=torch.tensor([[5, 7, 9], [8, 6, 0]]),
        phone_mask=torch.arange(3) < torch.tensor([[3], [2]]),
        durations=torch.tensor([[2, 3, 4], [3, 2, 0]]),
        f0=torch.full((2, 9), 120.0),
        latents=latents.transpose(1, 2),
        frame_mask=torch.arange(9) < torch.tensor([[9], [5]]),
        codes=codes,
        codebooks=codebooks,
    )


def test_every_weight_learns_from_the_losses(network: NaturalSpeech2):
    batch = training_batch()
    terms = losses(network, batch, torch.tensor([0.2, 0.7]), torch.randn(2, LATENTS, 9))
    assert sorted(terms) == ["codes", "duration", "noise", "pitch", "x0"]
    network.zero_grad()
    sum(terms.values()).backward()
    still = [name for name, weight in network.named_parameters() if weight.grad is None]
    network.zero_grad()
    assert still == []


@torch.no_grad()
def test_padding_has_no_part_in_the_losses(network: NaturalSpeech2):
    batch, time, noise = training_batch(), torch.tensor([0.2, 0.7]), torch.randn(2, LATENTS, 9)
    expected = losses(network, batch, time, noise)
    f0, prompt, phones = batch.f0.clone(), batch.prompt.clone(), batch.phones.clone()
    f0[1, 7:], prompt[1, :, 5], phones[1, 2] = 700.0, 50.0, 40
    found = losses(network, replace(batch, f0=f0, prompt=prompt, phones=phones), time, noise)
    for name in ("duration", "pitch"):
        torch.testing.assert_close(found[name], expected[name])


def test_the_loss_of_codes_is_the_cross_entropy_of_distances():
    batch = training_batch()
    latents, mask = torch.randn(2, LATENTS, 9), batch.frame_mask
    total, rest = 0.0, latents.transpose(1, 2)
    for rows, book in zip(batch.codes, batch.codebooks, strict=True):
        distance = torch.cdist(rest, book[None].expand(2, -1, -1)).square()
        chances = (-distance).log_softmax(-1).gather(2, rows[..., None])[..., 0]
        total = total - chances[mask].mean()
        rest = rest - book[rows]
    found = code_loss(latents, batch.codes, batch.codebooks, mask)
    torch.testing.assert_close(found, total / 2)


def test_phones_stand_in_the_order_of_the_published_table():
    manifest = json.loads(
        (Path(__file__).parent / "fixtures/naturalspeech2/manifest.json").read_text()
    )
    assert list(PHONES) == manifest["phone_symbols_in_id_order"]
    assert phone_ids(["AA", "?", "</s>"]) == [0, len(PHONES) - 1]


@torch.no_grad()
def test_a_published_folder_gives_the_same_network(tmp_path: Path, network: NaturalSpeech2):
    checkpoint = tmp_path / "checkpoint" / "epoch-0089_step-0512912_loss-6.367693"
    checkpoint.mkdir(parents=True)
    state = network.state_dict()
    (tmp_path / "args.json").write_text(json.dumps({"model": MODEL}))
    weights = checkpoint / "pytorch_model.bin"
    torch.save({**state, "quantizer.vq.layers.0._codebook.embed": torch.zeros(4, 2)}, weights)
    loaded = NaturalSpeech2.from_published(tmp_path)
    prompt = torch.randn(1, LATENTS, 7)
    assert torch.equal(loaded.hear(prompt)[1], network.hear(prompt)[1])
    torch.save({key: value for key, value in state.items() if key != "prompt_lin.bias"}, weights)
    with pytest.raises(WeightsError, match=r"1 missing: prompt_lin\.bias"):
        NaturalSpeech2.from_published(tmp_path)


@torch.no_grad()
def test_noros_published_folder_gives_the_same_network(tmp_path: Path):
    network = Noro.read(NORO).eval()
    (tmp_path / "args.json").write_text(json.dumps({"model": NORO}))
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    loaded = Noro.from_published(tmp_path)

    def convert(noro: Noro) -> Tensor:
        generator = torch.Generator().manual_seed(4)
        voice = noro.reference_encoder(torch.randn(1, LATENTS, 7, generator=generator))
        content = torch.randn(1, 9, 5, generator=generator)
        condition = noro.condition(content, torch.randn(1, 9, generator=generator))
        z = torch.randn(2, LATENTS, 9, generator=generator)
        *_, mel = noro.sample(condition, voice, z, steps=3)
        return mel

    assert convert(loaded).shape == (2, LATENTS, 9)
    assert torch.equal(convert(loaded), convert(network))
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"model\.safetensors is missing"):
        Noro.from_published(tmp_path)


def test_content_of_50_hz_becomes_the_nearest_centres_at_80_hz():
    centres = torch.tensor([[0.0, 0], [10, 0], [0, 10]])
    hubert = torch.tensor([[[1.0, 0], [9, 1], [1, 8], [0, 1], [12, 2]]])
    found = content_frames(hubert, centres)[0]
    expected = [0, 0, 1, 1, 2, 0, 0, 1]  # frame t hears HuBERT's frame floor(t / 1.6)
    assert torch.equal(found, centres[expected])


def test_frames_of_source_and_reference_count_200_samples():
    source = pad_to_multiple(torch.randn(1, 3200), 1600)
    assert source.shape == (1, 4800)
    assert MEL.log_mel(source).shape == (1, 80, 24)
    assert pad_to_multiple(torch.zeros(3), 200).shape == (200,)


def test_f0_is_normalised_for_each_clip():
    f0 = normalise_f0(torch.tensor([[100.0, 200, 300], [50, 50, 80]]))
    torch.testing.assert_close(f0.mean(1), torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(f0.std(1), torch.ones(2))
    assert torch.equal(normalise_f0(torch.full((1, 4), 90.0)), torch.zeros(1, 4))
