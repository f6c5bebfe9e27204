"""What DualCodec's semantic codes are made from: w2v-BERT's features, normalised."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from engines.networks.blocks.normalisation import Normalisation
from engines.networks.blocks.resampling import resample
from engines.networks.blocks.w2v_bert import SAMPLE_RATE as FEATURES_HZ
from engines.networks.blocks.w2v_bert import SpeechConfig, W2vBert
from engines.networks.dualcodec.codec import SAMPLE_RATE
from engines.networks.weights import sizes_in

STATISTICS_FILE = "w2vbert2_mean_var_stats_emilia.pt"


@dataclass
class DualCodecFeatures:
    """Samples at 24 kHz to the features that ``DualCodec.encode`` wants."""

    speech: W2vBert
    normalisation: Normalisation

    @classmethod
    def from_published(cls, folder: Path, w2v_bert: Path) -> DualCodecFeatures:
        """From folders laid out as ``amphion/dualcodec`` and ``facebook/w2v-bert-2.0``."""
        layers = sizes_in(folder, "speech", SpeechConfig()).layers
        return cls(
            W2vBert.from_published(w2v_bert, layers),
            Normalisation.read(folder / STATISTICS_FILE),
        )

    def __call__(self, samples: Tensor) -> Tensor:
        """Features (1, C, T50), 50 a second, of samples (L,)."""
        hidden = self.speech(resample(samples, SAMPLE_RATE, FEATURES_HZ))
        return self.normalisation(hidden).transpose(1, 2)
