"""The report of a training run: one HTML file that opens anywhere, and contact sheets of predictions."""

from atmnet.report.content import Example, Report
from atmnet.report.page import write_report
from atmnet.report.sheet import contact_sheet

__all__ = ["Example", "Report", "contact_sheet", "write_report"]
