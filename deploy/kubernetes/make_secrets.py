"""Writes the secrets of an overlay for `kubectl create`: passwords, what derives from them, the master key.

    python3 make_secrets.py production | kubectl --namespace registry create --filename -

Each run makes new ones, and `create` refuses to write over what is there: a master key that is lost takes the names of
people and the documents with it. So keep a copy of it apart from the database and its backups.

Each secret is for one process, which sees no other's. In production there are besides those that the operator reads,
a login's name and password each; in the demo those of PostgreSQL and of `provision`, which is its administrator.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from typing import Any

SERVER = "registry-db-rw:5432"
DATABASE = "registry"
CHECKED = "?sslmode=verify-full&sslrootcert=/run/secrets/database/ca.crt"
# Each login, by the process that is to have it.
LOGINS = {
    "migrate": "registry_migrate",
    "serve": "registry_serve",
    "project": "registry_project",
    "report": "registry_report",
}
URIS = {"migrate": "owner_url", "serve": "service_url", "project": "projector_url", "report": "reader_url"}


def secret(name: str, content: dict[str, str], kind: str = "Opaque") -> dict[str, Any]:
    """One Secret's manifest."""
    labels = {"app.kubernetes.io/name": "cooperation-registry"}
    if kind == "kubernetes.io/basic-auth":
        labels["cnpg.io/reload"] = "true"  # the operator takes up a password that is changed
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": labels},
        "type": kind,
        "stringData": content,
    }


def manifests(overlay: str) -> list[dict[str, Any]]:
    """Every secret that an overlay's pods name, but for those of others: the object store's and the ingress's."""
    passwords = {process: secrets.token_urlsafe(32) for process in LOGINS}
    query = CHECKED if overlay == "production" else ""
    uris = {
        process: f"postgresql://{LOGINS[process]}:{password}@{SERVER}/{DATABASE}{query}"
        for process, password in passwords.items()
    }
    made = [secret(f"registry-{process}", {URIS[process]: uri} | _master_key(process)) for process, uri in uris.items()]
    if overlay == "production":
        made += [
            secret(
                f"registry-db-{process}",
                {"username": LOGINS[process], "password": password},
                "kubernetes.io/basic-auth",
            )
            for process, password in passwords.items()
        ]
    else:
        admin = secrets.token_urlsafe(32)
        everybody = {URIS[process]: uri for process, uri in uris.items()}
        made += [
            secret("registry-postgres", {"password": admin}),
            secret("registry-provision", {"admin_url": f"postgresql://postgres:{admin}@{SERVER}/postgres"} | everybody),
        ]
    return made


def _master_key(process: str) -> dict[str, str]:
    return {"master.key": secrets.token_hex(32)} if process == "serve" else {}


def main() -> None:
    """Write a List to standard output, which may not be a terminal: a secret is not for a screen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overlay", choices=["production", "demo"])
    overlay = parser.parse_args().overlay
    if sys.stdout.isatty():
        parser.error("standard output is a terminal: pipe it to kubectl create")
    json.dump({"apiVersion": "v1", "kind": "List", "items": manifests(overlay)}, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
