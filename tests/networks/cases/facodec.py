"""FAcodec."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from engines.networks.facodec.codec import CONSTANTS, PlachtaFacodec
from engines.networks.facodec.parts import FacodecSizes
from tests.networks.parity import Fixture


def compute(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    """A reconstruction, and a conversion to the second sound's timbre."""
    codec = PlachtaFacodec(FacodecSizes(**fixture.configs["tiny"]))
    for name, part in codec.named_children():
        fixture.load(part, name, constants=CONSTANTS)
    codec.eval()
    source, reference = fixture["in.wav_a"], fixture["in.wav_b"]
    quantizer, mel = codec.quantizer, codec.mel(source)
    latents = codec.latents(source)
    parts = quantizer.quantize(latents, mel)
    timbre = codec.timbre(source)
    yield "out.enc_a", latents
    yield "out.mel_a", mel
    yield "out.prosody_in", quantizer.prosody(mel)[..., : parts.codes.shape[-1]]
    yield "out.timbre", timbre
    yield "out.z", quantizer.style(parts.prosody + parts.content + parts.residual, timbre)
    groups = (parts.prosody, parts.content, parts.residual)
    codes = parts.codes.transpose(0, 1).split(codec.sizes.groups, 1)
    for letter, vectors, rows in zip("pcr", groups, codes, strict=True):
        yield f"out.q_{letter}", vectors
        yield f"out.codes_{letter}", rows
    yield "out.recon", codec.decode(parts.codes, timbre)
    yield "out.from_codes_c", quantizer.vectors(parts.codes).content
    spoken = parts.prosody + parts.content
    yield "vc.z", quantizer.style(spoken, codec.timbre(reference))
    yield "vc.wav", codec.synthesize(spoken, codec.timbre(reference))


def published(manifest: dict) -> Iterator[tuple[str, nn.Module]]:
    """Full-size modules by their name in the manifest."""
    given = manifest["config"]
    sizes = {key: given["DAC"][key] for key in FacodecSizes.__annotations__ if key in given["DAC"]}
    sizes |= {"n_c": given["n_c_codebooks"], "lstm": given["lstm"], "causal": given["causal"]}
    yield from PlachtaFacodec(FacodecSizes(**sizes)).named_children()
