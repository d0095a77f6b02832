"""An id names one thing in the whole registry, whoever chose it."""

from __future__ import annotations

from tests.support.service import Service
from tests.support.spec import made_id


async def test_an_id_that_a_thing_of_another_cooperation_has_is_refused_and_nothing_is_recorded(
    service: Service,
) -> None:
    one = await service.post("/v1/parties", {"name": "Ministry of Tests", "kind": "ministry", "country": "AZ"})
    other = await service.post("/v1/parties", {"name": "Testers SA", "kind": "company", "country": "FR"})
    opened = {"title": "Ministry and Testers", "parties": [one["id"], other["id"]]}
    first = await service.post("/v1/cooperations", opened)
    second = await service.post("/v1/cooperations", opened)
    met = {
        "id": made_id("meeting", 1),
        "held": "2019-06-18",
        "participants": [{"party": one["id"]}, {"party": other["id"]}],
    }
    size = (await service.post(f"/v1/cooperations/{first['id']}/meetings", met))["size"]
    refused = await service.post(f"/v1/cooperations/{second['id']}/meetings", met, status=409)
    assert refused["code"] == "already-claimed"
    assert [one["pointer"] for one in refused["errors"]] == ["/id"]
    assert (await service.get(f"/v1/meetings/{met['id']}"))["cooperation"] == first["id"]
    assert (await service.parts.log.head()).size == size
