"""The documents say what is so: links lead somewhere, the plan of the README parses, tables are complete."""

from __future__ import annotations

import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest
import yaml

from cmw.cli.exit_codes import ExitCode
from cmw.core.words import OutcomeKind, Phase, RunStatus, Verdict, WorkerState
from cmw.load.generator_bounds import markdown
from cmw.load.plan_parser import parse_plan

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_to_files_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_plan_of_the_readme_is_a_plan() -> None:
    [text] = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    document = yaml.safe_load(text)
    accounts = document["registrars"]["pbx"]["accounts"]
    assert accounts == {"file": "accounts.csv"}
    document["registrars"]["pbx"]["accounts"] = [{"username": f"u{n}", "password": "x"} for n in range(100)]
    plan = parse_plan(document)
    assert sum(group.endpoints for group in plan.groups.values()) == 100


def test_every_exit_code_is_in_the_readme() -> None:
    table = (ROOT / "README.md").read_text().partition("## Exit codes")[2].partition("\n## ")[0]
    assert {int(code) for row in re.findall(r"^\| ([0-9, ]+) \|", table, re.M) for code in row.split(", ")} == set(
        ExitCode
    )


@pytest.mark.parametrize(
    "words", [WorkerState, RunStatus, Verdict, Phase, OutcomeKind], ids=lambda words: words.__name__
)
def test_every_word_is_explained(words: type[WorkerState]) -> None:
    page = (ROOT / "docs" / "words.md").read_text()
    assert [word.name for word in words if f"`{word.name}`" not in page] == []


def test_the_page_of_the_generator_is_made_from_its_bounds() -> None:
    """After a change: python -m cmw.load.generator_bounds > docs/generator.md."""
    assert (ROOT / "docs" / "generator.md").read_text() == markdown()


def test_every_dependency_has_its_line() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    names = {re.split(r"[\[<>=]", name)[0].lower() for name in named} - {"cmw"}
    page = (ROOT / "docs" / "dependencies.md").read_text().lower()
    missing = [name for name in names if name not in page and not (name.startswith("types-") and "types-*" in page)]
    assert missing == []
