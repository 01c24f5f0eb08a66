# shellcheck shell=bash
# Shared by every script here: where things are, how to say and wait, how to run as somebody else.
# Nothing is installed into the clone: downloads go to the cache, running servers to the run folder.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
CACHE=${TEST_CACHE_DIR:-${HOME:-/tmp}/.cache/progress-service}
# One run folder per user and clone, outside of it: an unprivileged server user must be able to enter.
RUN=${TEST_RUN_DIR:-${TMPDIR:-/tmp}/progress-service-$(id -u)-$(printf %s "$ROOT" | cksum | cut -d' ' -f1)}

# A toolchain installed a moment ago is not on the caller's path yet.
PATH=$PATH:${CARGO_HOME:-${HOME:-}/.cargo}/bin
if [ "${CI:-}" = true ]; then
  export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$CACHE/target} CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never
fi

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
# stage NAME COMMAND...: runs the command and says how long it took.
stage() {
  local name=$1 began=$SECONDS code=0; shift
  say "== $name"
  "$@" || code=$?
  if [ "$code" = 0 ]; then say "== $name: done in $((SECONDS - began)) s"; else say "== $name: FAILED after $((SECONDS - began)) s"; fi
  return "$code"
}

is_root() { [ "$(id -u)" = 0 ]; }

as_root() {
  if is_root; then "$@"
  elif have sudo; then sudo "$@"
  else die "root is needed to run: $*"
  fi
}

# wait_until SECONDS COMMAND...: polls until the command succeeds.
wait_until() {
  local limit=$((SECONDS + $1)); shift
  until "$@"; do
    [ "$SECONDS" -lt "$limit" ] || return 1
    sleep 0.1
  done
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A port below the ephemeral range, so that no outgoing connection takes it before its server does.
free_port() {
  local port
  while :; do
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    answers "$port" || { echo "$port"; return; }
  done
}

random_word() { od -An -N12 -tx1 /dev/urandom | tr -d ' \n'; }

# daemon NAME COMMAND...: starts a server that outlives this script; its pid and log stand in the run folder.
daemon() {
  local name=$1 detach=(nohup); shift
  have setsid && detach=(setsid nohup)
  "${detach[@]}" "$@" </dev/null >"$RUN/log/$name.log" 2>&1 &
  echo $! >"$RUN/pid/$name"
}

# Whether the server NAME runs. A reused pid is told apart: every server has the run folder in its arguments.
runs() {
  local pid
  pid=$(cat "$RUN/pid/$1" 2>/dev/null) || return 1
  ps -o args= -p "$pid" 2>/dev/null | grep -qF "$RUN"
}

gone() { ! runs "$1"; }

# stop NAME SIGNAL: the data is thrown away afterwards, so a short grace is enough.
stop() {
  if runs "$1"; then
    kill -s "$2" "$(cat "$RUN/pid/$1")" 2>/dev/null || true
    wait_until 5 gone "$1" || kill -s KILL "$(cat "$RUN/pid/$1")" 2>/dev/null || true
  fi
  rm -f "$RUN/pid/$1"
}

# fill DIRECTORY COMMAND...: the command fills the directory named as its last argument; readers see all of it or nothing.
fill() {
  # Names of its own: the command sees them in place of its caller's.
  local fill_into=$1 fill_staging; shift
  [ -e "$fill_into" ] && return
  mkdir -p "$(dirname "$fill_into")"
  fill_staging=$(mktemp -d "$fill_into.XXXXXX")
  chmod 755 "$fill_staging"
  "$@" "$fill_staging" || { rm -rf "$fill_staging"; return 1; }
  # Another run may have been quicker; its copy is as good.
  if [ -e "$fill_into" ]; then rm -rf "$fill_staging"; else mv "$fill_staging" "$fill_into"; fi
}

# quietly COMMAND...: shows what the command printed only when it fails.
quietly() {
  local output code=0
  output=$("$@" 2>&1 </dev/null) || code=$?
  [ "$code" = 0 ] || say "$output"
  return "$code"
}

# venv NAME PACKAGE...: a Python environment in the cache with these packages; made in place, for its scripts name their path.
venv() {
  local place=$CACHE/venv/$1; shift
  [ -e "$place/complete" ] && return
  say "installing $*"
  quietly python3 -m venv --clear "$place" && quietly "$place/bin/pip" install "$@" && touch "$place/complete"
}
