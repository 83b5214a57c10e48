"""The report of a run: an HTML file with learning curves, errors by class, the worst images, and sampling offsets."""

from atmnet.report.content import Example, Report
from atmnet.report.dense import write_detection_report, write_segmentation_report
from atmnet.report.multilabel import write_multilabel_report
from atmnet.report.page import write_report

__all__ = [
    "Example",
    "Report",
    "write_detection_report",
    "write_multilabel_report",
    "write_report",
    "write_segmentation_report",
]
