"""Learning an adapter for MusicGen: from good examples, or from preferences."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from training.config import Method, RunConfig
from training.musicgen import lora
from training.musicgen.codes_cache import CodesCache
from training.run import losses
from training.run.corpus import Corpus, Item, weights
from training.run.loop import Loss

if TYPE_CHECKING:
    from peft import PeftModel

    from engines.music.musicgen.checkpoint import Loaded


@dataclass(frozen=True)
class Tokens:
    """A batch of sounds: ``inputs`` (B, K, L) with padding, ``labels`` (B, K, L) with IGNORED."""

    inputs: torch.Tensor
    labels: torch.Tensor


def tokens(codes: Sequence[torch.Tensor], pad: int, channels: int = 1) -> Tokens:
    """Codes (K, T) of clips of any lengths, delayed, padded at the end and shifted by one.

    Codebook k stands k positions later (MusicGen's delay pattern; in stereo the two channels of a
    codebook stand together). Padding is never a label, so that no silence is learned.
    """
    from engines.music.musicgen.codes import delay

    rows = [delay(one[None], pad, channels)[0] for one in codes]
    longest = max(row.shape[-1] for row in rows)
    target = torch.full((len(rows), rows[0].shape[0], longest), pad)
    for into, row in zip(target, rows, strict=True):
        into[:, : row.shape[-1]] = row
    inputs = torch.cat([torch.full_like(target[..., :1], pad), target[..., :-1]], -1)
    return Tokens(inputs, target.masked_fill(target == pad, losses.IGNORED))


class MusicgenTask(ABC):
    """LoRA on a MusicGen decoder. ``loaded`` needs neither text encoder nor codec any more: codes
    and text states come from ``cache``. Satisfies ``training.run.loop.Task``."""

    dropout: float  # of the adapter

    def __init__(
        self,
        loaded: Loaded,
        corpus: Corpus,
        cache: CodesCache,
        config: RunConfig,
        *,
        base_id: str = "",
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ):
        self._loaded, self._corpus, self._cache, self._config = loaded, corpus, cache, config
        self._device = torch.device(device)
        decoder = loaded.model.decoder
        lora.quiet(decoder)
        decoder.requires_grad_(False)
        if dtype is not torch.float32:
            _narrow(decoder, dtype)
        decoder.to(self._device)
        self.model: PeftModel = lora.wrap(decoder, config, base_id, self.dropout)
        self._pad = int(decoder.config.pad_token_id)
        if config.gradient_checkpointing:
            decoder.gradient_checkpointing_enable({"use_reentrant": False})
        for name in ("enc_to_dec_proj", "audio_enc_to_dec_proj"):
            projection = getattr(loaded.model, name, None)
            if projection is not None:
                projection.requires_grad_(False).to(self._device)

    # of the loop

    def parameters(self) -> list[torch.nn.Parameter]:
        """The adapter's matrices."""
        return [p for p in self.model.parameters() if p.requires_grad]

    def batches(self, epoch: int) -> list[list[Item]]:
        """All items in an order drawn from (seed, epoch)."""
        items = self._corpus.train
        order = np.random.default_rng((self._config.seed, epoch)).permutation(len(items))
        return self._split([items[number] for number in order])

    def validation(self) -> list[list[Item]]:
        """All validation items."""
        return self._split(self._corpus.validation)

    def _split(self, items: Sequence[Item]) -> list[list[Item]]:
        size = self._config.batch_size
        return [list(items[start : start + size]) for start in range(0, len(items), size)]

    def stepped(self) -> None:
        """Nothing follows the weights."""

    def describe(self, item: Item) -> str:
        """File names and prompt."""
        return item.name

    def save(self, folder: Path) -> None:
        """A PEFT folder."""
        lora.save(self.model, folder)

    def load(self, folder: Path) -> None:
        """From a PEFT folder."""
        lora.load(self.model, folder)

    def loss(self, batch: Sequence[Item], training: bool) -> Loss:
        """The method's loss and metrics."""
        self.model.train(training)
        return self._loss(batch, training)

    @abstractmethod
    def _loss(self, batch: Sequence[Item], training: bool) -> Loss: ...

    # the model

    def tokens(self, paths: Sequence[Path]) -> Tokens:
        """The codes of sounds as a batch on the device."""
        found = [self._cache.codes(path, self._config.max_duration_s) for path in paths]
        channels = self._loaded.checkpoint.channels
        made = tokens(found, self._pad, channels)
        return Tokens(made.inputs.to(self._device), made.labels.to(self._device))

    def conditioning(
        self, prompts: Sequence[str], dropped: Sequence[bool] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What the decoder is told, (B, S, H), and which of it is text or prefix, (B, S).

        Where ``dropped`` the text is zero: what guidance compares with when generating. A melody
        model reads its null chroma first, and padding as zeros, as transformers has it.
        """
        from engines.music.musicgen import codes

        states = [self._cache.text(prompt).states for prompt in prompts]
        padded = torch.nn.utils.rnn.pad_sequence(states, batch_first=True).to(self._device)
        lengths = torch.tensor([len(one) for one in states], device=self._device)
        mask = (torch.arange(padded.shape[1], device=self._device) < lengths[:, None]).long()
        melody = self._loaded.checkpoint.melody
        with torch.no_grad():
            told = codes.melody_conditioning if melody else codes.conditioning
            hidden = told(self._loaded, padded, mask)
        prefix = hidden.shape[1] - mask.shape[1]
        if dropped is not None:
            hidden[:, prefix:][torch.tensor(dropped, device=self._device)] = 0
        return hidden, torch.ones_like(hidden[..., 0], dtype=torch.long) if melody else mask

    def logits(
        self, inputs: torch.Tensor, hidden: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """(B, K, L), (B, S, H), (B, S) -> (B, K, L, V)."""
        batch, codebooks, length = inputs.shape
        out = self.model(
            input_ids=inputs.reshape(batch * codebooks, length),
            encoder_hidden_states=hidden,
            encoder_attention_mask=mask,
            use_cache=False,
        ).logits
        return out.view(batch, codebooks, -1, out.shape[-1])[:, :, -length:]

    @contextmanager
    def base(self) -> Iterator[None]:
        """The model without its adapter, in evaluation mode."""
        training = self.model.training
        self.model.eval()
        with torch.no_grad(), self.model.disable_adapter():
            yield
        self.model.train(training)


class Supervised(MusicgenTask):
    """Imitate the sounds, those with better ratings more where that is asked for."""

    def __init__(
        self, loaded: Loaded, corpus: Corpus, cache: CodesCache, config: RunConfig, **more: Any
    ):
        self.dropout = config.lora_dropout
        super().__init__(loaded, corpus, cache, config, **more)
        found = weights(corpus.train, config.rating_weighting)
        self._weights = dict(zip(corpus.train, found, strict=True))

    def _loss(self, batch: Sequence[Item], training: bool) -> Loss:
        dropped = None
        weight = None
        if training:
            # from the generator that the loop seeded for this batch
            dropped = list(np.random.random(len(batch)) < self._config.conditioning_dropout)
            weight = torch.tensor([self._weights[item] for item in batch], device=self._device)
        made = self.tokens([item.files[0] for item in batch])
        hidden, mask = self.conditioning([item.prompt for item in batch], dropped)
        return Loss(losses.supervised(self.logits(made.inputs, hidden, mask), made.labels, weight))


class Preference(MusicgenTask):
    """Raise the log-probability of the preferred sound over the other's: DPO, or ranking.

    Neither drops anything, so that a difference is the adapter's doing alone.
    """

    dropout = 0.0

    def __init__(
        self, loaded: Loaded, corpus: Corpus, cache: CodesCache, config: RunConfig, **more: Any
    ):
        super().__init__(loaded, corpus, cache, config, **more)
        self._normalised = config.length_normalised or config.method is Method.RANK
        self._reference: dict[Item, torch.Tensor] = {}

    def _loss(self, batch: Sequence[Item], training: bool) -> Loss:
        logits, labels = self._both(batch)
        policy = losses.log_probability(logits, labels, self._normalised).view(2, -1)
        made = self._compare(batch, policy)
        value = made.loss.mean()
        if self._config.sft_weight:
            chosen = len(batch)
            value = value + self._config.sft_weight * losses.supervised(
                logits[:chosen], labels[:chosen]
            )
        return Loss(
            value,
            {
                "accuracy": losses.preferred(made.margin).mean(),
                "margin": made.margin.mean(),
                "preferred": losses.preferred(policy[0] - policy[1]).mean(),
            },
        )

    def _both(self, batch: Sequence[Item]) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits and labels of the chosen sounds, then of the rejected ones, in one pass."""
        paths = [item.files[side] for side in (0, 1) for item in batch]
        made = self.tokens(paths)
        hidden, mask = self.conditioning([item.prompt for item in batch])
        hidden, mask = torch.cat([hidden, hidden]), torch.cat([mask, mask])
        return self.logits(made.inputs, hidden, mask), made.labels

    def _compare(self, batch: Sequence[Item], policy: torch.Tensor) -> losses.PairLoss:
        config = self._config
        strength = torch.tensor([item.strength for item in batch], device=self._device)
        if config.method is Method.RANK:
            return losses.rank(
                policy, config.rank_margin * (strength if config.use_margin else 1.0)
            )
        reference = torch.stack([self.reference(item) for item in batch], 1)
        offset = strength.log() if config.use_margin else None
        return losses.dpo(policy, reference, config.beta, config.label_smoothing, offset)

    def reference(self, item: Item) -> torch.Tensor:
        """Log-probabilities (2,) of a pair under the base; computed once, the base never changes.

        Each pair goes through alone, so that its value does not depend on its batch.
        """
        if item not in self._reference:
            with self.base():
                found = losses.log_probability(*self._both([item]), self._normalised)
            self._reference[item] = found
        return self._reference[item]


def make(
    loaded: Loaded, corpus: Corpus, cache: CodesCache, config: RunConfig, **more: Any
) -> MusicgenTask:
    """The task of the configuration's method; ``more`` as in ``MusicgenTask``."""
    kind = Supervised if config.method is Method.SFT else Preference
    return kind(loaded, corpus, cache, config, **more)


def _narrow(decoder: torch.nn.Module, dtype: torch.dtype) -> None:
    """Frozen linear layers and embeddings in ``dtype``; norms and positions stay float32."""
    for module in decoder.modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Embedding):
            module.to(dtype)
