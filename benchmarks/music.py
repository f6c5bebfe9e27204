"""MusicGen's decoder in the studio beside ``generate`` of transformers, on the small model's sizes.

``python -m benchmarks.music`` (about ten minutes on a quiet machine with 2 cores); ``--quick`` for 60
tokens in place of 500 and no growth (two minutes). The weights are random: speed does not depend on
them, and the errors of the formats are larger than on trained ones. Text and audio encoders are left
out on both sides.

All contenders take turns: each decodes a segment of tokens and stops, the next one does the same, so
that whatever else the machine does meets all of them. A ratio is the median over the segments.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from transformers import (
    EncodecConfig,
    LogitsProcessor,
    LogitsProcessorList,
    MusicgenConfig,
    MusicgenForConditionalGeneration,
    T5Config,
)

from benchmarks.common import show
from engines.music.musicgen.attention import RECENT
from engines.music.musicgen.decoding import Decoder
from engines.music.musicgen.packing import Format

PAD, TEXT_TOKENS, GUIDANCE, TOP_K = 2048, 20, 3.0, 250
STRIDE = 16  # of the tokens at which logits are compared
SMALL = {
    "vocab_size": PAD, "hidden_size": 1024, "ffn_dim": 4096, "num_hidden_layers": 24,
    "num_attention_heads": 16, "num_codebooks": 4, "pad_token_id": PAD, "bos_token_id": PAD,
}  # fmt: skip


@dataclass
class Contender:
    """Something that decodes step by step in a thread of its own, and only when it is its turn.

    ``decode`` is given a function to call after each step.
    """

    name: str
    decode: Callable[[Callable[[], None]], Any]
    spans: list[float] = field(default_factory=list)  # seconds of each segment
    cpu: list[float] = field(default_factory=list)  # processor seconds of each segment, all threads

    def start(self, segment: int) -> None:
        self._segment, self._steps, self._failed = segment, -1, False
        self._mine, self._theirs = threading.Semaphore(0), threading.Semaphore(0)
        threading.Thread(target=self._run, daemon=True).start()
        self.turn()  # to the end of the first step, which is not counted: preparation and prefill
        del self.spans[:], self.cpu[:]

    def turn(self) -> None:
        started, cpu = time.perf_counter(), time.process_time()
        self._mine.release()
        self._theirs.acquire()
        if self._failed:
            raise RuntimeError(f"{self.name} failed, see above")
        self.spans.append(time.perf_counter() - started)
        self.cpu.append(time.process_time() - cpu)

    def _run(self) -> None:
        self._mine.acquire()
        self._failed = True  # until it is done
        try:
            self.decode(self._after_step)
            self._failed = False
        finally:
            self._theirs.release()

    def _after_step(self) -> None:
        self._steps += 1
        if self._steps % self._segment == 0:
            self._failed = False
            self._theirs.release()
            self._mine.acquire()
            self._failed = True


def take_turns(contenders: list[Contender], tokens: int, turns: int) -> None:
    """Decode ``tokens`` steps after the first with each, in ``turns`` turns."""
    for contender in contenders:
        contender.start(tokens // turns)
    for _ in range(turns):
        for contender in contenders:
            contender.turn()
    for contender in contenders:
        contender._mine.release()


def small() -> MusicgenForConditionalGeneration:
    """MusicGen with the decoder of musicgen-small; its text encoder and codec are toys, since what they
    take is left out on both sides."""
    text = T5Config(vocab_size=99, d_model=768, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    audio = EncodecConfig(num_filters=2, hidden_size=8, codebook_size=PAD, target_bandwidths=[2.2])
    parts = {"text_encoder": text.to_dict(), "audio_encoder": audio.to_dict(), "decoder": SMALL}
    model = MusicgenForConditionalGeneration(MusicgenConfig(**parts)).eval()
    model.generation_config.update(
        bos_token_id=PAD, pad_token_id=PAD, decoder_start_token_id=PAD, max_length=None
    )
    return model


def conditioning(model: MusicgenForConditionalGeneration, batch: int) -> torch.Tensor:
    """States (B, S, H) of texts of ``TEXT_TOKENS`` random tokens, the same ones each time."""
    with torch.no_grad():
        return model.enc_to_dec_proj(model.text_encoder(texts(batch)).last_hidden_state)


def texts(batch: int) -> torch.Tensor:
    return torch.arange(batch * TEXT_TOKENS).reshape(batch, TEXT_TOKENS) % 99


def generate(model: MusicgenForConditionalGeneration, batch: int, tokens: int) -> Contender:
    """``generate`` of transformers with guidance and sampling."""

    class AfterStep(LogitsProcessor):
        def __init__(self, after_step):
            self._after_step, self._calls = after_step, 0

        def __call__(self, input_ids, scores):
            self._after_step()
            return scores

    def decode(after_step):
        with torch.no_grad():
            model.generate(
                input_ids=texts(batch), attention_mask=torch.ones_like(texts(batch)),
                guidance_scale=GUIDANCE, do_sample=True, top_k=TOP_K, max_new_tokens=tokens + 1,
                logits_processor=LogitsProcessorList([AfterStep(after_step)]),
            )  # fmt: skip

    return Contender("transformers generate, float32", decode)


def ours(decoder: Decoder, states: torch.Tensor, tokens: int) -> Contender:
    """Our loop with the same settings: T + 3 steps for T frames."""

    def decode(after_step):
        decoder.generate(
            states, None, frames=tokens + 1 - 3, guidance=GUIDANCE, top_k=TOP_K,
            rngs=[np.random.default_rng(row) for row in range(len(states))],
            on_step=lambda done, total: after_step(),
        )  # fmt: skip

    return Contender(f"studio, {decoder.format}", decode)


def speed(model, decoders, batch: int, tokens: int, turns: int) -> None:
    """Milliseconds a token and ratios to ``generate``."""
    states = conditioning(model, batch)
    contenders = [generate(model, batch, tokens)]
    contenders += [ours(decoder, states, tokens) for decoder in decoders]
    take_turns(contenders, tokens, turns)
    base = contenders[0]
    lines = []
    for contender in contenders:
        ratios = [one / other for one, other in zip(base.spans, contender.spans, strict=True)]
        lines.append(
            (
                contender.name,
                f"{1000 * sum(contender.spans) / tokens:.1f}",
                f"{statistics.median(ratios):.2f}",
                f"{min(ratios):.2f} to {max(ratios):.2f}",
                f"{1000 * sum(contender.cpu) / tokens / torch.get_num_threads():.1f}",
            )
        )
    head = ("what", "ms/token", "times as fast, median", "range", "processor ms/token and core")
    show(f"Batch {batch}, {tokens} tokens, {turns} turns", head, lines)


def growth(decoders: list[Decoder], places: tuple[int, int], times: int) -> None:
    """Milliseconds of one step through the layers, early and late, in turns: the cache is filled, but
    with nothing sensible, which makes no difference to the time."""
    lines = []
    for decoder in decoders:
        layers, hidden = decoder.layers, SMALL["hidden_size"]
        layers.begin(2, max(places) + 1, [np.zeros((TEXT_TOKENS, hidden), np.float32)])
        for room in layers._cache:
            room[...] = 1
        step = np.random.default_rng(0).standard_normal((2, 1, hidden)).astype(np.float32)
        layers.forward(step, 0)  # the first call may compile
        spans: dict[int, list[float]] = {place: [] for place in places}
        for _ in range(times):
            for place in places:
                started = time.perf_counter()
                layers.forward(step, place)
                spans[place].append(time.perf_counter() - started)
        layers.end()
        early, late = (1000 * statistics.median(spans[place]) for place in places)
        lines.append((decoder.format, f"{early:.1f}", f"{late:.1f}", f"{late / early - 1:+.0%}"))
    head = ("format", *(f"ms at token {place}" for place in places), "growth")
    show(f"One step through the layers, batch 1, {times} turns", head, lines)


def errors(model: MusicgenForConditionalGeneration, decoders: list[Decoder], tokens: int) -> None:
    """How far each format is from transformers in float32 over the same given codes,
    at tokens among the first ``RECENT`` and later."""
    states = conditioning(model, 1)
    codes = torch.randint(0, PAD, (1, 4, tokens))
    with torch.no_grad():
        true = model.decoder.model(
            codes.repeat(2, 1, 1).reshape(8, tokens),
            encoder_hidden_states=torch.cat([states, torch.zeros_like(states)]),
        ).last_hidden_state[:, STRIDE - 1 :: STRIDE]
        true = torch.stack([head(true) for head in model.decoder.lm_heads], 2).numpy()
    lines = []
    for decoder in decoders:
        layers = decoder.layers
        layers.begin(2, tokens, [states[0].numpy()])
        embedded = decoder.embed(codes.numpy()) + decoder.positions(tokens, states.shape[2]).numpy()
        pair = np.tile(embedded, (2, 1, 1))
        found = np.stack(
            [
                layers.forward(pair[:, first : first + STRIDE], first).copy()
                for first in range(0, tokens - STRIDE + 1, STRIDE)
            ],
            axis=1,
        )  # (2, places, K, V)
        layers.end()
        for part in (slice(0, RECENT // STRIDE), slice(RECENT // STRIDE, None)):
            if not len(true[0, part]):
                continue
            one, other = true[:, part], found[:, part]
            lines.append(
                (
                    f"{decoder.format}, {'late' if part.start else 'early'} tokens",
                    *_distance(one[0], other[0]), *_distance(_guided(one), _guided(other)),
                )
            )  # fmt: skip
    head = (
        "format", "error of logits", "same top-1", "error with guidance", "same top-1 with guidance",
    )  # fmt: skip
    title = f"Against transformers in float32, random weights, every {STRIDE}th of {tokens} tokens"
    show(title, head, lines)


def _distance(true: np.ndarray, found: np.ndarray) -> tuple[str, str]:
    error = np.sqrt(((found - true) ** 2).mean()) / true.std()
    return f"{error:.2g}", f"{(found.argmax(-1) == true.argmax(-1)).mean():.3f}"


def _guided(logits: np.ndarray) -> np.ndarray:
    return logits[1] + (logits[0] - logits[1]) * GUIDANCE


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    torch.manual_seed(0)
    model = small()
    threads = torch.get_num_threads()
    decoders = [Decoder(model.decoder, format=form, threads=threads) for form in reversed(Format)]
    errors(model, decoders, 64 if quick else 1024)
    growth(decoders, (100, 1500), 5 if quick else 21)
    tokens, turns = (60, 6) if quick else (500, 10)
    for batch in (1, 4):
        speed(model, decoders, batch, tokens, turns)


if __name__ == "__main__":
    main()
