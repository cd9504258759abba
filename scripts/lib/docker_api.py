"""Asks a Docker daemon over its unix socket, without any docker client.

A client may be missing (Debian 13 packs it apart) or may be one that talks to another daemon.
Uses: docker_api.py SOCKET ping
      docker_api.py SOCKET runtime NAME   -> prints "PATH ARG…", exit 1 when the daemon has no such runtime
      docker_api.py SOCKET running        -> prints the names of running containers, one a line
      docker_api.py SOCKET summary        -> prints version, storage driver and cgroup version
Exit 69 when the daemon does not answer (EX_UNAVAILABLE of sysexits.h), with the reason on stderr.
"""

import http.client
import json
import socket
import sys

TIMEOUT_SECS = 10


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=TIMEOUT_SECS)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_SECS)
        self.sock.connect(self.path)


def get(path, route):
    """The body of one GET."""
    connection = UnixConnection(path)
    try:
        connection.request("GET", route)
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise OSError(f"{route} answered {response.status}: {body[:200]!r}")
        return body
    finally:
        connection.close()


def main(arguments):
    """Runs one verb; returns the exit code."""
    match arguments:
        case [path, "ping"]:
            return 0 if get(path, "/_ping") == b"OK" else 69
        case [path, "runtime", name]:
            entry = json.loads(get(path, "/info")).get("Runtimes", {}).get(name)
            if entry is None:
                return 1
            print(" ".join([entry.get("path", ""), *(entry.get("runtimeArgs") or [])]))
        case [path, "running"]:
            for container in json.loads(get(path, "/containers/json")):
                print((container.get("Names") or [container["Id"]])[0].lstrip("/"))
        case [path, "summary"]:
            info = json.loads(get(path, "/info"))
            print(f"Docker {info['ServerVersion']}, {info['Driver']}, cgroup v{info.get('CgroupVersion', '1')}")
        case _:
            print(__doc__, file=sys.stderr)
            return 64
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (OSError, http.client.HTTPException, ValueError) as error:
        print(f"the Docker daemon at {sys.argv[1]} does not answer: {error}", file=sys.stderr)
        sys.exit(69)
