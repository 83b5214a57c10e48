"""Readers, transforms and loaders, whose random numbers are a function of counters; and the embedded digits."""

from atmnet.data.check import SplitCheck, check_split, same_images
from atmnet.data.class_names import read_class_file
from atmnet.data.dataset import (
    Batch,
    Collate,
    OnImage,
    Sample,
    Split,
    Transform,
    list_samples,
    stack_samples,
    to_device,
)
from atmnet.data.depths import dark_note, first_dark_note
from atmnet.data.digits import DigitsReader
from atmnet.data.images import EXTENSIONS, UnreadableImage, read_image, to_8_bits
from atmnet.data.labelled import LabelledSplit, open_labelled
from atmnet.data.loader import eval_loader, eval_transform, image_mode, train_loader, train_transform
from atmnet.data.sampler import Key, StepSampler
from atmnet.data.seeding import derive_seed, reseed
from atmnet.data.workers import Loader

__all__ = [
    "EXTENSIONS",
    "Batch",
    "Collate",
    "DigitsReader",
    "Key",
    "LabelledSplit",
    "Loader",
    "OnImage",
    "Sample",
    "Split",
    "SplitCheck",
    "StepSampler",
    "Transform",
    "UnreadableImage",
    "check_split",
    "dark_note",
    "derive_seed",
    "eval_loader",
    "eval_transform",
    "first_dark_note",
    "image_mode",
    "list_samples",
    "open_labelled",
    "read_class_file",
    "read_image",
    "reseed",
    "same_images",
    "stack_samples",
    "to_8_bits",
    "to_device",
    "train_loader",
    "train_transform",
]
