"""DualCodec-VALLE on tiny checkpoints of the published layout, from a hub, through the studio."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from engines import sharing
from engines.base import Cancelled, StudioError
from engines.networks.blocks.int8 import Int8Linear
from engines.networks.dualcodec.codec import PUBLISHED, DualCodec, Variant
from engines.networks.dualcodec.features import STATISTICS_FILE
from engines.networks.dualcodec.fill import FILE as FILLER_FILE
from engines.networks.dualcodec.fill import AcousticFiller, AcousticFillerConfig
from engines.networks.dualcodec.first import FILE as WRITER_FILE
from engines.networks.dualcodec.first import SAMPLING, SemanticWriter, SemanticWriterConfig
from engines.networks.weights import sizes_in
from engines.parts import autoregressive, dualcodec
from engines.parts.dualcodec import CODECS, PARTS
from engines.studio import Studio
from engines.tts.dualcodec_valle import WEIGHTS, DualCodecValle, DualCodecValleParams
from engines.tts.front_ends.whisper import OFFSET, TOKENS
from engines.tts.maskgct import MaskGct
from tests.engines.published import StopAt, sound_file, studio_of
from tests.networks.test_dualcodec import CODEC as CODEC_SIZES
from tests.networks.test_maskgct import folders  # noqa: F401

SAID = "The old bridge was closed."
SIZES = {"intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
SHORT = {"max_length": 120, "min_new_tokens": 6}


@pytest.fixture(scope="module")
def repositories(folders, tmp_path_factory) -> dict[str, Path]:  # noqa: F811
    """Codec and models; features as wide as those of MaskGCT's tiny w2v-BERT."""
    torch.manual_seed(1)
    codec, models = tmp_path_factory.mktemp("codec"), tmp_path_factory.mktemp("models")
    own = {"dualcodec_12hz_v1": CODEC_SIZES | {"semantic_channels": 32, "latent_dim": 32}}
    (codec / "config.json").write_text(json.dumps(own | {"speech": {"layers": 2}}))
    file, default = PUBLISHED[Variant.HZ_12]
    network = DualCodec(sizes_in(codec, "dualcodec_12hz_v1", default))
    save_file(network.state_dict(), codec / file)
    statistics = {"mean": torch.zeros(32), "var": torch.ones(32)}
    torch.save(statistics, codec / STATISTICS_FILE)
    written = {"vocab_size": 32 + 10 + TOKENS, "speech_vocab_size": 32, "hidden_size": 32}
    filled = {"first_layer_vocab_size": 32, "target_vocab_size": 16, "num_quantizers": 4}
    config = {"valle_ar": SIZES | written, "valle_nar": SIZES | filled | {"hidden_size": 16}}
    (models / "config.json").write_text(json.dumps(config))
    writer = SemanticWriter(sizes_in(models, "valle_ar", SemanticWriterConfig()))
    filler = AcousticFiller(sizes_in(models, "valle_nar", AcousticFillerConfig()))
    save_file(writer.state_dict(), models / WRITER_FILE)
    save_file(filler.state_dict(), models / FILLER_FILE)
    return {
        "amphion/dualcodec": codec,
        "amphion/dualcodec-tts": models,
        "facebook/w2v-bert-2.0": folders[1],
        "amphion/MaskGCT": folders[0],
    }


@pytest.fixture(scope="module")
def studio(repositories, tmp_path_factory) -> Iterator[Studio]:
    root = tmp_path_factory.mktemp("studio")
    with studio_of(root, repositories, DualCodecValle, MaskGct) as running:
        yield running


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> Path:
    return sound_file(tmp_path_factory.mktemp("sounds") / "voice.wav", 2.0)


def speak(studio: Studio, reference: Path, text: str = "Hello there.", **more):
    values = {"reference": str(reference), "reference_text": SAID, "seed": 3, **SHORT, **more}
    return studio.make("dualcodec-valle", 60, text=text, **values)[0]


def params_of(reference: Path, text: str, **more) -> DualCodecValleParams:
    given = {"text": text, "reference": reference, "reference_text": SAID, **SHORT, **more}
    return DualCodecValleParams(**given)


def test_defaults_and_sizes_are_the_published_ones():
    params = DualCodecValleParams(text="a", reference="a.wav")
    assert autoregressive.sampling(params) == SAMPLING
    assert WEIGHTS.files == (WRITER_FILE, FILLER_FILE)
    files = [(PUBLISHED[variant][0], STATISTICS_FILE) for variant in Variant]
    assert [weights.files for weights in CODECS.values()] == files
    sizes = SemanticWriterConfig()
    assert sizes.speech_vocab_size + sizes.initial_offset == OFFSET
    assert sizes.vocab_size == OFFSET + TOKENS


def test_the_same_seed_gives_the_same_bytes_of_24_khz_and_another_seed_others(studio, reference):
    first = speak(studio, reference)
    assert first.sample_rate == 24000
    assert first.duration_s > 0.3
    assert speak(studio, reference).hash == first.hash
    assert speak(studio, reference, seed=4).hash != first.hash
    assert first.revision == "c" * 40


def test_precision_is_int8_on_a_processor_unless_asked_otherwise(studio, reference):
    engine = studio.engine("dualcodec-valle")
    engine.load(studio.runtime, params_of(reference, "a"))
    layer = engine._model.writer.llm.model.layers[0].mlp.gate_proj
    assert isinstance(layer, Int8Linear)
    codec = engine._model.codec
    engine.load(studio.runtime, params_of(reference, "a", precision="full"))
    assert not isinstance(engine._model.writer.llm.model.layers[0].mlp.gate_proj, Int8Linear)
    del codec


def test_the_text_that_the_model_reads_begins_with_its_language(studio, reference):
    engine = studio.engine("dualcodec-valle")
    engine.load(studio.runtime, params_of(reference, "a"))
    seen = []
    write = engine._model.writer.write

    def watched(text, *args, **more):
        seen.append(text)
        return write(text, *args, **more)

    engine._model.writer.write = watched
    for language, token in (("en", 50259), ("de", 50261)):
        engine.run(params_of(reference, "Hello.", language=language), StopAt(10_000))
        assert seen[-1][0, 0] == token
        assert int(seen[-1].min()) >= 0 and int(seen[-1].max()) < TOKENS
    engine.unload()


def test_parts_are_as_long_as_fits_behind_the_reference(studio, reference, tmp_path):
    engine = studio.engine("dualcodec-valle")
    engine.load(studio.runtime, params_of(reference, "a"))
    long = sound_file(tmp_path / "long.wav", 12)
    text = "One two three four five six seven eight nine ten. " * 3
    job = StopAt(10_000)
    clip = engine.run(params_of(long, text, max_length=400), job)
    assert engine.chunk_chars(None) == (40, 40)  # 26 characters in 12 s
    assert len(job.pieces) > 3
    assert np.array_equal(np.concatenate(job.pieces), clip.samples)
    with pytest.raises(StudioError, match="Raise Most tokens"):
        engine.run(params_of(long, "Hello.", max_length=150), StopAt(10_000))
    engine.unload()


def test_cancelling_stops_at_the_step(studio, reference):
    engine = studio.engine("dualcodec-valle")
    engine.load(studio.runtime, params_of(reference, "a"))
    for checks in (2, 5):
        job = StopAt(checks)
        with pytest.raises(Cancelled):
            engine.run(params_of(reference, "Hello."), job)
        assert len([note for note in job.notes if note[2] == "Part 1 of 1"]) == checks - 1
        assert job.pieces == []
    engine.unload()


def test_w2v_bert_is_shared_with_maskgct_and_all_is_freed(studio, reference):
    studio.runtime.unload_all()
    few = {"steps": 2, "acoustic_steps_first": 2, "acoustic_steps_second": 2}
    given = {"reference": str(reference), "reference_text": SAID}
    studio.make("maskgct", 60, text="Hello.", **given, **few)
    before = set(sharing.held())
    speak(studio, reference)
    ours = studio.engine("dualcodec-valle")
    assert set(sharing.held()) - before == {PARTS[1].name(ours.cache)}
    assert ours._model.features.speech is studio.engine("maskgct")._model.tokens.speech
    assert dualcodec.codec(ours.cache, studio.runtime) is ours._model.codec
    studio.runtime.unload_all()
    assert sharing.held() == []


@pytest.mark.parametrize(("name", "broken"), [(WRITER_FILE, "half"), (FILLER_FILE, "key")])
def test_a_file_that_does_not_fit_is_refused_with_its_name(
    repositories, reference, tmp_path, name, broken
):
    root = tmp_path / "models"
    shutil.copytree(repositories["amphion/dualcodec-tts"], root)
    file = root / name
    if broken == "half":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    else:
        state = load_file(file)
        del state["phone_embedder.weight"]
        save_file(state, file)
    hub = repositories | {"amphion/dualcodec-tts": root}
    message = rf"DualCodec-VALLE can't be loaded.*{name}.*" + (
        "cut short" if broken == "half" else r"1 missing: phone_embedder\.weight"
    )
    with studio_of(tmp_path / "studio", hub, DualCodecValle) as studio:
        with pytest.raises(StudioError, match=message):
            speak(studio, reference)


def test_models_may_be_held_in_bfloat16_with_8_bit_weights(repositories, reference, tmp_path):
    with studio_of(tmp_path, repositories, DualCodecValle, dtype="bfloat16") as studio:
        assert speak(studio, reference).duration_s > 0.3
        model = studio.engine("dualcodec-valle")._model
        assert model.filler.phone_embedder.weight.dtype == torch.bfloat16
        assert isinstance(model.writer.llm.model.layers[0].mlp.gate_proj, Int8Linear)
        assert next(model.codec.parameters()).dtype == torch.float32
        assert speak(studio, reference, precision="full").duration_s > 0.3
        studio.runtime.unload_all()
