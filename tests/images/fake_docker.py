"""Stands where docker would: keeps containers in a file and writes down every call. Started by deploy.sh's tests."""

# It starts hundreds of times, so it loads next to nothing, and its output is its answer.
# ruff: noqa: PTH118, PTH123, T201

import json
import os
import sys

FOLDER = os.environ["FAKE_DOCKER"]


def kept(name: str, default):
    try:
        with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return default


def noted(name: str, line: str) -> None:
    with open(os.path.join(FOLDER, name), "a", encoding="utf-8") as file:
        file.write(line + "\n")


def image_of(service: str) -> str:
    """As compose finds it: the pin in the environment, else the default in the compose file."""
    variable = service.upper().replace("-", "_") + "_IMAGE"
    return os.environ.get(variable, f"default-of-{service}:1")


def start(containers: list, service: str) -> None:
    image, number = image_of(service), kept("count.json", 0) + 1
    with open(os.path.join(FOLDER, "count.json"), "w", encoding="utf-8") as file:
        json.dump(number, file)
    how = kept("behaviour.json", {}).get(image.rpartition(":")[2], "healthy")
    state = {"Status": "exited" if how == "exits" else "running", "ExitCode": 3 if how == "exits" else 0}
    first = {"silent": "starting", "unhealthy": "unhealthy"}
    state["Health"] = {"Status": first.get(how, "healthy")}
    if how == "unhealthy":
        state["Health"]["Log"] = [{"Output": "503: consumer: not connected to the broker\n"}]
    name = f"{service}-{number}"
    containers.append(
        {
            "Id": name,
            "Name": f"/{name}",
            "service": service,
            "Created": f"{number:06}",
            "Config": {"Image": image},
            "RestartCount": 0,
            "State": state,
            "variables": os.environ.get("WORKERS_ENV_FILE", ""),
        }
    )
    noted("changes.txt", f"up {service} {image}")


def behaviour_of(container: dict) -> str:
    return kept("behaviour.json", {}).get(container["Config"]["Image"].rpartition(":")[2], "healthy")


def end(container: dict, containers: list) -> None:
    """A container is stopped; of the same service one may not bear being alone."""
    container["State"] = {"Status": "exited", "ExitCode": 0, "Health": {"Status": ""}}
    noted("changes.txt", f"stop {container['service']} {container['Config']['Image']}")
    for other in containers:
        if other["service"] == container["service"] and behaviour_of(other) == "crashes-alone":
            other["RestartCount"] = 1
    if behaviour_of(container) == "removes-itself":
        containers.remove(container)


def compose(arguments: list, containers: list) -> int:
    if "version" in arguments or "build" in arguments or "logs" in arguments:
        noted("changes.txt", "build") if "build" in arguments else None
        print("service | a line of its log") if "logs" in arguments else None
        return 0
    if "up" in arguments:
        service = arguments[-1]
        there = [each for each in containers if each["service"] == service]
        wanted = int(arguments[arguments.index("--scale") + 1].partition("=")[2]) if "--scale" in arguments else 1
        for _ in range(wanted - len(there)):
            start(containers, service)
        return 0
    return 64


def check(container: dict) -> int:
    noted("changes.txt", f"check {container['service']} {container['Config']['Image']}")
    how = behaviour_of(container)
    if how == "sickens":
        container["State"]["Health"] = {"Status": "unhealthy", "Log": [{"Output": "503: ledger: no answer"}]}
    print("fail  backend: the API key is refused") if how == "fails-check" else None
    return int(how == "fails-check")


def main(arguments: list) -> int:
    containers = kept("containers.json", [])
    noted("calls.txt", " ".join(arguments))
    named = [each for each in containers if each["Id"] in arguments]
    code = 0
    if arguments[0] == "compose":
        code = compose(arguments, containers)
    elif arguments[0] == "ps":
        labels = [word.rpartition("=")[2] for word in arguments if word.startswith("label=com.docker.compose.service")]
        print("\n".join(each["Id"] for each in containers if each["service"] in labels))
    elif arguments[0] == "inspect":
        print(json.dumps(named))
    elif arguments[0] == "exec":
        code = check(named[0])
    elif arguments[0] == "logs":
        print("the worker's last words")
    elif arguments[0] == "stop":
        for each in named:
            end(each, containers)
    elif arguments[0] == "rm":
        containers = [each for each in containers if each not in named]
        for each in named:
            noted("changes.txt", f"rm {each['service']} {each['Config']['Image']}")
    else:
        code = 64
    with open(os.path.join(FOLDER, "containers.json"), "w", encoding="utf-8") as file:
        json.dump(containers, file)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
