"""The decoding loop against ``generate`` of transformers, on tiny random checkpoints."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from engines.base import Cancelled, StudioError
from engines.music.musicgen import checkpoint, codes, packing
from engines.music.musicgen.attention import RECENT
from engines.music.musicgen.decoding import Decoder
from engines.music.musicgen.sampling import Sampling, choose
from engines.music.musicgen.torch_layers import GpuLayers
from tests.tiny_musicgen import make

KINDS = {
    "mono": {},
    "stereo": {"stereo": True},
    "melody": {"melody": True},
    "stereo melody": {"melody": True, "stereo": True},
}
SHORT, LONG = "slow piano theme", "loud rock guitar with fast drums and a warm quiet bass"
FRAMES = 30


@pytest.fixture(scope="module", params=list(KINDS))
def loaded(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny") / request.param.replace(" ", "-")
    return checkpoint.load(make(folder, **KINDS[request.param]))


@pytest.fixture(scope="module")
def mono(tiny_musicgen):
    return checkpoint.load(tiny_musicgen)


@contextmanager
def _layers(kind):
    """Tiny decoders are small: what they would be run by otherwise is asked for here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "SMALL", 0 if kind == "compiled" else packing.SMALL)
        yield


@pytest.fixture(scope="module", params=["compiled", "small"])
def decoder(loaded, request):
    with _layers(request.param):
        return Decoder(loaded.model.decoder, format="float32", threads=2)


@pytest.fixture(scope="module")
def int8(mono):
    return Decoder(mono.model.decoder, format="int8", threads=2)


def _theirs(loaded, texts, guidance, given=None, frames=FRAMES):
    """Greedy codes (B, K, frames) of transformers' ``generate``, taken before EnCodec."""
    model, facts = loaded.model, loaded.checkpoint
    caught = []
    decode = model.audio_encoder.decode
    model.audio_encoder.decode = lambda values, **rest: (
        caught.append(values[0].clone()), decode(values, **rest),
    )[1]  # fmt: skip
    known = 0 if given is None else given.shape[2]
    more = {} if given is None else {"decoder_input_ids": given.flatten(0, 1)}
    try:
        model.generate(
            **loaded.tokenizer(texts, padding=True, return_tensors="pt"), **more, do_sample=False,
            guidance_scale=guidance,
            max_new_tokens=frames - known + facts.codebooks // facts.channels - 1,
        )  # fmt: skip
    finally:
        del model.audio_encoder.decode
    made = torch.stack(caught, dim=2).flatten(1, 2) if facts.channels == 2 else caught[0]
    return made.numpy()


def _states(loaded, texts):
    """What ``Decoder.generate`` is given for these texts."""
    text = codes.encode_text(loaded, texts)
    if not loaded.checkpoint.melody:
        states = codes.conditioning(loaded, text.states, text.mask)
        return {"conditioning": states, "mask": text.mask}
    nothing = torch.zeros_like(text.mask)
    return {
        "conditioning": None,
        "mask": None,
        "prefix": codes.melody_conditioning(loaded, text.states, text.mask),
        "negative": codes.melody_conditioning(loaded, text.states, nothing),
    }


def _ours(decoder, states, rows, seed=0, **settings):
    rngs = [np.random.default_rng((seed, row)) for row in range(rows)]
    settings = {"frames": FRAMES, "guidance": 3.0, "greedy": True} | settings
    return decoder.generate(**states, rngs=rngs, **settings)


# --- the same codes as transformers ---------------------------------------------------------


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("texts", [[SHORT], [SHORT, LONG]], ids=["single", "padded batch"])
def test_greedy_codes_are_those_of_transformers(loaded, decoder, texts, guidance):
    made = _ours(decoder, _states(loaded, texts), len(texts), guidance=guidance)
    assert made.dtype == np.int64
    assert made.tolist() == _theirs(loaded, texts, guidance).tolist()
    assert len(np.unique(made)) > 20, "a constant answer would prove nothing"


@pytest.mark.parametrize("known", [1, 2, 9, 70])
def test_a_continuation_is_that_of_transformers(loaded, decoder, known):
    given = torch.randint(0, 2048, (2, loaded.checkpoint.codebooks, known))
    frames = known + 20
    made = _ours(decoder, _states(loaded, [SHORT, LONG]), 2, prompt_codes=given, frames=frames)
    assert made.tolist() == _theirs(loaded, [SHORT, LONG], 3.0, given, frames).tolist()
    assert made[:, :, :known].tolist() == given.tolist()


@pytest.mark.parametrize(("form", "worst"), [("float32", 1e-5), ("bfloat16", 0.02)])
def test_the_layers_for_a_gpu_say_the_same(loaded, decoder, form, worst):
    """On this processor, without a graph."""
    source, shape = packing.Source(loaded.model.decoder, None), decoder.shape
    random = np.random.default_rng(0)
    steps = random.standard_normal((2, 9, shape.hidden)).astype(np.float32)
    texts = [steps[0, :4]] if shape.cross else []
    logits = []
    for layers in (GpuLayers(source, shape, packing.Format(form), "cpu"), decoder.layers):
        layers.begin(2, 9, texts)
        said = [layers.forward(steps[:, :3], 0).copy()]
        said += [layers.forward(steps[:, n : n + 1], n).copy() for n in range(3, 9)]
        layers.end()
        logits.append(np.stack(said))
    error = np.sqrt(((logits[0] - logits[1]) ** 2).mean()) / logits[1].std()
    assert error < worst
    plain = Decoder(loaded.model.decoder, format="float32", threads=1)
    plain.layers = GpuLayers(source, plain.shape, packing.Format(form), "cpu")
    states = _states(loaded, [SHORT, LONG])
    made, true = (_ours(one, states, 2) for one in (plain, decoder))
    assert (made[:, 0, 0] == true[:, 0, 0]).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_greedy_codes_on_a_gpu(loaded, decoder, guidance):
    fast = Decoder(loaded.model.decoder, format="float32", device="cuda")
    states = _states(loaded, [SHORT, LONG])
    made = _ours(fast, states, 2, guidance=guidance)
    assert made.tolist() == _ours(decoder, states, 2, guidance=guidance).tolist()


# --- what a row depends on ------------------------------------------------------------------


def _rows(states, *rows):
    return {name: None if value is None else value[list(rows)] for name, value in states.items()}


@pytest.mark.parametrize("form", ["float32", "bfloat16", "int8", "small"])
def test_a_row_is_the_same_in_every_batch_and_with_any_threads(mono, form):
    states = _states(mono, [SHORT, LONG, "calm folk", "happy jazz violin"])
    kind, form = ("small", "float32") if form == "small" else ("compiled", form)
    with _layers(kind):
        one, many = (Decoder(mono.model.decoder, format=form, threads=n) for n in (1, 3))
    sampled = {"greedy": False, "temperature": 1.0, "top_k": 250}
    rngs = [np.random.default_rng((0, row)) for row in range(4)]
    together = many.generate(**states, rngs=rngs, frames=FRAMES, **sampled)
    for row in range(4):
        alone = one.generate(
            **_rows(states, row), rngs=[np.random.default_rng((0, row))], frames=FRAMES, **sampled
        )
        assert alone[0].tolist() == together[row].tolist()


def test_logits_of_a_row_are_bitwise_the_same_in_every_batch(int8):
    layers, random = int8.layers, np.random.default_rng(0)
    steps = random.standard_normal((7, 5, 32)).astype(np.float32)
    texts = [random.standard_normal((length, 32)).astype(np.float32) for length in (3, 0, 5)]
    layers.begin(7, 5, texts)
    together = layers.forward(steps, 0).copy()
    layers.end()
    for row in range(7):
        layers.begin(1, 5, texts[row : row + 1])
        alone = layers.forward(steps[row : row + 1], 0).copy()
        layers.end()
        assert alone[0].tobytes() == together[row].tobytes()


def test_a_row_draws_from_its_own_generator_alone(int8, mono):
    states = _states(mono, [SHORT, SHORT])
    first = _ours(int8, states, 2, greedy=False)
    rngs = [np.random.default_rng((0, 0)), np.random.default_rng(99)]
    other = int8.generate(**states, rngs=rngs, frames=FRAMES)
    assert first[0].tolist() == other[0].tolist()
    assert first[1].tolist() != other[1].tolist()
    # more frames begin with the same ones, up to where the shorter one pads its last codebooks
    longer, same = _ours(int8, states, 2, greedy=False, frames=FRAMES + 11), FRAMES - 3
    assert longer[:, :, :same].tolist() == first[:, :, :same].tolist()


def test_a_prompt_in_one_pass_is_the_prompt_step_by_step(decoder, loaded):
    layers, hidden = decoder.layers, decoder.shape.hidden
    steps = np.random.default_rng(0).standard_normal((2, 70, hidden)).astype(np.float32)
    texts = [steps[0, :4]] if decoder.shape.cross else []
    layers.begin(2, 70, texts)
    at_once = layers.forward(steps, 0).copy()
    layers.end()
    layers.begin(2, 70, texts)
    for place in range(70):
        one_by_one = layers.forward(steps[:, place : place + 1], place)
    assert at_once.tobytes() == one_by_one.tobytes()
    layers.end()


def test_old_tokens_in_four_bits_are_near_and_the_same_at_once_or_one_by_one(mono):
    count = RECENT + 130  # two groups are old at the end
    steps = np.random.default_rng(0).standard_normal((2, count, 32)).astype(np.float32)
    results = {}
    for form, parts in (("int8", 1), ("int8", count), ("float32", 1)):
        with _layers("compiled"):
            layers = Decoder(mono.model.decoder, format=form, threads=1).layers
        layers.begin(2, count, [steps[0, :4]])
        for part in np.split(np.arange(count), parts):
            logits = layers.forward(steps[:, part], int(part[0]))
        results[form, parts] = logits.copy()
        layers.end()
    assert results["int8", 1].tobytes() == results["int8", count].tobytes()
    true = results["float32", 1]
    error = np.sqrt(((results["int8", 1] - true) ** 2).mean()) / true.std()
    assert error < 0.1  # half of the tokens are old, and eight channels even out little


# --- guidance -------------------------------------------------------------------------------


def test_no_text_is_the_same_as_zero_states(mono, decoder_mono):
    """Skipping cross-attention in the half without text is exact."""
    states = _states(mono, [SHORT, LONG])
    zeros = torch.zeros_like(states["conditioning"])
    for mask in (torch.ones_like(states["mask"]), states["mask"]):
        given = _ours(decoder_mono, states | {"negative": zeros, "negative_mask": mask}, 2)
        assert given.tolist() == _ours(decoder_mono, states, 2).tolist()


def test_a_negative_text_is_what_guidance_leads_away_from(mono, decoder_mono):
    states, away = _states(mono, [SHORT]), _states(mono, [LONG])
    negative = {"negative": away["conditioning"], "negative_mask": away["mask"]}
    made = _ours(decoder_mono, states | negative, 1)
    assert made.tolist() != _ours(decoder_mono, states, 1).tolist()
    # led away from itself, a text is the plain text
    same = {"negative": states["conditioning"], "negative_mask": states["mask"]}
    plain = _ours(decoder_mono, states, 1, guidance=1.0)
    assert _ours(decoder_mono, states | same, 1, guidance=2.0).tolist() == plain.tolist()


@pytest.fixture(scope="module", params=["compiled", "small"])
def decoder_mono(mono, request):
    with _layers(request.param):
        return Decoder(mono.model.decoder, format="float32", threads=2)


# --- formats --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "worst"), [("float32", 0), ("bfloat16", 2**-8), ("int8", 0.5 / 127)]
)
def test_packing_keeps_the_numbers_within_the_format(form, worst):
    matrix = np.random.default_rng(0).standard_normal((70, 33)).astype(np.float32)
    matrix[5] = 0
    room = packing._room(1, 70, 33, packing.Format(form))
    packing._fill(room, 0, matrix)
    error = np.abs(packing.unpack(room, 0, 70) - matrix).max(axis=1)
    assert (error <= worst * np.abs(matrix).max(axis=1) * 1.0001).all()


@pytest.mark.parametrize(("form", "worst"), [("float32", 1e-5), ("bfloat16", 0.02), ("int8", 0.05)])
def test_logits_of_each_format_are_near_those_of_the_model(mono, form, worst):
    with _layers("compiled"):
        made = Decoder(mono.model.decoder, format=form, threads=1)
    assert made.format == form
    given = torch.randint(0, 2048, (1, 4, 20), generator=torch.Generator().manual_seed(0))
    states = _states(mono, [LONG])["conditioning"].detach()
    with torch.no_grad():
        true = mono.model.decoder(given[0], encoder_hidden_states=states).logits[:, -1].numpy()
    made.layers.begin(1, 20, [states[0].numpy()])
    embedded = made.embed(given.numpy()) + made.positions(20, 32).numpy()
    found = made.layers.forward(embedded, 0)[0]
    made.layers.end()
    assert np.sqrt(((found - true) ** 2).mean()) < worst * true.std()


def test_automatic_is_int8_on_a_processor_and_nothing_to_compile_for_a_small_decoder(mono):
    small = Decoder(mono.model.decoder)
    assert (small.format, small.layers.uncompiled()) == ("float32", False)
    with _layers("compiled"):
        assert Decoder(mono.model.decoder).format == "int8"
    published = replace(small.shape, layers=24, hidden=1024, inner=4096)  # musicgen-small
    assert packing.recommended("cpu", published) == "int8"
    assert packing.recommended("cuda:0", published) == "bfloat16"
    with pytest.raises(StudioError, match="choose bfloat16"):
        GpuLayers(None, None, packing.Format.INT8, "cuda")


def test_deltas_are_added_to_the_weights(mono, decoder_mono):
    path = "model.decoder.layers.1.self_attn.v_proj"
    weight = mono.model.decoder.get_submodule(path).weight
    delta = torch.randn(32, 32)
    states = _states(mono, [SHORT])
    changed = Decoder(mono.model.decoder, format="float32", deltas={path: delta})
    made = _ours(changed, states, 1)
    assert made.tolist() != _ours(decoder_mono, states, 1).tolist()
    with torch.no_grad():
        weight += delta
    try:
        assert made.tolist() == _theirs(mono, [SHORT], 3.0).tolist()
    finally:
        with torch.no_grad():
            weight -= delta
    with pytest.raises(StudioError, match="another base"):
        Decoder(mono.model.decoder, deltas={path: torch.zeros(2, 2)})
    with pytest.raises(StudioError, match="does not have"):
        Decoder(mono.model.decoder, deltas={"model.decoder.layers.9.fc1": delta})


def test_another_kind_of_model_is_refused(mono):
    with pytest.raises(StudioError, match="MusicGen decoder was expected, this is a t5"):
        Decoder(mono.model.text_encoder)


# --- the loop -------------------------------------------------------------------------------


def test_steps_and_frames_are_reported_as_they_come(int8, mono):
    steps, seen = [], []
    made = _ours(
        int8, _states(mono, [SHORT]), 1, prompt_codes=torch.ones(1, 4, 5, dtype=torch.long),
        on_step=lambda done, total: steps.append((done, total)),
        on_codes=lambda part: seen.append(part.copy()),
    )  # fmt: skip
    assert steps == [(done, FRAMES - 5 + 3) for done in range(1, FRAMES - 5 + 4)]
    assert [part.shape[2] for part in seen] == list(range(6, FRAMES + 1))
    assert all(made[:, :, : part.shape[2]].tolist() == part.tolist() for part in seen)


def test_a_cancelled_run_leaves_the_decoder_usable(int8, mono):
    def stop(done, total):
        if done == 7:
            raise Cancelled

    states = _states(mono, [SHORT])
    with pytest.raises(Cancelled):
        _ours(int8, states, 1, on_step=stop)
    assert _ours(int8, states, 1).shape == (1, 4, FRAMES)


def test_less_than_what_is_given_cannot_be_asked_for(int8, mono):
    with pytest.raises(StudioError, match="more than that"):
        _ours(int8, _states(mono, [SHORT]), 1, prompt_codes=torch.ones(1, 4, 5), frames=5)


# --- sampling -------------------------------------------------------------------------------

LOGITS = np.log(np.array([0.05, 0.4, 0.1, 0.3, 0.15], np.float32))


def _shares(**how):
    draws = (np.arange(10_000) + 0.5) / 10_000
    picked = choose(np.tile(LOGITS, (10_000, 1)), Sampling(**{"top_k": 0} | how), draws)
    return (np.bincount(picked, minlength=5) / 10_000).round(3).tolist()


def test_sampling_follows_the_probabilities():
    assert _shares() == [0.05, 0.4, 0.1, 0.3, 0.15]
    assert _shares(greedy=True) == [0, 1, 0, 0, 0]
    assert _shares(top_k=2) == [0, round(4 / 7, 3), 0, round(3 / 7, 3), 0]
    assert _shares(top_p=0.6) == [0, round(4 / 7, 3), 0, round(3 / 7, 3), 0]
    assert _shares(top_p=0.71) == pytest.approx([0, 40 / 85, 0, 30 / 85, 15 / 85], abs=2e-3)
    assert _shares(top_p=0.01) == [0, 1, 0, 0, 0]
    squared = np.exp(LOGITS * 2) / np.exp(LOGITS * 2).sum()
    assert _shares(temperature=0.5) == pytest.approx(squared, abs=2e-3)


def test_sampling_keeps_what_transformers_keeps():
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    scores = torch.randn(8, 500, generator=torch.Generator().manual_seed(0))
    for top_k, top_p in ((50, 0.0), (0, 0.8), (50, 0.8)):
        kept = TemperatureLogitsWarper(0.7)(None, scores)
        kept = TopKLogitsWarper(top_k)(None, kept) if top_k else kept
        kept = TopPLogitsWarper(top_p)(None, kept) if top_p else kept
        cumulated = kept.double().softmax(-1).cumsum(-1).numpy()
        draws = np.random.default_rng(0).random(8)
        expected = [
            int(np.searchsorted(row, u, "right")) for row, u in zip(cumulated, draws, strict=True)
        ]
        how = Sampling(temperature=0.7, top_k=top_k, top_p=top_p)
        assert choose(scores.numpy(), how, draws).tolist() == expected
