"""Registers a container runtime in Docker's daemon.json and loses nothing that is there.

Uses: daemon_json.py FILE get NAME                 -> prints the path registered under NAME, or nothing
      daemon_json.py FILE set NAME PATH [ARG…]     -> prints "unchanged", "created" or "updated"

A changed file is first copied beside itself (daemon.json.before-belljar-<UTC time>), then replaced
by a rename, so a reader sees the old or the new file and never half of one. A file that is not
a JSON object, or that has the same key twice (Docker takes the last one, and merging would drop the
other), is refused and left alone: exit 65 (EX_DATAERR), with the place and the reason on stderr.
"""

import json
import os
import re
import shutil
import sys
import tempfile
import time


class Refused(Exception):
    """The file is not one that we can change without losing something."""


class Verbatim(float):
    """A number with a fraction or exponent, written back exactly as it stood."""

    def __new__(cls, text):
        value = super().__new__(cls, text)
        value.text = text
        return value


def unique(pairs):
    """An object from its pairs; refuses a key that occurs twice."""
    result = {}
    for key, value in pairs:
        if key in result:
            raise Refused(f'the key "{key}" occurs twice in one object')
        result[key] = value
    return result


def load(file):
    """The text and the object in it; ("", {}) when there is no file or an empty one."""
    try:
        with open(file, "rb") as stream:
            raw = stream.read()
    except FileNotFoundError:
        return "", {}
    try:
        text = raw.decode("utf-8")
        if not text.strip():
            return text, {}
        value = json.loads(text, object_pairs_hook=unique, parse_float=Verbatim)
    except UnicodeDecodeError as error:
        raise Refused(f"it is not UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise Refused(f"line {error.lineno}, column {error.colno}: {error.msg}") from error
    if not isinstance(value, dict):
        raise Refused("it is not a JSON object")
    if not isinstance(value.get("runtimes", {}), dict):
        raise Refused('"runtimes" is not a JSON object')
    return text, value


def dump(value, indent):
    """JSON text. Fractions are swapped in afterwards, for json writes them in its own form."""
    numbers = []

    def mark(item):
        if isinstance(item, Verbatim):
            numbers.append(item.text)
            return f"\0number {len(numbers) - 1}\0"
        if isinstance(item, dict):
            return {key: mark(entry) for key, entry in item.items()}
        if isinstance(item, list):
            return [mark(entry) for entry in item]
        return item

    text = json.dumps(mark(value), indent=indent, ensure_ascii=False)
    return re.sub(r'"\\u0000number (\d+)\\u0000"', lambda match: numbers[int(match.group(1))], text) + "\n"


def indent_of(text):
    """The indent of the first indented line, two spaces when there is none."""
    found = re.search(r"\n([ \t]+)\S", text)
    return found.group(1) if found else 2


def replace(file, text):
    """Writes the text in place of the file: same owner and mode, durable, in one step."""
    folder = os.path.dirname(file)
    os.makedirs(folder, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".daemon.json.", dir=folder)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        if os.path.exists(file):
            status = os.stat(file)
            os.chown(temporary, status.st_uid, status.st_gid)
            os.chmod(temporary, status.st_mode & 0o7777)
        else:
            os.chmod(temporary, 0o644)
        os.replace(temporary, file)
    except BaseException:
        os.unlink(temporary)
        raise


def back_up(file):
    """Copies the file beside itself under a name that is free."""
    stem = f"{file}.before-belljar-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    name, number = stem, 1
    while os.path.exists(name):
        name, number = f"{stem}.{number}", number + 1
    shutil.copy2(file, name)
    return name


def set_runtime(file, name, path, arguments):
    """Makes runtimes[name] exactly {path, runtimeArgs}; every other key stays as it is."""
    file = os.path.realpath(file)  # a link to a managed file stays a link
    text, value = load(file)
    wanted = {"path": path, "runtimeArgs": list(arguments)} if arguments else {"path": path}
    if value.get("runtimes", {}).get(name) == wanted:
        return "unchanged"
    existed = os.path.exists(file)
    if existed:
        print(f"the former file is kept as {back_up(file)}", file=sys.stderr)
    value.setdefault("runtimes", {})[name] = wanted
    replace(file, dump(value, indent_of(text)))
    return "updated" if existed else "created"


def runtime_path(file, name):
    """The path registered under the name, "" where there is none."""
    entry = load(file)[1].get("runtimes", {}).get(name)
    path = entry.get("path") if isinstance(entry, dict) else None
    return path if isinstance(path, str) else ""


def main(arguments):
    """Runs one verb; returns the exit code."""
    match arguments:
        case [file, "get", name]:
            action = lambda: runtime_path(file, name)
        case [file, "set", name, path, *rest]:
            action = lambda: set_runtime(file, name, path, rest)
        case _:
            print(__doc__, file=sys.stderr)
            return 64
    try:
        print(action())
    except Refused as reason:
        print(f"{file} is left as it is: {reason}. Correct it, then run this again.", file=sys.stderr)
        return 65
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
