"""Clips to be measured: made by a checkpoint folder, or passed through its codec.

Generation goes through the studio's own decoding loop and checkpoint code. What was made is kept as
FLAC, so a stopped measurement goes on where it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from engines.music.musicgen import checkpoint, codes, lora
from engines.music.musicgen.decoding import Decoder
from engines.music.musicgen.params import MusicGenParams

TOGETHER = 6  # clips that are decoded in one batch
PEAK = 0.999969  # the largest value that 16 bits hold


class Maker:
    """A MusicGen checkpoint in memory, with an adapter or without.

    The sampling is what the music tab offers for these weights.
    """

    def __init__(self, folder: Path, adapter: Path | None = None):
        self._loaded = checkpoint.load(folder)
        usual = {name: MusicGenParams.model_fields[name].default for name in checkpoint.SAMPLING}
        self._sampling = usual | checkpoint.sampling(folder)
        decoder = self._loaded.model.decoder
        read = [(lora.read(adapter), 1.0)] if adapter else []
        self._decoder = Decoder(decoder, deltas=lora.deltas(decoder, read))
        self._loaded.model.decoder = None
        name = f"{checkpoint.fingerprint(folder)} {adapter and checkpoint.fingerprint(adapter)}"
        self.id = hashlib.sha256(f"{name} {self._sampling}".encode()).hexdigest()[:12]

    @property
    def sample_rate(self) -> int:
        """Of what it makes, in Hz."""
        return self._loaded.checkpoint.sample_rate

    @property
    def entries(self) -> int:
        """Of each codebook."""
        return self._loaded.checkpoint.vocab_size

    def close(self) -> None:
        """Let threads and memory go."""
        self._decoder.close()

    def make(
        self, prompts: Sequence[str], seeds: Sequence[int], duration_s: float
    ) -> list[np.ndarray]:
        """One mono sound ``(T,)`` a prompt and seed, at ``sample_rate``."""
        import torch

        facts = self._loaded.checkpoint
        with torch.inference_mode():
            text = codes.encode_text(self._loaded, list(prompts))
            states = codes.conditioning(self._loaded, text.states, text.mask)
        made = self._decoder.generate(
            states,
            text.mask,
            frames=facts.frames(min(duration_s, facts.max_s)),
            rngs=[np.random.default_rng(seed) for seed in seeds],
            guidance=self._sampling["guidance_scale"],
            temperature=self._sampling["temperature"],
            top_k=self._sampling["top_k"],
            top_p=self._sampling["top_p"],
        )
        return [codes.decode_codes(self._loaded, torch.from_numpy(row))[0] for row in made]

    def through_codec(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the codec makes of ``samples (T,)`` at ``sample_rate``, and the codes ``(K, T')``."""
        found = codes.encode_audio(self._loaded, samples, self.sample_rate)
        return codes.decode_codes(self._loaded, found)[0], found.numpy()


def made(
    maker: Maker, prompts: Sequence[str], seeds: Sequence[int], duration_s: float, folder: Path
) -> Iterator[np.ndarray]:
    """The clip of each prompt with the seed beside it, from ``folder`` or made now.

    All are mono ``(T,)`` at the maker's sample rate, as 16-bit FLAC holds them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pairs = list(zip(prompts, seeds, strict=True))
    for first in range(0, len(pairs), TOGETHER):
        part = pairs[first : first + TOGETHER]
        paths = [folder / f"{_name(maker, *pair, duration_s)}.flac" for pair in part]
        missing = [n for n, path in enumerate(paths) if not path.is_file()]
        if missing:
            sounds = maker.make(
                [part[n][0] for n in missing], [part[n][1] for n in missing], duration_s
            )
            for n, sound in zip(missing, sounds, strict=True):
                write(paths[n], sound, maker.sample_rate)
            print(f"{first + len(part)} of {len(pairs)} clips", flush=True)
        yield from (read(path) for path in paths)


def _name(maker: Maker, prompt: str, seed: int, duration_s: float) -> str:
    text = f"{maker.id} {prompt} {seed} {duration_s:g}"
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def write(path: Path, samples: np.ndarray, sample_rate: int) -> None:
    """Mono samples ``(T,)`` as 16-bit FLAC, whole or not at all."""
    import soundfile

    part = path.with_suffix(".part")
    soundfile.write(part, np.clip(samples, -1, PEAK), sample_rate, "PCM_16", format="FLAC")
    part.replace(path)


def read(path: Path) -> np.ndarray:
    """Float32 samples ``(T,)``."""
    import soundfile

    return soundfile.read(path, dtype="float32")[0]
