"""Trains the probe on true renders: ``python -m benchmarks.studio_tiny.training HELD_OUT TRAIN...``.

All are folders of ``training.recipes.corpus``. Two of three crops are worn, as by an old tape or a
codec of few bits: what is quiet drowns in noise, levels waver, details blur. A probe that heard clean
sound alone takes that for another style. Half an hour on one core for 6,000 pieces; the weights and how
often they are right on clean sound go to ``probe.safetensors``.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.studio_tiny import probe as probes
from benchmarks.studio_tiny.probe import Accuracy, Probe, families, lead_families, leads, styles
from training.recipes.composer import Brief
from training.recipes.corpus import Corpus

WORN = 2 / 3  # of the crops
CROP = 280  # frames of 25 ms that are heard at once while learning
BATCH, RATE, WEIGHT_DECAY, SMOOTHING = 32, 2e-3, 0.05, 0.05


def spectra(corpus: Corpus) -> Tensor:
    """Log-mel spectra of all pieces, float16 (N, 64, T)."""
    rate = corpus.plan.sample_rate
    return torch.stack([probes.log_mel(corpus.sound(n), rate).half() for n in range(len(corpus))])


def targets(briefs: Sequence[Brief]) -> tuple[Tensor, Tensor]:
    """Style numbers (N,), and lead instruments as shares (N, L): equal where there are several."""
    style = torch.tensor([styles().index(brief.style) for brief in briefs])
    shares = torch.zeros(len(briefs), len(leads()))
    for row, brief in zip(shares, briefs, strict=True):
        for name in brief.lead:
            row[leads().index(name)] = 1 / len(brief.lead)
    return style, shares


def train(mels: Tensor, briefs: Sequence[Brief], epochs: int, seed: int = 0) -> Probe:
    """A probe that has heard each piece ``epochs`` times, at random places and partly covered."""
    torch.manual_seed(seed)
    probe, rng = Probe(), np.random.default_rng(seed)
    some = mels[:512].float()
    probe.mean.copy_(some.mean((0, 2)))
    probe.spread.copy_(some.std((0, 2)))
    style, shares = targets(briefs)
    steps = epochs * (len(mels) // BATCH)
    optimizer = torch.optim.AdamW(probe.parameters(), RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps, pct_start=0.1)
    for epoch in range(epochs):
        started, order, total = time.perf_counter(), rng.permutation(len(mels)), 0.0
        probe.train()
        for first in range(0, len(mels) - BATCH + 1, BATCH):
            chosen = torch.from_numpy(order[first : first + BATCH])
            named, led = probe(_heard(mels[chosen], probe, rng))
            loss = F.cross_entropy(named, style[chosen], label_smoothing=SMOOTHING)
            loss = loss + F.cross_entropy(led, shares[chosen], label_smoothing=SMOOTHING)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        spent = time.perf_counter() - started
        print(f"epoch {epoch + 1}: loss {total * BATCH / len(mels):.3f}, {spent:.0f} s", flush=True)
    return probe.eval()


def _heard(mels: Tensor, probe: Probe, rng: np.random.Generator) -> Tensor:
    """Crops with a stretch of time and of bands covered (Park et al. 2019, arXiv:1904.08779)."""
    frames = min(CROP, mels.shape[2])
    found = torch.empty(len(mels), mels.shape[1], frames)
    for row, mel in zip(found, mels, strict=True):
        start = int(rng.integers(mels.shape[2] - frames + 1))
        row.copy_(mel[:, start : start + frames])
        at, wide = int(rng.integers(frames)), int(rng.integers(30))
        row[:, at : at + wide] = probe.mean[:, None]
        low, high = int(rng.integers(mels.shape[1])), int(rng.integers(8))
        row[low : low + high] = probe.mean[low : low + high, None]
    chosen = torch.from_numpy(rng.random(len(found)) < WORN)
    found[chosen] = worn(found[chosen], rng)
    return found


def worn(mels: Tensor, rng: np.random.Generator) -> Tensor:
    """Log-mel spectra (B, 64, T) blurred, with other tone, wavering levels and a floor of noise.

    The amounts are drawn by item; levels are in nepers (1 is 8.7 dB).
    """

    def drawn(low: float, high: float) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (len(mels), 1, 1))).float()

    def noise(*shape: int) -> Tensor:
        return torch.from_numpy(rng.standard_normal((len(mels), *shape), np.float32))

    bands, frames = mels.shape[1:]
    smooth = F.interpolate(noise(2, 8), bands, mode="linear", align_corners=True)
    tone, tilt = smooth[:, 0, :, None], smooth[:, 1, :, None]
    blurred = F.avg_pool2d(mels[:, None], 3, 1, 1, count_include_pad=False)[:, 0]
    mels = torch.lerp(mels, blurred, drawn(0, 1)) + drawn(0, 0.5) * tone
    mels = mels + drawn(0, 0.9) * noise(bands, frames)
    floor = drawn(-9, -4) + drawn(0, 0.8) * tilt + drawn(0, 1) * noise(bands, frames)
    return torch.logaddexp(mels, floor)


@torch.inference_mode()
def answers(probe: Probe, mels: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers of the styles and of the lead families that the probe names, (N,) each."""
    named, led = zip(*(probe(part.float()) for part in mels.split(64)), strict=True)
    return torch.cat(named).argmax(1), probe.families(torch.cat(led)).argmax(1)


def accuracy(probe: Probe, mels: Tensor, briefs: Sequence[Brief], trained_on: int) -> Accuracy:
    """How often the probe is right."""
    named, led = answers(probe, mels)
    of_style: dict[str, Counter[str]] = defaultdict(Counter)
    of_lead: dict[str, Counter[str]] = defaultdict(Counter)
    right: dict[str, list[bool]] = defaultdict(list)
    for brief, s, f in zip(briefs, named.tolist(), led.tolist(), strict=True):
        style, lead, asked = styles()[s], families()[f], lead_families(brief)
        of_style[brief.style][style] += 1
        of_lead[asked[0]][asked[0] if lead in asked else lead] += 1
        right["solo" if brief.solo else "style"].append(style == brief.style)
        right["lead"].append(lead in asked)
        right["first"].append(lead == asked[0])
    shares = {name: sum(found) / len(found) for name, found in right.items()}
    return Accuracy(
        items=len(briefs),
        trained_on=trained_on,
        style=shares["style"],
        solo_style=shares.get("solo", math.nan),
        lead=shares["lead"],
        first_lead=shares["first"],
        confusion_style={true: dict(found) for true, found in sorted(of_style.items())},
        confusion_lead={true: dict(found) for true, found in sorted(of_lead.items())},
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("held_out", type=Path, help="the corpus to be measured on")
    parser.add_argument("train", type=Path, nargs="+", help="corpora to learn from")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--output", type=Path, default=probes.FILE)
    options = parser.parse_args()
    corpora, held_out = (
        [Corpus.open(folder) for folder in options.train],
        Corpus.open(options.held_out),
    )
    briefs = [brief for corpus in corpora for brief in corpus.briefs]
    probe = train(torch.cat([spectra(corpus) for corpus in corpora]), briefs, options.epochs)
    found = accuracy(probe, spectra(held_out), held_out.briefs, len(briefs))
    probes.save(probe, found, options.output)
    print(
        f"style {found.style:.3f}, lead family {found.lead:.3f} ({found.first_lead:.3f} the first)"
    )


if __name__ == "__main__":
    main()
