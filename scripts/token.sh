#!/usr/bin/env bash
# Prints the token that signs you in to the web page, alone on stdout.
set -euo pipefail
HERE=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=scripts/lib/common.sh
. "$HERE/lib/common.sh"
# shellcheck source=scripts/lib/belljar.sh
. "$HERE/lib/belljar.sh"

if [ -r "$BELLJAR_TOKEN_FILE" ]; then
	cat "$BELLJAR_TOKEN_FILE"
elif ! is_root && have sudo; then
	as_root cat "$BELLJAR_TOKEN_FILE"
else
	die "there is no readable token at $BELLJAR_TOKEN_FILE: start Belljar first (make demo), or ask as its owner" 69
fi
