"""Export: files that other runtimes run, each held to the eager model as it is written."""

from atmnet.export.checked import TOLERANCE
from atmnet.export.dense import DENSE_TOLERANCE, export_dense
from atmnet.export.export import export_model
from atmnet.export.plain.rewrite import exportable
from atmnet.export.verify import Difference, ExportReport
from atmnet.integrations.hub import from_pretrained, push_to_hub, save_pretrained

__all__ = [
    "DENSE_TOLERANCE",
    "TOLERANCE",
    "Difference",
    "ExportReport",
    "export_dense",
    "export_model",
    "exportable",
    "from_pretrained",
    "push_to_hub",
    "save_pretrained",
]
