"""Measures models on the user's machine: time, memory, and the time of the matrix products alone."""

from atmnet.benchmark.build import build_model
from atmnet.benchmark.machine import versions
from atmnet.benchmark.measure import measure_models
from atmnet.benchmark.memory import peak_bytes, saved_bytes
from atmnet.benchmark.products import Products, record_products
from atmnet.benchmark.timing import Comparison, Spread, compare
from atmnet.benchmark.workload import Workload

__all__ = [
    "Comparison",
    "Products",
    "Spread",
    "Workload",
    "build_model",
    "compare",
    "measure_models",
    "peak_bytes",
    "record_products",
    "saved_bytes",
    "versions",
]
