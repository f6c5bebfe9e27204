"""Keys and values of what was decoded, and attention over them, in compiled functions.

At the end of a long clip the cache is read as much as the weights are, so its bytes decide how much a
late token costs more than an early one. Keys and values are int8 with one scale a token and head, but for
float32 weights, whose cache is float32 too. With int8 weights those older than ``RECENT`` tokens are read
from a copy of 4 bits: keys with a range for each channel of a block of tokens, values with one for each
token, which is how KIVI keeps the loss small (Liu et al. 2024, arXiv:2402.02750, also with 128 recent
tokens).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engines.music.musicgen.compiling import compiled, compiled_sums
from engines.music.musicgen.vectors import LANES, own_function, power_of_two, put, tile1

F = np.float32
ZERO, HALF, ONE, TINY = F(0), F(0.5), F(1), F(1e-30)
INT8_MAX, FOUR_BITS = F(127), F(15)
RECENT = 128  # tokens, at least as many as go through the layers at once


class Cache(NamedTuple):
    """Keys and values. TB, DB and OB are blocks of LANES tokens, channels and old tokens; S sequences,
    h heads. A scale belongs to a token and head of an int8 cache and is 1 otherwise.
    """

    keys: np.ndarray  # (L, S, h, TB, head_dim, LANES)
    key_scale: np.ndarray  # (L, S, h, TB * LANES)
    values: np.ndarray  # (L, S, h, DB, TB * LANES, LANES)
    value_scale: np.ndarray  # (L, S, h, TB * LANES)
    # number = low + step * stored; OB is 0 where nothing grows old
    old_keys: np.ndarray  # (L, S, h, OB, head_dim, LANES // 2)
    old_key_range: np.ndarray  # (L, S, h, OB, 2, head_dim): low and step
    old_values: np.ndarray  # (L, S, h, DB, OB * LANES, LANES // 2)
    old_value_range: np.ndarray  # (L, S, h, 2, OB * LANES)


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
def remember(key, value, token, cache, layer, s, head):
    """Write the key and value of one token and head into the cache."""
    own_function()
    keys, values = cache.keys[layer, s, head], cache.values[layer, s, head]
    whole = keys.itemsize == 1
    key_scale, value_scale = scale_of(key, whole), scale_of(value, whole)
    block, lane = token // LANES, token % LANES
    cache.key_scale[layer, s, head, token] = key_scale
    cache.value_scale[layer, s, head, token] = value_scale
    for d in range(key.shape[0]):
        put(keys[block, d], lane, key[d] / key_scale)
        put(values[d // LANES, token], d % LANES, value[d] / value_scale)
    older = token + 1 - RECENT
    if cache.old_keys.shape[3] and older > 0 and older % LANES == 0:
        age(older // LANES - 1, cache, layer, s, head)


@compiled
def age(block, cache, layer, s, head):
    """Write the copy of 4 bits of a block of tokens."""
    own_function()
    first, size = block * LANES, cache.keys.shape[4]
    numbers = np.empty(max(LANES, cache.values.shape[3] * LANES), np.float32)
    for d in range(size):
        for j in range(LANES):
            numbers[j] = cache.keys[layer, s, head, block, d, j]
            numbers[j] *= cache.key_scale[layer, s, head, first + j]
        low, step = in_four_bits(numbers, LANES)
        cache.old_key_range[layer, s, head, block, 0, d] = low
        cache.old_key_range[layer, s, head, block, 1, d] = step
        put_pairs(numbers, cache.old_keys[layer, s, head, block, d])
    for token in range(first, first + LANES):
        numbers[:] = ZERO
        for d in range(size):
            numbers[d] = cache.values[layer, s, head, d // LANES, token, d % LANES]
            numbers[d] *= cache.value_scale[layer, s, head, token]
        low, step = in_four_bits(numbers, size)
        cache.old_value_range[layer, s, head, 0, token] = low
        cache.old_value_range[layer, s, head, 1, token] = step
        for part in range(cache.values.shape[3]):
            put_pairs(numbers[part * LANES :], cache.old_values[layer, s, head, part, token])


@compiled_sums
def in_four_bits(numbers, count):
    """Replace the first numbers by whole ones from 0 to 15; returns what 0 stands for and the step."""
    low, high = numbers[0], numbers[0]
    for j in range(count):
        low, high = min(low, numbers[j]), max(high, numbers[j])
    step = max(high - low, TINY) / FOUR_BITS
    for j in range(count):
        numbers[j] = np.floor((numbers[j] - low) / step + HALF)
    return low, step


@compiled
def put_pairs(numbers, out):
    """Store LANES whole numbers from 0 to 15, the second half of the lanes in the upper bits."""
    for j in range(LANES // 2):
        out[j] = np.uint8(numbers[j]) + np.uint8(16) * np.uint8(numbers[j + LANES // 2])


@compiled_sums
def peak(score, tokens, room):
    """The largest of the first scores, of which there is room for whole blocks; lane by lane, since
    that becomes vector code and one after the other does not."""
    blocks = (tokens + LANES - 1) // LANES
    for t in range(tokens, blocks * LANES):
        score[t] = score[0]
    for j in range(LANES):
        room[j] = score[0]
    for block in range(blocks):
        part = score[block * LANES : (block + 1) * LANES]
        for j in range(LANES):
            room[j] = max(room[j], part[j])
    largest = room[0]
    for j in range(LANES):
        largest = max(largest, room[j])
    return largest


@compiled_sums
def attend(query, tokens, cache, layer, s, head, scores, sums, out):
    """Attention of one head of one row over the first tokens of its cache.

    ``query (1, head_dim)`` is read, ``out (head_dim)`` written; ``scores (2, tokens)`` and
    ``sums (2, LANES)`` are room.
    """
    own_function()
    size = out.shape[0]
    old_blocks = max(0, (tokens - RECENT) // LANES) if cache.old_keys.shape[3] else 0
    old = old_blocks * LANES
    factor = ONE / np.sqrt(F(size))
    # plain rows, so that the loops below become vector code
    keys, old_keys = cache.keys[layer, s, head], cache.old_keys[layer, s, head]
    key_scale, key_range = cache.key_scale[layer, s, head], cache.old_key_range[layer, s, head]
    values, old_values = cache.values[layer, s, head], cache.old_values[layer, s, head]
    value_scale, value_range = (
        cache.value_scale[layer, s, head],
        cache.old_value_range[layer, s, head],
    )
    value_low, value_step = value_range[0], value_range[1]
    score, scaled, asked = scores[0], scores[1], query[0]
    for block in range(old_blocks):
        key_low, key_step, least = key_range[block, 0], key_range[block, 1], ZERO
        for d in range(size):
            least += asked[d] * key_low[d]
            scaled[d] = asked[d] * key_step[d]
        first = block * LANES
        tile1(old_keys[block], scores[1:], size, scores[:, first:])
        for t in range(first, first + LANES):
            score[t] = (score[t] + least) * factor
    for block in range(old_blocks, (tokens + LANES - 1) // LANES):
        tile1(keys[block], query, size, scores[:, block * LANES :])
    for t in range(old, tokens):
        score[t] *= key_scale[t] * factor
    largest = peak(score, tokens, sums[0])
    total, least = ZERO, ZERO
    for t in range(tokens):
        score[t] = exponential(score[t] - largest)
        total += score[t]
    for t in range(old):
        least += score[t] * value_low[t]
        score[t] *= value_step[t]
    for t in range(old, tokens):
        score[t] *= value_scale[t]
    for part in range(values.shape[0]):
        tile1(old_values[part], scores, old, sums)
        tile1(values[part, old:], scores[:, old:], tokens - old, sums[1:])
        first = part * LANES
        for j in range(min(LANES, size - first)):
            out[first + j] = (sums[0, j] + sums[1, j] + least) / total
