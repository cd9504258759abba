#!/usr/bin/env bash
# The demo: starts Belljar unless it runs, makes what the demo DAG needs, runs it in real containers,
# prints the results. `make demo` sets up and builds first. Run again, it finds what is there.
#
# Environment: DATA, an export as CSV (default: the sample in the project); BELLJAR_DATA_DIR, BELLJAR_SERVER.
set -euo pipefail
HERE=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=scripts/lib/common.sh
. "$HERE/lib/common.sh"
# shellcheck source=scripts/lib/belljar.sh
. "$HERE/lib/belljar.sh"

ANALYSES=(posts-clean social-engagement writing-patterns insights-report)
DAG=$BELLJAR_ROOT/dag-specs/examples/social-insights.yaml
DATA=${DATA:-$BELLJAR_ROOT/analyses/posts-clean/sample/export}
OUT=${BELLJAR_DEMO_OUT:-$BELLJAR_ROOT/target/demo}

belljar() { "$BELLJAR_BIN" "$@"; }

# json EXPRESSION: evaluates a Python expression over `it`, the JSON on stdin.
json() { "$PYTHON" -c 'import json, sys; it = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"; }

# Programs as the person who calls, whose toolchain it is; the Python base as root, who may make devices.
build_analyses() {
	[ -z "${built:-}" ] || return 0
	step "building the programs and the base image of the analyses"
	"$BELLJAR_ROOT/analyses/build.sh" --programs-only >&2
	as_root "$BELLJAR_ROOT/analyses/base/build.sh" >/dev/null
	built=1
}

submit_missing_analyses() {
	local name
	for name in "${ANALYSES[@]}"; do
		if belljar --quiet analysis show "$name@1.0.0" >/dev/null 2>&1; then
			say "analysis $name@1.0.0 is there"
		else
			build_analyses
			step "submitting analysis $name"
			# Building an image talks to Docker, which is root's.
			as_root "$BELLJAR_BIN" analysis submit "$BELLJAR_ROOT/analyses/$name" >&2
		fi
	done
}

# executors STATE: the executors in this state, one a line, with the reason where they take no work.
executors() {
	belljar --output json executor list |
		json '"\n".join(e["name"] + ": " + (e["unavailable"] or "") for e in it["items"] if e["state"] == "'"$1"'")'
}
executor_online() { [ -n "$(executors online)" ]; }

# An executor tests its sandbox before it takes work; without one the run would wait for ever.
wait_for_executor() {
	wait_until 60 executor_online && return 0
	executors unavailable >&2
	die "no executor takes work; the reason is above, and 'sudo $BELLJAR_BIN doctor' explains more" 69
}

[ -r "$DATA" ] || die "there is no readable file $DATA (make demo DATA=path/to/export.csv)" 66
bash "$HERE/start.sh"
belljar pool set heavy --slots 2 >&2
submit_missing_analyses
step "putting $DATA in as the dataset posts"
belljar dataset put posts "$DATA" --media-type text/csv >&2
step "applying ${DAG#"$BELLJAR_ROOT"/}"
belljar dag apply "$DAG" >&2

wait_for_executor
step "running the DAG social-insights"
run=$(belljar --output json dag run social-insights | json 'it["run"]')
belljar run watch "$run" --timeout 10m >&2 || {
	belljar run show "$run" >&2
	die "the run did not succeed; what it is, and why anything waits, is above" 1
}

mkdir -p "$OUT"
for task in clean engagement words report; do
	belljar run result "$run" "$task" >"$OUT/$task.json"
done
belljar run artifact "$run" report report -o "$OUT/report.html" --force >&2

printf '\nResults of %s\n\n' "$run"
"$PYTHON" "$HERE/lib/headline.py" "$OUT"
cat <<END

  Report      $OUT/report.html   (open it in a browser)

Belljar goes on running:

  Web page    $BELLJAR_SERVER   (sign in with the token that 'make token' prints)
  This run    $BELLJAR_BIN run show $run
  Stop it     make stop
END
