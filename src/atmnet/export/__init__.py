"""Export: files that other runtimes run, each held to the eager model as it is written."""

from atmnet.export.export import TOLERANCE, export_model
from atmnet.export.hub import from_pretrained, push_to_hub, save_pretrained
from atmnet.export.rewrite import exportable
from atmnet.export.verify import Difference, ExportReport

__all__ = [
    "TOLERANCE",
    "Difference",
    "ExportReport",
    "export_model",
    "exportable",
    "from_pretrained",
    "push_to_hub",
    "save_pretrained",
]
