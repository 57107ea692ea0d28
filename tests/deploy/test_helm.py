"""The chart: Helm takes it and its values, and what it comes to is what Kubernetes takes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from cmw import __version__
from cmw.link.url import parse_gateway_url
from cmw.worker.settings import WorkerSettings

helm = pytest.importorskip("helm_python", reason="Helm as a library is there for Linux on x86-64 alone")

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "cmw"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
KUBERNETES = ("1.27", "1.37")
WARNING = 2
"""Of what Helm finds in a chart: what it recommends is below, what is wrong above."""

APART = {
    "topologyKey": "kubernetes.io/hostname",
    "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "cmw-worker"}},
}

VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "with a gateway": {"gateway": {"enabled": True}},
    "a gateway alone": {"worker": {"replicas": 0}, "gateway": {"enabled": True, "tlsSecret": "tls"}},
    "several workers": {"worker": {"replicas": 27, "cloudUrl": "gateway.example:443"}},
    "with all there is": {
        "image": {"pullSecrets": [{"name": "registry"}]},
        "worker": {
            "replicas": 3,
            "cloudUrl": "gateway.example:443",
            "hostNetwork": False,
            "env": {"LOG_FORMAT": "pretty", "SDP_IP": "203.0.113.10"},
            "nodeSelector": {"kubernetes.io/arch": "amd64"},
            "tolerations": [{"key": "load", "operator": "Exists", "effect": "NoSchedule"}],
            "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [APART]}},
            "podAnnotations": {"prometheus.io/scrape": "true"},
            "maxUnavailable": 2,
        },
        "gateway": {
            "enabled": True,
            "tlsSecret": "tls",
            "storageClass": "fast",
            "tolerations": [{"operator": "Exists"}],
            "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [APART]}},
        },
    },
}


def rendered(changes: dict[str, Any]) -> dict[str, str]:
    """Return what Helm makes of each template with these values laid over the chart's own, as `--values` does."""
    with helm.Chart.load(CHART) as chart:
        made: dict[str, str] = chart.render(changes, name="load", namespace="lab")
    return {Path(path).name: text for path, text in made.items()}


def documents(changes: dict[str, Any]) -> list[dict[str, Any]]:
    texts = [text for name, text in sorted(rendered(changes).items()) if name.endswith(".yaml")]
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def of_kind(kind: str, changes: dict[str, Any]) -> list[dict[str, Any]]:
    return [document for document in documents(changes) if document["kind"] == kind]


def container(changes: dict[str, Any], name: str) -> dict[str, Any]:
    [found] = [
        each
        for document in of_kind("StatefulSet", changes)
        for each in document["spec"]["template"]["spec"]["containers"]
        if each["name"] == name
    ]
    return dict(found)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_helm_finds_nothing_wrong(changes: dict[str, Any]) -> None:
    found = helm.lint(CHART, changes, strict=True)
    assert found["errors"] == []
    assert [message for message in found["messages"] if message["severity"] >= WARNING] == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"worker": {"replicas": -1}}, "/worker/replicas"),
        ({"worker": {"rtpPortMin": 10001}}, "/worker/rtpPortMin"),
        ({"worker": {"cloudUrl": "https://gateway/path"}}, "/worker/cloudUrl"),
        ({"worker": {"env": {"X": 5}}}, "/worker/env/X"),
        ({"worker": {"env": {"HEALTH_PORT": "1"}}}, "HEALTH_PORT"),
        ({"worker": {"env": {"sdp_ip": "1"}}}, "sdp_ip"),
        ({"worker": {"replica": 1}}, "'replica' not allowed"),
        ({"worker": {"sipPort": 65500}}, "/worker/sipPort"),
        ({"gateway": {"storage": "much"}}, "/gateway/storage"),
    ],
    ids=str,
)
def test_wrong_values_are_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(helm.HelmValuesError, match=named):
        rendered(changes)


def test_more_ports_than_there_are_are_refused() -> None:
    ports = "expected ports up to 65535, found 65999 as the last"
    with pytest.raises(helm.HelmError, match=ports):
        rendered({"worker": {"replicas": 28}})


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_kubernetes_takes_what_it_comes_to(changes: dict[str, Any], version: str) -> None:
    made = documents(changes)
    has_gateway = changes.get("gateway", {}).get("enabled", False)
    assert [document["kind"] for document in made] == (
        ["StatefulSet", "Service"] * has_gateway + ["StatefulSet", "Service", "PodDisruptionBudget"]
    )
    for document in made:
        kubernetes_validate.validate(document, version, strict=True)


def test_a_misspelt_field_would_be_found() -> None:
    [document, *_] = documents({})
    document["spec"]["template"]["spec"]["hostNetworks"] = True
    with pytest.raises(kubernetes_validate.ValidationError, match="hostNetworks"):
        kubernetes_validate.validate(document, KUBERNETES[0], strict=True)


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
    [worker] = of_kind("StatefulSet", {})
    pod = worker["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 3600 + 10 + 10
    script = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][2]
    assert script.startswith("kill -USR2 1\n")
    assert "$(seq 3600)" in script


def test_nodes_that_are_drained_end_one_worker_at_a_time() -> None:
    [budget] = of_kind("PodDisruptionBudget", {"worker": {"replicas": 3}})
    [worker] = of_kind("StatefulSet", {"worker": {"replicas": 3}})
    assert budget["spec"] == {"maxUnavailable": 1, "selector": worker["spec"]["selector"]}


@pytest.mark.parametrize("kind", ["worker", "gateway"])
def test_a_container_has_no_rights(kind: str) -> None:
    changes = {"gateway": {"enabled": True}}
    [pod] = [
        each["spec"]["template"]["spec"]
        for each in of_kind("StatefulSet", changes)
        if each["metadata"]["name"] == f"load-{kind}"
    ]
    assert (pod["securityContext"]["runAsNonRoot"], pod["automountServiceAccountToken"]) == (True, False)
    assert container(changes, kind)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize(
    ("changes", "url"),
    [
        ({"gateway": {"enabled": True}}, "ws://load-gateway:8443"),
        ({"gateway": {"enabled": True, "tlsSecret": "tls"}}, "load-gateway:8443"),
        ({"gateway": {"enabled": True}, "worker": {"cloudUrl": "other.example:443"}}, "other.example:443"),
    ],
    ids=str,
)
def test_a_worker_finds_the_gateway_of_the_chart(changes: dict[str, Any], url: str) -> None:
    environment = {entry["name"]: entry.get("value") for entry in container(changes, "worker")["env"]}
    assert environment["CLOUD_URL"] == url
    assert parse_gateway_url(url).address.host == url.removeprefix("ws://").partition(":")[0]


def test_the_probes_are_pages_of_the_programs() -> None:
    changes = {"gateway": {"enabled": True}}
    worker, gateway = container(changes, "worker"), container(changes, "gateway")
    asked = {
        name: worker[f"{name}Probe"]["exec"]["command"][2].split("/")[-1]
        for name in ("startup", "liveness", "readiness")
    }
    assert asked == {"startup": "live", "liveness": "live", "readiness": "ready"}
    assert {gateway[f"{name}Probe"]["httpGet"]["path"] for name in asked} == {"/health"}


def test_it_says_what_to_do_next() -> None:
    notes = rendered({"gateway": {"enabled": True, "tlsSecret": "tls"}})["NOTES.txt"]
    assert "kubectl exec load-gateway-0 -- cat /data/cmw/api-key" in notes
    assert "https://load-gateway:8443" in notes
    assert "kubectl create secret generic cmw-tokens" in notes


def test_the_gateway_speaks_tls_when_it_has_a_secret() -> None:
    assert "--insecure" in container({"gateway": {"enabled": True}}, "gateway")["args"]
    gateway = container({"gateway": {"enabled": True, "tlsSecret": "tls"}}, "gateway")
    assert "--tls-cert" in gateway["args"]
    assert gateway["livenessProbe"]["httpGet"]["scheme"] == "HTTPS"


def test_the_chart_is_for_this_version() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert about["appVersion"] == VALUES["image"]["tag"] == __version__


PAGE = (CHART.parents[2] / "docs" / "installation.md").read_text()


@pytest.mark.parametrize("expression", sorted(set(re.findall(r"--set (\S+?)[`\s]", PAGE))))
def test_the_settings_of_the_page_are_values(expression: str) -> None:
    assert documents(helm.parse_set_string(expression)) != documents({})
