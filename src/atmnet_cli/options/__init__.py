"""The options of every command, as dataclasses. Imports nothing heavy, so that help is instant."""

from atmnet_cli.options.commands import (
    BenchmarkOptions,
    CheckDataOptions,
    ConvertOptions,
    EmbedOptions,
    EnvOptions,
    EvaluateOptions,
    EvaluationData,
    ExploreOptions,
    ExportOptions,
    MakeScenesOptions,
    ModelsOptions,
    PredictOptions,
    WeightsOptions,
    WindowOptions,
)
from atmnet_cli.options.compare import CompareOptions
from atmnet_cli.options.data import DataOptions
from atmnet_cli.options.model import Head, Kind, ModelOptions
from atmnet_cli.options.training import AugmentOptions, DenseOptions, OptimOptions, TrainOptions

__all__ = [
    "AugmentOptions",
    "BenchmarkOptions",
    "CheckDataOptions",
    "CompareOptions",
    "ConvertOptions",
    "DataOptions",
    "DenseOptions",
    "EmbedOptions",
    "EnvOptions",
    "EvaluateOptions",
    "EvaluationData",
    "ExploreOptions",
    "ExportOptions",
    "Head",
    "Kind",
    "MakeScenesOptions",
    "ModelOptions",
    "ModelsOptions",
    "OptimOptions",
    "PredictOptions",
    "TrainOptions",
    "WeightsOptions",
    "WindowOptions",
]
