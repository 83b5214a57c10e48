"""Export: files for other runtimes, each compared with the eager model before it is kept."""

from atmnet.export.export import export, export_dense, export_model
from atmnet.export.kinds import TASK_EXPORTS
from atmnet.export.plain.rewrite import exportable
from atmnet.export.settings import ExportSettings
from atmnet.export.verify import Difference, ExportReport
from atmnet.integrations.hub import from_pretrained, push_to_hub, save_pretrained

__all__ = [
    "TASK_EXPORTS",
    "Difference",
    "ExportReport",
    "ExportSettings",
    "export",
    "export_dense",
    "export_model",
    "exportable",
    "from_pretrained",
    "push_to_hub",
    "save_pretrained",
]
