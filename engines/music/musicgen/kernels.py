"""One pass of the decoder's layers on a processor, as one compiled function run by a team of threads.

Every thread runs ``forward`` from top to bottom. A layer is a row of phases; in each phase the threads
claim pieces of work one by one (a block of a matrix, a head of a row) and go on when all pieces are
finished. A thread that the system holds up delays the others by one piece at most, and one that comes
late finds nothing left to claim. What a piece computes does not depend on who computes it, nor on the
rows beside it: the result of a row is bitwise the same alone, in a batch, and with any number of threads.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from engines.music.musicgen.attention import attend, remember
from engines.music.musicgen.compiling import compiled, compiled_sums
from engines.music.musicgen.vectors import (
    LANES,
    add_and_fetch_old,
    call,
    own_function,
    read_shared,
    tile1,
    tile2,
    tile4,
)

F = np.float32
ZERO, HALF, ONE, EPSILON = F(0), F(0.5), F(1), F(1e-5)
SPINS = 200  # looks at a counter before a waiting thread lets others run
STORE, ADD, GELU = 0, 1, 2
CLAIMED, FINISHED = 0, 1


class Buffers(NamedTuple):
    """Room for the intermediate results of ``rows`` rows, shared by the threads but for the last three."""

    hidden: np.ndarray  # (rows, H)
    projected: np.ndarray  # (rows, 3 H)
    mixed: np.ndarray  # (rows, H)
    inner: np.ndarray  # (rows, F)
    logits: np.ndarray  # (S, K V)
    counters: np.ndarray  # (2, phases) int64: pieces claimed and finished
    normed: np.ndarray  # (threads, rows, H)
    sums: np.ndarray  # (threads, rows, LANES)
    scores: np.ndarray  # (threads, 2, tokens or head_dim)


@compiled
def gelu(x):
    """Half x (1 + erf(x / sqrt 2)); erf as a quotient of polynomials, as in Eigen, within 3e-7."""
    z = min(max(x * F(math.sqrt(0.5)), F(-4)), F(4))
    s = z * z
    p = F(-2.72614225801306e-10)
    p = p * s + F(2.77068142495902e-08)
    p = p * s + F(-2.10102402082508e-06)
    p = p * s + F(-5.69250639462346e-05)
    p = p * s + F(-7.34990630326855e-04)
    p = p * s + F(-2.95459980854025e-03)
    p = p * s + F(-1.60960333262415e-02)
    q = F(-1.45660718464996e-05)
    q = q * s + F(-2.13374055278905e-04)
    q = q * s + F(-1.68282697438203e-03)
    q = q * s + F(-7.37332916720468e-03)
    q = q * s + F(-1.42647390514189e-02)
    return HALF * x * (ONE + z * p / q)


@compiled
def wait(counters, phase, pieces, yield_address):
    """Until all pieces of a phase are finished."""
    own_function()
    looks = 0
    while read_shared(counters[FINISHED], phase) < pieces:
        looks += 1
        if looks > SPINS:
            call(yield_address)


@compiled_sums
def normalise(hidden, rows, norm, out):
    """Layer norm of the first rows; ``norm`` holds gain and bias, (2, H)."""
    own_function()
    width = hidden.shape[1]
    for r in range(rows):
        mean = ZERO
        for j in range(width):
            mean += hidden[r, j]
        mean /= F(width)
        variance = ZERO
        for j in range(width):
            variance += (hidden[r, j] - mean) * (hidden[r, j] - mean)
        factor = ONE / np.sqrt(variance / F(width) + EPSILON)
        for j in range(width):
            out[r, j] = (hidden[r, j] - mean) * factor * norm[0, j] + norm[1, j]


@compiled
def linear(matrix, scale, x, rows, sums, out, width, mode, counters, phase, yield_address):
    """One phase: out = x @ matrix.T for the first rows, stored, added to ``out`` or through gelu."""
    own_function()
    blocks, depth = matrix.shape[0], matrix.shape[1]
    while True:
        block = add_and_fetch_old(counters[CLAIMED], phase)
        if block >= blocks:
            break
        row = 0
        while row + 4 <= rows:
            tile4(matrix[block], x[row:], depth, sums[row:])
            row += 4
        if row + 2 <= rows:
            tile2(matrix[block], x[row:], depth, sums[row:])
            row += 2
        if row < rows:
            tile1(matrix[block], x[row:], depth, sums[row:])
        start = block * LANES
        count = min(LANES, width - start)
        for r in range(rows):
            if mode == STORE:
                for j in range(count):
                    out[r, start + j] = sums[r, j] * scale[start + j]
            elif mode == ADD:
                for j in range(count):
                    out[r, start + j] += sums[r, j] * scale[start + j]
            else:
                for j in range(count):
                    out[r, start + j] = gelu(sums[r, j] * scale[start + j])
        add_and_fetch_old(counters[FINISHED], phase)
    wait(counters, phase, blocks, yield_address)
    return phase + 1


@compiled
def fill_cross(weights, states, sequences, places, cross, buffers, me, yield_address):
    """Keys and values of the text, once: ``states (N, H)`` are the tokens of all sequences, token n is
    number ``places[n]`` of sequence ``sequences[n]``."""
    counters, projected = buffers.counters, buffers.projected
    count, hidden = states.shape
    heads, size = cross.keys.shape[2], cross.keys.shape[4]
    phase = 0
    for layer in range(cross.keys.shape[0]):
        phase = linear(
            weights.cross_kv.data[layer], weights.cross_kv.scale[layer], states, count,
            buffers.sums[me], projected, 2 * hidden, STORE, counters, phase, yield_address,
        )  # fmt: skip
        while True:
            head = add_and_fetch_old(counters[CLAIMED], phase)
            if head >= heads:
                break
            for n in range(count):
                s, first = sequences[n], head * size
                remember(
                    projected[n, first : first + size],
                    projected[n, hidden + first : hidden + first + size],
                    places[n], cross, layer, s, head,
                )  # fmt: skip
            add_and_fetch_old(counters[FINISHED], phase)
        wait(counters, phase, heads, yield_address)
        phase += 1


@compiled
def forward(weights, cache, cross, cross_tokens, steps, start, buffers, me, yield_address):
    """Run ``buffers.hidden`` through the layers; logits of each sequence's last step are left in
    ``buffers.logits``.

    Row s * steps + i is step ``start + i`` of sequence s. The first ``len(cross_tokens)`` sequences
    also attend to their text, of which ``cross_tokens[s]`` tokens count; for the others the text is
    zero, and so is what it would add. ``me`` is the number of this thread.
    """
    hidden, projected, mixed, inner = (
        buffers.hidden, buffers.projected, buffers.mixed, buffers.inner,
    )  # fmt: skip
    counters, normed, sums, scores = (
        buffers.counters, buffers.normed[me], buffers.sums[me], buffers.scores[me],
    )  # fmt: skip
    sequences, heads, size = cache.keys.shape[1], cache.keys.shape[2], cache.keys.shape[4]
    width = hidden.shape[1]
    rows, cross_rows = sequences * steps, len(cross_tokens) * steps
    phase = 0
    for layer in range(cache.keys.shape[0]):
        # self-attention
        normalise(hidden, rows, weights.norms[layer, 0], normed)
        phase = linear(
            weights.qkv.data[layer], weights.qkv.scale[layer], normed, rows,
            sums, projected, 3 * width, STORE, counters, phase, yield_address,
        )  # fmt: skip
        while True:
            piece = add_and_fetch_old(counters[CLAIMED], phase)
            if piece >= rows * heads:
                break
            row, head = piece // heads, piece % heads
            s, first = row // steps, head * size
            remember(
                projected[row, width + first : width + first + size],
                projected[row, 2 * width + first : 2 * width + first + size],
                start + row % steps, cache, layer, s, head,
            )  # fmt: skip
            add_and_fetch_old(counters[FINISHED], phase)
        wait(counters, phase, rows * heads, yield_address)
        phase += 1
        while True:
            piece = add_and_fetch_old(counters[CLAIMED], phase)
            if piece >= rows * heads:
                break
            row, head = piece // heads, piece % heads
            s, first = row // steps, head * size
            attend(
                projected[row : row + 1, first : first + size], start + row % steps + 1,
                cache, layer, s, head, scores, sums, mixed[row, first : first + size],
            )  # fmt: skip
            add_and_fetch_old(counters[FINISHED], phase)
        wait(counters, phase, rows * heads, yield_address)
        phase = linear(
            weights.out.data[layer], weights.out.scale[layer], mixed, rows,
            sums, hidden, width, ADD, counters, phase + 1, yield_address,
        )  # fmt: skip
        # cross-attention
        if cross_rows:
            normalise(hidden, cross_rows, weights.norms[layer, 1], normed)
            phase = linear(
                weights.cross_q.data[layer], weights.cross_q.scale[layer], normed, cross_rows,
                sums, projected, width, STORE, counters, phase, yield_address,
            )  # fmt: skip
            while True:
                piece = add_and_fetch_old(counters[CLAIMED], phase)
                if piece >= cross_rows * heads:
                    break
                row, head = piece // heads, piece % heads
                s, first = row // steps, head * size
                attend(
                    projected[row : row + 1, first : first + size], cross_tokens[s],
                    cross, layer, s, head, scores, sums, mixed[row, first : first + size],
                )  # fmt: skip
                add_and_fetch_old(counters[FINISHED], phase)
            wait(counters, phase, cross_rows * heads, yield_address)
            phase = linear(
                weights.cross_out.data[layer], weights.cross_out.scale[layer], mixed, cross_rows,
                sums, hidden, width, ADD, counters, phase + 1, yield_address,
            )  # fmt: skip
        # feed-forward
        normalise(hidden, rows, weights.norms[layer, 2], normed)
        phase = linear(
            weights.up.data[layer], weights.up.scale[layer], normed, rows,
            sums, inner, inner.shape[1], GELU, counters, phase, yield_address,
        )  # fmt: skip
        phase = linear(
            weights.down.data[layer], weights.down.scale[layer], inner, rows,
            sums, hidden, width, ADD, counters, phase, yield_address,
        )  # fmt: skip
    for s in range(sequences):
        last = (s + 1) * steps - 1
        normalise(hidden[last : last + 1], 1, weights.last_norm, normed[s : s + 1])
    linear(
        weights.heads.data[0], weights.heads.scale[0], normed, sequences,
        sums, buffers.logits, buffers.logits.shape[1], STORE, counters, phase, yield_address,
    )  # fmt: skip
