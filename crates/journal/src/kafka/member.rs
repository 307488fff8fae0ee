//! A member of a Kafka group: a consumer that consumes nothing.
//!
//! One thread owns the consumer and polls it, whatever the rest of the process does; what the group
//! decides goes into a queue that [`Membership::changes`] empties. Every partition is paused in the
//! same moment that it is given, because reading is done by position and elsewhere. A worker that
//! stops asking for changes is made to leave, as if its process had died:
//! the thread that answers for it would otherwise hold its partitions for ever.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};

use super::KafkaSettings;
use super::client::{Trouble, code_of};
use crate::local::held;
use crate::{Change, Group, JournalError, Membership, Position};

/// How long the thread waits for the group before it looks after its own affairs.
const POLL: Duration = Duration::from_millis(50);
/// How often lag is shown.
const SHOW_EVERY: Duration = Duration::from_secs(1);
/// How long a member that leaves is waited for.
const LEAVE: Duration = Duration::from_secs(5);

pub(super) struct Member {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    trouble: Arc<Trouble>,
    group: String,
}

struct Shared {
    state: Mutex<State>,
    /// Something has changed, or the thread has ended.
    changed: Condvar,
    trouble: Arc<Trouble>,
}

struct State {
    changes: VecDeque<Change>,
    /// What the member will own when all changes have been read.
    owned: BTreeSet<u32>,
    failed: Option<Failure>,
    shown: BTreeMap<u32, Position>,
    polled: Instant,
    leaving: bool,
    ended: bool,
}

enum Failure {
    Refused(KafkaError),
    Fatal(String),
}

impl Member {
    pub(super) fn join(
        settings: &KafkaSettings,
        trouble: &Arc<Trouble>,
        group: Group,
    ) -> Result<Member, JournalError> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                changes: VecDeque::new(),
                owned: BTreeSet::new(),
                failed: None,
                shown: BTreeMap::new(),
                polled: Instant::now(),
                leaving: false,
                ended: false,
            }),
            changed: Condvar::new(),
            trouble: Arc::clone(trouble),
        });
        let name = settings.group(group);
        let consumer: BaseConsumer<Context> = settings
            .member(group)
            .create_with_context(Context(Arc::clone(&shared)))
            .map_err(|error| trouble.misset(error))?;
        let topic = settings.topic(group.stream());
        let action = format!("join the group `{name}`");
        consumer
            .subscribe(&[&topic])
            .map_err(|error| trouble.failed(&action, Some(group.stream()), error))?;
        let own = Arc::clone(&shared);
        let silence_max = settings.session_timeout;
        let thread = std::thread::Builder::new()
            .name(format!("group {}", group.name()))
            .spawn(move || {
                attend(&consumer, &own, &topic, silence_max);
                drop(consumer);
                held(&own.state).ended = true;
                own.changed.notify_all();
            })
            .map_err(|error| JournalError::Io { action, source: Box::new(error) })?;
        Ok(Member { shared, thread: Some(thread), trouble: Arc::clone(trouble), group: name })
    }
}

impl Membership for Member {
    fn changes(&mut self, wait: Duration) -> Result<Vec<Change>, JournalError> {
        let mut state = held(&self.shared.state);
        state.polled = Instant::now();
        let (mut state, _) = self
            .shared
            .changed
            .wait_timeout_while(state, wait, |state| {
                state.changes.is_empty() && state.failed.is_none()
            })
            .unwrap_or_else(PoisonError::into_inner);
        state.polled = Instant::now();
        // What was taken comes before what has failed: the worker must drop it in any case.
        if !state.changes.is_empty() {
            return Ok(state.changes.drain(..).collect());
        }
        let action = format!("stay in the group `{}`", self.group);
        match state.failed.take() {
            None => Ok(Vec::new()),
            Some(Failure::Refused(error)) => Err(self.trouble.failed(&action, None, error)),
            Some(Failure::Fatal(reason)) => {
                // It stays so.
                state.failed = Some(Failure::Fatal(reason.clone()));
                Err(JournalError::Broken { action, reason })
            }
        }
    }

    fn show(&mut self, partition: u32, next: Position) {
        held(&self.shared.state).shown.insert(partition, next);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut state = held(&self.shared.state);
        state.leaving = true;
        let (state, _) = self
            .shared
            .changed
            .wait_timeout_while(state, LEAVE, |state| !state.ended)
            .unwrap_or_else(PoisonError::into_inner);
        let ended = state.ended;
        drop(state);
        // A thread that still waits for a dead broker ends on its own, and then the group has long
        // given up on it.
        if let Some(thread) = self.thread.take().filter(|_| ended) {
            let _ = thread.join();
        }
    }
}

/// Polls until the member leaves.
fn attend(consumer: &BaseConsumer<Context>, shared: &Shared, topic: &str, silence_max: Duration) {
    let mut subscribed = true;
    let mut shown_at = Instant::now();
    let mut shown: BTreeMap<u32, Position> = BTreeMap::new();
    loop {
        match consumer.poll(POLL) {
            // Fetched in the instant between being given and being paused.
            None | Some(Ok(_)) => {}
            Some(Err(error)) => shared.failed(&error),
        }
        let (leaving, silent) = {
            let state = held(&shared.state);
            (state.leaving, state.polled.elapsed() > silence_max)
        };
        if leaving {
            // The last positions are shown before the member goes.
            show(consumer, shared, topic, &mut shown);
            return;
        }
        if silent && subscribed {
            consumer.unsubscribe();
            subscribed = false;
        } else if !silent && !subscribed {
            subscribed = consumer.subscribe(&[topic]).is_ok();
        }
        if shown_at.elapsed() > SHOW_EVERY {
            show(consumer, shared, topic, &mut shown);
            shown_at = Instant::now();
        }
    }
}

/// Commits what has moved since it was last shown. Nobody resumes from it, so a failure is not
/// worth a word.
fn show(
    consumer: &BaseConsumer<Context>,
    shared: &Shared,
    topic: &str,
    shown: &mut BTreeMap<u32, Position>,
) {
    let moved: Vec<(u32, Position)> = {
        let state = held(&shared.state);
        let owned = state.shown.iter().filter(|(partition, _)| state.owned.contains(partition));
        owned
            .filter(|(partition, next)| shown.get(partition) != Some(next))
            .map(|(partition, next)| (*partition, *next))
            .collect()
    };
    let mut list = TopicPartitionList::with_capacity(moved.len());
    for (partition, next) in &moved {
        let added = list.add_partition_offset(
            topic,
            partition.cast_signed(),
            Offset::Offset(next.cast_signed()),
        );
        added.expect("an offset of at least 0");
    }
    if !moved.is_empty() && consumer.commit(&list, CommitMode::Async).is_ok() {
        shown.extend(moved);
    }
}

impl Shared {
    fn failed(&self, error: &KafkaError) {
        let failure = match error {
            KafkaError::MessageConsumptionFatal(_) => Failure::Fatal(error.to_string()),
            _ if code_of(error) == Some(Code::Fatal) => Failure::Fatal(error.to_string()),
            _ if matches!(
                code_of(error),
                Some(
                    Code::GroupAuthorizationFailed
                        | Code::TopicAuthorizationFailed
                        | Code::Authentication
                )
            ) =>
            {
                Failure::Refused(error.clone())
            }
            // Brokers that come and go; the group's own verdict comes as a rebalance.
            _ => return,
        };
        held(&self.state).failed = Some(failure);
        self.changed.notify_all();
    }

    fn given(&self, partitions: &[u32]) {
        let mut state = held(&self.state);
        for partition in partitions {
            if state.owned.insert(*partition) {
                state.changes.push_back(Change::Given(*partition));
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    fn taken(&self, partitions: &[u32]) {
        let mut state = held(&self.state);
        for partition in partitions {
            if state.owned.remove(partition) {
                state.shown.remove(partition);
                state.changes.push_back(Change::Taken(*partition));
            }
        }
        drop(state);
        self.changed.notify_all();
    }
}

struct Context(Arc<Shared>);

impl ClientContext for Context {
    fn error(&self, error: KafkaError, reason: &str) {
        self.0.trouble.saw(&error, reason);
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Context>,
        event: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let partitions: Vec<u32> =
            list.elements().iter().map(|element| element.partition().cast_unsigned()).collect();
        let given = event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if given {
            // A stated offset spares the question for a committed one, which there may not be.
            // Nothing is fetched from it.
            list.set_all_offsets(Offset::Offset(0)).expect("an offset of 0");
        }
        let answered = match (given, cooperative) {
            (true, true) => consumer.incremental_assign(list).and_then(|()| consumer.pause(list)),
            (true, false) => consumer.assign(list).and_then(|()| consumer.pause(list)),
            (false, true) => consumer.incremental_unassign(list),
            (false, false) => consumer.unassign(),
        };
        if let Err(error) = answered {
            self.0.failed(&error);
        }
        // Lost partitions are taken like others: the next owner may be at work already.
        if given { self.0.given(&partitions) } else { self.0.taken(&partitions) }
    }
}
