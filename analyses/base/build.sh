#!/bin/sh
# Makes the Python base image of the analyses from Debian packages, without an
# image registry: a root file system by mmdebstrap, imported into Docker as
# belljar-python:<hash of the package list> and belljar-python:1.
#
# The tar is kept in $BELLJAR_CACHE (default $HOME/.cache/belljar) under the
# same hash, so that a second call takes a second. Packages come from the apt
# sources that this machine already uses for Debian; BELLJAR_APT_SOURCES names a
# sources.list to use instead.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
suite=bookworm
packages=$(grep -v '^#' "$here/packages.txt" | LC_ALL=C sort -u | paste -sd, -)
# Files newer than this get this time, so that equal packages make equal tars.
SOURCE_DATE_EPOCH=1767225600
export SOURCE_DATE_EPOCH

hash=$( { echo "$suite $packages"; cat "$here/build.sh"; } | sha256sum | cut -c1-12)
image=belljar-python:$hash
cache=${BELLJAR_CACHE:-$HOME/.cache/belljar}
tar=$cache/belljar-python-$hash.tar

say() { echo "base: $*" >&2; }

# The Debian sources of this machine, as one-line entries. Third-party sources
# are left out by their Origin. Empty where apt knows none (another
# distribution): then mmdebstrap's own default for the suite applies.
debian_sources() {
    if [ -n "${BELLJAR_APT_SOURCES:-}" ]; then
        cat "$BELLJAR_APT_SOURCES"
        return
    fi
    command -v apt-get >/dev/null 2>&1 || return 0
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    options=
    [ ! -r "$keyring" ] || options="[signed-by=$keyring] "
    apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Identifier: Packages' 2>/dev/null |
        awk -v suite="$suite" -v options="$options" '
            $1 == "Debian" && ($3 == suite || index($3, suite "-") == 1) && $4 == "main" &&
            $3 !~ /backports|proposed/ {
                line = "deb " options $2 " " $3 " " $4
                if (!seen[line]++) print line
            }'
}

make_tar() {
    command -v mmdebstrap >/dev/null 2>&1 || {
        say "mmdebstrap is not installed: apt-get install mmdebstrap"
        exit 1
    }
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/base.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT TERM
    debian_sources >"$work/sources.list"
    set -- --variant=essential --include="$packages" \
        --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/info/*'
    # mmdebstrap does not read this machine's apt configuration: hand on proxies.
    for scheme in http https; do
        proxy=$(apt-config dump --format '%v' "Acquire::$scheme::Proxy" 2>/dev/null || true)
        [ -z "$proxy" ] || set -- "$@" --aptopt="Acquire::$scheme::Proxy \"$proxy\""
    done
    # Bytecode keyed by hash, not by time: clamped times would make Python compile
    # the standard library again at every start, in a container that keeps nothing.
    set -- "$@" --customize-hook='chroot "$1" python3 -m compileall -q -f --invalidation-mode unchecked-hash /usr/lib/python3.11 || true' \
        --customize-hook='rm -rf "$1"/var/log/* "$1"/var/cache/* "$1"/var/lib/apt "$1"/etc/machine-id'
    say "making $image from Debian packages ($packages); about half a minute"
    set -- "$@" "$suite" "$work/root.tar"
    [ ! -s "$work/sources.list" ] || set -- "$@" "$work/sources.list"
    mmdebstrap --quiet "$@" || {
        say "mmdebstrap failed: see above. It needs root and the machine's Debian sources;"
        say "BELLJAR_APT_SOURCES=FILE names a sources.list for $suite to use instead"
        exit 1
    }
    mv "$work/root.tar" "$tar"
    rm -rf "$work"
    trap - EXIT INT TERM
}

if ! docker image inspect "$image" >/dev/null 2>&1; then
    [ -s "$tar" ] || make_tar
    docker import \
        --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin' \
        --change 'ENV LANG=C.UTF-8' \
        --message "Debian $suite: $packages" "$tar" "$image" >/dev/null
fi
docker tag "$image" belljar-python:1
echo "$image"
