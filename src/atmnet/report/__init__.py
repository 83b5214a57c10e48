"""The report of a training run, one HTML file that opens anywhere; and pictures and files of predictions."""

from atmnet.report.answers import Answer, objects, ranking, regions
from atmnet.report.content import Example, Report
from atmnet.report.page import write_report
from atmnet.report.results_files import Results
from atmnet.report.sheet import contact_sheet

__all__ = ["Answer", "Example", "Report", "Results", "contact_sheet", "objects", "ranking", "regions", "write_report"]
