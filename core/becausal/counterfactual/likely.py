"""How often something happens, from a few trials."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Share"]

Z = 1.959964
"""Two-sided 95 %."""


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many trials."""

    hits: int
    of: int

    @property
    def value(self) -> float:
        """0 to 1; 0 without a trial."""
        return self.hits / self.of if self.of else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Where the true share lies in 95 of 100 cases; from 0 to 1 without a trial.

        Source: Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference"; unlike the usual
        approximation it holds for few trials and shares near 0 and 1.
        """
        if not self.of:
            return 0.0, 1.0
        n, p = self.of, self.value
        middle = p + Z * Z / (2 * n)
        spread = Z * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
        scale = 1 + Z * Z / n
        return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.hits} of {self.of} ({low:.0%} to {high:.0%})"
