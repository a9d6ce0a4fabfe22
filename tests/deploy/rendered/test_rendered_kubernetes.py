"""What `kubectl apply -k` would send, rendered by kubectl itself and validated: `hatch run images:lint`."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from cloudcoil.models.prometheus_operator import v1 as prometheus_operator
from unstract_images.workers import DOCKER, ROOT, WORKERS

KUBERNETES = DOCKER / "kubernetes"
APPLIED = ("overlays/small", "overlays/production", "overlays/platform", "overlays/moving", "check")
FLEETS = APPLIED[:-1]
VERSIONS = ("1.31", "1.37")
KUBECTL = str(Path(sys.executable).parent / "kubectl")
# Kinds that only a namespace holds.
REGISTRY = "ghcr.io/zipstack/"


def render(folder: Path) -> list[dict]:
    done = subprocess.run((KUBECTL, "kustomize", str(folder)), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no deprecated field
    return list(yaml.safe_load_all(done.stdout))


def of_kind(documents: list[dict], kind: str) -> dict[str, dict]:
    return {each["metadata"]["name"]: each for each in documents if each["kind"] == kind}


@pytest.mark.parametrize("name", APPLIED)
def test_everything_is_valid(name):
    for made in render(KUBERNETES / name):
        if made["kind"] == "PodMonitor":
            read = prometheus_operator.PodMonitor.model_validate_json(json.dumps(made), strict=True)
            assert json.loads(read.model_dump_json(by_alias=True, exclude_unset=True)) == made
        else:
            for version in VERSIONS:
                kubernetes_validate.validate(made, version, strict=True)


@pytest.mark.parametrize("name", APPLIED)
def test_the_namespace_comes_first_and_everything_is_in_it(name):
    namespace, *others = render(KUBERNETES / name)
    assert namespace["kind"] == "Namespace"
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {each["metadata"]["namespace"] for each in others} == {namespace["metadata"]["name"]}


@pytest.mark.parametrize("name", APPLIED)
def test_every_image_has_the_registry_and_a_version(name):
    images = re.findall(r"'image': '([^']*)'", str(render(KUBERNETES / name)))
    assert len(images) == 4
    assert all(
        re.fullmatch(rf"{REGISTRY}unstract-worker-[a-z-]+:\d+\.\d+\.\d+(-chord|-platform)?", image) for image in images
    )


def test_registry_and_tags_are_set_in_one_place():
    """All other files hold bare names."""
    for path in KUBERNETES.rglob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        assert (REGISTRY in text or "newTag" in text) is (path.parent.name == "images"), path


def test_nothing_sets_replicas_where_an_autoscaler_does():
    for made in of_kind(render(KUBERNETES / "overlays" / "production"), "Deployment").values():
        assert "replicas" not in made["spec"]
    small = of_kind(render(KUBERNETES / "overlays" / "small"), "Deployment")
    budgets = of_kind(render(KUBERNETES / "overlays" / "small"), "PodDisruptionBudget")
    for name, made in small.items():
        # A budget that no replica may leave blocks every drain of a node.
        assert made["spec"]["replicas"] > budgets[name]["spec"]["maxUnavailable"]


@pytest.mark.parametrize("worker", WORKERS, ids=lambda worker: worker.name)
def test_the_printed_autoscaler_finds_its_deployment(worker):
    entry = [sys.executable, "-m", worker.distribution.replace("-", "_"), "scaling", "--format", "keda"]
    printed = subprocess.run(entry, env={}, capture_output=True, text=True, check=True, timeout=60).stdout
    scaled = next(each for each in yaml.safe_load_all(printed) if each["kind"] == "ScaledObject")
    deployments = of_kind(render(KUBERNETES / "overlays" / "production"), "Deployment")
    made = deployments[scaled["spec"]["scaleTargetRef"]["name"]]
    assert scaled["metadata"]["namespace"] == made["metadata"]["namespace"]
    assert made["metadata"]["name"] == worker.name


@pytest.mark.parametrize("name", FLEETS)
@pytest.mark.parametrize("worker", WORKERS, ids=lambda worker: worker.name)
def test_pods_are_closed_probed_and_drained(name, worker):
    documents = render(KUBERNETES / name)
    made, budget = of_kind(documents, "Deployment")[worker.name], of_kind(documents, "PodDisruptionBudget")[worker.name]
    pod = made["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    # Otherwise a Service called redis sets REDIS_PORT to a URL.
    assert pod["enableServiceLinks"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert container["ports"] == [{"name": "health", "containerPort": worker.health_port, "protocol": "TCP"}]
    assert made["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"] == str(worker.health_port)
    assert pod["terminationGracePeriodSeconds"] > drain_seconds()
    guard = next(each["value"] for each in container["env"] if each["name"] == "WORKER_MAX_MEMORY_MB")
    assert int(guard) < mebibytes(container["resources"]["limits"]["memory"])
    labels = made["spec"]["template"]["metadata"]["labels"]
    assert (
        made["spec"]["selector"]
        == budget["spec"]["selector"]
        == {"matchLabels": {"app.kubernetes.io/name": worker.name}}
    )
    assert labels == {"app.kubernetes.io/name": worker.name, "app.kubernetes.io/part-of": "unstract-workers"}


def drain_seconds() -> int:
    """WORKER_DRAIN_SECONDS' default, by the reference; after it a process lingers 10 s at most."""
    reference = (ROOT / "packages/unstract-worker-core/ENVIRONMENT.md").read_text(encoding="utf-8")
    return int(re.search(r"`WORKER_DRAIN_SECONDS` \| (\d+) \|", reference)[1]) + 10


def mebibytes(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", text).groups()
    return int(number) * {"Mi": 1, "Gi": 1024}[unit]


def test_the_check_job_runs_all_four_with_what_the_workers_have():
    documents = render(KUBERNETES / "check")
    (job,) = of_kind(documents, "Job").values()
    pod = job["spec"]["template"]["spec"]
    assert {each["name"]: each["args"] for each in pod["containers"]} == {worker.name: ["check"] for worker in WORKERS}
    workers = of_kind(render(KUBERNETES / "overlays" / "production"), "Deployment")
    for each in pod["containers"]:
        worker = workers[each["name"]]["spec"]["template"]["spec"]
        assert (each["image"], each["envFrom"]) == tuple(worker["containers"][0][key] for key in ("image", "envFrom"))
        assert pod["volumes"] == worker["volumes"]
    assert job["spec"]["backoffLimit"] == 0
    # The egress rules find it by this label.
    assert job["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/part-of"] == "unstract-workers"


def test_only_general_may_call_addresses_outside():
    policies = of_kind(render(KUBERNETES / "overlays" / "production"), "NetworkPolicy")
    outside = {
        name: policy["spec"]["podSelector"]["matchLabels"]
        for name, policy in policies.items()
        if "ipBlock" in str(policy["spec"]["egress"])
    }
    assert outside == {"webhooks": {"app.kubernetes.io/name": "general"}}
    assert policies["unstract-workers"]["spec"]["policyTypes"] == ["Ingress", "Egress"]
    addresses = policies["webhooks"]["spec"]["egress"][0]["to"][0]["ipBlock"]
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} < set(addresses["except"])
    ports = {each["port"] for each in policies["webhooks"]["spec"]["egress"][0]["ports"]}
    reference = (ROOT / "packages/unstract-worker-core/ENVIRONMENT.md").read_text(encoding="utf-8")
    assert ",".join(map(str, sorted(ports))) == re.search(r"`WEBHOOK_ALLOWED_PORTS` \| ([\d,]+) \|", reference)[1]


def test_every_address_of_the_configuration_may_be_called():
    documents = [*render(KUBERNETES / "overlays" / "moving"), *render(KUBERNETES / "overlays" / "platform")]
    policy = of_kind(documents, "NetworkPolicy")["unstract-workers"]["spec"]["egress"]
    platform = next(
        rule for rule in policy
        if rule["to"][0].get("namespaceSelector", {}).get("matchLabels") == {"kubernetes.io/metadata.name": "unstract"}
    )  # fmt: skip
    allowed = {each["port"] for each in platform["ports"]}
    data = of_kind(documents, "ConfigMap")["unstract-workers"]["data"]
    containers = [
        made["spec"]["template"]["spec"]["containers"][0] for made in documents if made["kind"] == "Deployment"
    ]
    values = {**data, **{each["name"]: each["value"] for container in containers for each in container["env"]}}
    named = {int(port) for value in values.values() for port in re.findall(r"unstract-[a-z]+\.unstract:(\d+)", value)}
    ports = {int(values[name]) for name in ("REDIS_PORT", "CELERY_BACKEND_DB_PORT", "PLATFORM_SERVICE_PORT")}
    assert named | ports <= allowed


def test_the_platforms_executor_has_its_image_and_its_variables():
    made = of_kind(render(KUBERNETES / "overlays" / "platform"), "Deployment")
    for name, each in made.items():
        container = each["spec"]["template"]["spec"]["containers"][0]
        assert container["image"].endswith("-platform") is (name == "file-processing")
        assert ({"name": "WORKER_FILE_EXECUTOR", "value": "platform"} in container["env"]) is (
            name == "file-processing"
        )


def test_moving_begins_with_callback_and_takes_nothing():
    documents = render(KUBERNETES / "overlays" / "moving")
    data = of_kind(documents, "ConfigMap")["unstract-workers"]["data"]
    assert (data["WORKER_TRAFFIC_PERCENT"], data["WORKER_TRAFFIC_FORWARD_SUFFIX"]) == ("0", "_today")
    deployments = of_kind(documents, "Deployment")
    assert [name for name, made in deployments.items() if made["spec"]["replicas"]] == ["callback"]
    for name, made in deployments.items():
        container = made["spec"]["template"]["spec"]["containers"][0]
        chord = name != "api-deployment"  # general: for the result table
        assert container["image"].endswith("-chord") is chord
        assert ({"name": "CHORD_COMPAT", "value": "true"} in container["env"]) is chord


def test_the_monitor_finds_every_worker_and_names_it_as_the_rules_do():
    documents = render(KUBERNETES / "overlays" / "production")
    (monitor,) = of_kind(documents, "PodMonitor").values()
    endpoint = monitor["spec"]["podMetricsEndpoints"][0]
    for made in of_kind(documents, "Deployment").values():
        template = made["spec"]["template"]
        assert monitor["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        assert endpoint["port"] in [port["name"] for port in template["spec"]["containers"][0]["ports"]]
    assert endpoint["relabelings"][0]["targetLabel"] == "worker"


def test_a_fault_is_found(tmp_path):
    """The renderer and the validator do see one."""
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    base = tmp_path / "kubernetes" / "base"
    path = base / "worker.yaml"
    path.write_text(path.read_text().replace("terminationGracePeriodSeconds: 75", "terminationGraceSeconds: 75"))
    made = of_kind(render(tmp_path / "kubernetes" / "overlays" / "small"), "Deployment")["callback"]
    with pytest.raises(kubernetes_validate.ValidationError, match="terminationGraceSeconds"):
        kubernetes_validate.validate(made, VERSIONS[0], strict=True)
