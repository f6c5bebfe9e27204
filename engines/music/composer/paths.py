"""The path of a melody through pitches: the cheapest one, looking two notes back."""

from __future__ import annotations

import numpy as np

TO_AND_FRO = 1.7  # cost of a return to the note before the last one
# of an interval, in semitones: seconds are cheap, thirds fair, sevenths and tritones dear
PRICES = np.array([2.7, 1.6, 0.4, 1.0, 1.4, 2.4, 7.0, 3.0, 5.0, 5.5, 9.0, 10.0, 6.0])
SAME = 5.0  # cost of each semitone a motif's interval is bent


def cheapest(costs: np.ndarray, pitches: np.ndarray, wanted: np.ndarray | None) -> list[int]:
    """The path with the least of ``costs (notes, pitches)`` and of its moves (Viterbi, two notes back):
    seconds are cheap, thirds fair, tritones dear; to and fro is dull, and a leap is taken back. Where
    ``wanted`` intervals are given they count most."""
    size = np.abs(np.subtract.outer(pitches, pitches))
    move = PRICES[np.minimum(size, 12)] + 3.0 * np.maximum(size - 12, 0)
    if len(costs) == 1:
        return [int(costs[0].argmin())]
    signed = np.subtract.outer(pitches, pitches).T  # (from, to), upwards
    bent = [_bent(signed, wanted[n] if wanted is not None else None) for n in range(len(costs) - 1)]
    weight = 0.3 if wanted is not None else 1.0
    total = costs[0][:, None] + weight * move + bent[0] + costs[1][None, :]
    three = weight * (move[None] + _turns(signed))
    back = []
    for index in range(2, len(costs)):
        ways = total[:, :, None] + three + bent[index - 1][None]
        back.append(ways.argmin(0))
        total = ways.min(0) + costs[index][None, :]
    before, last = (int(n) for n in np.unravel_index(int(total.argmin()), total.shape))
    path = [last, before]
    for choice in back[::-1]:
        path.append(int(choice[path[-1], path[-2]]))
    return path[::-1]


def _bent(signed: np.ndarray, wanted: float | None) -> np.ndarray:
    return (
        np.zeros(signed.shape) if wanted is None else SAME * np.minimum(np.abs(signed - wanted), 4)
    )


def _turns(signed: np.ndarray) -> np.ndarray:
    """What three notes cost together, ``(first, second, third)``."""
    first, second = signed[:, :, None], signed[None, :, :]
    returns = (first + second == 0) & (first != 0)
    leaps = np.abs(first) >= 5
    onward = leaps & (np.sign(first) == np.sign(second)) & (np.abs(second) > 2)
    same = (first == 0) & (second == 0)
    return TO_AND_FRO * returns + 2.5 * onward + 1.5 * same - 0.6 * (leaps & (first * second < 0))
