"""Makes the secrets of `docker compose up` where they are missing: passwords, what derives from them, the master key.

A file's place says who gets it: a service mounts its own folder of deploy/secrets and no other. To change a password,
remove its file in `passwords` and run `docker compose up` again. The master key is made once; without it the names of
people and the documents cannot be read, so keep a copy of it apart from the database. With the argument `certificate`
it takes the proxy's certificate and key from standard input as well (deploy/tls/certificate.sh).
"""

from __future__ import annotations

import os
import secrets
import ssl
import sys
import tempfile
from pathlib import Path

REGISTRY = 65532  # the user of the registry's image
ROOT = 0
ANYBODY = 0o444  # in a folder that nobody else gets to see
OWNER = 0o400
SERVER = os.environ.get("POSTGRES_SERVER", "postgres:5432")
DATABASE = os.environ.get("POSTGRES_DATABASE", "registry")
PARAMETERS = os.environ.get("POSTGRES_PARAMETERS", "")  # of a connection URI: what stands behind its question mark
READ_PARAMETERS = os.environ.get("POSTGRES_READ_PARAMETERS", PARAMETERS)  # as those, of who only reads


def keep(path: Path, text: str, mode: int, owner: int) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(f"{text}\n")
        file.flush()
        os.fsync(file.fileno())
        os.fchmod(file.fileno(), mode)
        os.fchown(file.fileno(), owner, owner)
    unfinished.rename(path)


def password(folder: Path, login: str) -> str:
    """Return a login's password, made if need be."""
    path = folder / "passwords" / login
    if not path.exists():
        keep(path, secrets.token_urlsafe(32), OWNER, ROOT)
    return path.read_text().strip()


def make(folder: Path) -> None:
    """Make what is missing, and derive what can be derived."""
    folder.chmod(0o700)  # what is in it may be readable to everybody

    def uri(login: str, database: str = DATABASE, parameters: str = PARAMETERS) -> str:
        server = f"{login}:{password(folder, login)}@{SERVER}"
        return f"postgresql://{server}/{database}{'?' if parameters else ''}{parameters}"

    admin, owner = uri("postgres", "postgres"), uri("registry_migrate")
    service, projector, reader = uri("registry_serve"), uri("registry_project"), uri("registry_report")
    backup = uri("registry_backup", "postgres")
    derived = {
        "provision/admin_url": admin,
        "provision/owner_url": owner,
        "provision/service_url": service,
        "provision/projector_url": projector,
        "provision/reader_url": reader,
        "provision/backup_url": backup,
        "migrate/owner_url": owner,
        "serve/service_url": service,
        "serve/read_url": uri("registry_serve", parameters=READ_PARAMETERS),
        "project/projector_url": projector,
        "report/reader_url": reader,
    }
    for name, text in derived.items():
        keep(folder / name, text, OWNER, REGISTRY)
    keep(folder / "backup" / "pgpass", f"*:*:*:registry_backup:{password(folder, 'registry_backup')}", ANYBODY, ROOT)
    for other, login in {
        "postgres/password": "postgres",
        "postgres/replication": "replicator",
        "postgres/patroni": "patroni",
        "grafana/password": "grafana",
    }.items():
        keep(folder / other, password(folder, login), ANYBODY, ROOT)
    if not (folder / "serve" / "master.key").exists():
        keep(folder / "serve" / "master.key", secrets.token_hex(32), OWNER, REGISTRY)


def take_certificate(folder: Path, pem: str) -> None:
    """Keep a certificate and its key for the proxy, if they are one and belong together."""
    with tempfile.NamedTemporaryFile("w", dir=folder) as file:
        file.write(pem)
        file.flush()
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file.name, password=lambda: "")
        except (ssl.SSLError, ValueError) as error:
            sys.exit(f"This is no certificate with its key, without a passphrase: {error}")
    keep(folder / "proxy" / "tls.pem", pem.strip(), OWNER, REGISTRY)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
    if sys.argv[2:] == ["certificate"]:
        take_certificate(Path(sys.argv[1]), sys.stdin.read())
