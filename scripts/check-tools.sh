#!/usr/bin/env bash
# Checks the four things that are assumed to be here: git, cargo, node and npm, new enough.
# All findings at once, each with what to do. Exit 69 when one is missing or too old.
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
cd "$BELLJAR_ROOT"

RUST_NEEDED=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
findings=0
finding() {
	say "  - $*"
	findings=$((findings + 1))
}

# at_least HAVE WANTED: compares dotted versions.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

check_git() { have git || finding "git is missing (Debian: apt-get install git)"; }

check_rust() {
	local output version
	if ! have cargo; then
		finding "cargo is missing: install Rust $RUST_NEEDED with https://rustup.rs"
		return
	fi
	if ! output=$(rustc --version 2>&1); then
		finding "Rust $RUST_NEEDED is missing: rustup toolchain install $RUST_NEEDED -c clippy -c rustfmt (rustc says: ${output##*$'\n'})"
		return
	fi
	version=$(awk '{ print $2 }' <<<"$output")
	at_least "$version" "$RUST_NEEDED" || finding "Rust is $version, but $RUST_NEEDED is needed: rustup toolchain install $RUST_NEEDED"
}

# Vite's own floor: 20.19 in the 20 series, 22.12 and later; 21 and 23 never had what it needs.
check_node() {
	local version major
	if ! have node || ! have npm; then
		finding "node and npm are missing: install Node 20.19 or newer (https://nodejs.org)"
		return
	fi
	version=$(node --version)
	version=${version#v} major=${version%%.*}
	if [ "$major" -eq 20 ]; then
		at_least "$version" 20.19.0 && return
	elif [ "$major" -eq 22 ]; then
		at_least "$version" 22.12.0 && return
	elif [ "$major" -gt 23 ]; then
		return
	fi
	finding "Node is $version, but 20.19 or newer of the 20 series, 22.12 or newer of the 22 series, or 24 and later is needed"
}

check_git
check_rust
check_node
[ "$findings" -eq 0 ] || die "this machine is not ready to build Belljar: see above" 69
