"""One pass of the decoder's layers on a processor, as one compiled function run by a team of threads.

Every thread runs ``forward`` from top to bottom. A layer is a row of phases; in each phase the threads
claim pieces of work one by one (a block of a matrix, a head of a row) and go on when all pieces are
finished. A thread that the system holds up delays the others by one piece at most, and one that comes
late finds nothing left to claim. What a piece computes does not depend on who computes it, nor on the
rows beside it: the result of a row is bitwise the same alone, in a batch, and with any number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import njit

from engines.music.vectors import (
    LANES,
    add_and_fetch_old,
    call,
    own_function,
    power_of_two,
    put,
    read_shared,
    tile1,
    tile2,
    tile4,
)

F = np.float32
ZERO, HALF, ONE, TINY, EPSILON = F(0), F(0.5), F(1), F(1e-30), F(1e-5)
INT8_MAX = F(127)
SPINS = 200  # looks at a counter before a waiting thread lets others run
STORE, ADD, GELU = 0, 1, 2
CLAIMED, FINISHED = 0, 1


def compiled(function: Callable, liberties: tuple[str, ...] = ("contract",)) -> Callable:
    """numba's compiler, with the result kept on disk where there is a place for it."""
    options = {"nogil": True, "error_model": "numpy", "fastmath": set(liberties)}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package nor the home folder can be written to
        return njit(**options)(function)


def compiled_sums(function: Callable) -> Callable:
    """Likewise for functions that sum or seek the largest, which may be done lane by lane."""
    return compiled(function, ("contract", "reassoc", "nnan"))


class Cache(NamedTuple):
    """Keys and values. TB and DB are blocks of LANES tokens or channels; S sequences, h heads.

    A scale belongs to a token and head of an int8 cache and is 1 otherwise.
    """

    keys: np.ndarray  # (L, S, h, TB, head_dim, LANES)
    key_scale: np.ndarray  # (L, S, h, TB * LANES)
    values: np.ndarray  # (L, S, h, DB, TB * LANES, LANES)
    value_scale: np.ndarray  # (L, S, h, TB * LANES)


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
    scores: np.ndarray  # (threads, 1, tokens)


@compiled
def exponential(x):
    """e to the power of x <= 0, within two units in the last place (Cephes' expf)."""
    x = max(x, F(-87))
    n = np.int32(x * F(1.44269504) - HALF)
    x = x - F(n) * F(0.693359375) + F(n) * F(2.12194440e-4)
    p = F(1.9875691500e-4)
    p = p * x + F(1.3981999507e-3)
    p = p * x + F(8.3334519073e-3)
    p = p * x + F(4.1665795894e-2)
    p = p * x + F(1.6666665459e-1)
    p = p * x + F(5.0000001201e-1)
    return (p * x * x + x + ONE) * power_of_two(n)


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


@compiled_sums
def scale_of(vector, whole):
    """By what an int8 vector is multiplied to give ``vector``; 1 for other types."""
    if not whole:
        return ONE
    largest = TINY
    for j in range(vector.shape[0]):
        largest = max(largest, abs(vector[j]))
    return largest / INT8_MAX


@compiled
def remember(key, value, token, keys, key_scale, values, value_scale):
    """Write the key and value of one token and head into its cache."""
    own_function()
    whole = keys.itemsize == 1
    block, lane = token // LANES, token % LANES
    key_scale[token] = scale_of(key, whole)
    value_scale[token] = scale_of(value, whole)
    for d in range(key.shape[0]):
        put(keys[block, d], lane, key[d] / key_scale[token])
        put(values[d // LANES, token], d % LANES, value[d] / value_scale[token])


@compiled_sums
def attend(query, tokens, keys, key_scale, values, value_scale, scores, sums, out):
    """Attention of one head of one row over the first tokens of its cache.

    ``query (1, head_dim)`` is read, ``out (head_dim)`` written; ``scores`` and ``sums`` are room.
    """
    own_function()
    size = out.shape[0]
    for block in range((tokens + LANES - 1) // LANES):
        tile1(keys[block], query, size, scores[:, block * LANES :])
    factor = ONE / np.sqrt(F(size))
    largest = F(-1e30)
    for t in range(tokens):
        scores[0, t] *= key_scale[t] * factor
        largest = max(largest, scores[0, t])
    total = ZERO
    for t in range(tokens):
        scores[0, t] = exponential(scores[0, t] - largest)
        total += scores[0, t]
    for t in range(tokens):
        scores[0, t] *= value_scale[t]
    for block in range(values.shape[0]):
        tile1(values[block], scores, tokens, sums)
        start = block * LANES
        for j in range(min(LANES, size - start)):
            out[start + j] = sums[0, j] / total


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
                    places[n], cross.keys[layer, s, head], cross.key_scale[layer, s, head],
                    cross.values[layer, s, head], cross.value_scale[layer, s, head],
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
                start + row % steps, cache.keys[layer, s, head], cache.key_scale[layer, s, head],
                cache.values[layer, s, head], cache.value_scale[layer, s, head],
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
                cache.keys[layer, s, head], cache.key_scale[layer, s, head],
                cache.values[layer, s, head], cache.value_scale[layer, s, head],
                scores, sums, mixed[row, first : first + size],
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
                    cross.keys[layer, s, head], cross.key_scale[layer, s, head],
                    cross.values[layer, s, head], cross.value_scale[layer, s, head],
                    scores, sums, mixed[row, first : first + size],
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
