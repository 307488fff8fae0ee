use rdkafka::admin::NewPartitions;

use super::super::recorded::{KEY, Recorded};
use super::super::table::partition_of;
use super::super::writer::Outgoing;
use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn all() -> std::collections::BTreeSet<Stream> {
    Stream::ALL.into_iter().collect()
}

fn without(streams: &[Stream]) -> std::collections::BTreeSet<Stream> {
    Stream::ALL.into_iter().filter(|stream| !streams.contains(stream)).collect()
}

fn delete(topics: &Topics, stream: Stream) {
    let topic = topics.settings.topic(stream);
    wait_for(topics.admin().delete_topics(&[&topic], &AdminOptions::new())).unwrap();
    let journal = KafkaJournal::connect(topics.settings.clone()).unwrap();
    until("a stream is deleted", || !journal.counts().unwrap().contains_key(&stream));
}

fn property(topics: &Topics, stream: Stream, name: &str) -> String {
    let topic = topics.settings.topic(stream);
    let resource = ResourceSpecifier::Topic(&topic);
    let described =
        wait_for(topics.admin().describe_configs([&resource], &AdminOptions::new())).unwrap();
    described[0].as_ref().unwrap().get(name).unwrap().value.clone().unwrap()
}

#[test]
fn migrating_again_changes_nothing_and_retention_follows_the_plan() {
    let Some(brokers) = brokers() else { return };
    let topics = Topics::new(&brokers, 3);
    let again = migrate(&topics.settings, &Plan::default()).unwrap();
    assert_eq!(again, Report { generation: 1, ..Report::default() });
    for (stream, name, value) in [
        (Stream::Posts, "retention.ms", "259200000"),
        (Stream::Posts, "segment.ms", "3600000"),
        (Stream::Counts, "retention.ms", "2592000000"),
        (Stream::Alerts, "retention.ms", "-1"),
        (Stream::State, "cleanup.policy", "compact"),
        (Stream::Feeds, "cleanup.policy", "compact"),
        (Stream::Tallies, "message.timestamp.type", "LogAppendTime"),
        (Stream::State, "max.message.bytes", "17825792"),
    ] {
        assert_eq!(property(&topics, stream, name), value, "{name} of {stream:?}");
    }
    let mut plan = Plan::default();
    plan.retention.insert(Stream::Rejects, HOUR);
    plan.retention.insert(Stream::Alerts, HOUR);
    assert_eq!(migrate(&topics.settings, &plan).unwrap().changed, [Stream::Rejects].into());
    until("the broker knows its new property", || {
        property(&topics, Stream::Rejects, "retention.ms") == "3600000"
    });
    assert_eq!(
        property(&topics, Stream::Rejects, "message.timestamp.type"),
        "LogAppendTime",
        "others stay"
    );
    assert_eq!(property(&topics, Stream::Alerts, "retention.ms"), "-1", "alerts are for ever");
    assert_eq!(migrate(&topics.settings, &plan).unwrap().changed, [].into());
}

#[test]
fn what_is_missing_is_named_and_made_anew_in_a_higher_generation() {
    let Some(brokers) = brokers() else { return };
    let mut topics = Topics::new(&brokers, 2);
    let fresh = KafkaSettings {
        prefix: format!("{}-none", topics.settings.prefix),
        ..topics.settings.clone()
    };
    assert_eq!(
        refusal(fresh.clone()),
        format!("Kafka has no stream `{}.posts`: run `pumphandle migrate`", fresh.prefix)
    );

    topics.journal().append(Stream::Alerts, &[entry(0, "an alert")]).unwrap();
    for (n, lost) in [Stream::Tallies, Stream::Feeds, Stream::State].into_iter().enumerate() {
        topics.journal = None;
        delete(&topics, lost);
        let missing = topics.settings.topic(lost);
        assert_eq!(
            refusal(topics.settings.clone()),
            format!("Kafka has no stream `{missing}`: run `pumphandle migrate`")
        );
        let report = migrate(&topics.settings, &Plan::default()).unwrap();
        assert_eq!((report.generation, report.made), (n as u16 + 2, [lost].into()), "{lost:?}");
        topics.reopen();
        assert_eq!(topics.journal().generation(), n as u16 + 2);
    }
    assert_eq!(texts(topics.journal(), Stream::Alerts, 0), ["an alert"]);
}

#[test]
fn a_new_generation_keeps_alerts_and_may_have_other_partitions() {
    let Some(brokers) = brokers() else { return };
    let mut topics = Topics::new(&brokers, 2);
    for stream in [Stream::Posts, Stream::Alerts] {
        topics.journal().append(stream, &[entry(0, "old")]).unwrap();
    }
    topics.journal().put(Stream::State, &[("key".to_owned(), Some(vec![1]))]).unwrap();
    topics.settings.partitions = 5;
    let prefix = topics.settings.prefix.clone();
    assert_eq!(
        refusal(topics.settings.clone()),
        format!(
            "streams `{prefix}.*` have 2 partitions of posts, not 5: set `partitions = 2` in \
                `[journal]`, \
             or start a new generation with `pumphandle migrate`"
        )
    );
    assert!(!migrate(&topics.settings, &Plan::default()).unwrap_err().retry());
    let plan = Plan { anew: true, feeds_partitions: 3, ..Plan::default() };
    let mut member = topics.journal().join(Group::Tally).unwrap();
    until("somebody works on posts", || {
        !member.changes(Duration::from_millis(50)).unwrap().is_empty()
    });
    let refused = migrate(&topics.settings, &plan).unwrap_err().to_string();
    assert!(
        refused.starts_with(&format!(
            "streams can't be made anew while the group `{prefix}.tally` has members: "
        )),
        "{refused}"
    );
    assert_eq!(texts(topics.journal(), Stream::Posts, 0), ["old"]);
    drop(member);
    let report = migrate(&topics.settings, &plan).unwrap();
    assert_eq!((report.generation, report.made), (2, without(&[Stream::Alerts])));
    topics.reopen();
    let journal = topics.journal();
    assert_eq!(
        (
            journal.generation(),
            journal.partitions(Stream::Posts),
            journal.partitions(Stream::Feeds)
        ),
        (2, 5, 3)
    );
    assert_eq!(journal.extent(Stream::Posts, 0).unwrap(), 0..0);
    assert_eq!(journal.keys(Stream::State, "").unwrap(), Vec::<String>::new());
    assert_eq!(texts(journal, Stream::Alerts, 0), ["old"]);
    assert_eq!(journal.append(Stream::Posts, &[entry(4, "new")]).unwrap(), [0]);
}

#[test]
fn a_count_of_partitions_that_somebody_changed_is_refused() {
    let Some(brokers) = brokers() else { return };
    let topics = Topics::new(&brokers, 2);
    let topic = topics.settings.topic(Stream::Posts);
    wait_for(
        topics.admin().create_partitions(&[NewPartitions::new(&topic, 4)], &AdminOptions::new()),
    )
    .unwrap();
    let expected = format!(
        "stream `{topic}` was made with 2 partitions and now has 4, so keys are away from their \
            state: \
         start a new generation with `pumphandle migrate`"
    );
    until("the broker knows the new partitions", || {
        KafkaJournal::open(topics.settings.clone()).is_err()
    });
    assert_eq!(refusal(topics.settings.clone()), expected);
    assert_eq!(migrate(&topics.settings, &Plan::default()).unwrap_err().to_string(), expected);
}

#[test]
fn a_migration_that_was_interrupted_is_finished_by_the_next() {
    let Some(brokers) = brokers() else { return };
    let mut topics = Topics::new(&brokers, 2);
    topics.journal().append(Stream::Tallies, &[entry(0, "old")]).unwrap();
    topics.journal().append(Stream::Posts, &[entry(0, "old")]).unwrap();
    let value = Recorded {
        generation: 7,
        posts: 2,
        feeds: 8,
        unfinished: true,
        anew: vec![Stream::Tallies, Stream::Feeds],
    }
    .to_bytes();
    let record = |stream, partitions| {
        let outgoing = Outgoing {
            partition: partition_of(KEY, partitions),
            key: Some(KEY),
            value: Some(&value),
        };
        topics.journal.as_ref().unwrap().writer.append(stream, &[outgoing]).unwrap();
    };
    record(Stream::State, 1);
    topics.journal = None;
    delete(&topics, Stream::Counts);
    assert_eq!(
        refusal(topics.settings.clone()),
        format!(
            "Kafka has no stream `{}`: run `pumphandle migrate`",
            topics.settings.topic(Stream::Counts)
        )
    );
    let report = migrate(&topics.settings, &Plan::default()).unwrap();
    assert_eq!(
        (report.generation, report.made),
        (7, [Stream::Tallies, Stream::Feeds, Stream::Counts].into())
    );
    topics.reopen();
    assert_eq!(topics.journal().generation(), 7);
    assert_eq!(topics.journal().extent(Stream::Tallies, 0).unwrap(), 0..0);
    assert_eq!(texts(topics.journal(), Stream::Posts, 0), ["old"]);
}

#[test]
fn streams_without_a_record_are_only_made_anew_above_a_stated_generation() {
    let Some(brokers) = brokers() else { return };
    let mut topics = Topics::new(&brokers, 1);
    topics.journal = None;
    delete(&topics, Stream::Feeds);
    delete(&topics, Stream::State);
    let refused = migrate(&topics.settings, &Plan::default()).unwrap_err();
    assert!(matches!(refused, JournalError::Unrecorded { .. }), "{refused}");
    let report = migrate(&topics.settings, &Plan { generation_min: 9, ..Plan::default() }).unwrap();
    assert_eq!((report.generation, report.made), (9, without(&[Stream::Alerts])));
    topics.reopen();
    assert_eq!(topics.journal().generation(), 9);
}

#[test]
fn the_first_migration_makes_everything() {
    let Some(brokers) = brokers() else { return };
    let settings = settings(&brokers, 2);
    let report = migrate(&settings, &Plan { replication: Some(1), ..Plan::default() }).unwrap();
    assert_eq!(report, Report { generation: 1, made: all(), changed: [].into() });
    let mut few = settings.clone();
    few.prefix += "-few";
    few.request_timeout = Duration::from_secs(1);
    let refused = migrate(&few, &Plan { replication: Some(99), ..Plan::default() }).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "setting `replication` for Kafka is wrong: there are not as many brokers as shall hold \
            each record"
    );
    drop(Topics { settings, journal: None });
}

#[test]
fn records_go_by_position_and_are_found_by_time() {
    let Some(brokers) = brokers() else { return };
    let topics = Topics::new(&brokers, 1);
    let journal = topics.journal();
    journal.append(Stream::Posts, &[entry(0, "a"), entry(0, "b"), entry(0, "c")]).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert_eq!(journal.positions_at(Stream::Posts, now - 3600).unwrap(), [0]);
    assert_eq!(journal.positions_at(Stream::Posts, now + 3600).unwrap(), [3]);
    assert_eq!(journal.delete_before(Stream::Posts, &[2]).unwrap().records, 2);
    assert_eq!(journal.extent(Stream::Posts, 0).unwrap(), 2..3);
    assert_eq!(journal.delete_before(Stream::Posts, &[1]).unwrap().records, 0);
}

#[test]
fn files_are_cut_by_the_age_after_which_readers_delete() {
    let Some(brokers) = brokers() else { return };
    let topics = Topics::new(&brokers, 1);
    let mut plan = Plan { ages: [(Stream::Posts, HOUR * 72)].into(), ..Plan::default() };
    plan.retention.insert(Stream::Posts, HOUR * 168);
    migrate(&topics.settings, &plan).unwrap();
    until("the broker knows its new property", || {
        property(&topics, Stream::Posts, "retention.ms") == "604800000"
    });
    assert_eq!(property(&topics, Stream::Posts, "segment.ms"), "3600000");
}
