"""What a run says before its first step: its length, the weights it starts from, and notes about the data."""

from atmnet.data import Split, first_dark_note
from atmnet.engine.length import RunLength
from atmnet_cli.options import ModelOptions, TrainOptions

#: With fewer training images, training from random weights seldom comes far.
_FEW = 10_000


def first_lines(options: TrainOptions, split: Split, mode: str, length: RunLength, step: int) -> list[str]:
    """The lines that a run prints as it starts or resumes.

    Args:
        options: The options of the run.
        split: The training split.
        mode: The mode in which its images are read, "RGB" or "L".
        length: The length of the run.
        step: Number of completed steps.
    """
    begin = f"going on after step {step}" if step else f"from {_first_weights(options.model, len(split))}"
    dark = first_dark_note(split, mode)
    return [
        f"training {options.model.name} on {len(split)} images of {len(split.classes)} classes: {length.text} of "
        f"{options.batch_size}{'; ' if step else ', '}{begin}",
        *([dark] if dark else []),
        *(f"note: {notice}" for notice in getattr(split, "notices", ())),
        *length.notes,
    ]


def _first_weights(model: ModelOptions, images: int) -> str:
    """Where the weights at the first step are from, in words."""
    if model.weights:
        return f"the weights in {model.weights}"
    if model.kwargs.get("pretrained") or model.kwargs.get("checkpoint_path"):
        return "the pretrained weights that model.kwargs names"
    advice = "; so few usually need pretrained ones: --model.weights"
    return "random weights" + (advice if images < _FEW else "")
