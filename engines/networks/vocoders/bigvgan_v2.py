"""BigVGAN v2 as NVIDIA publishes it: another end, and its own layout of files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from engines.networks.blocks.convolutions import Conv1d, fold_weight_norm
from engines.networks.blocks.mel import MelRecipe
from engines.networks.vocoders.bigvgan import BigvganConfig, BigvganGenerator
from engines.networks.weights import WeightsError, load_exactly, part, read_config

CONFIG_FILE, WEIGHTS_FILE = "config.json", "bigvgan_generator.pt"


@dataclass(frozen=True)
class BigvganV2Config(BigvganConfig):
    """The first version's sizes, and how it ends: clamped or by tanh, with a bias or without."""

    use_tanh_at_final: bool = True
    use_bias_at_final: bool = True


class BigvganV2Generator(BigvganGenerator):
    """Mel (B, ``inputs``, T) to samples (B, 1, T * hop) in [-1, 1]."""

    config: BigvganV2Config

    def __init__(self, config: BigvganV2Config, inputs: int) -> None:
        super().__init__(config, inputs)
        channels = config.channels(len(config.upsample_rates))
        self.conv_post = Conv1d(channels, 1, 7, padding=3, bias=config.use_bias_at_final)

    def finish(self, x: Tensor) -> Tensor:
        x = self.conv_post(self.activation_post(x))
        return x.tanh() if self.config.use_tanh_at_final else x.clamp(-1, 1)


def from_published(folder: Path) -> tuple[BigvganV2Generator, MelRecipe]:
    """The generator of a folder as ``nvidia/bigvgan_v2_*`` lays it out, norms folded, and its mels.

    Raises ``WeightsError`` naming the file, entry or keys that don't fit.
    """
    given = read_config(folder / CONFIG_FILE)
    try:
        recipe = MelRecipe(
            sample_rate=given["sampling_rate"], n_fft=given["n_fft"], hop=given["hop_size"],
            n_mels=given["num_mels"], fmin=given["fmin"], fmax=given["fmax"], win=given["win_size"],
        )  # fmt: skip
        generator = BigvganV2Generator(BigvganV2Config.read(given), recipe.n_mels)
    except (KeyError, TypeError) as error:
        raise WeightsError(f"{CONFIG_FILE} lacks an entry of BigVGAN: {error}.") from error
    constants = [key for key in generator.state_dict() if key.endswith("filter")]
    state = part(folder / WEIGHTS_FILE, "generator")
    load_exactly(generator, state, what=WEIGHTS_FILE, optional=constants)
    fold_weight_norm(generator)
    return generator.eval(), recipe
