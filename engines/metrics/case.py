"""One generated sound with what it is judged against, and how the two are aligned."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from engines.metrics.base import Align, NotApplicable, Reason, SampleAlign
from engines.metrics.sound import Sound

T = TypeVar("T")


@dataclass
class Case:
    """``generated`` is judged; ``reference`` and ``text`` are what it should be, where known.

    ``language`` is a code such as "en" or "zh".
    """

    generated: Sound
    reference: Sound | None = None
    text: str = ""
    language: str = "en"
    _kept: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` returns, computed at the first call with ``key``."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    @property
    def target(self) -> Sound:
        """The reference; raises ``NotApplicable`` without one."""
        if self.reference is None:
            raise NotApplicable(Reason.NO_REFERENCE, "There is no reference to compare with.")
        return self.reference

    @property
    def common_rate(self) -> int:
        """The lower of the two sample rates in Hz, or the only one."""
        rates = [self.generated.sample_rate]
        if self.reference is not None:
            rates.append(self.reference.sample_rate)
        return min(rates)

    def samples(
        self, sample_rate: int = 0, align: SampleAlign = SampleAlign.CUT
    ) -> tuple[np.ndarray, np.ndarray]:
        """Reference and generated, mono ``(T,)`` each of one length, at ``sample_rate`` (0: the lower
        of theirs)."""
        rate = sample_rate or self.common_rate

        def make() -> tuple[np.ndarray, np.ndarray]:
            return same_length(self.target.at(rate), self.generated.at(rate), align)

        return self.once(("samples", rate, align), make)

    def length_note(self) -> str:
        """The difference in length in words, "" when there is none worth telling."""
        if self.reference is None:
            return ""
        apart = self.generated.duration_s - self.reference.duration_s
        if abs(apart) < 0.001:
            return ""
        return f"generated is {abs(apart):.3f} s {'longer' if apart > 0 else 'shorter'}"


def same_length(
    reference: np.ndarray, generated: np.ndarray, align: SampleAlign
) -> tuple[np.ndarray, np.ndarray]:
    """Both ``(T, ...)`` arrays cut to the shorter or padded with zeros to the longer one."""
    if align is SampleAlign.CUT:
        length = min(len(reference), len(generated))
        return reference[:length], generated[:length]
    length = max(len(reference), len(generated))
    return _padded(reference, length), _padded(generated, length)


def _padded(array: np.ndarray, length: int) -> np.ndarray:
    return np.pad(array, [(0, length - len(array))] + [(0, 0)] * (array.ndim - 1))


def meet(
    case: Case, align: Align, feature: Callable[[Sound], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """A frame feature ``(F, ...)`` of reference and generated on the 5 ms grid, frame by frame.

    To pad, silence is added to the shorter sound before the feature is taken.
    """
    if align is Align.DTW:
        from engines.metrics.world import path

        rows, columns = path(case)
        reference, generated = feature(case.target), feature(case.generated)
        last = len(reference) - 1, len(generated) - 1  # features differ by a frame at the end
        return reference[np.minimum(rows, last[0])], generated[np.minimum(columns, last[1])]
    target, judged = (case.target, case.generated) if align is Align.CUT else _padded_sounds(case)
    return same_length(feature(target), feature(judged), SampleAlign.CUT)


def _padded_sounds(case: Case) -> tuple[Sound, Sound]:
    """Both sounds lasting as long as the longer one."""
    longest = max(case.target.duration_s, case.generated.duration_s)
    return case.once(
        "padded", lambda: (case.target.lasting(longest), case.generated.lasting(longest))
    )
