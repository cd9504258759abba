"""Running the analyses outside containers, and the independent computation beside them."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ANALYSES = Path(__file__).resolve().parent.parent
# The folders that images are built from stay free of bytecode.
sys.dont_write_bytecode = True
sys.path.insert(0, str(ANALYSES))

import reference  # noqa: E402

PYTHON = [sys.executable, "-ESB"]
COMMANDS = {
    "noop": [ANALYSES / "noop/build/noop"],
    "posts-clean": [ANALYSES / "posts-clean/build/posts-clean"],
    "social-engagement": [ANALYSES / "social-engagement/build/social-engagement"],
    "writing-patterns": [*PYTHON, ANALYSES / "writing-patterns/app/main.py"],
    "insights-report": [*PYTHON, ANALYSES / "insights-report/app/main.py"],
}


def build():
    """Brings the programs up to date; seconds when they are."""
    subprocess.run([ANALYSES / "build.sh", "--programs-only"], check=True)


def run(name, inputs, out):
    """Runs an analysis on {input: bytes}; its result. Other outputs are in `out`."""
    with tempfile.TemporaryDirectory() as folder:
        for key, content in inputs.items():
            Path(folder, key).write_bytes(content)
        done = subprocess.run(
            [*COMMANDS[name], "--in", folder, "--out", out],
            capture_output=True, text=True, encoding="utf-8",
        )
    if done.returncode:
        raise AssertionError(f"{name}: exit {done.returncode}: {done.stderr}")
    return json.loads(Path(out, "result.json").read_text("utf-8"))


def chain(export, timezone="UTC"):
    """Runs the four on an export: {analysis: result} and {file name: bytes}."""
    results, files = {}, {}

    def step(name, inputs):
        with tempfile.TemporaryDirectory() as out:
            results[name] = run(name, inputs, out)
            for file in Path(out).iterdir():
                if file.name != "result.json":
                    files[file.name] = file.read_bytes()
                else:
                    files[f"{name}.json"] = file.read_bytes()

    params = json.dumps({"timezone": timezone}).encode()
    step("posts-clean", {"export": export})
    posts = files["posts.jsonl"]
    step("social-engagement", {"posts": posts, "params.json": params})
    step("writing-patterns", {"posts": posts})
    step("insights-report", {
        "engagement": files["social-engagement.json"], "heatmap": files["heatmap.svg"],
        "words": files["writing-patterns.json"], "cloud": files["wordcloud.svg"],
    })
    return results, files


def real_data():
    """The folder of the real files, or None."""
    default = ANALYSES.parent.parent / "shared" / "data"
    folder = Path(os.environ.get("BELLJAR_REAL_DATA", default))
    return folder if (folder / "tweets-obama.csv").exists() else None
