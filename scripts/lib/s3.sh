# shellcheck shell=bash
# An S3-compatible gateway over a plain folder. Sourced after common.sh and go.sh.

S3_VERSION=v1.8.0
S3_PROGRAM=$CACHE/versitygw-$S3_VERSION/versitygw

fetch_s3() {
  [ -x "$S3_PROGRAM" ] || fill "$(dirname "$S3_PROGRAM")" go_install 24 "github.com/versity/versitygw/cmd/versitygw@$S3_VERSION"
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
