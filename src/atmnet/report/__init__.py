"""The report of a training run: one HTML file with curves, confusions, mistakes and where the network looks."""

from atmnet.report.content import Example, Report
from atmnet.report.page import write_report

__all__ = ["Example", "Report", "write_report"]
