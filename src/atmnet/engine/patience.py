"""Early stopping: when a run has gone long enough without a better score."""

from dataclasses import dataclass
from typing import Any

from atmnet.records import Record


@dataclass
class Patience:
    """Counts evaluations without an improvement. A checkpoint contains it, so a resumed run stops at the same step.

    Args:
        limit: Evaluations in a row without an improvement after which to stop; None for never.
        min_delta: By how much a score must exceed the highest one so far to count as an improvement.

    Attributes:
        highest: The highest score that counted; None before the first evaluation.
        waited: Evaluations since then.
    """

    limit: int | None
    min_delta: float
    highest: float | None = None
    waited: int = 0

    def add(self, score: float) -> None:
        """Count an evaluation."""
        if self.highest is None or score > self.highest + self.min_delta:
            self.highest, self.waited = score, 0
        else:
            self.waited += 1

    @property
    def is_exhausted(self) -> bool:
        """Whether to stop."""
        return self.limit is not None and self.waited >= self.limit

    @property
    def reason(self) -> str:
        """Why the run stops, in words."""
        return f"stopped early: {self.waited} evaluations without a score above {self.highest:.4g} (patience)"

    def state(self) -> dict[str, Any]:
        """What a checkpoint contains."""
        return {"highest": self.highest, "waited": self.waited}

    def load_state(self, record: Record) -> None:
        """Take over what a checkpoint contains; those of earlier versions contain nothing."""
        if "highest" in record:
            self.highest = record.number("highest")
            self.waited = record.integer("waited")
