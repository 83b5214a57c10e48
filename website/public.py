"""What is public: the names that the reference explains, and that change only with a line in CHANGELOG.md."""

import griffe

#: The public modules and their public names; None stands for those in the module's ``__all__``.
PUBLIC: dict[str, tuple[str, ...] | None] = {
    "atmnet": None,
    "atmnet.ops": None,
    "atmnet.layers": None,
    "atmnet.models": None,
    "atmnet.necks": None,
    "atmnet.heads": ("CascadeRoIHeads", "FCOSHead", "RoIAlign", "SemanticFPNHead"),
    "atmnet.tasks": ("load_network", "load_task"),
    "atmnet.engine": ("evaluate", "read_metrics"),
    "atmnet.predictions": ("Answer", "Prediction", "Predictor", "contact_sheet"),
    "atmnet.report": None,
    "atmnet.export": (
        "Difference",
        "ExportReport",
        "ExportSettings",
        "export",
        "export_model",
        "exportable",
        "from_pretrained",
        "push_to_hub",
        "save_pretrained",
    ),
    "atmnet.explore": ("Exploration", "Explorer", "show"),
    "atmnet.integrations.weights": None,
    "atmnet.integrations.mmengine": None,
    "atmnet_runtime": None,
    "atmnet_cli.command": ("main",),
    "atmnet_cli.errors": ("UserError",),
}
#: Modules whose ``__all__`` is explained for those who extend the package, and may change in any version.
FOR_EXTENSIONS = (
    "atmnet.heads",
    "atmnet.tasks",
    "atmnet.engine",
    "atmnet.predictions",
    "atmnet.export",
    "atmnet.data",
    "atmnet.comparison",
    "atmnet.benchmark",
)
#: The top-level packages in which the modules lie.
PACKAGES = ("atmnet", "atmnet_cli", "atmnet_runtime")


def load(source: str = "src") -> griffe.ModulesCollection:
    """The modules of the package, read from their source and not imported.

    Args:
        source: The folder in which the packages lie.
    """
    loader = griffe.GriffeLoader(search_paths=[source], docstring_parser="google")
    for package in PACKAGES:
        loader.load(package)
    loader.resolve_aliases(implicit=True)
    return loader.modules_collection


def exported(module: griffe.Module) -> list[str]:
    """The names in a module's ``__all__``, in order.

    Raises:
        ValueError: If the module has none.
    """
    if not module.exports:
        raise ValueError(f"{module.path}: has no __all__, expected one that lists its public names")
    return [name if isinstance(name, str) else name.name for name in module.exports]


def public_modules(modules: griffe.ModulesCollection) -> list[griffe.Module]:
    """The public modules, in the order of the reference."""
    return [modules[name] for name in PUBLIC]


def public_names(module: griffe.Module) -> list[str]:
    """The public names of a public module, in the order of its ``__all__``."""
    names = PUBLIC[module.path]
    return exported(module) if names is None else list(names)


def identifier(module: griffe.Module, name: str) -> str:
    """The path under which the reference explains a name.

    A function that has the name of the module it is in, such as atmnet.export.export, hides behind that module.
    """
    return f"{module.path}.{name}.{name}" if module.members[name].is_module else f"{module.path}.{name}"


def resolve(module: griffe.Module, name: str) -> griffe.Object:
    """The object that a name of a module stands for, wherever it is defined."""
    member = module.members[name]
    if member.is_module:
        member = member.members[name]
    return member.final_target if isinstance(member, griffe.Alias) else member
