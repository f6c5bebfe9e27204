"""The published Chinese word list and classifier, from a folder."""

from __future__ import annotations

import json

import pytest

from engines.base import StudioError
from engines.tts.front_ends import maskgct
from engines.tts.front_ends.chinese import LEXICON


def classifier(folder, readings, answers):
    """A model in ONNX that gives each known character the answer of ``answers`` (place in ``readings``)."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    folder.mkdir()
    signs = ["[PAD]", "[UNK]", "[CLS]", *answers]
    scores = np.zeros((len(signs), len(readings)), np.float32)
    for index, sign in enumerate(signs[3:], 3):
        scores[index, answers[sign]] = 1
    graph = helper.make_graph(
        [
            helper.make_node("Slice", ["input_ids", "one", "end", "axis"], ["characters"]),
            helper.make_node("Gather", ["scores", "characters"], ["outputs"]),
        ],
        "polyphones",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT32, [1, "n"])],
        [helper.make_tensor_value_info("outputs", TensorProto.FLOAT, [1, "m", len(readings)])],
        [
            numpy_helper.from_array(scores, "scores"),
            numpy_helper.from_array(np.array([1], np.int64), "one"),
            numpy_helper.from_array(np.array([1 << 30], np.int64), "end"),
            numpy_helper.from_array(np.array([1], np.int64), "axis"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "poly_bert_model.onnx")
    names = {f"{index}": f"X{{{reading}}}" for index, reading in enumerate(readings, 1)}
    (folder / "polydict.json").write_text(json.dumps(names), encoding="utf-8")
    (folder / "vocab.txt").write_text("\n".join(signs), encoding="utf-8")


@pytest.fixture
def published(tmp_path):
    """A word list that says other things than pypinyin."""
    (tmp_path / LEXICON).write_text("你\tni3\n好\thao3\n世界\tshi4 jie2\n", encoding="utf-8")
    return tmp_path


def test_pinyin_comes_from_the_word_list(published):
    made = maskgct.phones("世界你", "zh", published)
    assert made.phonemes == "s`ɹ↓|tʃ⁼|iɛ↑|n|i↓↑|"


def test_characters_with_several_readings_are_read_by_the_classifier(published):
    classifier(published / "g2p_chinese_model", ["zhang3", "chang2", "hang2"], {"长": 0, "行": 2})
    made = maskgct.phones("长，行", "zh", published)
    assert made.phonemes == "ts`⁼|ɑŋ↓↑|,|x|ɑŋ↑|"


def test_without_the_classifier_they_are_read_by_pypinyin(published):
    assert maskgct.phones("长", "zh", published) == maskgct.phones("长", "zh")


def test_broken_files_are_named(published, tmp_path):
    (published / "g2p_chinese_model").mkdir()
    with pytest.raises(StudioError, match=r"has no poly_bert_model\.onnx and no polydict\.json"):
        maskgct.phones("你", "zh", published)
    other = tmp_path / "other"
    other.mkdir()
    (other / LEXICON).write_text("你\tni3\n好 hao3\n", encoding="utf-8")
    with pytest.raises(StudioError, match=r"Line 2 of chinese_lexicon\.txt is “好 hao3”"):
        maskgct.phones("你", "zh", other)
