# shellcheck shell=bash
# One Apache Kafka node, broker and controller in one (KRaft). Sourced after common.sh.

KAFKA_HOME=$CACHE/kafka-4.1.0
# Quick to start; what measures speed says otherwise.
KAFKA_JAVA=(-Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1)

kafka_copy() {
  say "fetching Kafka"
  quietly mvn -q -B -f "$ROOT/scripts/kafka/pom.xml" dependency:copy-dependencies -DoutputDirectory="$1"
}

fetch_kafka() { [ -d "$KAFKA_HOME" ] || fill "$KAFKA_HOME" kafka_copy; }

kafka_java() { java "${KAFKA_JAVA[@]}" -cp "$KAFKA_HOME/*" "$@"; }

# kafka_properties PORT CONTROLLER-PORT FOLDER
kafka_properties() {
  cat <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$2
listeners=PLAINTEXT://127.0.0.1:$1,CONTROLLER://127.0.0.1:$2
advertised.listeners=PLAINTEXT://127.0.0.1:$1
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs=$3/data
num.partitions=3
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
PROPERTIES
}

kafka_ready() { gone kafka || answers "$1"; }

# start_kafka: a fresh node on a free port; prints its address.
start_kafka() {
  local port
  for _ in 1 2 3; do
    rm -rf "$RUN/kafka"
    port=$(free_port)
    daemon kafka "$ROOT/scripts/kafka/node" "$RUN/kafka" "$port" -Xmx512m
    wait_until 60 kafka_ready "$port" || return
    if runs kafka; then echo "127.0.0.1:$port"; return; fi
  done
  return 1
}
