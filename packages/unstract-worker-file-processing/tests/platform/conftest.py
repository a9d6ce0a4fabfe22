"""Stores, and the executor's stand-ins beside the reference backend."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from attrs import evolve

from unstract_devstack.executor import (
    ExecutorStack,
    PlatformService,
    running_executor,
    running_object_store,
    running_platform_service,
)
from unstract_devstack.executor.running import FILES_PREFIX, UPLOADS_PREFIX, ObjectStore
from unstract_devstack.executor.storage import local
from unstract_devstack.extraction import Field
from unstract_worker_core.config.parsers import store
from unstract_worker_core.runs.runtime import Runtime
from unstract_worker_core.statuses import RunKind
from unstract_worker_file_processing.platform import make
from unstract_worker_file_processing.platform.stores import Store, store_of

FIELDS = [Field("total", r"Total: ([0-9.]+)")]


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with running_object_store(tmp_path_factory.mktemp("s3"), "unstract", "in-bucket") as running:
        yield running


@pytest.fixture(scope="session")
def s3(object_store: ObjectStore) -> Store:
    return store_of(store(object_store.variable), "the store")


@pytest.fixture
def service() -> Iterator[PlatformService]:
    with running_platform_service() as running:
        yield running


@pytest.fixture
def configured(runtime: Runtime, platform: Any, service: PlatformService, object_store: ObjectStore) -> Runtime:
    """The runtime as WORKER_FILE_EXECUTOR=platform makes it."""
    executor = evolve(
        runtime.settings.executor,
        service_host=service.url,
        files_prefix=FILES_PREFIX,
        files_store=store(object_store.variable),
        uploads_store=store(local(platform.data)),
    )
    files = evolve(runtime.settings.files, executor="platform", api_dir_prefix=UPLOADS_PREFIX)
    runtime.settings = evolve(runtime.settings, executor=executor, files=files)
    return runtime


@pytest.fixture
def make_platform_bench(
    make_bench: Callable[..., Any], configured: Runtime, service: PlatformService
) -> Callable[..., Any]:
    """A bench whose workflow has an exported tool, executed by the platform's executor."""

    def made(kind: RunKind = RunKind.API, *, image: str = "", metadata: Any = None, **changes: Any) -> Any:
        bench = make_bench(kind, **changes)
        bench.executor = make(configured)
        settings = {"prompt_registry_id": service.export(FIELDS)} | (metadata or {})
        settings |= {"image_name": image} if image else {}
        body = {
            "organization_id": "org_files",
            "workflow_id": bench.workflow_id,
            "tool_id": f"tool-{bench.workflow_id}",
        }
        bench.platform.dev("POST", "tool-instances", {**body, "metadata": settings})
        return bench

    return made


@pytest.fixture(scope="session")
def executing(
    tmp_path_factory: pytest.TempPathFactory, served: Any, redis_server: Any, object_store: ObjectStore
) -> Iterator[ExecutorStack]:
    """The platform's executor as a process of its own, on the same broker and store."""
    with running_executor(
        tmp_path_factory.mktemp("executor"),
        broker_url=redis_server.url,
        backend_url=served.handle.base_url,
        api_key="a-key-of-the-tests",
        uploads=local(served.data),
        storage=object_store.variable,
    ) as stack:
        yield stack
