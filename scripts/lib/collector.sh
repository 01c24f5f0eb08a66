# shellcheck shell=bash
# The OpenTelemetry Collector, which has no program among its modules: ours is as small as tests/collector says, with their
# versions pinned there. Sourced after common.sh and go.sh.

COLLECTOR_SOURCE=$ROOT/tests/collector
COLLECTOR_PROGRAM=$CACHE/collector-$(cat "$COLLECTOR_SOURCE"/main.go "$COLLECTOR_SOURCE"/go.* | cksum | cut -d' ' -f1)/collector

fetch_collector() {
  [ -x "$COLLECTOR_PROGRAM" ] || fill "$(dirname "$COLLECTOR_PROGRAM")" go_build 26 "$COLLECTOR_SOURCE"
}
