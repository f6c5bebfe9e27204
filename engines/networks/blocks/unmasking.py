"""Masked generation (Chang et al. 2022, MaskGIT): all tokens at once, the surest kept at each step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from engines.networks.blocks.draws import Draw, gumbel

LEAST_TEMPERATURE = 1e-3

Predict = Callable[[int, Tensor, Tensor], Tensor]
"""Step, tokens (B, L) and mask (B, L) to logits (B, L, V)."""


@dataclass(frozen=True)
class Unmasking:
    """How masked tokens are drawn. Defaults are those of MaskGCT's first stage.

    ``temperature`` falls with the share that is masked; ``single_step_temperature`` holds where there
    is one step only. ``kept`` is the share of the vocabulary that is left out of the draw (0.98: the
    best 2 % stay). ``guidance`` 0 runs without the second pass. ``as_published`` couples the rows of a
    batch in the rescaling (``guidance.guided``).
    """

    steps: int = 25
    temperature: float = 0.9
    filter_threshold: float = 0.98
    guidance: float = 2.5
    rescale: float = 0.75
    single_step_temperature: float = 0.2
    as_published: bool = False

    def times(self) -> list[float]:
        """The time of each step, from 1 down; the share of masked tokens follows it."""
        return [1.0 - step * (1.0 / self.steps) for step in range(self.steps)]


def masked_count(t: float, length: int) -> int:
    """How many of ``length`` tokens are masked at time ``t``: their share is sin(pi t / 2), in float32."""
    share = torch.sin(torch.tensor(t, dtype=torch.float32) * math.pi / 2)
    return int(share * length)


def keep_top(logits: Tensor, threshold: float) -> Tensor:
    """Logits (..., V) with all but the best ``ceil((1 - threshold) V)`` at minus infinity."""
    count = math.ceil((1 - threshold) * logits.shape[-1])
    values, places = logits.topk(count, dim=-1)
    return torch.full_like(logits, -math.inf).scatter(-1, places, values)


def unmask(
    settings: Unmasking,
    shape: tuple[int, int],
    device: torch.device,
    predict: Predict,
    draw: Draw,
) -> Iterator[Tensor]:
    """Tokens of ``shape`` (B, L) after each step, the last of them the result; masked ones are 0.

    ``draw`` gives uniform numbers, first (B, L, V) for the tokens (not where the last of several steps
    takes the best), then (B, L) for what stays. Ends early where the schedule leaves nothing masked.
    """
    length = shape[1]
    tokens = torch.zeros(shape, dtype=torch.long, device=device)
    masked = torch.ones(shape, dtype=torch.bool, device=device)
    times = settings.times()
    for step, (now, then) in enumerate(zip(times, [*times[1:], 0.0], strict=True)):
        logits = keep_top(predict(step, tokens, masked).float(), settings.filter_threshold)
        chosen = _choose(settings, step, logits, draw)
        tokens = torch.where(masked, chosen, tokens)
        sureness = logits.softmax(-1).gather(-1, chosen[..., None])[..., 0]
        doubt = 1 - (sureness + now * gumbel(draw, shape, logits))
        count = masked_count(then, length)
        if count:
            doubt = doubt.masked_fill(~masked, torch.finfo(doubt.dtype).min)
            worst = doubt.topk(count, dim=-1).indices
            masked = torch.zeros_like(masked).scatter(-1, worst, True)
            tokens = tokens.masked_fill(masked, 0)
        yield tokens
        if not count:
            return


def _choose(settings: Unmasking, step: int, logits: Tensor, draw: Draw) -> Tensor:
    """Tokens (B, L) by Gumbel noise over logits (B, L, V), or the best at the last of several steps."""
    if step == settings.steps - 1 > 0:
        return logits.argmax(-1)
    temperature = max(settings.temperature * settings.times()[step], LEAST_TEMPERATURE)
    if settings.steps == 1:
        temperature = settings.single_step_temperature
    return (logits / temperature + gumbel(draw, tuple(logits.shape), logits)).argmax(-1)
