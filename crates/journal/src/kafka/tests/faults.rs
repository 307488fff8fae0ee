use std::fs::OpenOptions;
use std::sync::atomic::AtomicBool;
use std::thread;

use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::broker::{Broker, free_port};
use super::*;

#[test]
fn appends_and_reads_go_on_through_stops_kills_and_standstills_of_the_broker() {
    const RECORDS: usize = 3_000;
    let Some(mut broker) = Broker::start() else { return };
    let topics = Topics::new(&broker.address(), 2);
    let journal = topics.journal();
    let done = AtomicBool::new(false);
    let appended = AtomicU32::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..RECORDS / 10 {
                let entries: Vec<Entry> =
                    (n * 10..n * 10 + 10).map(|n| entry((n % 2) as u32, &n.to_string())).collect();
                // Within the delivery timeout librdkafka tries again on its own, without doubling
                // anything.
                journal.append(Stream::Posts, &entries).unwrap();
                journal
                    .put(Stream::State, &[("n".to_owned(), Some(n.to_string().into_bytes()))])
                    .unwrap();
                appended.store(n as u32, Ordering::Relaxed);
            }
            done.store(true, Ordering::Relaxed);
        });
        let readers: Vec<_> = (0..2)
            .map(|partition| {
                scope.spawn(move || {
                    let mut read: Vec<String> = Vec::new();
                    while read.len() < RECORDS / 2 {
                        match journal.read(
                            Stream::Posts,
                            partition,
                            read.len() as Position,
                            1000,
                            Duration::from_millis(100),
                        ) {
                            Ok(batch) => read.extend(
                                batch
                                    .records
                                    .into_iter()
                                    .map(|(_, bytes)| String::from_utf8(bytes).unwrap()),
                            ),
                            Err(error) => assert!(error.retry(), "{error}"),
                        }
                    }
                    read
                })
            })
            .collect();
        scope.spawn(|| {
            let mut seen = 0;
            while !done.load(Ordering::Relaxed) {
                match journal.get(Stream::State, "n") {
                    Ok(value) => {
                        let value = value.map_or(0, |value| {
                            String::from_utf8(value).unwrap().parse::<u32>().unwrap()
                        });
                        assert!(value >= seen, "{value} after {seen}");
                        seen = value;
                    }
                    Err(error) => assert!(error.retry(), "{error}"),
                }
            }
        });
        let mut member = journal.join(Group::Tally).unwrap();
        let mut owned = 0;
        for signal in ["-TERM", "-KILL", "-STOP"] {
            let before = appended.load(Ordering::Relaxed);
            until("some more is appended", || {
                appended.load(Ordering::Relaxed) > before + 20 || done.load(Ordering::Relaxed)
            });
            assert!(!done.load(Ordering::Relaxed), "too early for {signal}");
            if signal == "-STOP" {
                broker.signal("-STOP");
                thread::sleep(Duration::from_secs(3));
                broker.signal("-CONT");
            } else {
                broker.stop(signal);
                broker.start_again();
            }
        }
        until("the group works again", || {
            for change in member.changes(Duration::from_millis(100)).unwrap() {
                match change {
                    Change::Given(_) => owned += 1,
                    Change::Taken(_) => owned -= 1,
                }
            }
            owned == 2
        });
        for (partition, reader) in readers.into_iter().enumerate() {
            let expected: Vec<String> =
                (0..RECORDS).filter(|n| n % 2 == partition).map(|n| n.to_string()).collect();
            assert!(reader.join().unwrap() == expected, "each once, in order");
        }
    });
    for partition in 0..2 {
        assert_eq!(
            journal.extent(Stream::Posts, partition).unwrap(),
            0..RECORDS as u64 / 2,
            "none lost, none doubled"
        );
    }
}

#[test]
fn an_append_that_finds_nobody_fails_in_its_time_and_may_be_tried_again() {
    let Some(mut broker) = Broker::start() else { return };
    let mut topics = Topics::new(&broker.address(), 1);
    topics.settings.delivery_timeout = Duration::from_secs(2);
    topics.settings.request_timeout = Duration::from_secs(2);
    topics.reopen();
    let journal = topics.journal();
    journal.append(Stream::Posts, &[entry(0, "before")]).unwrap();
    journal.read(Stream::Posts, 0, 0, 10, Duration::ZERO).unwrap();
    let mut member = journal.join(Group::Tally).unwrap();
    until("the member has its share", || {
        !member.changes(Duration::from_millis(50)).unwrap().is_empty()
    });
    let second = KafkaJournal::open(topics.settings.clone()).unwrap();
    second.read(Stream::Posts, 0, 0, 10, Duration::ZERO).unwrap();
    broker.stop("-KILL");
    let started = Instant::now();
    drop(second);
    drop(member);
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "nothing waits for the dead at its end: {:?}",
        started.elapsed()
    );
    type Called<'a> = &'a dyn Fn() -> Result<(), JournalError>;
    let calls: [(&str, Called<'_>); 5] = [
        ("append", &|| journal.append(Stream::Posts, &[entry(0, "during")]).map(drop)),
        ("put", &|| journal.put(Stream::Feeds, &[("key".to_owned(), Some(vec![1]))]).map(drop)),
        ("read", &|| journal.read(Stream::Posts, 0, 1, 10, Duration::from_millis(10)).map(drop)),
        ("extent", &|| journal.extent(Stream::Posts, 0).map(drop)),
        ("get", &|| journal.get(Stream::Feeds, "key").map(drop)),
    ];
    for (name, call) in calls {
        let started = Instant::now();
        let error = call().expect_err(name);
        assert!(matches!(error, JournalError::Unreachable { .. }), "{name}: {error:?}");
        assert!(error.retry(), "{name}: {error}");
        assert!(
            started.elapsed() < Duration::from_secs(15),
            "{name} after {:?}",
            started.elapsed()
        );
    }
    broker.start_again();
    until("appends work again", || journal.append(Stream::Posts, &[entry(0, "after")]).is_ok());
    let texts = texts(journal, Stream::Posts, 0);
    assert_eq!(texts.first().map(String::as_str), Some("before"));
    assert_eq!(texts.last().map(String::as_str), Some("after"));
    assert!(texts.len() <= 3, "what was given up isn't sent later: {texts:?}");
}

#[test]
fn an_unreachable_broker_and_a_wrong_password_are_told_apart() {
    let nobody = format!("127.0.0.1:{}", free_port());
    let mut settings = KafkaSettings::new(&nobody, "pumphandle", 1);
    settings.request_timeout = Duration::from_secs(2);
    let error = KafkaJournal::open(settings.clone()).err().unwrap();
    assert!(error.retry());
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("Kafka at `{nobody}` does not answer: "))
            && text.contains("refused"),
        "{text}"
    );

    let Some(broker) = Broker::start() else { return };
    settings = super::settings(&broker.guarded_address(), 1);
    for (name, value) in [
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "pumphandle"),
        ("sasl.password", "handle"),
    ] {
        settings.properties.insert(name.to_owned(), value.to_owned());
    }
    migrate(&settings, &Plan::default()).unwrap();
    KafkaJournal::open(settings.clone()).unwrap();
    settings.properties.insert("sasl.password".to_owned(), "wrong".to_owned());
    settings.request_timeout = Duration::from_secs(2);
    let refused = refusal(settings.clone());
    assert!(
        refused.starts_with(&format!("Kafka at `{}` refuses us: ", broker.guarded_address())),
        "{refused}"
    );
    assert!(!refused.contains("wrong"), "no secret in {refused}");
    settings.properties.clear();
    let error = KafkaJournal::open(settings).err().unwrap();
    assert!(matches!(error, JournalError::Unreachable { .. }), "{error:?}");
}

#[test]
fn a_reader_stops_where_the_broker_has_lost_records() {
    let Some(mut broker) = Broker::start() else { return };
    let topics = Topics::new(&broker.address(), 1);
    let journal = topics.journal();
    for n in 0..100 {
        journal.append(Stream::Posts, &[entry(0, &format!("old {n}"))]).unwrap();
    }
    let texts_of = |batch: Batch| {
        batch
            .records
            .into_iter()
            .map(|(_, bytes)| String::from_utf8(bytes).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        texts_of(journal.read(Stream::Posts, 0, 0, usize::MAX, Duration::ZERO).unwrap()).len(),
        100
    );

    // A disk that forgot the last half, as an unclean election does.
    broker.stop("-KILL");
    let folder =
        broker.folder.path().join(format!("data/{}-0", topics.settings.topic(Stream::Posts)));
    for file in std::fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("log") => {
                let length = path.metadata().unwrap().len();
                OpenOptions::new().write(true).open(&path).unwrap().set_len(length / 2).unwrap();
            }
            Some("index" | "timeindex" | "snapshot") => std::fs::remove_file(&path).unwrap(),
            _ => {}
        }
    }
    broker.start_again();
    let mut outcome = None;
    until("the reader has an answer", || {
        outcome = match journal.read(Stream::Posts, 0, 100, 10, Duration::from_millis(10)) {
            Err(error) if error.retry() => None,
            other => Some(other),
        };
        outcome.is_some()
    });
    let high = journal.extent(Stream::Posts, 0).unwrap().end;
    assert!(high < 60, "{high}");
    let outcome = outcome.unwrap();
    assert!(
        matches!(outcome, Err(JournalError::Beyond { requested: 100, high: h, .. }) if h == high),
        "{outcome:?}"
    );

    // Others are written in their place, by another process; a reader that stood in the lost part
    // hears of that too.
    let theirs = KafkaJournal::open(topics.settings.clone()).unwrap();
    assert_eq!(theirs.append(Stream::Posts, &[entry(0, "new")]).unwrap(), [high]);
    assert_eq!(
        texts_of(journal.read(Stream::Posts, 0, high, 10, Duration::ZERO).unwrap()),
        ["new"]
    );
    // Our own producer remembers what the broker has forgotten. Whatever it makes of that, it says
    // so.
    match journal.append(Stream::Posts, &[entry(0, "ours")]) {
        Ok(positions) => assert_eq!(positions, [high + 1]),
        Err(error) => assert!(
            matches!(error, JournalError::Broken { .. } | JournalError::Io { .. }),
            "{error:?}"
        ),
    }
}

#[test]
fn a_producer_that_librdkafka_gives_up_says_so_and_stays_so() {
    let cluster = MockCluster::new(1).unwrap();
    let settings = KafkaSettings::new(cluster.bootstrap_servers(), "mock", 1);
    cluster.create_topic("mock.posts", 1, 1).unwrap();
    let trouble = Arc::new(Trouble::new(settings.clone()));
    let writer = Writer::open(&settings, &trouble).unwrap();
    let outgoing = || [Outgoing { partition: 0, key: None, value: Some(b"x") }];
    cluster.request_errors(
        RDKafkaApiKey::InitProducerId,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED],
    );
    for _ in 0..2 {
        let error = writer.append(Stream::Posts, &outgoing()).unwrap_err();
        assert!(matches!(error, JournalError::Broken { .. }) && !error.retry(), "{error:?}");
        assert!(error.to_string().ends_with("start it again"), "{error}");
    }
}

#[test]
fn passing_errors_of_brokers_are_no_errors_of_appends() {
    let cluster = MockCluster::new(3).unwrap();
    let settings = KafkaSettings::new(cluster.bootstrap_servers(), "mock", 1);
    cluster.create_topic("mock.posts", 1, 3).unwrap();
    let trouble = Arc::new(Trouble::new(settings.clone()));
    let writer = Writer::open(&settings, &trouble).unwrap();
    for (n, error) in [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
    ]
    .into_iter()
    .enumerate()
    {
        cluster.request_errors(RDKafkaApiKey::Produce, &[error; 2]);
        let outgoing = [Outgoing { partition: 0, key: None, value: Some(b"x") }];
        assert_eq!(writer.append(Stream::Posts, &outgoing).unwrap(), [n as u64], "{error:?}");
    }
}
