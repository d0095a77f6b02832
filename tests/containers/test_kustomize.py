"""kustomize itself makes of deploy/kubernetes what the tests of those manifests look at."""

from __future__ import annotations

import docker
import pytest
import yaml

from tests.support import engine
from tests.support.kustomize import Manifest, render

FOLDER = engine.ROOT / "deploy" / "kubernetes"


@pytest.mark.parametrize("overlay", ["production", "demo"])
def test_kustomize_makes_the_same_of_an_overlay_as_the_renderer_of_the_tests(images: None, overlay: str):
    client = docker.from_env()
    try:
        built = client.containers.run(
            engine.derive("kustomize", engine.BASE),
            ["build", f"/kubernetes/overlays/{overlay}"],
            volumes={str(FOLDER): {"bind": "/kubernetes", "mode": "ro"}},
            network_mode="none",
            remove=True,
        )
    finally:
        client.close()
    assert sorted(yaml.safe_load_all(built), key=named) == sorted(render(FOLDER / "overlays" / overlay), key=named)


def named(manifest: Manifest) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]
