"""As much of kustomize as deploy/kubernetes uses, so that what would be applied can be looked at without the program.

It knows resources, components, a namespace, images, a ConfigMap made of files and JSON patches (RFC 6902: `add` and
`replace`); a kustomization with anything else in it is refused. Where the program is installed, a test compares them.
"""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]
KNOWN = {
    "apiVersion",
    "kind",
    "namespace",
    "resources",
    "components",
    "images",
    "patches",
    "configMapGenerator",
}
CLUSTER_WIDE = {"Namespace"}


def render(folder: Path) -> list[Manifest]:
    """Return what `kubectl kustomize` would of the folder, in no particular order."""
    return _built(folder, [])


def _built(folder: Path, inherited: list[Manifest]) -> list[Manifest]:
    said = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    assert not said.keys() - KNOWN, f"{folder}: {said.keys() - KNOWN} is not known here"
    manifests = list(inherited)
    for name in said.get("resources", []):
        path = (folder / name).resolve()
        manifests += _built(path, []) if path.is_dir() else _read(path)
    for name in said.get("components", []):
        manifests = _built((folder / name).resolve(), manifests)
    manifests += [_config_map(folder, one) for one in said.get("configMapGenerator", [])]
    for one in said.get("patches", []):
        _patch(folder, one, manifests)
    for manifest in manifests:
        if "namespace" in said and manifest["kind"] not in CLUSTER_WIDE:
            manifest["metadata"]["namespace"] = said["namespace"]
        for image in said.get("images", []):
            _rename(manifest, image)
    return manifests


def _read(path: Path) -> list[Manifest]:
    # Anchors are for the file: a patch of one place is not one of all.
    return [copy.deepcopy(one) for one in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def _config_map(folder: Path, said: Manifest) -> Manifest:
    assert said["options"] == {"disableNameSuffixHash": True}
    data = {Path(name).name: (folder / name).read_text(encoding="utf-8") for name in said["files"]}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": said["name"]}, "data": data}


def _patch(folder: Path, said: Manifest, manifests: list[Manifest]) -> None:
    text = said["patch"] if "patch" in said else (folder / said["path"]).read_text(encoding="utf-8")
    target = said["target"]
    assert set(target) == {"kind", "name"}
    met = [
        manifest
        for manifest in manifests
        if re.fullmatch(target["kind"], manifest["kind"]) and re.fullmatch(target["name"], manifest["metadata"]["name"])
    ]
    assert met, f"{folder}: a patch of {target}, and there is none"
    for manifest in met:
        for step in yaml.safe_load(text):
            _apply(manifest, step)


def _apply(manifest: Manifest, step: Manifest) -> None:
    *way, last = [part.replace("~1", "/").replace("~0", "~") for part in step["path"].split("/")[1:]]
    place: Any = manifest
    for part in way:
        place = place[int(part)] if isinstance(place, list) else place[part]
    if isinstance(place, list):
        assert (step["op"], last) == ("add", "-"), f"{step} is not known here"
        place.append(copy.deepcopy(step["value"]))
        return
    assert step["op"] in {"add", "replace"}, f"{step} is not known here"
    assert step["op"] == "add" or last in place, f"{step['path']} is replaced and is not there"
    place[last] = copy.deepcopy(step["value"])


def _rename(manifest: Manifest, image: Manifest) -> None:
    pod = manifest.get("spec", {}).get("template", {}).get("spec", {})
    for container in (*pod.get("containers", []), *pod.get("initContainers", [])):
        if container["image"].partition(":")[0] == image["name"]:
            container["image"] = f"{image['newName']}:{image['newTag']}"
