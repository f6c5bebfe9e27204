"""From text and a reference to speech with DualCodec-VALLE: chunks of text, one after the other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from engines.networks.blocks.causal_llama import TokenSampling
from engines.networks.blocks.sampling import Progress
from engines.networks.dualcodec.codec import SAMPLE_RATE, DualCodec
from engines.networks.dualcodec.features import DualCodecFeatures
from engines.networks.dualcodec.fill import AcousticFiller
from engines.networks.dualcodec.first import SAMPLING, SemanticWriter

TARGET_RMS = 0.1
CROSS_FADE_S = 0.15
HEARD_S = 22.0  # reference and target together
BREAKS = re.compile(r"(?<=[;:,.!?])\s+|(?<=[；：，。！？])")


def raise_to_rms(samples: Tensor, target: float = TARGET_RMS) -> Tensor:
    """Samples (L,) scaled up to an RMS of ``target`` where they are quieter; silence stays."""
    rms = samples.square().mean().sqrt()
    return samples * (target / rms) if 0 < rms < target else samples


def longest_chunk(reference_text: str, reference_s: float, heard_s: float = HEARD_S) -> int:
    """Bytes of text that at the reference's pace fill what the models hear besides the reference."""
    spoken = len(reference_text.encode())
    return int(spoken / reference_s * (heard_s - reference_s))


def chunks_of(text: str, most_bytes: int) -> list[str]:
    """``text`` in chunks of at most ``most_bytes``, broken behind punctuation alone."""
    chunks: list[str] = []
    current = ""
    for sentence in filter(None, (part.strip() for part in BREAKS.split(text))):
        gap = " " if current and current[-1].isascii() else ""
        joined = current + gap + sentence
        if current and len(joined.encode()) > most_bytes:
            chunks.append(current)
            joined = sentence
        current = joined
    return [*chunks, current] if current else chunks


def cross_faded(parts: Sequence[Tensor], overlap: int) -> Tensor:
    """Sounds (L_i,) joined, the last ``overlap`` samples of each fading into the next."""
    whole = parts[0]
    for part in parts[1:]:
        shared = min(overlap, len(whole), len(part))
        fade = torch.linspace(0, 1, shared, device=part.device)
        middle = whole[len(whole) - shared :] * (1 - fade) + part[:shared] * fade
        whole = torch.cat([whole[: len(whole) - shared], middle, part[shared:]])
    return whole


@dataclass
class DualCodecSpeech:
    """The codec and both models. The codec must be that of 12.5 Hz."""

    features: DualCodecFeatures
    codec: DualCodec
    writer: SemanticWriter
    filler: AcousticFiller

    @classmethod
    def from_published(cls, codec: Path, models: Path, w2v_bert: Path) -> DualCodecSpeech:
        """From folders as ``amphion/dualcodec``, ``amphion/dualcodec-tts`` and ``facebook/w2v-bert-2.0``."""
        return cls(
            DualCodecFeatures.from_published(codec, w2v_bert),
            DualCodec.from_published(codec),
            SemanticWriter.from_published(models),
            AcousticFiller.from_published(models),
        )

    @torch.inference_mode()
    def reference(self, samples: Tensor) -> Tensor:
        """All codes (K, 1, P) of a reference (L,) at 24 kHz, to be kept for many texts."""
        samples = raise_to_rms(samples)
        return self.codec.encode(samples[None, None], self.features(samples))

    @torch.inference_mode()
    def speak(
        self,
        reference: Tensor,
        texts: Sequence[Tensor],
        generator: torch.Generator,
        how: TokenSampling = SAMPLING,
        progress: Progress | None = None,
    ) -> Tensor:
        """Samples (L,) at 24 kHz. ``progress`` is told the steps of all chunks, and may raise to cancel.

        ``reference`` is from the method of that name; each of ``texts`` (S,) holds the ids of the
        language, of the reference's text and of a chunk. A chunk that ends at once is left out.
        """
        levels = self.filler.config.num_quantizers - 1
        room = [how.max_length - len(text) - 1 - reference.shape[-1] for text in texts]
        total, before = sum(room) + levels * len(texts), 0
        sounds = []
        for text, most in zip(texts, room, strict=True):
            tell = _shifted(progress, before, total)
            (codes,) = self.writer.write(text[None], reference[0], [generator], how, progress=tell)
            tell = _shifted(progress, before + most, total)
            if len(codes):
                filled = self.filler.fill(reference, codes[None], tell)
                sounds.append(self.codec.decode(filled)[0, 0])
            before += most + levels
        if not sounds:
            return reference.new_zeros(0, dtype=torch.float32)
        return cross_faded(sounds, int(CROSS_FADE_S * SAMPLE_RATE))


def _shifted(progress: Progress | None, before: int, total: int) -> Progress | None:
    """``progress`` for a part that begins ``before`` steps into ``total``."""
    if progress is None:
        return None
    return lambda done, _: progress(before + done, total)
