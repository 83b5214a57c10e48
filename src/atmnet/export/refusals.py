"""Settings that a format or a network does not take are refused, before any work is spent."""

from atmnet.export.formats import FORMATS, Format
from atmnet.export.settings import ExportSettings
from atmnet.export.subject import Subject, TaskExport
from atmnet.tasks import Network
from atmnet_cli.errors import UserError


def check_settings(settings: ExportSettings, file_format: Format, task: TaskExport, network: Network) -> None:
    """Refuse settings that the format, or networks of this kind, do not take.

    Raises:
        UserError: Naming the setting.
    """
    precision = settings.precision
    if network.exported:
        raise UserError("model: this is an exported file; name the checkpoint that it was made from")
    if precision not in file_format.precisions:
        raise UserError(
            f"precision: got {precision!r}, expected {' or '.join(file_format.precisions)} for the format "
            f"{settings.to!r}"
        )
    if precision not in task.tolerances:
        raise UserError(f"precision: got {precision!r}, expected {' or '.join(task.tolerances)} for a {task.noun}")
    if settings.raw and not task.raw:
        raise UserError(f"raw: only detectors have raw outputs; a {task.noun}'s output is already its logits")
    if precision == "int8" and not settings.calibration:
        raise UserError(
            "calibration: precision 'int8' needs a folder of pictures like those that the model is for; name one"
        )
    if precision != "int8" and settings.calibration:
        raise UserError(
            f"calibration: precision {precision!r} takes no calibration; leave it out, or name pictures to compare on "
            "by images"
        )


def check_subject(settings: ExportSettings, file_format: Format, subject: Subject, network: Network) -> None:
    """Refuse settings that this network does not take.

    Raises:
        UserError: Naming the setting.
    """
    if not subject.batched:
        if settings.batch_size > 1:
            raise UserError(
                f"batch_size: got {settings.batch_size}, but a file of {network.name} takes one image at a time; "
                "leave it out"
            )
        if not file_format.whole_detectors:
            names = [name for name, each in FORMATS.items() if each.whole_detectors]
            raise UserError(
                f"to: got {settings.to!r}, expected {' or '.join(names)}: {network.name} selects objects by operators "
                "that only these formats have"
            )
    elif settings.dynamic and settings.batch_size > 1:
        raise UserError(
            f"batch_size: got {settings.batch_size}, but the file takes batches of any size; leave it out, or fix the "
            "sizes by dynamic=false"
        )
