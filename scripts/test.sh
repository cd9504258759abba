#!/usr/bin/env bash
# Every check and every test, one stage after the other; `make test` calls it after setup.
#
#   test.sh         all stages
#   test.sh lint    the quick ones: formatting, clippy, import rules
#
# A failing stage does not hide the later ones: all run, a table says how each went, and the exit code is
# 1 when any failed. Each stage's full output is kept in target/test-logs/.
# Nothing is skipped: what a test needs must be there (BELLJAR_REQUIRE_ALL=1 turns "not there" into a failure).
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
cd "$BELLJAR_ROOT"

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$BELLJAR_ROOT/target}
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}
export BELLJAR_REQUIRE_ALL=1
export BELLJAR_REAL_DATA=${BELLJAR_REAL_DATA:-$BELLJAR_ROOT/../shared/data}
export BELLJAR_BIN=${BELLJAR_BIN:-$CARGO_TARGET_DIR/debug/belljar}
LOGS=$CARGO_TARGET_DIR/test-logs
mkdir -p "$LOGS"

table=()
failed=0

# stage NAME COMMAND…: runs the command, shows and keeps its output, notes time and outcome.
stage() {
	local name=$1 began=$SECONDS outcome=ok
	shift
	step "$name"
	if ! "$@" 2>&1 | tee "$LOGS/$name.log"; then
		outcome=FAILED
		failed=1
	fi
	table+=("$(printf '  %-14s %-7s %4d s' "$name" "$outcome" $((SECONDS - began)))")
}

formatting() { cargo fmt --all --check && echo "formatted"; }
# --quiet leaves out the "Compiling" lines and nothing else.
clippy() { cargo clippy --quiet --workspace --all-targets --locked -- -D warnings && echo "no findings"; }
layering() { cargo test --quiet --locked -p belljar-tests --test layering; }
rust_build() {
	cargo build --quiet --locked -p belljar && cargo test --quiet --workspace --locked --no-run && echo "built"
}
rust_tests() { cargo test --workspace --locked --no-fail-fast; }
analyses_build() { analyses/build.sh && echo "built"; }
analyses_tests() {
	local folder
	for folder in analyses/tests analyses/writing-patterns/tests analyses/insights-report/tests; do
		echo "$folder"
		"$PYTHON" -m unittest discover -s "$folder" || return 1
	done
}
web_tests() { (cd web && npm run --silent check); }
# A real browser against a real server with real containers.
browser_tests() { (cd web && npm run --silent e2e); }
script_tests() { "$PYTHON" -m unittest discover -s scripts/tests; }
web_build() { make web && echo "built"; }

real_data() {
	if [ -d "$BELLJAR_REAL_DATA" ]; then
		say "real data: $BELLJAR_REAL_DATA"
	else
		say "no real data at $BELLJAR_REAL_DATA: tests that want it run on generated data of the same shape"
	fi
}

start_postgres() {
	[ -z "${BELLJAR_TEST_POSTGRES:-}" ] || return 0
	step "starting a PostgreSQL of our own for the tests"
	trap 'scripts/test-postgres.sh stop' EXIT
	BELLJAR_TEST_POSTGRES=$(scripts/test-postgres.sh start)
	export BELLJAR_TEST_POSTGRES
}

report() {
	say ""
	printf '%s\n' "${table[@]}" >&2
	[ "$failed" -eq 0 ] || die "some stages failed; their output is above and in $LOGS"
	say "all passed"
}

case ${1:-all} in
lint)
	stage web-build web_build # the binary embeds the pages, so it does not compile without them
	stage formatting formatting
	stage clippy clippy
	stage layering layering
	;;
all)
	real_data
	start_postgres
	stage web-build web_build
	stage formatting formatting
	stage clippy clippy
	stage rust-build rust_build
	stage analyses-build analyses_build
	stage rust-tests rust_tests
	stage analyses-tests analyses_tests
	stage script-tests script_tests
	stage web-tests web_tests
	stage browser-tests browser_tests
	;;
*) die "usage: test.sh [lint]" 64 ;;
esac
report
