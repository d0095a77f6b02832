"""How the story is told: over HTTP, on its own days, each command citing the paper that lay on the table."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from services.registry.sample.report import Report
from tests.support.service import Service, StoppedClock
from tests.support.world import World

MINUTE = timedelta(minutes=1)


def text_of(name: str) -> Report:
    """One of the story's papers."""
    return Report(Path(__file__).with_name(f"{name}.txt").read_text(encoding="utf-8"))


class Telling(World):
    """Records the story, and keeps under a name the ids that were given and the positions of their entries."""

    def __init__(self, service: Service, clock: StoppedClock) -> None:
        super().__init__(service)
        self._clock = clock
        self._paper: tuple[str, Report] | None = None
        self.positions: dict[str, int] = {}
        self.sizes: dict[str, int] = {}
        """The log's size at the end of each day on which something was recorded."""

    def today(self, day: str) -> None:
        """Go on to a day, at nine in the morning (UTC)."""
        self._clock.moment = datetime.fromisoformat(f"{day}T09:00:00").replace(tzinfo=UTC)

    async def read(self, name: str, **metadata: Any) -> None:
        """File a paper, together with its text; what follows cites it."""
        report = text_of(name)
        gazette = {"title": f"Quayside Gazette of {name}", "publisher": "Quayside Gazette", "published": name}
        said = {**gazette, "language": "en", "place": {"country": "NO", "city": "Bergen"}, **metadata}
        answer = await self.service.client.post(
            "/v1/sources",
            files={
                "metadata": (None, json.dumps(said), "application/json"),
                "document": (f"{name}.txt", report.content, "text/plain"),
            },
        )
        assert answer.status_code == 201, answer.text
        self._keep(name, answer.json())
        self._paper = (name, report)

    async def today_read(self, day: str) -> None:
        """Go on to the day of an issue of the Gazette, and file it."""
        self.today(day)
        await self.read(day)

    def cite(self, *words: str) -> list[dict[str, Any]]:
        """Cite the sentences of the paper that have these words in them."""
        assert self._paper is not None
        name, report = self._paper
        return report.cite(self.ids[name], *words)

    async def say(self, name: str, path: str, /, *words: str, **body: Any) -> dict[str, Any]:
        """Post a command; `$names` in it are those that things were given before."""
        cited = {"citations": self.cite(*words)} if words else {}
        answer = await self.record(name, path, {"classification": "public", **cited, **body})
        self._keep(name, answer)
        return answer

    async def say_together(self, key: str, commands: dict[str, dict[str, Any]]) -> None:
        """Post several commands, all or nothing, under an idempotency key: a batch, command by name."""
        batch = {"commands": [self.fill(one) for one in commands.values()]}
        answer = await self.service.post("/v1/batch", batch, Idempotency_Key=key)
        assert await self.service.post("/v1/batch", batch, status=200, Idempotency_Key=key) == answer
        for name, one in zip(commands, answer["results"], strict=True):
            self._keep(name, {**one, "size": answer["size"]})

    async def correct(self, name: str, of: str, /, *words: str, reason: str, **fields: Any) -> None:
        """Correct what was recorded under a name: its entry as it stands in the log, with other fields."""
        position = self.positions[of]
        entry = await self.service.get(f"/v1/log/entries/{position}")
        said = entry["data"].get("replacement", entry["data"])
        replacement = {**said, "citations": self.cite(*words), **fields}
        path = f"/v1/log/entries/{position}/correct"
        await self.say(name, path, *words, replacement=replacement, reason=reason)

    async def retract(self, name: str, of: str, /, *words: str, reason: str) -> None:
        """Retract what was recorded under a name."""
        await self.say(name, f"/v1/log/entries/{self.positions[of]}/retract", *words, reason=reason)

    def _keep(self, name: str, answer: dict[str, Any]) -> None:
        self.ids[name] = answer["id"]
        entry, *_ = answer["entries"]
        self.positions[name] = entry["position"]
        self.sizes[self._clock.moment.date().isoformat()] = answer["size"]
        self._clock.moment += MINUTE
