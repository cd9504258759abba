#!/bin/sh
# Runs all Python tests of the analyses; `cargo test` runs the Rust ones. Needs
# python3 and a Rust toolchain, no container and no network.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
for folder in writing-patterns/tests insights-report/tests tests; do
    python3 -B -m unittest discover -s "$here/$folder" -t "$here/$folder"
done
