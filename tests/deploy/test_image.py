"""The Dockerfile, by its instructions; `.ci/image-test` builds the image and runs it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).parents[2]


class Instruction(NamedTuple):
    """One of a Dockerfile, with the lines that go on put together."""

    name: str
    words: str


def stages() -> list[list[Instruction]]:
    """Return the instructions before the first stage, then those of each stage."""
    text = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE))
    found: list[list[Instruction]] = [[]]
    for line in filter(None, text.splitlines()):
        name, _, words = line.partition(" ")
        if name == "FROM":
            found.append([])
        found[-1].append(Instruction(name, words.strip()))
    return found


GLOBAL, BUILD, FINAL = stages()


def of_final(name: str) -> list[str]:
    return [instruction.words for instruction in FINAL if instruction.name == name]


def test_it_is_built_in_two_stages_from_a_base_that_can_be_chosen() -> None:
    assert [instruction.name for instruction in GLOBAL] == ["ARG"]
    assert GLOBAL[0].words.startswith("BASE=python:3.11")
    assert [stage[0].words for stage in (BUILD, FINAL)] == ["${BASE} AS build", "${BASE}"]
    assert of_final("COPY") == ["--from=build /opt/cmw /opt/cmw"]


def test_the_last_stage_has_what_the_health_check_calls_and_no_compiler() -> None:
    [installed] = [words for words in of_final("RUN") if "apt-get install" in words]
    packages = re.search(r"--no-install-recommends ([\w. -]+?) &&", installed)
    assert packages is not None
    assert packages[1].split() == ["curl", "ca-certificates"]
    assert any("gcc" in instruction.words for instruction in BUILD)
    assert not any(re.search(r"\bpip install\b", instruction.words) for instruction in FINAL)


def test_it_runs_as_somebody_without_rights() -> None:
    assert of_final("USER") == ["cmw"]
    assert "useradd --uid 10001" in " ".join(of_final("RUN"))
    assert FINAL.index(Instruction("USER", "cmw")) > max(
        place for place, instruction in enumerate(FINAL) if instruction.name in ("RUN", "COPY")
    )


def test_worker_and_gateway_are_one_image_and_the_worker_is_the_default() -> None:
    assert [json.loads(words) for words in of_final("ENTRYPOINT")] == [["cmw"]]
    assert [json.loads(words) for words in of_final("CMD")] == [["worker"]]


def test_the_health_check_is_that_of_the_page_and_follows_health_port() -> None:
    [check] = of_final("HEALTHCHECK")
    options, _, command = check.partition("CMD ")
    service = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["worker"]["healthcheck"]
    assert dict(word.removeprefix("--").split("=") for word in options.split()) == {
        "interval": service["interval"],
        "timeout": service["timeout"],
        "start-period": service["start_period"],
        "retries": str(service["retries"]),
    }
    assert shlex.split(command)[:3] == ["curl", "-fsS", "http://localhost:${HEALTH_PORT:-3030}/health"]


def test_it_says_what_it_is() -> None:
    labels = dict(word.split("=", 1) for word in shlex.split(" ".join(of_final("LABEL"))))
    assert {name.removeprefix("org.opencontainers.image.") for name in labels} == {
        "title", "description", "licenses", "version", "revision",
    }  # fmt: skip
