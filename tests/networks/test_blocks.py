"""Parts of networks that the fixtures don't reach."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from engines.networks.blocks.convnext import InverseStft, IstftHead
from engines.networks.blocks.convolutions import Conv1d, fold_weight_norm, pad_reflect
from engines.networks.blocks.mel import VEVO_24K, VOCODER_22K, mel_filters
from engines.networks.weights import WeightsError, load_exactly, read_weights


def test_a_folded_weight_gives_the_same_values_and_moves_with_its_module():
    conv, x = Conv1d(3, 4, 5, padding=2), torch.randn(2, 3, 9)
    before = conv(x)
    fold_weight_norm(conv)
    assert torch.equal(conv(x), before)
    assert conv.double()(x.double()).dtype == torch.float64
    assert set(conv.state_dict()) == {"weight_g", "weight_v", "bias"}


def test_the_weight_is_its_direction_times_its_length():
    conv = Conv1d(3, 4, 5)
    torch.testing.assert_close(conv.weight.flatten(1).norm(dim=1), conv.weight_g.flatten())


@pytest.mark.parametrize("recipe", [VOCODER_22K, VEVO_24K])
def test_mel_filters_are_librosas(recipe):
    theirs = librosa.filters.mel(
        sr=recipe.sample_rate, n_fft=recipe.n_fft, n_mels=recipe.n_mels, fmax=recipe.fmax
    )
    ours = mel_filters(recipe.sample_rate, recipe.n_fft, recipe.n_mels, recipe.fmin, recipe.fmax)
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-7)


def test_short_signals_are_reflected_after_zeros():
    x = torch.tensor([[[1.0, 2.0]]])
    assert pad_reflect(x, 3, 1).tolist() == [[[0.0, 0.0, 2.0, 1.0, 2.0, 0.0]]]
    assert pad_reflect(torch.arange(4.0)[None, None], 2, 1).tolist() == [[[2, 1, 0, 1, 2, 3, 2]]]


def test_the_inverse_stft_gives_back_a_signal():
    wav = torch.randn(1, 40 * 12)
    padded = torch.nn.functional.pad(wav, (14, 14))
    spectrum = torch.stft(
        padded, 40, 12, window=torch.hann_window(40), center=False, return_complex=True
    )
    back = InverseStft(40, 12)(spectrum)
    torch.testing.assert_close(back[:, 20:-20], wav[:, 20 : back.shape[1] - 20], atol=1e-5, rtol=0)


def test_magnitudes_of_the_head_stop_at_100():
    head = IstftHead(2, 8, 2)
    nn.init.zeros_(head.out.weight)
    nn.init.constant_(head.out.bias, 0.0)
    loud = []
    for level in (5.0, 50.0):
        with torch.no_grad():
            head.out.bias[:5] = level
        loud.append(head(torch.zeros(1, 6, 2)))
    assert torch.equal(loud[0], loud[1])


def test_weights_that_do_not_fit_are_refused_by_key():
    state = nn.Linear(2, 3).state_dict()
    state["more"] = state.pop("bias")
    state["weight"] = torch.zeros(3, 5)
    with pytest.raises(WeightsError) as refused:
        load_exactly(nn.Linear(2, 3), state, what="the codec")
    said = str(refused.value)
    assert "the codec" in said
    assert "1 missing: bias" in said
    assert "1 unexpected: more" in said
    assert "weight is (3, 5) and should be (3, 2)" in said


def test_files_cut_short_and_pickles_of_code_are_refused(tmp_path: Path):
    whole = tmp_path / "model.safetensors"
    save_file({"a": torch.zeros(100)}, whole)
    assert read_weights(whole)["a"].shape == (100,)
    whole.write_bytes(whole.read_bytes()[:200])
    with pytest.raises(WeightsError, match=r"model\.safetensors can't be read"):
        read_weights(whole)
    torch.save({"a": Path("x")}, tmp_path / "model.bin")
    with pytest.raises(WeightsError, match=r"model\.bin can't be read"):
        read_weights(tmp_path / "model.bin")
    with pytest.raises(WeightsError, match="missing"):
        read_weights(tmp_path / "none.bin")
