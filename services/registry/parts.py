"""The parts that a running registry is made of, as `main` puts them together and everything else is handed them."""

from __future__ import annotations

import msgspec

from events.log import Log
from events.log.read import Pool
from events.vault import MasterKey, Vault
from projections.reader import ReadModels
from services.registry.clock import Clock
from services.registry.commands import Commands
from services.registry.settings import Settings


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """An open registry: its log, its vault, its commands, its read models, over one pool of connections."""

    settings: Settings
    clock: Clock
    pool: Pool
    log: Log
    master: MasterKey
    vault: Vault
    commands: Commands
    read_models: ReadModels
