"""Comparison of models: alike in data, order of samples, augmentation and budget, over several seeds."""

from atmnet.comparison.plan import Comparison, open_comparison
from atmnet.comparison.results import collect, write_results
from atmnet.comparison.supervisor import run_jobs

__all__ = ["Comparison", "collect", "open_comparison", "run_jobs", "write_results"]
