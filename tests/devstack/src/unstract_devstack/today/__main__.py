"""`python -m unstract_devstack.today ROLE`: one of today's workers, configured by the variables that ours read."""

import os
import sys

import redis

from unstract_devstack.today.app import ROLES, make_app, variable
from unstract_devstack.today.files import register_files
from unstract_devstack.today.internal_api import InternalApi
from unstract_devstack.today.orchestrate import register_api, register_callback, register_general


def main() -> None:
    """Runs until a signal ends it."""
    role, environ = sys.argv[1], os.environ
    quorum = environ.get("RABBITMQ_HA_ENABLED") == "true"
    app = make_app(environ["CELERY_BROKER_BASE_URL"], environ["CELERY_RESULT_BACKEND"], quorum_queues=quorum)

    def api_of(organization: str) -> InternalApi:
        return InternalApi(environ["INTERNAL_API_BASE_URL"], environ["INTERNAL_SERVICE_API_KEY"], organization)

    match role:
        case "api-deployment":
            register_api(app, api_of)
        case "general":
            register_general(app, api_of)
        case "file-processing":
            register_files(app, api_of, redis.Redis(environ["REDIS_HOST"], int(environ["REDIS_PORT"])))
        case _:
            register_callback(app, api_of)
    queues = environ.get(variable(role)) or ",".join(ROLES[role])
    options = ("-c", "4", "-P", "threads", "--without-mingle", "--without-gossip", "-l", "INFO")
    app.worker_main(["worker", "-n", f"today-{role}@{os.getpid()}", "-Q", queues, *options])


if __name__ == "__main__":
    main()
