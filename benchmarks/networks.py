"""Samplers of published models beside plain loops, on the published sizes with random weights.

``python -m benchmarks.networks`` (about ten minutes on a quiet machine with 2 cores, 8 GB of memory);
``--layers 2`` for networks of two layers (one minute). Speed does not depend on the weights.

Language models are compared with ``generate`` of transformers in float32, masked and flow steps with
loops written as the papers have them: two passes a step for guidance, and everything computed in each.
All contenders take turns; a figure is the median of five.
"""

from __future__ import annotations

import argparse
import copy
import math
import statistics
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.common import show
from engines.networks.blocks.adaptive_llama import AdaptiveLlama, step_sinusoid
from engines.networks.blocks.causal_llama import TokenSampling, generate_tokens
from engines.networks.blocks.draws import normal, uniform
from engines.networks.blocks.int8 import to_int8
from engines.networks.blocks.unmasking import Unmasking
from engines.networks.maskgct.acoustic import AcousticConfig, AcousticGenerator
from engines.networks.maskgct.semantic import SemanticConfig, SemanticGenerator
from engines.networks.vevo.flow import FlowConfig, FlowSampling, FlowTransformer
from engines.networks.vevo.language import FROM_PHONES, ContentStyleLanguage, LanguageConfig

TURNS = 5
PROMPT, LENGTH, PHONES, STEPS = 150, 250, 60, 3  # a prompt of 3 s, 5 s to make
TOKENS = 64  # of a language model in a turn, after 3 s of prompt
GUIDANCE, RESCALE = 2.5, 0.75

Contenders = dict[str, Callable[[], None]]


def medians(contenders: Contenders, units: int) -> dict[str, float]:
    """Milliseconds of each contender for one of the ``units`` of a turn."""
    spans: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(TURNS + 1):  # the first warms up
        for name, work in contenders.items():
            started = time.perf_counter()
            work()
            if turn:
                spans[name].append((time.perf_counter() - started) / units * 1000)
    return {name: statistics.median(times) for name, times in spans.items()}


def plain_pass(llama: AdaptiveLlama, x: Tensor, t: float) -> Tensor:
    """The network as the paper has it: x (1, T, C) at time ``t``, scores written out."""
    step = llama.diff_step_mlp(step_sinusoid(torch.tensor([t]), llama.dim).to(x))
    place = torch.arange(0, llama.head_dim, 2).float() / llama.head_dim
    angles = torch.arange(x.shape[1]).float()[:, None] * 10000.0**-place
    angles = torch.cat([angles, angles], -1)
    cos, sin = angles.cos().to(x), angles.sin().to(x)
    bias = torch.zeros(1, 1, x.shape[1], x.shape[1]).to(x)

    def norm(scale: nn.Module, x: Tensor) -> Tensor:
        return scale(step)[:, None] * (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6))

    def turn(x: Tensor) -> Tensor:
        first, second = x.chunk(2, -1)
        return x * cos + torch.cat([-second, first], -1) * sin

    for layer in llama.layers:
        attention, normed = layer.self_attn, norm(layer.input_layernorm, x)
        q, k, v = (
            part(normed).unflatten(-1, (attention.heads, -1)).transpose(1, 2)
            for part in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        scores = turn(q) @ turn(k).transpose(-1, -2) / math.sqrt(llama.head_dim) + bias
        x = x + attention.merge(scores.float().softmax(-1).to(x) @ v)
        x = x + layer.mlp(norm(layer.post_attention_layernorm, x))
    return norm(llama.norm, x)


def plain_guided(given: Tensor, free: Tensor) -> Tensor:
    pushed = given + GUIDANCE * (given - free)
    return RESCALE * pushed * given.std() / pushed.std() + (1 - RESCALE) * pushed


def plain_draw(logits: Tensor, masked: Tensor, tokens: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """One step of masked drawing: new tokens and mask."""
    count = math.ceil(0.02 * logits.shape[-1])
    values, places = logits.topk(count, -1)
    logits = torch.full_like(logits, -math.inf).scatter(-1, places, values)
    noise = -torch.log(-torch.log(torch.rand(logits.shape) + 1e-10) + 1e-10)
    chosen = (logits / 0.9 + noise).argmax(-1)
    tokens = torch.where(masked, chosen, tokens)
    doubt = 1 - logits.softmax(-1).gather(-1, chosen[..., None])[..., 0] - torch.rand(masked.shape)
    left = int(math.sin(math.pi / 2 * (1 - (step + 1) / STEPS)) * LENGTH)
    doubt = doubt.masked_fill(~masked, -math.inf)
    masked = torch.zeros_like(masked).scatter(-1, doubt.topk(left).indices, True)
    return tokens.masked_fill(masked, 0), masked


def exhaust(steps: Iterator[Tensor]) -> None:
    with torch.inference_mode():
        for _ in steps:
            pass


def versions(network: nn.Module, run: Callable[[nn.Module], Iterator[Tensor]]) -> Contenders:
    """Ours in float32 and in bfloat16."""
    half = copy.deepcopy(network).bfloat16()
    return {
        "float32": lambda: exhaust(run(network)),
        "bfloat16": lambda: exhaust(run(half)),
    }


def semantic(layers: int) -> Contenders:
    network = SemanticGenerator(SemanticConfig(num_layers=layers)).eval()
    prompt, phones = torch.randint(8192, (1, PROMPT)), torch.randint(1000, (1, PHONES))

    @torch.inference_mode()
    def plain() -> None:
        tokens = torch.zeros(1, LENGTH, dtype=torch.long)
        masked = torch.ones(1, LENGTH, dtype=torch.bool)
        llama = network.diff_estimator
        for step in range(STEPS):
            embedded = network.cond_emb(tokens)
            current = torch.where(masked[..., None], network.mask_emb.weight, embedded)
            before = [llama.cond_mlp(network.phone_emb(phones)), network.cond_emb(prompt)]
            whole = torch.cat([*before, current], 1)
            given = plain_pass(llama, whole, 1 - step / STEPS)[:, -LENGTH:]
            free = plain_pass(llama, current, 1 - step / STEPS)
            logits = network.to_logit(plain_guided(given, free))
            tokens, masked = plain_draw(logits, masked, tokens, step)

    def ours(network: nn.Module) -> Iterator[Tensor]:
        draw = uniform(torch.Generator().manual_seed(1))
        return network.sample(prompt, LENGTH, Unmasking(steps=STEPS), draw, phones=phones)

    return {"plain": plain} | versions(network, ours)


def acoustic(layers: int) -> Contenders:
    network = AcousticGenerator(AcousticConfig(num_quantizer=1, num_layers=layers)).eval()
    tokens_in = torch.randint(8192, (1, PROMPT + LENGTH))
    prompt = torch.randint(1024, (1, PROMPT, 1))

    @torch.inference_mode()
    def plain() -> None:
        tokens = torch.zeros(1, LENGTH, dtype=torch.long)
        masked = torch.ones(1, LENGTH, dtype=torch.bool)
        llama, table = network.diff_estimator, network.token_emb[0]
        condition = network.cond_emb(tokens_in) + network.layer_emb.weight[0]
        for step in range(STEPS):
            current = torch.where(masked[..., None], network.mask_emb.weight, table(tokens))
            whole = torch.cat([table(prompt[..., 0]), current], 1) + llama.cond_mlp(condition)
            given = plain_pass(llama, whole, 1 - step / STEPS)[:, PROMPT:]
            alone = current + llama.cond_mlp(condition[:, PROMPT:])
            free = plain_pass(llama, alone, 1 - step / STEPS)
            logits = network.to_logits[0](plain_guided(given, free))
            tokens, masked = plain_draw(logits, masked, tokens, step)

    def ours(network: nn.Module) -> Iterator[Tensor]:
        draw = uniform(torch.Generator().manual_seed(1))
        return network.sample(tokens_in, prompt, [STEPS], Unmasking(), draw)

    return {"plain": plain} | versions(network, ours)


def flow(layers: int) -> Contenders:
    network = FlowTransformer(FlowConfig(num_layers=layers)).eval()
    codes, prompt = torch.randint(8192, (1, PROMPT + LENGTH)), torch.randn(1, PROMPT, 128)

    @torch.inference_mode()
    def plain() -> None:
        x, llama = torch.randn(1, LENGTH, 128), network.diff_estimator
        condition = network.cond_emb(codes)
        for step in range(STEPS):
            t = (step + 0.5) / STEPS
            whole = llama.mel_mlp(torch.cat([prompt, x], 1)) + llama.cond_mlp(condition)
            given = llama.mel_out_mlp(plain_pass(llama, whole, t))[:, PROMPT:]
            nothing = llama.cond_mlp(torch.zeros_like(condition[:, PROMPT:]))
            free = llama.mel_out_mlp(plain_pass(llama, llama.mel_mlp(x) + nothing, t))
            x = x + plain_guided(given, free) / STEPS

    def ours(network: nn.Module) -> Iterator[Tensor]:
        draw = normal(torch.Generator().manual_seed(1))
        return network.sample(network.condition(codes), prompt, FlowSampling(steps=STEPS), draw)

    return {"plain": plain} | versions(network, ours)


def language(layers: int) -> Contenders:
    sizes = FROM_PHONES
    config = LanguageConfig(
        sizes.input_vocab_size,
        sizes.output_vocab_size,
        sizes.hidden_size,
        sizes.intermediate_size,
        layers,
    )
    network = ContentStyleLanguage(config).eval()
    theirs = _transformers(network, config)
    given = network.sequence(torch.randint(1000, (1, PHONES)), torch.randint(8192, (1, PROMPT)))
    how = TokenSampling(max_length=given.shape[1] + TOKENS, min_new_tokens=TOKENS)
    half = copy.deepcopy(network).bfloat16()
    packed = copy.deepcopy(half)
    to_int8(packed)

    def ours(network: ContentStyleLanguage) -> Callable[[], None]:
        generators = [torch.Generator().manual_seed(1)]
        return lambda: generate_tokens(  # type: ignore[return-value]
            network.model,
            given,
            how,
            network.output_end,
            generators,
            allowed=network.drawable(),
        )

    @torch.inference_mode()
    def plain() -> None:
        theirs.generate(
            given,
            attention_mask=torch.ones_like(given),
            do_sample=True,
            temperature=0.8,
            top_k=50,
            top_p=0.9,
            max_new_tokens=TOKENS,
            min_new_tokens=TOKENS,
        )

    return {"plain": plain, "float32": ours(network), "bfloat16": ours(half), "int8": ours(packed)}


def _transformers(network: ContentStyleLanguage, config: LanguageConfig) -> LlamaForCausalLM:
    """The same model of transformers, over the same weights."""
    with torch.device("meta"):
        theirs = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=network.model.lm_head.out_features,
                hidden_size=config.hidden_size,
                intermediate_size=config.intermediate_size,
                num_hidden_layers=config.num_hidden_layers,
                num_attention_heads=config.num_attention_heads,
                attn_implementation="eager",
                pad_token_id=network.pad,
                eos_token_id=network.output_end,
            )
        )
    rotary = type(theirs.model.rotary_emb)(theirs.config)
    theirs.load_state_dict(network.model.state_dict(), assign=True)
    theirs.model.rotary_emb = rotary
    return theirs.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--layers", type=int, help="layers of each network; the published number if not given"
    )
    layers = parser.parse_args().layers
    rows = []
    for name, build, published, units in (
        ("MaskGCT, text to semantic", semantic, 16, STEPS),
        ("MaskGCT, semantic to acoustic", acoustic, 16, STEPS),
        ("Vevo, flow", flow, 16, STEPS),
        ("Vevo, phones to tokens", language, 12, TOKENS),
    ):
        figures = medians(build(layers or published), units)
        plain = figures["plain"]
        rows.append(
            [name, f"{plain:.0f}"]
            + [
                f"{figures[kind]:.0f} ({plain / figures[kind]:.2f} x)" if kind in figures else ""
                for kind in ("float32", "bfloat16", "int8")
            ]
        )
    head = ("network", "plain, ms a step", "float32", "bfloat16", "int8")
    show("Samplers of published networks", head, rows)


if __name__ == "__main__":
    main()
