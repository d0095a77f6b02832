from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from services.registry.settings import InvalidSettings
from services.registry.signing import policy
from services.registry.signing.policy import Policy, Witness
from tests.support.witnessing import Log, witness_key

ONE = witness_key("witness.test/w1", seed=1).verifier
TWO = witness_key("witness.test/w2", seed=2).verifier
LOG_KEY = Log().key.verifier


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(InvalidSettings) as refused:
        policy.parse(text.encode())
    return refused.value.problems


def test_without_a_file_nobody_is_asked():
    assert policy.read(None) == Policy((), 0)


def test_a_file_names_witnesses_and_how_many_have_to_cosign(tmp_path: Path):
    file = tmp_path / "witnesses"
    file.write_text(
        f"# ours\n\nwitness {ONE.text} https://one.test/\n  witness {TWO.text}\thttp://two.test:81/a/b\r\nquorum 1\n"
    )
    assert policy.read(file) == Policy((Witness(ONE, "https://one.test"), Witness(TWO, "http://two.test:81/a/b")), 1)


def test_a_file_that_cannot_be_read_is_told_without_its_path(tmp_path: Path):
    with pytest.raises(InvalidSettings) as refused:
        policy.read(tmp_path / "none")
    assert refused.value.problems == ("REGISTRY_WITNESS_FILE: the file cannot be read: No such file or directory.",)
    (tmp_path / "long").write_bytes(b"#" * (policy.MAX_BYTES + 1))
    with pytest.raises(InvalidSettings, match="more than 65536 bytes"):
        policy.read(tmp_path / "long")


def test_every_wrong_line_is_told_with_its_number():
    told = problems(
        f"witness {ONE.text} https://one.test\nwitnes x y\n# fine\nwitness nonsense https://two.test\n"
        f"witness {LOG_KEY.text} https://three.test\nwitness {TWO.text} ftp://two.test\nwitness {TWO.text}\n"
        f"witness {ONE.text} https://again.test\nquorum many\nquorum 1\nquorum 1\n"
    )
    numbers = [re.findall(r"^REGISTRY_WITNESS_FILE: line (\d+)\b", line) for line in told]
    assert numbers == [[str(number)] for number in (2, 4, 5, 6, 7, 8, 9, 11)]
    assert "named twice" in told[5]


@pytest.mark.parametrize(
    "prefix", ["", "one.test", "https://", "https:///a", "https://user@one.test", "https://one.test?a", "http://a:b:c/",
               "https://one.test#a", "https://[::1", "file:///etc", "http://one.test:99999"],
)  # fmt: skip
def test_a_prefix_that_requests_cannot_go_below_is_refused(prefix: str):
    assert "line 1" in problems(f"witness {ONE.text} {prefix}\nquorum 0\n")[0]


def test_the_quorum_has_to_be_said_and_within_reach():
    assert "no line says the quorum" in problems(f"witness {ONE.text} https://one.test\n")[0]
    assert (
        "line 2: a quorum of 2 cannot be reached with 1"
        in problems(f"witness {ONE.text} https://one.test\nquorum 2\n")[0]
    )
    assert "line 1: the quorum is no number" in problems("quorum -1\n")[0]
    assert policy.parse(b"quorum 0\n") == Policy((), 0)


WORDS = st.sampled_from(
    [
        "witness",
        "quorum",
        "#",
        "0",
        "1",
        "٣",
        ONE.text,
        TWO.text,
        ONE.text[:-1],
        LOG_KEY.text,
        "https://one.test",
        "x+y",
    ]
)


@given(
    st.binary(max_size=200)
    | st.lists(st.lists(WORDS | st.text(max_size=20), max_size=4).map(" ".join), max_size=6).map(
        lambda lines: "\n".join(lines).encode(errors="surrogatepass")
    )
)
def test_whatever_a_file_holds_it_is_a_policy_or_its_wrong_lines_are_named(raw: bytes):
    try:
        read = policy.parse(raw)
    except InvalidSettings as refused:
        named, read = refused.problems, Policy()
    else:
        named = (f"{policy.VARIABLE}: nothing",)
        event("a policy")
    assert named
    assert all(line.startswith("REGISTRY_WITNESS_FILE: ") for line in named)
    assert 0 <= read.quorum <= len(read.witnesses)
    assert len({key.name for key in read.keys}) == len(read.witnesses)
