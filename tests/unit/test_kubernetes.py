"""deploy/kubernetes, as it would be applied: valid, and at one with itself and with the program that it runs."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml

from services.registry import provision, settings
from services.registry.api import health
from services.registry.cli.app import app
from services.registry.cli.provision import described
from tests.support.kustomize import Manifest, render

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
CLOUDNATIVE_PG = FOLDER / "components" / "cloudnative-pg"
OVERLAYS = ("production", "demo")
VERSIONS = ("1.30", "1.34", "1.37")
"""Of Kubernetes: the oldest that knows `preStop.sleep`, and newer ones."""

CUSTOM = {
    ("postgresql.cnpg.io/v1", "Cluster"),
    ("postgresql.cnpg.io/v1", "ScheduledBackup"),
    ("barmancloud.cnpg.io/v1", "ObjectStore"),
    ("monitoring.coreos.com/v1", "ServiceMonitor"),
}
"""Kinds that operators bring, of which there is no schema here."""

OF_OTHERS = {"registry-tls": {"tls.crt", "tls.key"}, "registry-backups": {"access_key_id", "secret_access_key"}}
"""Secrets that whoever deploys makes: the ingress's certificate, and the way into the object store."""

OF_OPERATORS = {"registry-db-ca": {"ca.crt"}}
OTLP = "OTEL_EXPORTER_OTLP_ENDPOINT"
METRICS = {"REGISTRY_METRICS_HOST", "REGISTRY_METRICS_PORT"}
WORKLOADS = {"Deployment", "StatefulSet", "Job"}
NEEDED = {
    "serve": ("database_url", "master_key_file", "key_dir"),
    "key": ("database_url", "master_key_file", "key_dir"),
    "project": ("projector_database_url",),
    "migrate": ("owner_database_url",),
    "provision": ("admin_database_url", "owner_database_url", "database_url", "projector_database_url"),
}


@pytest.fixture(scope="module", params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def manifests(overlay: str) -> list[Manifest]:
    return render(FOLDER / "overlays" / overlay)


@pytest.fixture(scope="module")
def secrets(overlay: str) -> dict[str, dict[str, str]]:
    made = make_secrets().manifests(overlay)
    return {secret["metadata"]["name"]: secret["stringData"] for secret in made}


def make_secrets() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_secrets", FOLDER / "make_secrets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def of(manifests: list[Manifest], *kinds: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def named(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    (met,) = [manifest for manifest in of(manifests, kind) if manifest["metadata"]["name"] == name]
    return met


def pods(manifests: list[Manifest]) -> Iterator[tuple[dict[str, str], Manifest]]:
    """Each workload's labels and pod; those of the database's operator, which makes its own, without a pod."""
    for workload in of(manifests, *WORKLOADS):
        template = workload["spec"]["template"]
        yield template["metadata"]["labels"], template["spec"]


def database_labels(manifests: list[Manifest]) -> dict[str, str]:
    for cluster in of(manifests, "Cluster"):
        return {"cnpg.io/cluster": cluster["metadata"]["name"], **cluster["spec"]["inheritedMetadata"]["labels"]}
    return named(manifests, "StatefulSet", "registry-db")["spec"]["template"]["metadata"]["labels"]


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}, selector
    return selector.get("matchLabels", {}).items() <= labels.items()


def registry_containers(manifests: list[Manifest]) -> Iterator[tuple[Manifest, Manifest]]:
    for _, pod in pods(manifests):
        for container in pod["containers"]:
            if container["image"].startswith("cooperation-registry:"):
                yield pod, container


def environment(manifests: list[Manifest], container: Manifest) -> dict[str, str]:
    given: dict[str, str] = {}
    for source in container.get("envFrom", []):
        given |= named(manifests, "ConfigMap", source["configMapRef"]["name"])["data"]
    return given | {variable["name"]: variable["value"] for variable in container.get("env", [])}


def mounted(pod: Manifest, container: Manifest, secrets: dict[str, dict[str, str]]) -> dict[str, str]:
    """Each file that the container finds of secrets, and what is in it."""
    volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
    files: dict[str, str] = {}
    for mount in container["volumeMounts"]:
        if name := volumes[mount["name"]].get("secret", {}).get("secretName"):
            content = secrets.get(name) or dict.fromkeys(OF_OPERATORS[name], "a certificate")
            files |= {f"{mount['mountPath']}/{key}": text for key, text in content.items()}
    return files


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_valid_by_the_schemas_of_kubernetes(manifests: list[Manifest], version: str):
    checked = [manifest for manifest in manifests if (manifest["apiVersion"], manifest["kind"]) not in CUSTOM]
    assert len(checked) > 15
    for manifest in checked:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_the_schemas_refuse_what_kubernetes_would_not_know(manifests: list[Manifest]):
    service = named(manifests, "Service", "registry")
    broken = {**service, "spec": {**service["spec"], "selectors": {}}}
    with pytest.raises(kubernetes_validate.ValidationError, match="selectors"):
        kubernetes_validate.validate(broken, VERSIONS[-1], strict=True)


def test_no_two_manifests_have_one_name_and_all_are_in_the_overlays_namespace(manifests: list[Manifest]):
    names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests]
    assert len(names) == len(set(names))
    (namespace,) = of(manifests, "Namespace")
    others = [manifest for manifest in manifests if manifest is not namespace]
    assert {manifest["metadata"]["namespace"] for manifest in others} == {namespace["metadata"]["name"]}


def test_every_pod_is_as_hardened_as_it_can_be(manifests: list[Manifest]):
    for _, pod in pods(manifests):
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert named(manifests, "ServiceAccount", pod["serviceAccountName"])["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "privileged": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]


def test_what_each_process_finds_is_what_it_needs_and_no_more(
    manifests: list[Manifest], secrets: dict[str, dict[str, str]], tmp_path: Path
):
    ran: set[str] = set()
    for pod, container in registry_containers(manifests):
        command = container["args"][0]
        assert app[command] is not None
        files = mounted(pod, container, secrets)
        found = {path for path in files if not path.endswith("ca.crt")}
        environ = environment(manifests, container)
        used = set(environ.values()) & set(files)
        assert used == found, f"{command} is handed secrets that it does not use, or lacks some"
        for number, path in enumerate(sorted(used)):
            (tmp_path / f"{command}-{number}").write_text(files[path], encoding="utf-8")
            environ = {
                name: str(tmp_path / f"{command}-{number}") if value == path else value
                for name, value in environ.items()
            }
        read = settings.load(environ, needed=NEEDED[command])
        if command == "provision":
            assert described(read)[1].keys() == provision.LOGINS.keys()
        ran.add(command)
    assert ran >= {"serve", "project", "migrate", "key"}


def test_no_secret_is_in_a_manifest_or_in_the_environment(manifests: list[Manifest]):
    assert of(manifests, "Secret") == []
    for _, container in registry_containers(manifests):
        for name, value in environment(manifests, container).items():
            assert "://" not in value, name
        assert all("valueFrom" not in variable for variable in container.get("env", []))


def test_the_database_is_reached_by_its_service_and_by_tls_in_production(
    overlay: str, manifests: list[Manifest], secrets: dict[str, dict[str, str]]
):
    uris = [text for content in secrets.values() for key, text in content.items() if key.endswith("_url")]
    assert len(uris) >= len(provision.LOGINS)
    if overlay == "production":
        (cluster,) = of(manifests, "Cluster")
        host = f"{cluster['metadata']['name']}-rw"
        assert all("sslmode=verify-full&sslrootcert=/run/secrets/database/ca.crt" in uri for uri in uris)
        for pod, container in registry_containers(manifests):
            assert "/run/secrets/database/ca.crt" in mounted(pod, container, secrets)
    else:
        host = named(manifests, "Service", "registry-db-rw")["metadata"]["name"]
    assert all(f"@{host}:5432/" in uri for uri in uris)


def test_every_secret_config_map_and_claim_that_is_named_is_there(
    manifests: list[Manifest], secrets: dict[str, dict[str, str]]
):
    known = secrets.keys() | OF_OPERATORS.keys()
    for _, pod in pods(manifests):
        for volume in pod.get("volumes", []):
            if "secret" in volume:
                assert volume["secret"]["secretName"] in known
                assert volume["secret"].get("defaultMode", 0o444) & 0o222 == 0
            if "persistentVolumeClaim" in volume:
                named(manifests, "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
        for container in pod["containers"]:
            volumes = {volume["name"] for volume in pod.get("volumes", [])}
            assert {mount["name"] for mount in container["volumeMounts"]} - volumes <= {"data"}
    for ingress in of(manifests, "Ingress"):
        assert {entry["secretName"] for entry in ingress["spec"]["tls"]} <= OF_OTHERS.keys()
        backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
        ports = named(manifests, "Service", backend["name"])["spec"]["ports"]
        assert backend["port"]["name"] in {port["name"] for port in ports}


def test_probes_ask_routes_of_the_program_on_ports_that_are_open(manifests: list[Manifest]):
    routes = {path for handler in health.HANDLERS for path in handler.paths}
    probed: set[str] = set()
    for _, container in registry_containers(manifests):
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            if asked := container.get(kind, {}).get("httpGet"):
                assert asked["path"] in routes
                assert ports[asked["port"]] == 8000
                probed.add(kind)
    assert probed == {"startupProbe", "readinessProbe", "livenessProbe"}


def test_a_replica_that_goes_has_time_to_finish_what_it_was_asked(manifests: list[Manifest]):
    pod = named(manifests, "Deployment", "registry-api")["spec"]["template"]["spec"]
    waits = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    longest = max(settings.Settings().command_timeout, settings.Settings().min_size_wait)
    assert pod["terminationGracePeriodSeconds"] >= waits + 3 * longest


def test_a_projector_that_is_replaced_goes_on_until_the_api_of_its_version_has_been(manifests: list[Manifest]):
    projector, api = (
        named(manifests, "Deployment", f"registry-{name}")["spec"]["template"]["spec"] for name in ("projector", "api")
    )
    waits = projector["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    replicas = 3  # one after the other, each with as long as it may take to start and to go
    startup = api["containers"][0]["startupProbe"]
    starts = startup["periodSeconds"] * startup["failureThreshold"]
    assert waits >= 60 + replicas * (min(starts, 20) + api["terminationGracePeriodSeconds"])
    assert projector["terminationGracePeriodSeconds"] >= waits + 30


def test_services_and_budgets_select_pods_and_their_ports(manifests: list[Manifest]):
    everything = list(pods(manifests))
    for service in of(manifests, "Service"):
        met = [pod for labels, pod in everything if selects({"matchLabels": service["spec"]["selector"]}, labels)]
        assert met, service["metadata"]["name"]
        for port in service["spec"]["ports"]:
            for pod in met:
                assert port["targetPort"] in {one["name"] for one in pod["containers"][0]["ports"]}
    for budget in of(manifests, "PodDisruptionBudget"):
        assert [1 for labels, _ in everything if selects(budget["spec"]["selector"], labels)] == [1]
    for workload in of(manifests, "Deployment", "StatefulSet"):
        assert selects(workload["spec"]["selector"], workload["spec"]["template"]["metadata"]["labels"])


def test_nothing_talks_but_where_a_policy_says_so(manifests: list[Manifest]):
    deny = named(manifests, "NetworkPolicy", "default-deny")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    everything = {labels["app.kubernetes.io/component"]: labels for labels, _ in pods(manifests)}
    everything["database"] = database_labels(manifests)

    def reached_by(labels: dict[str, str]) -> Iterator[tuple[int, str]]:
        for policy in of(manifests, "NetworkPolicy"):
            if selects(policy["spec"]["podSelector"], labels):
                for rule in policy["spec"].get("ingress", []):
                    for peer in rule["from"]:
                        space = peer.get("namespaceSelector", {}).get("matchLabels", {}).values()
                        within = [who for who, theirs in everything.items() if selects(peer["podSelector"], theirs)]
                        for port in rule["ports"]:
                            yield from ((port["port"], who) for who in (space or within))

    clients = {component for component in everything if component != "database"}
    own = set(reached_by(everything["database"]))
    assert {who for port, who in own if port == 5432} - {"database", "cnpg-system"} == clients
    assert {who for port, who in reached_by(everything["api"]) if port == 8000} == {"ingress-nginx"}
    for component in clients - {"api"}:
        assert {port for port, _ in reached_by(everything[component])} <= {9464}


def test_the_database_has_replicas_that_are_waited_for_backups_and_no_superuser_outside():
    manifests = render(FOLDER / "overlays" / "production")
    made = {secret["metadata"]["name"]: secret for secret in make_secrets().manifests("production")}
    (cluster,) = of(manifests, "Cluster")
    assert cluster["spec"]["instances"] == 3
    assert cluster["spec"]["postgresql"]["synchronous"] == {"method": "any", "number": 1, "dataDurability": "required"}
    assert cluster["spec"]["enableSuperuserAccess"] is False

    store = named(manifests, "ObjectStore", cluster["spec"]["plugins"][0]["parameters"]["barmanObjectName"])
    for reference in store["spec"]["configuration"]["s3Credentials"].values():
        assert reference["key"] in OF_OTHERS[reference["name"]]
    backup = named(manifests, "ScheduledBackup", "registry-db")["spec"]
    assert backup["cluster"]["name"] == cluster["metadata"]["name"]
    assert backup["pluginConfiguration"]["name"] == cluster["spec"]["plugins"][0]["name"]

    initial = cluster["spec"]["bootstrap"]["initdb"]
    logins = {initial["owner"]: initial["secret"]["name"]}
    logins |= {role["name"]: role["passwordSecret"]["name"] for role in cluster["spec"]["managed"]["roles"]}
    assert logins.keys() == provision.LOGINS.keys()
    for login, name in logins.items():
        assert made[name]["type"] == "kubernetes.io/basic-auth"
        assert made[name]["stringData"]["username"] == login
        process = name.removeprefix("registry-db-")
        (uri,) = [text for key, text in made[f"registry-{process}"]["stringData"].items() if key.endswith("_url")]
        assert uri.startswith(f"postgresql://{login}:{made[name]['stringData']['password']}@")
    assert {role["name"]: role["inRoles"] for role in cluster["spec"]["managed"]["roles"]} == {
        login: [role] for login, role in provision.LOGINS.items() if login != initial["owner"]
    }


def test_the_operator_runs_the_programs_own_roles_and_makes_its_logins():
    manifests = render(FOLDER / "overlays" / "production")
    ours = ROOT / "services" / "registry" / provision.ROLES
    assert (CLOUDNATIVE_PG / provision.ROLES).read_text("utf-8") == ours.read_text("utf-8")
    logins = (CLOUDNATIVE_PG / "logins.sql").read_text("utf-8")
    for login, role in provision.LOGINS.items():
        assert f"GRANT {role} TO {login};" in logins or f"CREATE ROLE {login} LOGIN IN ROLE {role};" in logins
        assert f"ALTER ROLE {login} SET role = '{role}';" in logins
    (cluster,) = of(manifests, "Cluster")
    for reference in cluster["spec"]["bootstrap"]["initdb"]["postInitApplicationSQLRefs"]["configMapRefs"]:
        assert reference["key"] in named(manifests, "ConfigMap", reference["name"])["data"]


def test_metrics_are_of_one_component_and_can_be_left_out(manifests: list[Manifest], overlay: str):
    listening = [
        container
        for _, container in registry_containers(manifests)
        if METRICS & environment(manifests, container).keys()
    ]
    monitors = of(manifests, "ServiceMonitor")
    if overlay == "demo":
        assert (listening, monitors) == ([], [])
        return
    assert {container["name"] for container in listening} == {"api", "projector"}
    (monitor,) = monitors
    service = named(manifests, "Service", "registry-metrics")
    assert selects(monitor["spec"]["selector"], service["metadata"]["labels"])
    ports = {port["name"]: port["port"] for port in service["spec"]["ports"]}
    for container in listening:
        assert environment(manifests, container)["REGISTRY_METRICS_PORT"] == str(ports["metrics"])
        assert {"name": "metrics", "containerPort": ports["metrics"]} in container["ports"]
    assert [endpoint["port"] for endpoint in monitor["spec"]["endpoints"]] == ["metrics"]


def test_traces_are_of_a_component_that_is_in_no_overlay_and_may_be_put_in(tmp_path: Path, manifests: list[Manifest]):
    assert not [one for _, one in registry_containers(manifests) if OTLP in environment(manifests, one)]
    said = {
        "resources": [os.path.relpath(FOLDER / "overlays" / "production", tmp_path)],
        "components": [os.path.relpath(FOLDER / "components" / "tracing", tmp_path)],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(said), encoding="utf-8")
    traced = render(tmp_path)
    policy = named(traced, "NetworkPolicy", "traces-to-collector")
    for manifest in (policy, *of(traced, "Deployment")):
        kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)
    sending = {
        container["name"]: settings.load(environ).tracing_endpoint
        for _, container in registry_containers(traced)
        if OTLP in (environ := {k: v for k, v in environment(traced, container).items() if k.startswith("OTEL_")})
    }
    assert sending.keys() == {"api", "projector"}
    (endpoint,) = set(sending.values())
    assert endpoint is not None
    (port,) = policy["spec"]["egress"][0]["ports"]
    assert urlsplit(endpoint).port == port["port"]
    let = [labels for labels, _ in pods(traced) if selects(policy["spec"]["podSelector"], labels)]
    assert {labels["app.kubernetes.io/component"] for labels in let} == {"api", "projector"}
