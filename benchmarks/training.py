"""Supervised LoRA training in the studio beside a plain loop that encodes sound and text at each step.

``python -m benchmarks.training`` (some minutes, 6 GB of memory, 3 GB of disk): the configuration of
musicgen-small with random weights, clips of 10 s, batch 1, accumulation 4. Each contender is a process
of its own; they take turns, one optimizer step each. ``--turns 5`` for more of them. The ratio is
that of the steps a second; that of the processor's time, which other work on the machine changes least,
stands beside it.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import ROOT, show

SAMPLE_RATE, DURATION_S, CLIPS = 32_000, 10, 8
PAD = 2048
CONTENDERS = {"plain": "plain loop, encodes at each step", "ours": "studio, codes and text cached"}


# --- what both learn from ---------------------------------------------------------------------


def write_base(folder: Path) -> None:
    """musicgen-small by its published configuration, with random weights and a small tokenizer."""
    import torch
    from transformers import (
        EncodecConfig,
        MusicgenConfig,
        MusicgenForConditionalGeneration,
        T5Config,
    )

    from tests.tiny_musicgen import tokenizer

    text = T5Config(d_model=768, d_ff=3072, num_layers=12, num_heads=12, decoder_start_token_id=0)
    audio = EncodecConfig(
        sampling_rate=SAMPLE_RATE, target_bandwidths=[2.2], codebook_size=PAD, codebook_dim=128,
        hidden_size=128, num_filters=64, num_lstm_layers=2, upsampling_ratios=[8, 5, 4, 4],
        use_causal_conv=False, norm_type="weight_norm", normalize=False,
    )  # fmt: skip
    decoder = {
        "vocab_size": PAD, "max_position_embeddings": 2048, "num_hidden_layers": 24, "ffn_dim": 4096,
        "num_attention_heads": 16, "hidden_size": 1024, "dropout": 0.1, "num_codebooks": 4,
        "pad_token_id": PAD, "bos_token_id": PAD, "decoder_start_token_id": PAD,
    }  # fmt: skip
    parts = {"text_encoder": text.to_dict(), "audio_encoder": audio.to_dict(), "decoder": decoder}
    torch.manual_seed(0)
    model = MusicgenForConditionalGeneration(
        MusicgenConfig(**parts, pad_token_id=PAD, bos_token_id=PAD, decoder_start_token_id=PAD)
    )
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def write_dataset(folder: Path) -> None:
    """Clips of noise with prompts of a dozen words."""
    import json

    import soundfile

    (folder / "train").mkdir(parents=True)
    lines = []
    for number in range(CLIPS):
        samples = 0.1 * np.random.default_rng(number).normal(size=DURATION_S * SAMPLE_RATE)
        soundfile.write(folder / "train" / f"{number}.flac", samples, SAMPLE_RATE, "PCM_24")
        prompt = f"peaceful jazz, slow piano theme, featuring acoustic piano, {80 + number} bpm"
        lines.append(json.dumps({"file_name": f"{number}.flac", "prompt": prompt}))
    (folder / "train" / "metadata.jsonl").write_text("\n".join(lines), encoding="utf-8")


# --- the contenders, each in its own process --------------------------------------------------


@dataclass(frozen=True)
class Step:
    """Seconds by the clock and of the processor for one optimizer step, and the most memory so far."""

    seconds: float
    processor_s: float
    memory_mb: float


class Watch:
    """Measures the steps of this process and sends them to the race."""

    def __init__(self) -> None:
        self._processor_s = time.process_time()

    def wait(self) -> None:
        """Until it is this process's turn."""
        if not sys.stdin.readline():
            sys.exit(0)
        self._processor_s = time.process_time()

    def report(self, seconds: float) -> None:
        """A step that took ``seconds``."""
        memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        print(seconds, time.process_time() - self._processor_s, memory_mb, flush=True)


def ours(work: Path) -> None:
    """A run of the studio; its recorder is where it waits."""
    from training.config import RunConfig
    from training.musicgen import session
    from training.record import Recorder, RunRecord
    from training.run import devices
    from training.run.corpus import read
    from training.run.loop import Trainer

    watch = Watch()

    class Turns(Recorder):
        def metrics(self, split: str, step: int, epoch: int, values: Any) -> None:
            if split == "train":
                watch.report(values["step_s"])
                watch.wait()

    config = RunConfig.of({"epochs": 100, "precision": "float32"})
    folder = work / "run"
    folder.mkdir()
    recorder = Turns(folder, RunRecord("run"))
    paths = session.Paths(work / "base", work / "data", "base", "", work / "cache")
    place, found = devices.prepare(config.precision), read(work / "data", config.method)
    _, task = session.prepare(config, paths, found, place, session.Stop(recorder))
    watch.wait()
    Trainer(task, session.plan_of(config), place.accelerator, recorder).run()


def plain(work: Path) -> None:
    """What one would write first, with the correct recipe: peft, AdamW, transformers' own loss."""
    import json

    import soundfile
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoTokenizer, MusicgenForConditionalGeneration

    from training.config import MODULES

    model = MusicgenForConditionalGeneration.from_pretrained(work / "base")
    words = AutoTokenizer.from_pretrained(work / "base")
    model.requires_grad_(False)
    model.decoder = get_peft_model(
        model.decoder,
        LoraConfig(r=16, lora_alpha=32, lora_dropout=0.05, target_modules=list(MODULES)),
    )
    model.train()
    model.audio_encoder.eval()
    model.text_encoder.eval()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, 1e-4)
    rows = [json.loads(x) for x in (work / "data/train/metadata.jsonl").read_text().splitlines()]

    def forward(row: dict[str, str]) -> torch.Tensor:
        samples, _ = soundfile.read(work / "data/train" / row["file_name"], dtype="float32")
        with torch.no_grad():
            codes = model.audio_encoder.encode(torch.from_numpy(samples)[None, None]).audio_codes[0]
        labels = torch.full((1, codes.shape[2] + 3, 4), PAD)
        for k in range(4):
            labels[0, k : k + codes.shape[2], k] = codes[0, k]
        text = words(row["prompt"], return_tensors="pt")
        return model(**text, labels=labels).loss

    watch = Watch()
    watch.wait()
    while True:
        for start in range(0, CLIPS, 4):
            begun = time.perf_counter()
            for row in rows[start : start + 4]:
                (forward(row) / 4).backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            watch.report(time.perf_counter() - begun)
            watch.wait()


# --- the race ---------------------------------------------------------------------------------


def steps(name: str, work: Path, threads: int) -> Iterator[Step]:
    """One step after the other; a step is only done when asked for."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.training",
        "--contender",
        name,
        "--work",
        str(work),
    ]
    limit = {"OMP_NUM_THREADS": str(threads)} if threads else {}
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "STUDIO_DEVICE": "cpu", "HF_HUB_OFFLINE": "1", **limit},
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    try:
        while True:
            print(file=process.stdin, flush=True)
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"{name} ended with code {process.wait()}")
            yield Step(*map(float, line.split()))
    finally:
        process.stdin.close()
        process.wait()


def race(turns: int, warm_up: int, threads: int) -> None:
    """Both contenders in turns, and the table."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_base(work / "base")
        write_dataset(work / "data")
        running = {name: steps(name, work, threads) for name in CONTENDERS}
        found: dict[str, list[Step]] = {name: [] for name in CONTENDERS}
        for number in range(warm_up + turns):
            for name, contender in running.items():
                step = next(contender)
                print(name, step, file=sys.stderr, flush=True)
                if number >= warm_up:
                    found[name].append(step)
        for contender in running.values():
            contender.close()  # type: ignore[attr-defined]
    first = statistics.median(step.seconds for step in found["plain"])
    first_processor = statistics.median(step.processor_s for step in found["plain"])
    lines = []
    for name, measured in found.items():
        clock = statistics.median(step.seconds for step in measured)
        processor = statistics.median(step.processor_s for step in measured)
        memory = max(step.memory_mb for step in measured)
        lines.append(
            (
                CONTENDERS[name],
                f"{1 / clock:.4f}",
                f"{first / clock:.2f}",
                f"{processor:.1f}",
                f"{first_processor / processor:.2f}",
                f"{memory:,.0f}",
            )
        )
    show(
        f"Supervised LoRA, musicgen-small, {DURATION_S} s clips, batch 1, accumulation 4",
        ("what", "steps/s", "ratio", "processor s a step", "ratio of these", "peak memory, MB"),
        lines,
    )


def main() -> None:
    """Race, or be a contender."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=3, help="steps of each that count (3)")
    parser.add_argument("--warm-up", type=int, default=1, help="steps of each before them (1)")
    parser.add_argument("--threads", type=int, default=0, help="of each contender (0: all cores)")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        {"ours": ours, "plain": plain}[options.contender](options.work)
    else:
        race(options.turns, options.warm_up, options.threads)


if __name__ == "__main__":
    main()
