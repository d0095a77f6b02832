"""Runs Patroni over the PostgreSQL of this container: its configuration is made of the container's name and secrets.

NODE is the node's name, by which the others reach it; ETCD names the members of etcd, separated by commas. What is
under `dcs` is put into etcd once, by the first node of a new cluster; later it is changed by `patronictl edit-config`.
docs/adr/0029 has the reasons.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

SECRETS = Path("/run/secrets")
CONFIGURATION = Path("/tmp/patroni/patroni.yml")  # noqa: S108 - of this container alone, in memory; JSON is YAML
DATA = "/var/lib/postgresql/data/node"
# What deploy/backup/restore.sh has restored. The folder above it stays, so that nothing else is begun in its place.
RESTORED = Path("/var/lib/postgresql/data/restored/node")

# A primary that is gone is replaced when its lease has run out, which it renews every `loop_wait`. Patroni takes no
# less than 20 seconds, and wants loop_wait + 2 * retry_timeout within them: a primary that cannot renew its lease has
# stepped down before another is made.
TIMES = {"ttl": 20, "loop_wait": 4, "retry_timeout": 8, "primary_start_timeout": 10}

# Strict: a commit is answered when a second node has it on its disk, always. Without, Patroni would let the last node
# that stands answer alone, and what it answered would be lost with it. No less a fence: a primary that was cut off has
# no standby, and so cannot answer, whatever it believes itself to be.
SYNCHRONOUS = {"synchronous_mode": True, "synchronous_mode_strict": True, "synchronous_node_count": 1}

PARAMETERS = {
    "synchronous_commit": "on",
    "wal_level": "replica",
    "hot_standby": "on",
    "max_connections": 200,
    "max_wal_senders": 10,
    "max_replication_slots": 10,
    "max_slot_wal_keep_size": "8GB",  # as in the compose file, for backups
    "wal_log_hints": "on",
    # Who reads from a standby holds replay up for so long at most, and vacuum as long as the read takes.
    "max_standby_streaming_delay": "5s",
    "hot_standby_feedback": "on",
    "wal_retrieve_retry_interval": "500ms",  # how soon a standby looks for the new primary
    "wal_receiver_timeout": "10s",
    "wal_sender_timeout": "10s",
    "tcp_keepalives_idle": 5,
    "tcp_keepalives_interval": 2,
    "tcp_keepalives_count": 3,
}


def secret(name: str) -> str:
    """Return one of the secrets that are mounted."""
    return (SECRETS / name).read_text(encoding="utf-8").strip()


def begun_from() -> dict[str, object]:
    """Return how the cluster is begun, if it has not been: with what was restored on this node, else with initdb.

    PostgreSQL then replays WAL as it was told by who restored it, and is the primary when it is done.
    """
    if not RESTORED.parent.exists():
        return {}
    method = {"command": f"mv {RESTORED} {DATA}", "no_params": True, "keep_existing_recovery_conf": True}
    return {"method": "restored", "restored": method}


def configuration(node: str, etcd: str) -> dict[str, object]:
    """Return what Patroni is told."""
    return {
        "scope": "registry",
        "name": node,
        # Reading is open to whoever reaches the port; to switch over and to restart needs the password.
        "restapi": {
            "listen": "0.0.0.0:8008",
            "connect_address": f"{node}:8008",
            "authentication": {"username": "patroni", "password": secret("patroni")},
        },
        "etcd3": {"hosts": [f"{member}:2379" for member in etcd.split(",")]},
        "bootstrap": {
            **begun_from(),
            "dcs": {
                **TIMES,
                **SYNCHRONOUS,
                "failsafe_mode": True,  # where etcd is gone, a primary that reaches all nodes goes on
                "postgresql": {
                    "use_pg_rewind": True,
                    "use_slots": True,
                    "remove_data_directory_on_rewind_failure": True,
                    "remove_data_directory_on_diverged_timelines": True,
                    "parameters": PARAMETERS,
                },
            },
            "initdb": ["data-checksums", {"encoding": "UTF8"}, {"locale": "C.UTF-8"}],
        },
        "postgresql": {
            "listen": "0.0.0.0:5432",
            "connect_address": f"{node}:5432",
            "data_dir": DATA,
            "bin_dir": "/usr/lib/postgresql/17/bin",
            "pgpass": str(CONFIGURATION.with_name("pgpass")),
            "use_unix_socket": True,
            "parameters": {"unix_socket_directories": "/var/run/postgresql"},
            "authentication": {
                "superuser": {"username": "postgres", "password": secret("password")},
                "replication": {"username": "replicator", "password": secret("replication")},
            },
            "pg_hba": [
                "local all postgres peer",  # who runs in this container has its password anyway
                "local all all scram-sha-256",
                "host replication replicator samenet scram-sha-256",
                "host replication registry_backup samenet scram-sha-256",
                "host all all samenet scram-sha-256",
                "host all all 127.0.0.1/32 scram-sha-256",
            ],
        },
    }


def main() -> None:
    """Write the configuration where nobody else reads it, and become Patroni."""
    os.umask(0o077)
    CONFIGURATION.parent.mkdir(exist_ok=True)
    CONFIGURATION.write_text(json.dumps(configuration(os.environ["NODE"], os.environ["ETCD"])), encoding="utf-8")
    os.execv("/usr/bin/patroni", ["patroni", str(CONFIGURATION)])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
