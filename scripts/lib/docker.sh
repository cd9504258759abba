# shellcheck shell=bash
# The Docker daemon: is one there, start one where no init does, teach it our runtime.
# Never restarts a daemon that runs containers without being told to, and overwrites no runtime but ours.

RUNTIME_NAME=belljar-runsc
# No network stack of the host below the sandbox. No --platform: runsc picks the best it has.
RUNTIME_ARGS=(--network=none)

DAEMON_JSON=${DAEMON_JSON:-/etc/docker/daemon.json}
DOCKERD_LOG=${BELLJAR_DOCKERD_LOG:-/var/log/belljar-dockerd.log}
DOCKERD_PIDFILE=${BELLJAR_DOCKERD_PIDFILE:-/var/run/docker.pid}

has_systemd() { [ -d /run/systemd/system ]; }

# Whether systemd runs the daemon that we talk to, and not one with a socket of its own.
systemd_runs_docker() {
	has_systemd && [ -z "${BELLJAR_DOCKERD_ARGS:-}" ] && [[ $(docker_socket) =~ ^(/var)?/run/docker.sock$ ]]
}

# The daemon's unix socket: DOCKER_HOST when it names one, else Docker's own default.
docker_socket() {
	case ${DOCKER_HOST:-} in
	'') printf '%s\n' /var/run/docker.sock ;;
	unix://*) printf '%s\n' "${DOCKER_HOST#unix://}" ;;
	*) die "DOCKER_HOST=$DOCKER_HOST: Belljar needs a daemon on this machine; unset it or name a unix:// socket" 78 ;;
	esac
}

docker_api() { "$PYTHON" "$BELLJAR_ROOT/scripts/lib/docker_api.py" "$(docker_socket)" "$@"; }
docker_answers() { docker_api ping 2>/dev/null; }
daemon_json() { "$PYTHON" "$BELLJAR_ROOT/scripts/lib/daemon_json.py" "$DAEMON_JSON" "$@"; }

# What the daemon says of our runtime, and what it should say.
runtime_known() { docker_api runtime "$RUNTIME_NAME" 2>/dev/null; }
runtime_matches() { [ "$(runtime_known)" = "$1 ${RUNTIME_ARGS[*]}" ]; }

# runsc_path: the runsc to register: the one asked for, else the one registered before
# (it may be a newer one that someone gave by path), else the one on PATH.
runsc_path() {
	local path registered
	if [ -n "${RUNSC:-}" ]; then
		path=$RUNSC
	else
		registered=$(daemon_json get "$RUNTIME_NAME") || return $?
		if [ -n "$registered" ] && [ -x "$registered" ]; then path=$registered; else path=$(command -v runsc); fi
	fi
	case $path in /*) ;; *) die "runsc must be given by an absolute path, not '$path'" 64 ;; esac
	[[ $("$path" --version 2>/dev/null) == 'runsc version'* ]] ||
		die "$path is not a working runsc: '$path --version' does not say 'runsc version …'" 78
	printf '%s\n' "$path"
}

# Control groups, where no init mounted them. Unified (v2): one hierarchy, nothing to choose.
ensure_cgroups() {
	grep -qE '^[^ ]+ [^ ]+ cgroup2? ' /proc/mounts && return 0
	step "mounting control groups (no init did)"
	mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 /sys/fs/cgroup ||
		die "control groups are not mounted and could not be; Docker cannot work without them" 71
}

dockerd_ready_or_dead() { docker_answers || recorded_ended dockerd; }

# launch_dockerd EXTRA…: starts the daemon detached and waits until it answers or ends.
launch_dockerd() {
	local args=()
	read -r -a args <<<"${BELLJAR_DOCKERD_ARGS:-}"
	printf '\n=== %s starting dockerd %s\n' "$(date -u +%FT%TZ)" "$*" >>"$DOCKERD_LOG"
	start_detached dockerd "$DOCKERD_LOG" dockerd --config-file "$DAEMON_JSON" "${args[@]}" "$@" || return 1
	wait_until 90 dockerd_ready_or_dead
	docker_answers
}

# Without an init: start it ourselves. Belljar gives containers no network, so a machine whose kernel
# or rights do not allow Docker's bridge can do without it.
start_dockerd() {
	ensure_cgroups
	mkdir -p "$(dirname "$DOCKERD_LOG")"
	launch_dockerd && return 0
	stop_recorded dockerd 20
	if grep -qiE 'iptables|bridge|network controller' <<<"$(tail -n 40 "$DOCKERD_LOG")"; then
		warn "dockerd could not set up its bridge; starting it without one (Belljar needs none)"
		launch_dockerd --bridge=none --iptables=false --ip6tables=false && return 0
		stop_recorded dockerd 20
	fi
	tail -n 15 "$DOCKERD_LOG" >&2
	die "dockerd does not start; its last lines are above, all of them in $DOCKERD_LOG" 69
}

ensure_dockerd() {
	if docker_answers; then
		say "the Docker daemon is running and is left alone: $(docker_api summary)"
	elif systemd_runs_docker; then
		step "starting Docker (systemctl start docker)"
		systemctl start docker || die "systemctl could not start docker; see: journalctl -u docker" 69
		wait_until 60 docker_answers || die "the Docker daemon does not answer on $(docker_socket)" 69
	else
		step "starting dockerd (no init does here); log: $DOCKERD_LOG"
		start_dockerd
		say "started $(docker_api summary)"
	fi
}

# The daemon's pid, checked to be a dockerd.
dockerd_pid() {
	local pid
	pid=$(recorded_pid dockerd)
	[ -n "$pid" ] || pid=$(cat "$DOCKERD_PIDFILE" 2>/dev/null)
	[ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ] && printf '%s\n' "$pid"
}

# Runtimes are among what dockerd reads again on SIGHUP: no container notices.
reload_dockerd() {
	local pid
	pid=$(dockerd_pid) || return 1
	step "asking dockerd (pid $pid) to read $DAEMON_JSON again"
	kill -HUP "$pid" && wait_until 10 runtime_matches "$1"
}

may_restart() {
	local running answer
	running=$(docker_api running) || return 1
	[ -n "$running" ] || return 0
	[ -z "${RESTART_DOCKER:-}" ] || return 0
	say "These containers run in the Docker daemon:"
	say "$running"
	[ -t 0 ] || return 1
	read -r -p "Restart the daemon, which ends them? [y/N] " answer
	[ "$answer" = y ] || [ "$answer" = Y ]
}

restart_dockerd() {
	if [ -n "$(recorded_pid dockerd)" ]; then
		stop_recorded dockerd 60 || die "the dockerd that this script started does not end" 70
		start_dockerd
	elif systemd_runs_docker; then
		systemctl restart docker && wait_until 60 docker_answers
	else
		return 1
	fi
}

# register_runtime PATH: in daemon.json first, so that a daemon started later knows it at once.
register_runtime() {
	local outcome
	outcome=$(daemon_json set "$RUNTIME_NAME" "$1" "${RUNTIME_ARGS[@]}") || exit 65
	[ "$outcome" = unchanged ] || say "$DAEMON_JSON $outcome: runtime $RUNTIME_NAME is $1 ${RUNTIME_ARGS[*]}"
}

# activate_runtime PATH: makes the running daemon know it: by reload, by restart only when allowed.
activate_runtime() {
	runtime_matches "$1" && return 0
	reload_dockerd "$1" && return 0
	if may_restart && restart_dockerd && wait_until 10 runtime_matches "$1"; then return 0; fi
	die "the Docker daemon does not know the runtime $RUNTIME_NAME = $1 yet. It is in $DAEMON_JSON: restart
the daemon when its containers allow it (setup.sh --restart-docker does so), or check that the daemon reads that file." 75
}
