# shellcheck shell=bash
# PostgreSQL servers for tests: the newest and the oldest supported. Sourced after common.sh.

pg_version() {
  case $1 in
    18) echo 18.1.0 ;;
    15) echo 15.15.0 ;;
  esac
}

pg_platform() {
  case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) echo linux-amd64 ;;
    Linux-aarch64) echo linux-arm64v8 ;;
    Darwin-arm64) echo darwin-arm64v8 ;;
    Darwin-x86_64) echo darwin-amd64 ;;
    *) die "no PostgreSQL bundle for $(uname -sm): set TEST_DATABASE_URL and TEST_DATABASE_URL_15" ;;
  esac
}

pg_unpack() {
  local major=$1 target=$2 name version
  name=embedded-postgres-binaries-$(pg_platform)
  version=$(pg_version "$major")
  say "fetching PostgreSQL $major"
  quietly mvn -q -B dependency:copy -DoutputDirectory="$target" \
    -Dartifact="io.zonky.test.postgres:$name:$version" || return
  unzip -q -o "$target/$name-$version.jar" -d "$target"
  tar -xJf "$target"/postgres-*.txz -C "$target"
  rm -rf "$target"/*.jar "$target"/*.txz "$target/META-INF"
}

# The distribution's own programs when they are there, else the bundle.
pg_home() {
  local packaged=/usr/lib/postgresql/$1
  if [ -x "$packaged/bin/postgres" ]; then echo "$packaged"; else echo "$CACHE/postgres-$(pg_version "$1")"; fi
}

fetch_postgres() {
  local home
  home=$(pg_home "$1")
  [ -x "$home/bin/postgres" ] || fill "$home" pg_unpack "$1"
}

# PostgreSQL refuses to run as root; any unprivileged user will do.
as_pg_user() {
  local user=nobody
  is_root || { "$@"; return; }
  id -u postgres >/dev/null 2>&1 && user=postgres
  setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups -- "$@"
}

# pg_programs MAJOR: the folder of its programs, where the user that runs the server can enter. A cache under a
# home folder that only its owner may enter is copied for that user.
pg_programs() {
  local home
  home=$(pg_home "$1")
  if ! (cd "$RUN" && as_pg_user test -x "$home/bin/postgres"); then
    fill "$RUN/programs$1" cp -R "$home/." || return
    home=$RUN/programs$1
  fi
  echo "$home/bin"
}

# start_postgres MAJOR: an empty cluster on a free port; prints its URL.
start_postgres() {
  local name=pg$1 data=$RUN/pg$1 programs word port
  programs=$(pg_programs "$1") || return
  word=$(random_word)
  mkdir -p "$data"
  printf '%s\n' "$word" >"$data.pw"
  if is_root; then chown -R "$(as_pg_user id -u):$(as_pg_user id -g)" "$data" "$data.pw"; fi
  cd "$RUN" || return
  as_pg_user "$programs/initdb" -D "$data" -U postgres --pwfile="$data.pw" -A scram-sha-256 \
    -E UTF8 --locale=C --no-sync --no-instructions >"$RUN/log/$name-init.log" 2>&1 || return
  rm -f "$data.pw"
  pg_settings | as_pg_user tee -a "$data/postgresql.conf" >/dev/null
  for _ in 1 2 3; do
    port=$(free_port)
    if as_pg_user "$programs/pg_ctl" start -D "$data" -w -t 30 -o "-p $port" -l "$data/server.log" >/dev/null; then
      head -n 1 "$data/postmaster.pid" >"$RUN/pid/$name"
      echo "postgres://postgres:$word@127.0.0.1:$port/postgres"
      return
    fi
  done
  return 1
}

# Tuned for many short-lived databases. Nothing here survives a crash: tests about crashes start a server of their own.
pg_settings() {
  cat <<'SETTINGS'
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 400
max_locks_per_transaction = 256
shared_buffers = 256MB
max_wal_size = 2GB
checkpoint_timeout = 30min
shared_preload_libraries = 'pg_stat_statements'
fsync = off
full_page_writes = off
timezone = 'UTC'
SETTINGS
}
