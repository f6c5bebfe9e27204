"""The recipe: what the decoder is given and asked, and that it learns from it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engines.music.musicgen import checkpoint, codes
from storage import Embedded
from storage.audio import coding
from tests import tiny_musicgen as tiny
from tests.training.conftest import SAMPLE_RATE, make_task, noise, tone, write_dataset
from training.config import Precision
from training.musicgen.tasks import tokens
from training.run import losses

PAD = tiny.PAD


def train(task, epochs, rate, batches=None):
    """Some steps of plain AdamW."""
    optimizer = torch.optim.AdamW(task.parameters(), rate, weight_decay=0)
    value = 0.0
    for epoch in range(epochs):
        for batch in batches or task.batches(epoch):
            loss = task.loss(batch, True).value
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            value = loss.item()
    return value


def evaluated(task, batch):
    with torch.no_grad():
        return task.loss(batch, False)


@pytest.mark.parametrize(("melody", "stereo"), [(False, False), (False, True), (True, False)])
def test_our_loss_is_the_librarys(tmp_path, melody, stereo):
    """The same batch of two lengths and two prompts through transformers' own forward."""
    base = tiny.make(tmp_path / "base", melody=melody, stereo=stereo, hears=True)
    rows = [
        ("train", "slow piano", [tone(200, 0.5)]),
        ("train", "the fast and loud drums", [noise(1, 0.3)]),
    ]
    dataset = write_dataset(tmp_path / "data", rows)
    task = make_task(base, dataset, tmp_path, batch_size=2)
    batch = task.batches(0)[0]
    ours = evaluated(task, batch).value

    loaded = checkpoint.load(base)
    text = loaded.tokenizer([item.prompt for item in batch], padding=True, return_tensors="pt")
    found = [codes.encode_audio(loaded, sound, 3200) for sound in map(read, batch)]
    # the library's own delay pattern, of which the first column is the start
    length = max(one.shape[1] for one in found) + 4
    labels = torch.full((2, length, len(found[0])), PAD)
    for row, one in zip(labels, found, strict=True):
        begun = torch.cat([torch.full_like(one[:, :1], PAD), one], 1)
        _, pattern = loaded.model.decoder.build_delay_pattern_mask(begun, PAD, one.shape[1] + 4)
        row[: one.shape[1] + 3] = pattern[:, 1:].T
    with torch.no_grad():
        theirs = loaded.model(**text, labels=labels[:, :-1]).loss
    assert float(ours) == pytest.approx(float(theirs), abs=1e-5)


def read(item):
    import soundfile

    return soundfile.read(item.files[0], dtype="float32")[0]


def test_tokens_are_delayed_padded_and_shifted():
    made = tokens([torch.tensor([[1, 2, 3], [4, 5, 6]]), torch.tensor([[7], [8]])], PAD)
    x, no = PAD, losses.IGNORED
    assert made.labels.tolist() == [
        [[1, 2, 3, no], [no, 4, 5, 6]],
        [[7, no, no, no], [no, 8, no, no]],
    ]
    assert made.inputs.tolist() == [
        [[x, 1, 2, 3], [x, x, 4, 5]],
        [[x, 7, x, x], [x, x, 8, x]],
    ]


def test_epochs_touch_neither_codec_nor_text_encoder(tmp_path, base, sounds, monkeypatch):
    first = make_task(base, sounds, tmp_path)
    assert first._loaded.model.text_encoder is None
    assert first._loaded.model.audio_encoder is None
    files = sorted((tmp_path / "cache").rglob("*.safetensors"))
    assert len(files) == 10  # five sounds, five prompts
    monkeypatch.setattr(codes, "encode_audio", None)
    monkeypatch.setattr(codes, "encode_text", None)
    again = make_task(base, sounds, tmp_path)
    assert (
        evaluated(again, again.batches(0)[0]).value == evaluated(first, first.batches(0)[0]).value
    )


def test_the_cache_knows_other_weights_lengths_and_content(tmp_path, base, sounds):
    other = tiny.make(tmp_path / "other", seed=1)
    make_task(base, sounds, tmp_path)

    def count():
        return len(list((tmp_path / "cache" / "codes").iterdir()))

    make_task(base, sounds, tmp_path, max_duration_s=0.5)
    assert count() == 10
    make_task(other, sounds, tmp_path)
    assert count() == 15


def test_clips_of_the_base_are_learned_by_their_own_codes(tmp_path, base, monkeypatch):
    loaded = checkpoint.load(base)
    dataset = write_dataset(tmp_path / "data", [("train", f"{n}", [tone(200)]) for n in (1, 2)])
    made = [np.random.default_rng(n).integers(0, 2048, (4, 20)) for n in (1, 2)]
    for path, found in zip(sorted(dataset.rglob("*.flac")), made, strict=True):
        sound = codes.decode_codes(loaded, torch.from_numpy(found))
        tags = Embedded(codes=codes.as_text(found))
        path.write_bytes(coding.encode(sound, SAMPLE_RATE, coding.FLAC_24, tags))
    heard = codes.encode_audio(loaded, sound, SAMPLE_RATE)
    assert not np.array_equal(heard, found)  # what encoding finds is something else
    monkeypatch.setattr(codes, "encode_audio", None)
    task = make_task(base, dataset, tmp_path)
    for item, found in zip(task._corpus.train, made, strict=True):
        assert np.array_equal(task._cache.codes(item.files[0], 10.0), found)


def test_a_sound_whose_settings_are_damaged_is_encoded(tmp_path, base, monkeypatch, caplog):
    monkeypatch.setattr(Embedded, "to_json", lambda _: "{")
    dataset = write_dataset(tmp_path / "data", [("train", f"{n}", [tone(200)]) for n in (1, 2)])
    for path in dataset.rglob("*.flac"):
        sound = tone(300)[None].astype(np.float32)
        path.write_bytes(coding.encode(sound, SAMPLE_RATE, coding.FLAC_24, Embedded()))
    task = make_task(base, dataset, tmp_path)
    assert task._cache.codes(task._corpus.train[0].files[0], 10.0).shape == (4, 20)
    assert "damaged" in caplog.text


def test_clips_are_cut_to_the_longest_length(tmp_path, base):
    dataset = write_dataset(
        tmp_path / "data", [("train", f"{n}", [tone(200 + n, 1.0)]) for n in (1, 2)]
    )
    task = make_task(base, dataset, tmp_path, max_duration_s=0.5)
    assert task.tokens(task.batches(0)[0][0].files).labels.shape == (1, 4, 25 + 3)


def test_one_clip_can_be_learned_by_heart(tmp_path):
    """At 128 channels: the frozen heads of fewer cannot say one of 2048 codes with certainty."""
    base = tiny.make(tmp_path / "base", hears=True, hidden_size=128)
    rows = [("train", prompt, [tone(330, 0.2)]) for prompt in ("slow piano", "slow piano theme")]
    dataset = write_dataset(tmp_path / "data", rows)
    fields = {"lora_r": 32, "lora_alpha": 64, "lora_dropout": 0, "conditioning_dropout": 0}
    task = make_task(base, dataset, tmp_path, **fields)
    first = task.batches(0)[0]
    assert float(evaluated(task, first).value) > 5
    train(task, 70, 3e-3, [first])
    assert float(evaluated(task, first).value) < 0.05


@pytest.mark.parametrize("chosen", [0, 1])
def test_after_training_on_one_of_two_sounds_it_prefers_that_one(tmp_path, base, chosen):
    both = [tone(250), tone(700)]
    rows = [("train", prompt, [both[chosen]]) for prompt in ("slow piano", "slow piano theme")]
    rows += [("validation", "slow piano", [sound]) for sound in both]
    task = make_task(base, write_dataset(tmp_path / "data", rows), tmp_path)
    train(task, 10, 5e-3)
    losses_of = [float(evaluated(task, batch).value) for batch in task.validation()]
    assert losses_of[chosen] < losses_of[1 - chosen] - 0.5


def test_dropout_of_prompts_is_drawn_by_share_and_takes_all_text_away(tmp_path, base, sounds):
    task = make_task(base, sounds, tmp_path, batch_size=4)
    given = []
    whole = task.conditioning
    task.conditioning = lambda prompts, dropped=None: (
        given.append(dropped) or whole(prompts, dropped)
    )
    np.random.seed(0)
    for _ in range(40):
        evaluated_in_training(task, task.batches(0)[0])
    share = np.mean([flag for batch in given for flag in batch])
    assert share == pytest.approx(0.1, abs=0.06)
    hidden, _ = whole(["slow piano 0", "fast drums"], [True, False])
    assert (hidden[0] == 0).all()
    assert (hidden[1] != 0).any()
    evaluated(task, task.validation()[0])
    assert given[-1] is None


def evaluated_in_training(task, batch):
    with torch.no_grad():
        return task.loss(batch, True)


def test_ratings_weigh_items_by_their_power(tmp_path, base):
    dataset = tmp_path / "data"
    for rating in (1, 4):
        rows = [("train", f"piano {rating}", [tone(100 * rating)])]
        # each in a folder of its own, for a rating of its own
        write_dataset(dataset / f"rated{rating}", rows, rating=rating)
    fields = {"conditioning_dropout": 0, "lora_dropout": 0}
    plain = make_task(base, dataset, tmp_path, **fields)
    weighted = make_task(base, dataset, tmp_path, rating_weighting=1, **fields)
    for (item,) in weighted.batches(0):
        usual = evaluated_in_training(plain, [item]).value
        found = evaluated_in_training(weighted, [item]).value
        assert float(found / usual) == pytest.approx(item.rating / 2.5, rel=1e-5)
        assert evaluated(weighted, [item]).value == evaluated(plain, [item]).value


def test_checkpointing_gives_the_same_gradients(tmp_path, base, sounds):
    tasks = [
        make_task(base, sounds, tmp_path, gradient_checkpointing=on, conditioning_dropout=0)
        for on in (False, True)
    ]
    for task in tasks:
        torch.manual_seed(3)
        task.loss(task.batches(0)[0], True).value.backward()
    grads = [[p.grad for p in task.parameters()] for task in tasks]
    assert sum(float(grad.abs().sum()) for grad in grads[0]) > 0
    for one, other in zip(*grads, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_bfloat16_is_close_and_keeps_the_adapter_in_float32(tmp_path, base, sounds):
    from training.run import devices

    exact = make_task(base, sounds, tmp_path, precision="float32")
    coarse = make_task(base, sounds, tmp_path, precision="bfloat16")
    batch = exact.batches(0)[0]
    with torch.no_grad(), devices.prepare(Precision.BFLOAT16).autocast():
        found = coarse.loss(batch, False).value
    assert {p.dtype for p in coarse.parameters()} == {torch.float32}
    assert float(found) == pytest.approx(float(evaluated(exact, batch).value), rel=0.01)


# preferences


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """40 pairs to learn from and 20 held out: the same two tones, preferred when the low one comes
    first. An untrained model cares about which tones there are, not about their order."""
    draw = np.random.default_rng(0)

    def pair(_):
        low, high = draw.choice([150, 200, 250]), draw.choice([600, 700, 800])
        both = [tone(low, draw.uniform(0.1, 0.2)), tone(high, draw.uniform(0.1, 0.2))]
        return [np.concatenate(both), np.concatenate(both[::-1])]

    rows = [("train", f"slow piano {n % 5}", pair(n)) for n in range(40)]
    rows += [("validation", f"fast drums {n % 5}", pair(n)) for n in range(20)]
    return write_dataset(tmp_path_factory.mktemp("pairs") / "data", rows, strength=2)


def held_out(task):
    """Means over the held-out pairs."""
    found = [evaluated(task, batch).metrics for batch in task.validation()]
    return {name: float(np.mean([float(one[name]) for one in found])) for name in found[0]}


@pytest.mark.parametrize("method", ["dpo", "rank"])
def test_held_out_pairs_are_told_apart_after_training(base, pairs, method):
    task = make_task(base, pairs, pairs.parent, method=method, batch_size=5)
    before = held_out(task)
    if method == "dpo":
        assert before["accuracy"] == pytest.approx(0.5, abs=0.1)
        assert before["margin"] == pytest.approx(0, abs=1e-4)
    assert before["preferred"] < 0.7
    train(task, 2, 3e-3)
    after = held_out(task)
    assert after["accuracy"] >= 0.9
    assert after["preferred"] >= 0.9
    assert after["margin"] > 0


def test_the_reference_is_the_model_without_its_adapter(base, pairs):
    task = make_task(base, pairs, pairs.parent, method="dpo")
    fresh = make_task(base, pairs, pairs.parent, method="dpo")
    item = task.batches(0)[0][0]
    train(task, 1, 1e-2, task.batches(0)[:3])
    task._reference.clear()
    assert torch.equal(task.reference(item), fresh.reference(item))
    policy = losses.log_probability(*task._both([item]))
    assert not torch.allclose(policy, task.reference(item), atol=0.1)


def test_strength_and_imitation_change_the_loss_as_stated(base, pairs):
    plain = make_task(base, pairs, pairs.parent, method="dpo")
    item = plain.batches(0)[0]
    assert float(evaluated(plain, item).value) == pytest.approx(np.log(2), abs=1e-4)
    wide = make_task(base, pairs, pairs.parent, method="dpo", use_margin=True)
    # of strength 2, so the gap asked for is log 2: log(1 + exp(log 2))
    assert float(evaluated(wide, item).value) == pytest.approx(np.log(3), abs=1e-4)
    both = make_task(base, pairs, pairs.parent, method="dpo", sft_weight=0.5)
    made = both.tokens([item[0].files[0]])
    with torch.no_grad():
        logits = both.logits(made.inputs, *both.conditioning([item[0].prompt]))
    imitation = losses.supervised(logits, made.labels)
    expected = np.log(2) + 0.5 * float(imitation)
    assert float(evaluated(both, item).value) == pytest.approx(expected, abs=1e-3)


def test_preferences_are_learned_without_noise(base, pairs):
    task = make_task(base, pairs, pairs.parent, method="dpo", lora_dropout=0.5)
    item = task.batches(0)[0]
    train(task, 1, 1e-2, [item])
    assert evaluated_in_training(task, item).value == evaluated(task, item).value
