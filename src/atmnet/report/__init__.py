"""The report of a training run: an HTML file with learning curves, confusion matrix, mistakes, and sampling offsets."""

from atmnet.report.content import Example, Report
from atmnet.report.page import write_report

__all__ = ["Example", "Report", "write_report"]
