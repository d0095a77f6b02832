"""The parts that a running registry is made of, as `main` puts them together and everything else is handed them."""

from __future__ import annotations

import msgspec

from events.log import Log
from events.log.checkpoints import Checkpoints
from events.log.read import Pool
from events.log.tree import Tree
from events.vault import MasterKey, Vault
from projections.reader import ReadModels
from services.registry.answers import Answers
from services.registry.clock import Clock
from services.registry.commands import Commands
from services.registry.present import Presently
from services.registry.settings import Settings
from services.registry.signing.publication import Publication
from services.registry.signing.signer import Signer
from services.registry.signing.witnesses import Witnesses


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """An open registry: its log, its vault, its commands, its read models, over one pool of connections.

    There is a `signer` where the settings name a folder with keys, and `witnesses` where they name some for it to ask.
    """

    settings: Settings
    clock: Clock
    pool: Pool
    log: Log
    tree: Tree
    checkpoints: Checkpoints
    publication: Publication
    signer: Signer | None
    witnesses: Witnesses | None
    master: MasterKey
    vault: Vault
    presently: Presently
    answers: Answers
    commands: Commands
    read_models: ReadModels
