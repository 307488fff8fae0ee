#!/usr/bin/env bash
# Runs a real Apache Kafka (KRaft, one node) on loopback, for tests.
#
#   tests/kafka_local.sh FOLDER PORT     in the foreground; prints "ready 127.0.0.1:PORT" once it answers; SIGTERM stops it
#   tests/kafka_local.sh --fetch         only makes sure that the jars are there
#
# PORT takes anybody; PORT + 1 is the controller's; PORT + 2 wants SASL/PLAIN as user `pumphandle` with password `handle`.
# FOLDER holds everything that this broker keeps: the same FOLDER and PORT go on where they were, even after SIGKILL.
# FOLDER/broker.pid is the broker's process. Needs Java 17 or newer, and Maven for the jars (about 54 MB, fetched once into
# $XDG_CACHE_HOME/pumphandle, or else the target folder).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
version=${KAFKA_VERSION:-4.1.0}
cache=${XDG_CACHE_HOME:+$XDG_CACHE_HOME/pumphandle}
cache=${cache:-${CARGO_TARGET_DIR:-$here/../target}/parts}/kafka-$version

for tool in java mvn; do
    command -v "$tool" >/dev/null || { echo "error: no \`$tool\` to run Kafka with" >&2; exit 1; }
done

# Several test binaries may want it at once: one fetches, and what is there is whole.
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [[ ! -d $cache/lib ]]; then
    rm -rf "$cache/fetching"
    mkdir -p "$cache/fetching"
    cat >"$cache/fetching/pom.xml" <<XML
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion><groupId>local</groupId><artifactId>kafka-local</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
XML
    for attempt in 1 2 3; do
        (cd "$cache/fetching" && mvn -q -B dependency:copy-dependencies -DoutputDirectory="$cache/fetching/lib") >&2 && break
        [[ $attempt == 3 ]] && { echo "error: the registry doesn't give Kafka $version" >&2; exit 1; }
        sleep 2
    done
    mv "$cache/fetching/lib" "$cache/lib"
    rm -rf "$cache/fetching"
fi
exec 9>&-
[[ ${1:-} == --fetch ]] && exit 0

folder=$(mkdir -p "$1" && cd "$1" && pwd) port=$2
cat >"$folder/server.properties" <<PROPS
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1)),SASL://127.0.0.1:$((port + 2))
advertised.listeners=PLAINTEXT://127.0.0.1:$port,SASL://127.0.0.1:$((port + 2))
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT
controller.listener.names=CONTROLLER
sasl.enabled.mechanisms=PLAIN
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_pumphandle="handle";
log.dirs=$folder/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
group.initial.rebalance.delay.ms=0
# The sessions of test members are short in both protocols.
group.min.session.timeout.ms=500
group.consumer.min.session.timeout.ms=500
group.consumer.session.timeout.ms=3000
group.consumer.min.heartbeat.interval.ms=100
group.consumer.heartbeat.interval.ms=300
auto.create.topics.enable=false
log.cleaner.backoff.ms=500
log.retention.check.interval.ms=1000
PROPS
jvm=(java -Xmx512m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$cache/lib/*")
if [[ ! -f $folder/data/meta.properties ]]; then
    "${jvm[@]}" kafka.tools.StorageTool format -t "$("${jvm[@]}" kafka.tools.StorageTool random-uuid)" -c "$folder/server.properties" >/dev/null
fi
"${jvm[@]}" kafka.Kafka "$folder/server.properties" >>"$folder/kafka.log" 2>&1 &
broker=$!
echo "$broker" >"$folder/broker.pid"
trap 'kill "$broker" 2>/dev/null; wait "$broker"' TERM INT
for _ in $(seq 1 480); do
    kill -0 "$broker" 2>/dev/null || { echo "error: Kafka has ended at its start, see $folder/kafka.log" >&2; exit 1; }
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then echo "ready 127.0.0.1:$port"; break; fi
    sleep 0.25
done
# A test that kills the broker needs no word about it.
{ wait "$broker"; } 2>/dev/null
