"""VALL-E beyond its fixture: the cache, variations, cancelling, published files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engines.networks.valle.losses import draw_prefix, fill_loss
from engines.networks.valle.network import Valle, ValleConfig
from engines.networks.valle.sampling import ValleSampling, first_steps, generate
from engines.networks.weights import WeightsError

SIZES = {
    "text_token_num": 20,
    "audio_token_num": 16,
    "decoder_dim": 16,
    "nhead": 2,
    "num_decoder_layers": 2,
    "num_quantizers": 4,
}
PHONES = torch.tensor([[1, 5, 9, 7, 2]])
SHORT = ValleSampling(frames_per_phone=3)


def tiny(**changes) -> Valle:
    torch.manual_seed(3)
    network = Valle(replace(ValleConfig.read(SIZES), **changes))
    with torch.no_grad():  # the end is never likely
        network.ar_predict_layer.weight[network.config.eos] = 0
    return network.eval()


def prompt() -> torch.Tensor:
    return torch.randint(0, 16, (1, 6, 4), generator=torch.Generator().manual_seed(1))


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@pytest.mark.parametrize("bos", [False, True])
def test_the_cache_gives_what_the_whole_sequence_gives(bos: bool):
    network, given = tiny(prepend_bos=bos), prompt()[..., 0]
    steps = list(first_steps(network, PHONES, given, SHORT, generators(0)))
    drawn = torch.stack([step.drawn for step in steps[:-1]], 1)
    whole = torch.cat([given, drawn], 1)
    if bos:
        whole = torch.nn.functional.pad(whole, (1, 0), value=network.config.eos + 1)
    with torch.no_grad():
        expected = network.ar_logits(PHONES, whole)[0, -len(steps) :]
    torch.testing.assert_close(torch.cat([step.logits for step in steps]), expected)


def test_variations_are_what_each_seed_gives_alone():
    network, given = tiny(), prompt()
    together = generate(network, PHONES, given, generators=generators(4, 5), how=SHORT)
    for seed, codes in zip((4, 5), together, strict=True):
        (alone,) = generate(network, PHONES, given, generators=generators(seed), how=SHORT)
        assert torch.equal(alone, codes)
        assert alone.shape[1] == 4
    assert not torch.equal(*(codes[:4] for codes in together))


def test_a_caller_hears_of_each_step_and_can_stop_before_the_next():
    seen = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        generate(tiny(), PHONES, prompt(), generators=generators(0), how=SHORT, progress=stop)
    assert seen == [(1, 19), (2, 19), (3, 19)]


def test_it_computes_in_bfloat16():
    whole, half = tiny(), tiny().bfloat16()
    for network in (whole, half):
        (codes,) = generate(network, PHONES, prompt(), generators=generators(0), how=SHORT)
        assert codes.shape == (16, 4)
    step = next(first_steps(half, PHONES, prompt()[..., 0], SHORT, generators(0)))
    assert step.probabilities.dtype == torch.float32


def test_speech_that_ends_at_once_has_no_frames():
    network = tiny()
    with torch.no_grad():
        network.ar_predict_layer.weight.zero_()
        network.ar_predict_layer.weight[network.config.eos] = 1e3
        network.ar_decoder.norm.weight.zero_()
        network.ar_decoder.norm.bias.fill_(1.0)
    (codes,) = generate(network, PHONES, prompt(), generators=generators(0), how=SHORT)
    assert codes.shape == (0, 4)


def test_the_prompt_of_training_is_scaled_away_and_padding_does_not_count():
    network, codes = tiny(), prompt().repeat(2, 2, 1)
    lengths, phone_lengths = torch.tensor([12, 8]), torch.tensor([5, 4])
    phones = PHONES.repeat(2, 1)
    given = (network, phones, phone_lengths)
    loss = fill_loss(*given, codes, lengths, stage=2, prefix=3)
    other = codes.clone()
    other[1, 8:] = 0
    assert torch.equal(fill_loss(*given, other, lengths, stage=2, prefix=3), loss)
    other[0, 11, 2] = (other[0, 11, 2] + 1) % 16
    assert not torch.equal(fill_loss(*given, other, lengths, stage=2, prefix=3), loss)
    assert draw_prefix(lengths, generators(0)[0]) in (2, 3)


def published(folder: Path, state: dict) -> Path:
    (folder / "args.json").write_text(json.dumps({"model": SIZES}))
    for step in ("0000900", "0001000"):
        inside = folder / "checkpoint" / f"epoch-0001_step-{step}_loss-2.5"
        inside.mkdir(parents=True, exist_ok=True)
        kept = state if step == "0001000" else {}
        save_file(
            {key: tensor.clone() for key, tensor in kept.items()}, inside / "model.safetensors"
        )
    return folder


@pytest.mark.parametrize(
    "dropped", ["nar_audio_embeddings.2.word_embeddings", "nar_predict_layers.0"]
)
def test_a_shared_matrix_may_be_stored_once(tmp_path: Path, dropped: str):
    state = tiny().state_dict()
    del state[f"{dropped}.weight"]
    network = Valle.from_published(published(tmp_path, state))
    for key, tensor in tiny().state_dict().items():
        assert torch.equal(network.state_dict()[key], tensor)


def test_files_that_do_not_fit_are_named(tmp_path: Path):
    state = tiny().state_dict()
    del state["ar_predict_layer.weight"]
    with pytest.raises(WeightsError, match=r"1 missing: ar_predict_layer\.weight"):
        Valle.from_published(published(tmp_path, state))
    with pytest.raises(WeightsError, match=r"args\.json"):
        Valle.from_published(tmp_path / "none")
    with pytest.raises(WeightsError, match="prenet"):
        ValleConfig.read(SIZES | {"add_prenet": True})
