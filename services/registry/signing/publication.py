"""Which checkpoint is the published one: the last that was signed and that enough witnesses have cosigned."""

from __future__ import annotations

from typing import Final

from events.log.checkpoints import Checkpoints, Signed
from events.merkle.note import VerifierKey
from services.registry.signing.signer import NotSigned, Signer, current_origin

NO_WITNESSES: Final[tuple[VerifierKey, ...]] = ()


class Publication:
    """What this process publishes; the same in every process with the same settings."""

    def __init__(
        self,
        checkpoints: Checkpoints,
        signer: Signer | None,
        *,
        origin: str,
        witnesses: tuple[VerifierKey, ...] = NO_WITNESSES,
        quorum: int = 0,
    ) -> None:
        self._checkpoints = checkpoints
        self._signer = signer
        self._settings_origin = origin
        self._witnesses = witnesses
        self._quorum = quorum
        self._signed = 0  # entries that are known to have been signed

    async def signed(self, size: int) -> bool:
        """Whether a checkpoint over so many entries or more was signed: no failover takes those back."""
        if size > self._signed and (latest := await self._checkpoints.latest(await self.origin())) is not None:
            self._signed = max(self._signed, latest.checkpoint.size)
        return size <= self._signed

    async def origin(self) -> str:
        """Return the name that checkpoints are signed under now."""
        return await current_origin(self._checkpoints, self._settings_origin)

    async def checkpoint(self) -> Signed:
        """Return the published checkpoint. Raises `NotSigned`, and why signing has stopped if it has."""
        if self._signer is not None and self._signer.stopped is not None:
            raise self._signer.stopped
        signed = await self.latest()
        if signed is None:
            raise NotSigned(f"No checkpoint of {await self.origin()} has been published yet.")
        return signed

    async def latest(self) -> Signed | None:
        """Return the last checkpoint that could be published, whether or not signing has stopped since."""
        return await self._checkpoints.published(await self.origin(), self._witnesses, self._quorum)

    async def at(self, size: int) -> Signed | None:
        """Return the checkpoint over this very size, if one was signed and enough witnesses have cosigned it."""
        signed = await self._checkpoints.covering(await self.origin(), size)
        if signed is None or signed.checkpoint.size != size:
            return None
        cosigned = sum(any(one.is_of(key) for one in signed.signatures) for key in self._witnesses)
        return signed if cosigned >= self._quorum else None

    async def keys(self) -> list[VerifierKey]:
        """Return the keys that the log's checkpoints verify with: those of its name now first, the newest first."""
        origin = await self.origin()
        keys = await self._checkpoints.verifiers()
        return sorted(keys, key=lambda key: key.name != origin)
