#!/usr/bin/python3
"""Runs barman for the registry: receives WAL, takes base backups on time, and restores one.

In the container `backup` it runs without an argument that matters (`run`). An operator asks it, while it runs:

    docker compose exec backup backup now       # a base backup, at once
    docker compose exec backup backup list      # which there are, and to which times they can be restored
    docker compose exec backup backup check     # whether everything is as it has to be

and restores with deploy/backup/restore.sh.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

SERVER = "registry"
HOME = Path("/var/lib/barman")
WAL = HOME / SERVER / "streaming"
SUPERSEDED = HOME / "superseded"
BREAKS = HOME / "breaks.json"
STATUS = Path("/var/lib/backup-status/status.json")
RESTORED = Path(os.environ.get("RESTORED", "/restored"))
HOURS = float(os.environ.get("BACKUP_HOURS", "24"))  # between two base backups
GIVEN = Path("/run/secrets/pgpass")
PASSWORDS = Path(os.environ.get("PGPASSFILE", "pgpass"))
# How often what was received is filed, and what is due is looked for. barman tells nobody: its `cron` is to be run time
# after time. While something is wrong it is looked at more often, so that a start is not held up.
TURN_SECONDS = 10
TROUBLED_SECONDS = 1
DEAF_SECONDS = 30  # how long no WAL is received before it is asked whether any can be
FAILED_SECONDS = 300  # how long a base backup that failed is not tried again
LATE = timedelta(hours=HOURS * 1.25)
UNFINISHED = re.compile(r"[0-9A-F]{24}\.partial")
# A slot that keeps nothing yet has no place in WAL.
LOST = """SELECT wal_status = 'lost' OR NOT active AND coalesce(restart_lsn, 'FFFFFFFF/FFFFFFFF') > :'end'::pg_lsn
    FROM pg_replication_slots WHERE slot_name = 'registry_backup'"""
OF_A_TIMELINE = re.compile(r"[0-9A-F]{24}(\.partial)?$|[0-9A-F]{8}\.history$")


class Break(NamedTuple):
    """When what was received ceased to go on: something was restored, as it was at `to` or all of it, or WAL was lost.

    `timeline` is the last that anything had been received of. A base backup of before helps nothing that came after.
    """

    at: datetime
    timeline: int
    lost: bool
    to: datetime | None


class Refused(Exception):
    """What was asked for cannot be done, and why, in words for the operator."""


def take_password() -> None:
    """Copy the password to where libpq reads it: into memory, in a file that is this user's alone."""
    if GIVEN.exists():
        with os.fdopen(os.open(PASSWORDS, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
            file.write(GIVEN.read_text())


def barman(*arguments: str, check: bool = True) -> str:
    """Run barman and return what it prints. Raises `Refused` with what it complains of."""
    done = subprocess.run(["barman", *arguments], capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise Refused(f"barman {' '.join(arguments)}: {(done.stderr.strip() or done.stdout.strip())}")
    return done.stdout


def listed() -> list[dict[str, str]]:
    """Return all base backups that barman knows, complete or not."""
    found: list[dict[str, str]] = json.loads(barman("--format", "json", "list-backups", SERVER)).get(SERVER, [])
    return found


def backups() -> list[dict]:
    """Return the base backups that are complete, the oldest first."""
    done = [one for one in listed() if one.get("status") in (None, "DONE") and one.get("end_time_timestamp")]
    return sorted(done, key=lambda one: int(one["end_time_timestamp"]))


def ended(backup: dict) -> datetime:
    return datetime.fromtimestamp(int(backup["end_time_timestamp"]), UTC)


def breaks() -> list[Break]:
    """Return them, the first first."""
    found = json.loads(BREAKS.read_text()) if BREAKS.exists() else []
    return [Break(moment(one["at"]), one["timeline"], one["lost"], one["to"] and moment(one["to"])) for one in found]


def note_break(to: datetime | None = None, *, lost: bool = False) -> None:
    """Write a break down before anything comes of it: one that came to nothing does no harm, a missing one does."""
    noted = [*breaks(), Break(datetime.now(UTC), newest_timeline(), lost, to)]
    keep(BREAKS, [{**one._asdict(), "at": written(one.at), "to": one.to and written(one.to)} for one in noted])


def newest_timeline() -> int:
    """Return the last timeline of which any WAL was received."""
    names = [path.name for folder in (WAL, SUPERSEDED, HOME / SERVER / "wals") for path in folder.rglob("*")]
    return max((int(name[:8], 16) for name in names if OF_A_TIMELINE.match(name)), default=1)


def newest() -> datetime | None:
    """Return when the newest base backup ended that helps what runs now."""
    since = max((one.at for one in breaks()), default=None)
    done = [ended(one) for one in backups() if since is None or ended(one) > since]
    return done[-1] if done else None


def told() -> dict:
    """Return what was told last."""
    return json.loads(STATUS.read_text()) if STATUS.exists() else {"finished": None, "failed": None}


def tell(failed: datetime | None = None) -> None:
    """Let `registry doctor` know how old the newest base backup is, or that an attempt failed (docs/operations.md)."""
    before = told()
    if failed is None and before["failed"]:
        failed = moment(before["failed"])
    last = newest()
    if failed and last and last >= failed:
        failed = None
    status = {"finished": last and written(last), "failed": failed and written(failed), "hours": HOURS}
    if status != before:
        keep(STATUS, status)


def keep(path: Path, what: object) -> None:
    """Write a file whole or not at all, for everybody to read."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(what) + "\n")
    unfinished.chmod(0o644)
    unfinished.replace(path)


def file_wal() -> None:
    """Have PostgreSQL begin another WAL file, and wait until the one before it is received and filed."""
    barman("switch-wal", "--force", "--archive", "--archive-timeout", "120", SERVER)


def written(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def say(text: str) -> None:
    print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}", flush=True)


def now(_: argparse.Namespace) -> None:
    """Take a base backup, wait until all WAL that it needs is there, and tell how it went."""
    try:
        take()
    except Refused:
        tell(failed=datetime.now(UTC))
        raise
    tell()


def take() -> None:
    # There has to be WAL on file that shows that all of it can be: of a server that nobody used yet there is none.
    file_wal()
    barman("backup", "--immediate-checkpoint", SERVER)
    # The file behind the backup's last is closed too: where a backup ends with its file, barman waits for the next.
    file_wal()
    barman("check-backup", SERVER, max(one["backup_id"] for one in listed()))
    done = backups()
    if not done:
        raise Refused("barman says that it has taken a backup, and lists none")
    say(f"base backup {done[-1]['backup_id']} is complete; {len(done)} are kept")


def list_(_: argparse.Namespace) -> None:
    done = backups()
    if not done:
        print("There is no base backup yet: `backup now` takes one.")
        return
    print("backup           restores to any time from")
    for one in done:
        print(f"{one['backup_id']}  {ended(one):%Y-%m-%dT%H:%M:%SZ}")
    print("up to the newest WAL that was received.")
    for one in breaks():
        what = "a restore was begun, to " + (written(one.to) if one.to else "the last that was received")
        print(f"{one.at:%Y-%m-%dT%H:%M:%SZ}  {'WAL from before was lost' if one.lost else what}")


def check(_: argparse.Namespace) -> None:
    done = subprocess.run(["barman", "check", SERVER], check=False)
    if done.returncode:
        raise Refused("something is not as it has to be: see the lines with FAILED")


def healthy(_: argparse.Namespace) -> None:
    """Be quick: look at what `run` keeps up, and ask neither PostgreSQL nor barman."""
    last = told()["finished"]
    if last is None or datetime.now(UTC) - moment(last) > LATE:
        raise Refused(f"the newest base backup is of {last or 'never'}")
    if not receiving():
        raise Refused("no WAL is being received")


def receiving() -> bool:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                command = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if b"pg_receivewal" in command:
                return True
    return False


def run(_: argparse.Namespace) -> None:
    """Until SIGTERM: have WAL received and filed, and a base backup taken whenever one is due."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    put_off, told, heard = 0.0, "", time.monotonic()
    while True:
        try:
            if receiving():
                heard = time.monotonic()
            elif time.monotonic() - heard > DEAF_SECONDS and lost():
                anew(argparse.Namespace())
            barman("cron")
            tell()
            last = newest()
            due = last is None or datetime.now(UTC) - last >= timedelta(hours=HOURS)
            if due and time.monotonic() >= put_off:
                put_off = time.monotonic() + (FAILED_SECONDS if last else TURN_SECONDS)
                if receiving():
                    now(argparse.Namespace())
            trouble = "" if receiving() else "no WAL is being received (yet)"
        except Refused as refused:
            trouble = str(refused)
        if trouble != told:
            say(trouble or "WAL is being received")
            told = trouble
        time.sleep(TROUBLED_SECONDS if trouble else TURN_SECONDS)  # SIGTERM ends it at once


def moment(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 2027-01-31T12:00:00Z") from None
    if at.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} does not say in which time zone: put Z behind it for UTC")
    return at.astimezone(UTC)


def choose(at: datetime | None) -> tuple[str, str]:
    """Return the base backup and the timeline that lead to a time, or to the last that was received.

    A time from before a break may have been on the timeline that was left then, and on none after it.
    """
    past = [one for one in breaks() if at is None or one.at <= at]
    later = breaks()[len(past) :]
    done = [one for one in backups() if at is None or ended(one) <= at]
    fit = [one for one in done if not past or ended(one) > past[-1].at]
    if not fit and past and at is None:
        # Not of what ran between the time that was restored to and that restore: it is none of what ran after.
        fit = [one for one in done if not any(made.to and made.to < ended(one) <= made.at for made in past)]
        say(f"no base backup was completed since {past[-1].at:%Y-%m-%dT%H:%M:%SZ}: what came after may not be restored")
    if not fit:
        raise Refused("there is no base backup from before then: `backup list` shows to which times there is one")
    return fit[-1]["backup_id"], str(later[0].timeline) if later else "latest"


def restore(asked: argparse.Namespace) -> None:
    """Restore into the empty folder /restored, to a time or to the last that was received."""
    if RESTORED.exists() and any(RESTORED.iterdir()):
        raise Refused(f"{RESTORED} is not empty: what is there is not overwritten. Restore into a new volume.")
    at = asked.at
    if at is not None and at > datetime.now(UTC):
        raise Refused(f"{at:%Y-%m-%dT%H:%M:%SZ} is still to come: leave --at out to restore all there is")
    chosen, timeline = choose(at)
    if any(re.fullmatch(r"[0-9A-F]{24}", path.name) for path in WAL.glob("*")):  # what is complete is filed first
        barman("archive-wal", SERVER, check=False)
    # A timeline is named so that what is restored begins one of its own, and no WAL gets a name that is on file.
    arguments = ["--target-tli", timeline, "--target-action", "promote"]
    if at is not None:
        arguments += ["--target-time", at.strftime("%Y-%m-%d %H:%M:%S.%f+00:00")]
    say(f"restoring base backup {chosen}, on timeline {timeline}")
    RESTORED.mkdir(mode=0o700, parents=True, exist_ok=True)
    barman("restore", *arguments, SERVER, chosen, str(RESTORED))
    # The server has the folder at another place than this container.
    settings = RESTORED / "postgresql.auto.conf"
    settings.write_text(settings.read_text().replace(f"{RESTORED}/barman_wal", "barman_wal"))
    note_break(at)
    add_unfinished()
    say(
        f"restored; PostgreSQL replays WAL up to {at:%Y-%m-%dT%H:%M:%S.%fZ}"
        if at
        else "restored; PostgreSQL replays all WAL that was received"
    )


def put_aside() -> None:
    """Let WAL be received from where PostgreSQL is by then, not from where the file ends that was being written."""
    SUPERSEDED.mkdir(exist_ok=True)
    for path in WAL.glob("*.partial"):
        path.rename(SUPERSEDED / path.name)


def anew(_: argparse.Namespace) -> None:
    """Give up WAL that was not received, and receive what is written from now on; a base backup is due then."""
    note_break(lost=True)
    barman("receive-wal", "--stop", SERVER, check=False)
    barman("receive-wal", "--drop-slot", SERVER, check=False)
    put_aside()
    say("WAL that was not received is given up, and what is written from now on is received")


def lost() -> bool:
    """Ask PostgreSQL whether WAL is gone that was not received: it keeps no more than max_slot_wal_keep_size.

    Where somebody has dropped the slot that said so, the new one begins behind what was received.
    """
    received = (end_of(path) for path in WAL.glob("*.partial") if UNFINISHED.fullmatch(path.name))
    end = max(received, default=2**64 - 1)
    command = ["psql", "-XqAt", "--no-password", "-v", f"end={end >> 32:X}/{end & 0xFFFFFFFF:X}"]
    command.append("user=registry_backup dbname=postgres connect_timeout=5")
    return subprocess.run(command, input=LOST, capture_output=True, text=True, check=False).stdout.strip() == "t"


def end_of(file: Path) -> int:
    """Return where in WAL a file of it ends."""
    return (int(file.name[8:16], 16) << 32) + (int(file.name[16:24], 16) + 1) * file.stat().st_size


def add_unfinished() -> None:
    """Give what is restored the WAL file that was being written when PostgreSQL went: barman files whole ones only.

    The server that was restored goes on elsewhere, so it is put aside, for the next time that one is restored.
    """
    put_aside()
    for path in SUPERSEDED.glob("*.partial"):
        filed = RESTORED / "barman_wal" / path.name.removesuffix(".partial")
        if UNFINISHED.fullmatch(path.name) and filed.parent.is_dir() and not filed.exists():
            shutil.copy(path, filed)


def main() -> int:
    parser = argparse.ArgumentParser(prog="backup", description="Backups of the registry's database.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, do, text in (
        ("run", run, "receive WAL and take base backups on time, until SIGTERM: what the container does"),
        ("now", now, "take a base backup at once, and wait until it is complete"),
        ("list", list_, "list the base backups"),
        ("anew", anew, "give up WAL that was not received, where what is received cannot go on from there"),
        ("check", check, "check everything that backups need (barman check); exits with 1 if something is wrong"),
        ("healthy", healthy, "exit with 0 while WAL is received and the newest base backup is recent"),
        ("restore", restore, "restore into /restored, which is empty; see restore.sh"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(do=do)
        if name == "restore":
            command.add_argument(
                "--at",
                type=moment,
                metavar="TIME",
                help="the time to restore to, such as 2027-01-31T12:00:00Z; without it, all that was received",
            )
    asked = parser.parse_args()
    try:
        take_password()
        asked.do(asked)
    except Refused as refused:
        print(f"backup: {refused}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
