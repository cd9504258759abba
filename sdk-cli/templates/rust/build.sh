#!/bin/sh
# Makes build/NAME: a static program for an image that holds nothing else.
set -eu
cd "$(dirname "$0")"
target=$(rustc -vV | sed -n 's/^host: //p')
# Static needs an explicit --target; the flags would else also be those of build scripts.
RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --target "$target" --target-dir target
mkdir -p build
cp "target/$target/release/NAME" build/
