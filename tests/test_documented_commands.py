"""Every command of the README and of docs/ is one that works: the words are the program's, and something runs it.

Commands are the lines of indented and fenced blocks that begin with a program, and what stands in backticks in a text.
Each of a block has a row in RUN_BY, which names the test or script that runs it, or says why none can.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer.main

from cmw.cli import main as cli
from tests.load.runs import report, summary

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

PROGRAMS = (
    "cmw curl cp docker echo export find git helm install key kill kubectl make pip python python3.11 systemctl".split()
)
ASSIGNMENT = re.compile(r"^(?:[A-Z][A-Z_]*=\S* )+")
EXPLANATION = re.compile(r"\s{2,}.*$")
"""What stands two spaces behind a command is said of it."""

NOT_A_COMMAND = re.compile(r"cmw[-./_\[:|]|cmw run\b.*cmw|cmw$")

RUN_BY = {
    r"cmw (--help|schema \w+)": "tests/cli/test_main.py",
    r"cmw analyze": "tests/peers/test_analyze.py",
    r"cmw answer": "tests/cli/test_answer_command.py",
    r"cmw answer .*--registrar": "tests/cli/test_registrar.py",
    r"cmw call": "tests/cli/test_call_command.py",
    r"cmw call sips:": "tests/cli/test_call_command.py",
    r"cmw gateway": "tests/faults/lab.py",
    r"cmw run": "tests/faults/test_signals.py",
    r"cmw (keys|projects|registrars|tests|workers|runs) ": "tests/cli/test_gateway_commands.py",
    r"cmw worker$": "tests/faults/lab.py",
    r"make (demo|peers|check|fuzz|test)": "Makefile",
    r"make bench": "tests/worker/test_bench.py",
    r"make image": ".ci/image-test",
    r"python3.11 -m venv /opt/cmw": "Dockerfile",
    r"pip install .*\.": ".ci/setup",
    r"curl http://localhost:3030/health": ".ci/image-test",
    r"curl .*/api/v1/": "tests/gateway/test_api.py",
    r"key=": "tests/gateway/test_api.py",
    r"docker compose": ".ci/compose-test",
    r"docker (run|exec|kill|cp)": "needs a daemon; .ci/image-test runs the same image with the same words for podman",
    r"kubectl": "needs a cluster",
    r"helm": "needs a cluster; tests/deploy/test_helm.py renders the chart and checks the objects",
    r"(cp -a|find) /var/lib/cmw": "tests/gateway/test_upgrade.py",
    r"systemctl": "needs systemd as PID 1; tests/deploy/test_systemd.py checks the units",
    r"(install|cp) .*(token|systemd)": "tests/deploy/test_systemd.py",
    r"(echo|export|git) ": "the user's own files",
    r"kill -USR1": "tests/faults/test_worker_operator.py",
}
"""What runs the commands of blocks: a file or test of this tree, or the reason why nothing here can."""


class Command(NamedTuple):
    """One command of a page, without what is said of it."""

    page: str
    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)


def blocks(text: str) -> Iterator[str]:
    """Yield the lines of indented and fenced blocks, those that go on put together."""
    text = re.sub(r"\\\n\s*|(?<=,)\n\s+(?=\")", "", text)
    fenced = re.findall(r"^```(?:sh|bash)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from (line for block in fenced for line in block.splitlines())
    yield from re.findall(r"^ {4}(?=\S)(.*)$", rest, re.MULTILINE)


def commands_of_block(line: str) -> Iterator[str]:
    """Yield the commands of a line, without comments and assignments before them."""
    line = re.sub(r"\s+#.*$", "", line)
    for part in re.split(r" && |\s{4,}(?=(?:cmw|kill|docker) )", line):
        command = ASSIGNMENT.sub("", EXPLANATION.sub("", part.strip()))
        if re.split(r"[ =]", command)[0] in PROGRAMS:
            yield command


def in_blocks() -> list[Command]:
    return [
        Command(page.name, command)
        for page in PAGES
        for line in blocks(page.read_text())
        for command in commands_of_block(line)
    ]


def in_texts() -> list[Command]:
    found = [(page.name, text) for page in PAGES for text in re.findall(r"`(cmw [^`\n]+)`", page.read_text())]
    return [Command(page, text.split("\\|")[0]) for page, text in found if not NOT_A_COMMAND.match(text)]


def distinct(commands: list[Command]) -> list[Command]:
    return list({command.text: command for command in reversed(commands)}.values())


EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
BLOCKS = distinct(in_blocks())
OURS = distinct([command for command in BLOCKS + in_texts() if command.text.startswith("cmw ")])


def test_there_are_commands_on_the_pages_for_beginners() -> None:
    assert {"README.md", "installation.md", "gateway.md", "upgrade.md"} <= {command.page for command in in_blocks()}


@pytest.mark.parametrize("command", BLOCKS, ids=lambda command: command.text[:50])
def test_every_command_of_a_block_is_run_or_has_its_reason(command: Command) -> None:
    assert [pattern for pattern in RUN_BY if re.match(pattern, command.text)] != [], "a row of RUN_BY is missing"


@pytest.mark.parametrize(("pattern", "where"), RUN_BY.items())
def test_every_row_is_needed_and_names_what_is_there(pattern: str, where: str) -> None:
    assert any(re.match(pattern, command.text) for command in BLOCKS), "no page has such a command"
    named = re.findall(r"(?:tests|deploy|\.ci)/[\w./-]*\w|^(?:Makefile|Dockerfile)$", where)
    assert [name for name in named if not (ROOT / name).exists()] == []
    assert named or where.startswith(("needs ", "the user's")), where


@pytest.mark.parametrize("command", [c for c in BLOCKS if c.text.startswith("cmw ")], ids=lambda c: c.text[:50])
def test_what_runs_it_says_its_words(command: Command) -> None:
    files = [where for pattern, where in RUN_BY.items() if re.match(pattern, command.text)]
    verbs = [word for word in command.words[1:3] if re.fullmatch(r"[a-z-]+", word)]
    texts = [(ROOT / file).read_text() for file in files]
    assert any(all(f'"{verb}"' in text for verb in verbs) for text in texts), (verbs, files)


@pytest.mark.parametrize("command", BLOCKS, ids=lambda command: command.text[:50])
def test_a_shell_takes_it(command: Command) -> None:
    text = re.sub(r"<\w+>", "NAME", command.text)
    assert subprocess.run(["bash", "-n", "-c", text], capture_output=True, check=False).stderr == b""


@pytest.mark.parametrize("command", OURS, ids=lambda command: command.text[:50])
def test_its_words_are_the_programs(command: Command) -> None:
    words = [word for word in command.words[1:] if word not in ("[--json]", "...")]
    command_here: Any = typer.main.get_command(cli.build_app(words[0]))
    while (nouns := getattr(command_here, "commands", None)) and words and not words[0].startswith("-"):
        if words[0] not in nouns and command_here.invoke_without_command:
            break  # a word for the group itself
        assert words[0] in nouns, f"there is no command {words[0]!r}"
        command_here = nouns[words.pop(0)]
    known = {name for option in command_here.params for name in (*option.opts, *option.secondary_opts)}
    used = {match[0].lstrip("[") for word in words if (match := re.match(r"\[?--?[a-z][\w-]*", word))}
    assert used - known - {"--help", "-h"} == set()


@pytest.mark.parametrize(
    "module",
    sorted({m for page in PAGES for m in re.findall(r"python -m ((?:bench|cmw|tests)[.\w]+)", page.read_text())}),
)
def test_a_module_is_there(module: str) -> None:
    assert importlib.util.find_spec(module) is not None


@pytest.mark.parametrize("plan", EXAMPLES, ids=lambda plan: plan.name)
def test_every_example_is_a_plan(plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--baseline", str(earlier_run(tmp_path))] if "--baseline" in plan.read_text() else []
    assert cli.run_command(["run", str(plan), "--check", *words]) == 0, capsys.readouterr().err


def earlier_run(directory: Path) -> Path:
    """Write the summary of a run for plans that compare with one."""
    document = summary(endpoints=[report(0, "callers")]).to_document()
    spread = dict.fromkeys(("count", "mean", "min", "p5", "p50", "p95", "p99", "max"), 4)
    document["media"]["receive"]["mos"] = document["timing"]["call_setup_time_ms"] = spread
    path = directory / "summary.json"
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("plan", EXAMPLES, ids=lambda plan: plan.name)
def test_every_example_says_what_to_run_and_is_run(plan: Path) -> None:
    first, *head = [line for line in plan.read_text().splitlines() if line.startswith("#")]
    assert first == "# yaml-language-server: $schema=plan.schema.json"
    told = "\n".join(head)
    assert f"cmw run examples/{plan.name}" in told
    assert "the other side" in told
    assert f'"{plan.stem}"' in (ROOT / "tests" / "peers" / "test_examples.py").read_text()
    assert f"examples/{plan.name}" in (ROOT / "docs" / "examples.md").read_text()


@pytest.mark.parametrize("target", sorted({c.words[1] for c in BLOCKS if c.text.startswith("make ")}))
def test_a_target_is_there(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
