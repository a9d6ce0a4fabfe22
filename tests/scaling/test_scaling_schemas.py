"""What `scaling` prints, against the schemas: core kinds strictly, KEDA's kinds by models of its own definitions.

The models are made from KEDA 2.16's custom resource definitions (PyPI: cloudcoil.models.keda, Apache-2.0). They let
unknown fields pass, so what they read is compared with what was written.
"""

import json
import subprocess
import sys

import kubernetes_validate
import pytest
import yaml
from cloudcoil.models.keda import v1alpha1 as keda

WORKERS = ("api_deployment", "general", "file_processing", "callback")
KUBERNETES = ("1.31", "1.34")
KEDA = (
    ("--broker", "redis"),
    ("--broker", "redis", "--prometheus", "http://prometheus:9090"),
    ("--broker", "rabbitmq", "--prometheus", "http://prometheus:9090"),
    ("--broker", "prometheus", "--prometheus", "http://prometheus:9090"),
)


def printed(worker: str, *arguments: str) -> list[dict]:
    done = subprocess.run(
        [sys.executable, "-m", f"unstract_worker_{worker}", "scaling", *arguments],
        env={}, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return list(yaml.safe_load_all(done.stdout))


def check_by_models(made: dict) -> None:
    """Raises where KEDA's definitions do not know a field, or want another type."""
    read = getattr(keda, made["kind"]).model_validate_json(json.dumps(made), strict=True)
    assert json.loads(read.model_dump_json(by_alias=True, exclude_unset=True)) == made


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("worker", WORKERS)
def test_the_autoscaler_is_valid(worker, version):
    for made in printed(worker, "--format", "hpa"):
        kubernetes_validate.validate(made, version, strict=True)


@pytest.mark.parametrize("arguments", KEDA, ids=" ".join)
@pytest.mark.parametrize("worker", WORKERS)
def test_kedas_objects_are_valid(worker, arguments):
    made = printed(worker, "--format", "keda", *arguments)
    assert [each["kind"] for each in made][-1] == "ScaledObject"
    for each in made:
        check_by_models(each)


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("worker", WORKERS)
def test_the_behavior_that_keda_hands_on_is_valid(worker, version):
    """KEDA's definition knows it by name and type only; the autoscaler that is made of it is checked whole."""
    (autoscaler,) = printed(worker, "--format", "hpa")
    spec = printed(worker, "--format", "keda")[-1]["spec"]
    autoscaler["spec"]["behavior"] = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    kubernetes_validate.validate(autoscaler, version, strict=True)


def test_a_wrong_field_and_a_wrong_type_are_found():
    made = printed("callback", "--format", "keda")[-1]
    made["spec"]["minReplicas"] = 1
    with pytest.raises(AssertionError):
        check_by_models(made)
    made = printed("callback", "--format", "keda")[-1]
    made["spec"]["triggers"][0]["metadata"]["listLength"] = 8
    with pytest.raises(ValueError, match="listLength"):
        check_by_models(made)
    (autoscaler,) = printed("callback", "--format", "hpa")
    autoscaler["spec"]["minReplicaCount"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(autoscaler, KUBERNETES[0], strict=True)
