"""The chart: its values fit its schema, and what it comes to is what Kubernetes takes."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from cmw import __version__
from cmw.worker.settings import WorkerSettings
from tests.support.chart import merge, render

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "cmw"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
KUBERNETES = ("1.27", "1.37")

VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "with a gateway": {"gateway": {"enabled": True}},
    "with all there is": {
        "image": {"pullSecrets": [{"name": "registry"}]},
        "worker": {
            "replicas": 3,
            "cloudUrl": "gateway.example:443",
            "hostNetwork": False,
            "env": {"LOG_FORMAT": "pretty", "SDP_IP": "203.0.113.10"},
            "nodeSelector": {"kubernetes.io/arch": "amd64"},
            "tolerations": [{"key": "load", "operator": "Exists", "effect": "NoSchedule"}],
        },
        "gateway": {
            "enabled": True,
            "tlsSecret": "tls",
            "storageClass": "fast",
            "tolerations": [{"operator": "Exists"}],
        },
    },
}


def documents(changes: dict[str, Any]) -> list[dict[str, Any]]:
    return render(CHART, merge(VALUES, changes))


def container(changes: dict[str, Any], name: str) -> dict[str, Any]:
    [found] = [
        each
        for document in documents(changes)
        if document["kind"] == "StatefulSet"
        for each in document["spec"]["template"]["spec"]["containers"]
        if each["name"] == name
    ]
    return dict(found)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_values_fit_the_schema(changes: dict[str, Any]) -> None:
    jsonschema.validate(merge(VALUES, changes), SCHEMA)


@pytest.mark.parametrize(
    "changes",
    [
        {"worker": {"replicas": -1}},
        {"worker": {"rtpPortMin": 10001}},
        {"worker": {"cloudUrl": "https://gateway/path"}},
        {"worker": {"env": {"X": 5}}},
        {"worker": {"replica": 1}},
        {"gateway": {"storage": "much"}},
    ],
    ids=str,
)
def test_wrong_values_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(merge(VALUES, changes), SCHEMA)


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_kubernetes_takes_what_it_comes_to(changes: dict[str, Any], version: str) -> None:
    made = documents(changes)
    assert len(made) == (4 if merge(VALUES, changes)["gateway"]["enabled"] else 2)
    for document in made:
        kubernetes_validate.validate(document, version, strict=True)


def test_a_misspelt_field_would_be_found() -> None:
    [document, *_] = documents({})
    document["spec"]["template"]["spec"]["hostNetworks"] = True
    with pytest.raises(kubernetes_validate.ValidationError, match="hostNetworks"):
        kubernetes_validate.validate(document, KUBERNETES[0], strict=True)


@pytest.mark.skipif(shutil.which("helm") is None, reason="not installed: helm")
@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_helm_comes_to_the_same(changes: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(changes))
    words = ["helm", "template", "load", str(CHART), "--values", str(tmp_path / "values.yaml")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    theirs = [document for document in yaml.safe_load_all(done.stdout) if document]
    assert sorted(theirs, key=str) == sorted(documents(changes), key=str)


def test_variables_of_the_worker_are_settings() -> None:
    worker = container(VARIANTS["with all there is"], "worker")
    own = {"POD_NAME", "HEALTH_PORT_OF_0", "RTP_PORT_OF_0", "RTP_PORTS"}
    names = [entry["name"] for entry in worker["env"]]
    assert {name.lower() for name in names if name not in own} <= set(WorkerSettings.model_fields)
    assert names[-2:] == ["LOG_FORMAT", "SDP_IP"]


def test_each_pod_has_a_token_and_ports_of_its_own() -> None:
    worker = container({"worker": {"replicas": 3}}, "worker")
    shell, option, script = worker["command"]
    environment = {entry["name"]: entry["value"] for entry in worker["env"] if "value" in entry}
    shown = script.replace("exec cmw worker", "echo $WORKER_TOKEN_FILE $HEALTH_PORT $RTP_PORT_MIN $RTP_PORT_MAX")
    said = [
        subprocess.run(
            [shell, option, shown],
            env={**environment, "POD_NAME": f"load-worker-{n}", "PATH": "/bin:/usr/bin"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for n in (0, 2)
    ]
    assert said == [["/run/tokens/0", "3030", "10000", "11999"], ["/run/tokens/2", "3032", "14000", "15999"]]


def test_a_pod_may_drain_before_it_is_killed() -> None:
    [worker] = [each for each in documents({}) if each["kind"] == "StatefulSet"]
    pod = worker["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 3600 + 10 + 10
    script = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][2]
    assert script.startswith("kill -USR2 1\n")
    assert "$(seq 3600)" in script


def test_the_gateway_speaks_tls_when_it_has_a_secret() -> None:
    assert "--insecure" in container({"gateway": {"enabled": True}}, "gateway")["args"]
    gateway = container({"gateway": {"enabled": True, "tlsSecret": "tls"}}, "gateway")
    assert "--tls-cert" in gateway["args"]
    assert gateway["livenessProbe"]["httpGet"]["scheme"] == "HTTPS"


def test_the_chart_is_for_this_version() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert about["appVersion"] == VALUES["image"]["tag"] == __version__
