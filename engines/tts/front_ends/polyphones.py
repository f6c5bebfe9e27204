"""The published classifier of Chinese characters with several readings (a BERT in ONNX)."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from engines.base import StudioError

_CONTEXT = 200
"""Characters on each side that the classifier sees; it was trained on sentences."""


class Polyphones:
    """Tells how a character is read in its sentence."""

    def __init__(self, session: Any, vocabulary: dict[str, int], readings: dict[str, str]) -> None:
        self.session = session
        self.vocabulary = vocabulary
        self.readings = readings

    @staticmethod
    @lru_cache(maxsize=2)
    def read(folder: Path) -> Polyphones:
        """The classifier of a folder: ``poly_bert_model.onnx``, ``polydict.json``, ``vocab.txt``."""
        import onnxruntime

        names = ("poly_bert_model.onnx", "polydict.json", "vocab.txt")
        missing = [name for name in names if not (folder / name).exists()]
        if missing:
            raise StudioError(
                f"{folder.name} has no {' and no '.join(missing)}, which say how Chinese characters "
                "with several readings are read. Download it again, or remove the folder to use "
                "pypinyin instead."
            )
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(
                f"{folder / names[0]}", options, providers=["CPUExecutionProvider"]
            )
        except RuntimeError as error:
            raise StudioError(f"{names[0]} can't be read: {error}. Download it again.") from error
        words = (folder / names[2]).read_text(encoding="utf-8").splitlines()
        readings = json.loads((folder / names[1]).read_text(encoding="utf-8"))
        return Polyphones(session, {word: index for index, word in enumerate(words)}, readings)

    def pinyin(self, text: str, place: int) -> str:
        """Pinyin with tone digit of the character at ``place`` of ``text``."""
        import numpy as np

        first = max(0, place - _CONTEXT)
        seen = text[first : place + _CONTEXT]
        unknown = self.vocabulary.get("[UNK]", 0)
        ids = [self.vocabulary.get(sign, unknown) for sign in ("[CLS]", *seen)]
        (scores,) = self.session.run(["outputs"], {"input_ids": np.array([ids], dtype=np.int32)})
        best = int(np.argmax(scores[0, place - first]))
        return self.readings[f"{best + 1}"][2:-1]  # "中{zhong1}"
