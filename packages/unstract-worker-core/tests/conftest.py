"""What the tests of core share: one real Redis for the whole session, emptied before each test that uses it."""

from collections.abc import Iterator

import pytest
from hypothesis import settings
from redis import Redis

from unstract_devstack.redis_server import RedisHandle, running_redis

# A property does not fail because the machine is busy.
settings.register_profile("without deadline", deadline=None)
settings.load_profile("without deadline")


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisHandle]:
    """A Redis of this session's own; ended by pid."""
    with running_redis(tmp_path_factory.mktemp("redis"), appendonly=False) as handle:
        yield handle


@pytest.fixture
def redis(redis_server: RedisHandle) -> Iterator[Redis]:
    """A client of the session's Redis, which is empty; answers are text, nothing is retried."""
    with redis_server.client() as client:
        client.flushall()
        yield client


@pytest.fixture
def redis_url(redis_server: RedisHandle, redis: Redis) -> str:
    """Where the session's Redis is; it is empty."""
    return redis_server.url
