#!/bin/sh
# Makes everything that the images of the analyses are built from: the static
# programs in <analysis>/build/ and the Python base image. Afterwards
#
#     DOCKER_BUILDKIT=0 docker build --network none analyses/<analysis>
#
# works for each of them. Safe to run again. With --programs-only it leaves Docker
# alone. CARGO_TARGET_DIR is respected; BELLJAR_CACHE: see base/build.sh.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
programs="noop posts-clean social-engagement"

host=$(rustc -vV | sed -n 's/^host: //p')
case $host in
*-linux-gnu) ;;
*)
    echo "analyses: the programs run in Linux containers; build them on Linux (this is $host)" >&2
    exit 1
    ;;
esac

# Static needs an explicit --target: without it the flags would also be those of
# build scripts and procedural macros. Paths of this machine stay out of the
# programs, so that the same sources give the same bytes in another folder.
separator=$(printf '\037')
flags="-Ctarget-feature=+crt-static${separator}-Cstrip=symbols"
flags="$flags${separator}--remap-path-prefix=$root=/belljar"
flags="$flags${separator}--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
packages=
for name in $programs; do
    packages="$packages --package analysis-$name"
done
# shellcheck disable=SC2086 # one word each
(cd "$root" && CARGO_ENCODED_RUSTFLAGS=$flags cargo build --release --locked --target "$host" $packages)

target=${CARGO_TARGET_DIR:-$root/target}
case $target in
/*) ;;
*) target=$root/$target ;;
esac
for name in $programs; do
    mkdir -p "$here/$name/build"
    built=$target/$host/release/$name
    cmp -s "$built" "$here/$name/build/$name" || install -m 755 "$built" "$here/$name/build/$name"
done

[ "${1:-}" = --programs-only ] || "$here/base/build.sh" >/dev/null
