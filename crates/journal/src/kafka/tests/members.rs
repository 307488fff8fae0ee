use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use super::*;

/// The minimum that brokers allow by default.
const SESSION: Duration = Duration::from_secs(6);
const PARTITIONS: u32 = 6;

fn topics(brokers: &str) -> Topics {
    let mut topics = Topics::new(brokers, PARTITIONS);
    topics.settings.session_timeout = SESSION;
    topics.reopen();
    topics
}

/// A member, and its events so far.
struct Told {
    member: Box<dyn Membership>,
    owned: BTreeSet<u32>,
    changes: usize,
}

impl Told {
    fn join(journal: &dyn Journal) -> Told {
        Told { member: journal.join(Group::Tally).unwrap(), owned: BTreeSet::new(), changes: 0 }
    }

    fn listen(&mut self) {
        for change in self.member.changes(Duration::from_millis(20)).unwrap() {
            self.changes += 1;
            match change {
                Change::Given(partition) => {
                    assert!(self.owned.insert(partition), "given twice: {partition}")
                }
                Change::Taken(partition) => {
                    assert!(self.owned.remove(&partition), "taken twice: {partition}")
                }
            }
        }
    }
}

/// Waits until each partition belongs to one of them.
fn settle(members: &mut [Told]) {
    until("every partition has one owner", || {
        members.iter_mut().for_each(Told::listen);
        let owned: usize = members.iter().map(|told| told.owned.len()).sum();
        let all: BTreeSet<u32> =
            members.iter().flat_map(|told| told.owned.iter().copied()).collect();
        owned == PARTITIONS as usize
            && all.len() == owned
            && members.iter().all(|told| !told.owned.is_empty())
    });
}

#[test]
fn members_share_partitions_and_take_over_from_those_who_leave() {
    let Some(brokers) = brokers() else { return };
    for protocol in ["classic", "consumer"] {
        let mut topics = topics(&brokers);
        topics.settings.properties.insert("group.protocol".to_owned(), protocol.to_owned());
        topics.reopen();
        let journal = topics.journal();
        let mut members = vec![Told::join(journal)];
        settle(&mut members);
        assert_eq!(members[0].owned.len(), 6);
        members.push(Told::join(journal));
        settle(&mut members);
        assert_eq!(members[0].changes, 9, "{protocol}: what stays is not taken first");
        members.push(Told::join(journal));
        settle(&mut members);
        let left = Instant::now();
        members.remove(0);
        settle(&mut members);
        assert!(left.elapsed() < SESSION, "{protocol}: who leaves says so");
    }
}

#[test]
fn lag_can_be_seen_but_is_never_resumed_from() {
    let Some(brokers) = brokers() else { return };
    let topics = topics(&brokers);
    let journal = topics.journal();
    let mut members = [Told::join(journal)];
    settle(&mut members);
    members[0].member.show(2, 40);
    members[0].member.show(4, 41);
    use rdkafka::consumer::{BaseConsumer, Consumer};
    let asker: BaseConsumer = topics
        .settings
        .client()
        .set("group.id", topics.settings.group(Group::Tally))
        .create()
        .unwrap();
    let committed = |partition: i32| {
        let mut list = TopicPartitionList::new();
        list.add_partition(&topics.settings.topic(Stream::Posts), partition);
        let list = asker.committed_offsets(list, Duration::from_secs(10)).unwrap();
        list.elements()[0].offset()
    };
    until("lag is shown", || {
        committed(2) == Offset::Offset(40) && committed(4) == Offset::Offset(41)
    });
    assert_eq!(committed(3), Offset::Invalid);
    members[0].member.show(3, 42);
    drop(members);
    assert_eq!(committed(3), Offset::Offset(42), "the last word of one who leaves");
    let mut members = [Told::join(journal)];
    settle(&mut members);
    assert_eq!(committed(3), Offset::Offset(42));
}

#[test]
fn a_storm_of_joins_and_leaves_settles_with_one_owner_each() {
    let Some(brokers) = brokers() else { return };
    let topics = topics(&brokers);
    let journal = topics.journal();
    let mut members = vec![Told::join(journal)];
    // A fixed order of events, at any stage of the rebalances before them.
    for step in 0..20_usize {
        if step % 5 < 3 {
            members.push(Told::join(journal))
        } else {
            drop(members.remove(step % members.len()))
        }
        members.iter_mut().for_each(Told::listen);
        members.truncate(PARTITIONS as usize - 1);
    }
    settle(&mut members);
}

#[test]
fn a_worker_that_never_asks_loses_its_partitions_and_hears_of_it() {
    let Some(brokers) = brokers() else { return };
    let mut topics = topics(&brokers);
    let mut members = vec![Told::join(topics.journal())];
    settle(&mut members);
    topics.reopen();
    let mut others = vec![Told::join(topics.journal())];
    // It is alive, and so is the thread that speaks for it; only nobody asks.
    settle(&mut others);
    assert_eq!(others[0].owned.len(), 6);
    members[0].listen();
    assert!(members[0].owned.is_empty(), "{:?}", members[0].owned);
    members.append(&mut others);
    settle(&mut members);
}

#[test]
fn the_partitions_of_the_dead_and_of_the_stopped_go_to_the_living() {
    let Some(brokers) = brokers() else { return };
    let topics = topics(&brokers);
    let mut members = [Told::join(topics.journal())];
    settle(&mut members);
    for (signal, then) in [("-KILL", None), ("-STOP", Some("-CONT"))] {
        let mut process = Process::start(&topics.settings);
        until("the other has its share", || {
            members[0].listen();
            process.listen();
            process.owned.len() == 3 && members[0].owned.len() == 3
        });
        process.signal(signal);
        settle(&mut members);
        if let Some(then) = then {
            process.signal(then);
            until(
                "the woken one has heard that it lost its partitions, and has its share again",
                || {
                    members[0].listen();
                    process.listen();
                    process.taken >= 3 && process.owned.len() == 3 && members[0].owned.len() == 3
                },
            );
            process.signal("-KILL");
            settle(&mut members);
        }
    }
}

/// A member in a process of its own: this test program, recognised by its environment to run only
/// [`process`].
struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
    owned: BTreeSet<u32>,
    taken: usize,
}

impl Process {
    fn start(settings: &KafkaSettings) -> Process {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "kafka::tests::members::process", "--nocapture"])
            .env("PUMPHANDLE_MEMBER", format!("{} {}", settings.brokers, settings.prefix))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Process { child, lines, owned: BTreeSet::new(), taken: 0 }
    }

    fn listen(&mut self) {
        for line in self.lines.try_iter() {
            // The test harness talks on the same line.
            let mut words = line.split_ascii_whitespace().rev();
            let (Some(partition), Some(change)) =
                (words.next().and_then(|word| word.parse().ok()), words.next())
            else {
                continue;
            };
            match change {
                "given" => assert!(self.owned.insert(partition), "given twice: {partition}"),
                "taken" => {
                    assert!(self.owned.remove(&partition), "taken twice: {partition}");
                    self.taken += 1;
                }
                _ => {}
            }
        }
    }

    fn signal(&self, signal: &str) {
        assert!(
            Command::new("kill")
                .args([signal, &self.child.id().to_string()])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn process() {
    let Ok(told) = env::var("PUMPHANDLE_MEMBER") else { return };
    let (brokers, prefix) = told.split_once(' ').unwrap();
    let mut settings = KafkaSettings::new(brokers, prefix, PARTITIONS);
    settings.session_timeout = SESSION;
    let journal = KafkaJournal::open(settings).unwrap();
    let mut member = journal.join(Group::Tally).unwrap();
    loop {
        for change in member.changes(Duration::from_millis(100)).unwrap() {
            match change {
                Change::Given(partition) => println!("\ngiven {partition}"),
                Change::Taken(partition) => println!("\ntaken {partition}"),
            }
        }
        std::io::stdout().flush().unwrap();
    }
}
