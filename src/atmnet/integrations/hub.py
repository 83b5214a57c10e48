"""timm's hub layout: a folder of config.json, safetensors, and a model card that states only recorded facts."""

from pathlib import Path
from typing import Any

from timm.models._hub import generate_readme

from atmnet.engine import find_run, read_metrics, read_options
from atmnet.files import write_tensors
from atmnet.tasks import Classifier, load_classifier
from atmnet.tasks.weights import find_checkpoint
from atmnet_cli.errors import UserError, first_line
from atmnet_cli.output_paths import check_output_folder

_CITATION = """@inproceedings{wei2023active,
  title = {Active Token Mixer},
  author = {Wei, Guoqiang and Zhang, Zhizheng and Lan, Cuiling and Lu, Yan and Chen, Zhibo},
  booktitle = {Proceedings of the AAAI Conference on Artificial Intelligence},
  year = {2023}
}"""


def save_pretrained(model: str | Path | Classifier, folder: str | Path, *, license: str = "") -> Path:
    """Write a classifier so that ``timm.create_model("local-dir:FOLDER", pretrained=True)`` loads it.

    Args:
        model: A run or checkpoint folder, whose options and metrics the model card states; or a classifier, for which
            it states only the architecture.
        folder: Folder to write to; created if it is missing.
        license: Identifier of the weights' licence, such as 'apache-2.0'. Without it the card states no licence.

    Returns:
        The folder.

    Raises:
        UserError: If there is no such run.

    Examples:
        >>> folder = save_pretrained("runs/demo", "demo-model", license="apache-2.0")  # doctest: +SKIP
        >>> model = timm.create_model("local-dir:demo-model", pretrained=True)  # doctest: +SKIP
    """
    folder = Path(folder)
    check_output_folder(folder, "folder")
    classifier = model if isinstance(model, Classifier) else load_classifier(str(model))
    run = None if isinstance(model, Classifier) else Path(model)
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / "model.safetensors", classifier.model.state_dict(), {"format": "pt"})
    classifier.write_config(folder / "config.json")
    (folder / "README.md").write_text(model_card(classifier, folder.resolve().name, run, license), encoding="utf-8")
    return folder


def from_pretrained(name: str | Path) -> Classifier:
    """The classifier of a folder that :func:`save_pretrained` wrote, or of a hub repository.

    Args:
        name: The folder, or 'OWNER/NAME' of the repository, from which only config.json and the weights are fetched.

    Raises:
        UserError: If there is none, or it is not a classifier of timm.

    Examples:
        >>> from_pretrained("demo-model").classes[:2]  # doctest: +SKIP
        ['cat', 'dog']
    """
    if find_checkpoint(Path(name)) is not None:
        return load_classifier(str(name))
    from huggingface_hub import hf_hub_download

    repository, _, revision = str(name).partition("@")
    try:
        for file in ("config.json", "model.safetensors"):  # all that is needed, and the gate reads both
            path = hf_hub_download(repository, file, revision=revision or None)
    except Exception as error:  # of the network, the hub, or the name
        raise UserError(f"{name}: no folder of a classifier, and the hub has none: {first_line(error)}") from error
    return load_classifier(str(Path(path).parent))


def push_to_hub(folder: str | Path, repository: str, *, private: bool = True, token: str | None = None) -> str:
    """Upload a folder that :func:`save_pretrained` wrote.

    Args:
        folder: The folder.
        repository: 'OWNER/NAME'; created if it is missing.
        private: Whether a repository that is created is private.
        token: Token of the hub. Default: the one that ``hf auth login`` stored.

    Returns:
        The address of the repository.

    Raises:
        UserError: If the folder was not written by :func:`save_pretrained`, or the hub refuses.

    Examples:
        >>> push_to_hub("demo-model", "OWNER/demo-model")  # doctest: +SKIP
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

    if not (Path(folder) / "config.json").is_file():
        raise UserError(f"folder: {folder}: no config.json in it; write the folder with save_pretrained")
    api = HfApi(token=token, library_name="timm")
    try:
        url = api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(repo_id=url.repo_id, folder_path=str(folder), commit_message="Add model")
    except (HfHubHTTPError, HFValidationError, LocalTokenNotFoundError) as error:
        raise UserError(f"repository: {repository}: {first_line(error)}") from error
    return str(url)


def model_card(classifier: Classifier, name: str, run: Path | None, license: str) -> str:
    """The README of a model: its architecture, and the options and scores that its run recorded.

    Args:
        classifier: The model.
        name: Name of the repository, without its owner.
        run: Run or checkpoint folder, if there is one.
        license: Identifier of the licence, or ''.
    """
    architecture, config = classifier.name, classifier.config
    _, height, width = config["input_size"]
    details: dict[str, Any] = {
        "Architecture": architecture,
        "Parameters": f"{sum(parameter.numel() for parameter in classifier.model.parameters()):,}",
        "Classes": len(classifier.classes),
        "Image size": f"{height} x {width}",
    }
    if run is not None:
        details |= _training(run)
    description = f"An image classifier, {architecture}, written by atmnet in timm's layout."
    return card(name, architecture, description, details, license)


def card(
    name: str, architecture: str, description: str, details: dict[str, Any], license: str = "", source: str = ""
) -> str:
    """A README in the form of timm's model cards.

    Args:
        name: Name of the repository, without its owner.
        architecture: timm's name of the model.
        description: What the weights are, in a sentence or two.
        details: Facts, by their names.
        license: Identifier of the licence, or '' to state none.
        source: What timm loads the model by. Default: its repository on the hub.
    """
    usage = (
        "```python\nimport atmnet, timm\n\n"
        f'model = timm.create_model("{source or f"hf-hub:OWNER/{name}"}", pretrained=True).eval()\n```'
    )
    facts: dict[str, Any] = {
        "tags": ["image-classification", "timm", "active-token-mixer"],
        "description": description,
        "details": details,
        "usage": usage,
    }
    if "atmnet" in architecture:
        facts["citation"] = _CITATION
    text = generate_readme(facts | ({"license": license} if license else {}), name)
    # timm's card states a licence even if there is none.
    return text if license else text.replace("license: apache-2.0\n", "", 1)


def _training(run: Path) -> dict[str, str]:
    """The options and the score that a run recorded."""
    options = read_options(run)
    if options is None:
        return {}
    data, optim, batch = options["data"], options["optim"], options["batch_size"]
    source = f"{data['source']}, {Path(data['root']).name}" if data["root"] else data["source"]
    facts = {
        "Training data": f"{source}, split {data['train']}",
        "Training": f"{options['epochs']} epochs of batches of {batch}, {optim['opt']} at {optim['lr']}",
    }
    folder = find_run(run)
    scores = [line for line in (read_metrics(folder) if folder is not None else []) if line.get("top1") is not None]
    step = _step(run)
    of_step = [line for line in scores if line["step"] == step]
    if of_step:
        facts["Top-1 accuracy"] = f"{of_step[-1]['top1']:.2f} % on split {data['val']}"
    return facts


def _step(run: Path) -> int | None:
    """The step of the checkpoint that a run or checkpoint folder contains."""
    folder = find_checkpoint(run)
    name = folder.resolve().name if folder is not None else ""
    return int(name.removeprefix("step-")) if name.startswith("step-") else None
