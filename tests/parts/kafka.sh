# Kafka for the tests, to be sourced: `kafka_start` sets and exports KAFKA_BROKERS, `kafka_stop` ends what it has started.
#
# Takes the brokers that KAFKA_BROKERS names already; else docker's image, if an engine is at hand and has it or can fetch it;
# else the package that tests/kafka_local.sh fetches. Returns 1, saying why, where none of them works.

kafka_script=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/kafka_local.sh
kafka_folder= kafka_pid= kafka_container=

kafka_start() {
    if [ -n "${KAFKA_BROKERS:-}" ]; then
        echo "Kafka: $KAFKA_BROKERS, as KAFKA_BROKERS says"
        return 0
    fi
    local port
    port=$(kafka_free_port) || return 1
    kafka_start_docker "$port" || kafka_start_local "$port" || { kafka_stop; return 1; }
    export KAFKA_BROKERS=127.0.0.1:$port
}

kafka_stop() {
    if [ -n "$kafka_container" ]; then
        docker rm -f "$kafka_container" >/dev/null 2>&1 || true
    fi
    if [ -n "$kafka_pid" ]; then
        kill "$kafka_pid" 2>/dev/null || true
        wait "$kafka_pid" 2>/dev/null || true
    fi
    if [ -n "$kafka_folder" ]; then
        rm -rf "$kafka_folder"
    fi
    kafka_container= kafka_pid= kafka_folder=
}

kafka_start_docker() {
    command -v docker >/dev/null && docker info >/dev/null 2>&1 || return 1
    local image=apache/kafka:${KAFKA_VERSION:-4.1.0}
    docker image inspect "$image" >/dev/null 2>&1 || timeout 120 docker pull -q "$image" >/dev/null 2>&1 || return 1
    kafka_container=$(docker run -d -p "127.0.0.1:$1:$1" \
        -e KAFKA_NODE_ID=1 -e KAFKA_PROCESS_ROLES=broker,controller -e KAFKA_CONTROLLER_QUORUM_VOTERS=1@localhost:19093 \
        -e KAFKA_LISTENERS="PLAINTEXT://:$1,CONTROLLER://:19093" -e KAFKA_ADVERTISED_LISTENERS="PLAINTEXT://127.0.0.1:$1" \
        -e KAFKA_CONTROLLER_LISTENER_NAMES=CONTROLLER \
        -e KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT \
        -e KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR=1 -e KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR=1 \
        -e KAFKA_TRANSACTION_STATE_LOG_MIN_ISR=1 -e KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR=1 \
        -e KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS=0 -e KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS=500 \
        -e KAFKA_GROUP_CONSUMER_MIN_SESSION_TIMEOUT_MS=500 -e KAFKA_GROUP_CONSUMER_SESSION_TIMEOUT_MS=3000 \
        -e KAFKA_GROUP_CONSUMER_MIN_HEARTBEAT_INTERVAL_MS=100 -e KAFKA_GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS=300 \
        -e KAFKA_AUTO_CREATE_TOPICS_ENABLE=false -e KAFKA_LOG_CLEANER_BACKOFF_MS=500 "$image" 2>/dev/null) || return 1
    local second
    for second in $(seq 1 120); do
        if docker logs "$kafka_container" 2>&1 | grep -q 'Kafka Server started'; then
            echo "Kafka: 127.0.0.1:$1, $image"
            return 0
        fi
        sleep 0.5
    done
    docker rm -f "$kafka_container" >/dev/null 2>&1
    kafka_container=
    return 1
}

kafka_start_local() {
    "$kafka_script" --fetch || return 1
    kafka_folder=$(mktemp -d)
    "$kafka_script" "$kafka_folder" "$1" >"$kafka_folder/said" 2>&1 &
    kafka_pid=$!
    local tick
    for tick in $(seq 1 480); do
        if grep -q '^ready' "$kafka_folder/said"; then
            echo "Kafka: 127.0.0.1:$1, from the package registry"
            return 0
        fi
        if ! kill -0 "$kafka_pid" 2>/dev/null; then
            break
        fi
        sleep 0.25
    done
    cat "$kafka_folder/said" >&2
    return 1
}

# A port that is free together with the two after it. They may be taken in between; then the start says so.
kafka_free_port() {
    local port attempt
    for attempt in $(seq 1 100); do
        port=$((20000 + RANDOM % 10000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null &&
            ! (exec 3<>"/dev/tcp/127.0.0.1/$((port + 1))") 2>/dev/null &&
            ! (exec 3<>"/dev/tcp/127.0.0.1/$((port + 2))") 2>/dev/null; then
            echo "$port"
            return 0
        fi
    done
    echo "error: no free port for Kafka" >&2
    return 1
}
