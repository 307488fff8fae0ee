//! The supervisor: runs the roles of one process on a thread each, in groups that stop one after the
//! other.
//!
//! A role that ends or panics before its group was stopped is the failure of the process: the first
//! group is stopped, each later group once those before it have ended or their time has passed, and
//! the failure is returned. Knows no role.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::Scope;
use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::role::{self, Context, Role, Stop};

/// How long a turn may wait for input.
const WAIT: Duration = Duration::from_millis(100);
/// After a stop request the roles of a chain read what is left for at most this long.
const GRACE: Duration = Duration::from_secs(3);
/// After a failure each group may drain for this long. Unit tests don't wait as long.
const DRAIN_MAX: Duration =
    if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(10) };
/// How long the notice of an outage may take.
const NOTICE_MAX: Duration = Duration::from_secs(30);

/// Roles that are stopped together; the first group of a process by its stop request.
pub(crate) struct Group<'a> {
    /// Each role reads what the one before it writes, and ends after it.
    pub(crate) is_chain: bool,
    /// Whether the roles may end without a stop request, as with a log that ends.
    pub(crate) is_finite: bool,
    pub(crate) roles: Vec<(&'static str, Box<dyn Role + 'a>)>,
}

impl<'a> Group<'a> {
    pub(crate) const fn new() -> Group<'a> {
        Group { is_chain: false, is_finite: false, roles: Vec::new() }
    }

    pub(crate) fn add(&mut self, name: &'static str, role: impl Role + 'a) {
        self.roles.push((name, Box::new(role)));
    }
}

/// What happens at a failure.
pub(crate) struct OnFailure<'a> {
    /// Called at once, with the name of the role.
    pub(crate) report: &'a dyn Fn(&str),
    /// The last act after a failure without a stop request before it: has the cause.
    pub(crate) notice: Box<dyn FnOnce(&str) + Send + 'a>,
    /// Ends the process where a role doesn't end in its time.
    pub(crate) abandon: &'a (dyn Fn(&anyhow::Error) + Sync),
}

struct Ended {
    group: usize,
    role: &'static str,
    result: anyhow::Result<()>,
}

/// Runs all roles until the last group has ended; returns the first failure.
pub(crate) fn supervise(
    stop: &Stop,
    groups: Vec<Group<'_>>,
    on_failure: OnFailure<'_>,
) -> anyhow::Result<()> {
    let OnFailure { report, notice, abandon } = on_failure;
    std::thread::scope(|scope| {
        let (sender, ends) = mpsc::channel::<Ended>();
        let states = groups.into_iter().enumerate().map(|(index, group)| {
            let stop = if index == 0 { stop.clone() } else { Stop::default() };
            start_group(scope, index, group, stop, &sender)
        });
        let mut supervisor = Supervisor {
            states: states.collect(),
            current: 0,
            deadline: None,
            failure: None,
            is_outage: false,
        };
        while supervisor.advance() {
            let left = supervisor.deadline.map(|at| at.saturating_duration_since(Instant::now()));
            match ends.recv_timeout(left.unwrap_or(Duration::MAX)) {
                Ok(ended) => supervisor.note(ended, report),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
        let is_stuck = supervisor.states.iter().any(|state| !state.running.is_empty());
        let is_outage = supervisor.is_outage;
        let Some((cause, failure)) = supervisor.failure else { return Ok(()) };
        let is_late = is_outage && !send_notice(scope, notice, cause);
        if is_stuck || is_late {
            abandon(&failure);
        }
        Err(failure)
    })
}

/// Gives each role of a group a thread.
fn start_group<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    index: usize,
    group: Group<'env>,
    stop: Stop,
    sender: &Sender<Ended>,
) -> State {
    let Group { is_chain, is_finite, roles } = group;
    let mut running = Vec::new();
    let mut upstream: Option<Arc<AtomicBool>> = None;
    for (name, mut role) in roles {
        let has_ended = Arc::new(AtomicBool::new(false));
        let upstream = std::mem::replace(&mut upstream, is_chain.then(|| Arc::clone(&has_ended)));
        let grace = if upstream.is_some() { GRACE } else { role.grace() };
        let mut context =
            Context { wait: WAIT, stop: stop.clone(), grace, upstream, ..Context::default() };
        let (ended, not_started) = (sender.clone(), sender);
        let thread = std::thread::Builder::new().name(name.to_owned());
        let spawned = thread.spawn_scoped(scope, move || {
            let run = move || role::run(&mut *role, &mut context);
            let result = catch_unwind(AssertUnwindSafe(run))
                .unwrap_or_else(|panic| Err(anyhow!("panic: {}", message_of(&*panic))));
            // Whatever happened, the next role must not wait for more.
            has_ended.store(true, Ordering::SeqCst);
            // The supervisor may have given up waiting.
            let _ = ended.send(Ended { group: index, role: name, result });
        });
        if let Err(error) = spawned {
            let result = Err(anyhow!(error).context("failed to start its thread"));
            let _ = not_started.send(Ended { group: index, role: name, result });
        }
        running.push(name);
    }
    State { stop, is_finite, running }
}

/// Sends the notice of an outage; returns whether that ended in time.
fn send_notice<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    notice: Box<dyn FnOnce(&str) + Send + 'env>,
    cause: String,
) -> bool {
    let (sent, wait) = mpsc::channel();
    let thread = std::thread::Builder::new().name("notice".to_owned());
    let spawned = thread.spawn_scoped(scope, move || {
        if catch_unwind(AssertUnwindSafe(|| notice(&cause))).is_err() {
            tracing::error!("the notice of the outage failed");
        }
        let _ = sent.send(());
    });
    let is_late =
        spawned.is_ok() && wait.recv_timeout(NOTICE_MAX) == Err(RecvTimeoutError::Timeout);
    if is_late {
        tracing::error!("the notice of the outage took too long");
    }
    !is_late
}

struct State {
    stop: Stop,
    is_finite: bool,
    running: Vec<&'static str>,
}

struct Supervisor {
    states: Vec<State>,
    /// The group that is waited for; those before it have ended, or their time has passed.
    current: usize,
    /// Until when it is waited for; none before a failure.
    deadline: Option<Instant>,
    failure: Option<(String, anyhow::Error)>,
    /// There was no stop request before the failure.
    is_outage: bool,
}

impl Supervisor {
    /// Stops the next group where the current one is done; whether there is one to wait for.
    fn advance(&mut self) -> bool {
        loop {
            let Some(state) = self.states.get(self.current) else { return false };
            let is_late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if is_late && !state.running.is_empty() {
                tracing::error!(
                    roles = state.running.join(" "),
                    "not stopped in time, going on without"
                );
            } else if !state.running.is_empty() {
                return true;
            }
            self.current += 1;
            self.stop_current();
        }
    }

    fn stop_current(&mut self) {
        if let Some(state) = self.states.get(self.current) {
            state.stop.request();
        }
        self.deadline = self.failure.as_ref().map(|_| Instant::now() + DRAIN_MAX);
    }

    fn note(&mut self, Ended { group, role, result }: Ended, report: &dyn Fn(&str)) {
        let was_stopped = self.states.first().is_some_and(|first| first.stop.is_requested());
        let Some(state) = self.states.get_mut(group) else { return };
        state.running.retain(|running| *running != role);
        let error = match result {
            Ok(()) if state.stop.is_requested() || state.is_finite => return,
            Ok(()) => anyhow!("it ended before it was stopped"),
            Err(error) => error,
        };
        let cause = format!("{role} ended: {error:#}");
        tracing::error!(role, cause = format!("{error:#}"), "a role ended, stopping the process");
        report(role);
        if self.failure.is_none() {
            self.is_outage = !was_stopped;
            self.failure = Some((cause, error.context(format!("{role} ended"))));
            if let Some(first) = self.states.first() {
                first.stop.request();
            }
            self.deadline = Some(Instant::now() + DRAIN_MAX);
        }
    }
}

/// Ends the process where a role doesn't end: a kill at any moment loses nothing.
pub(crate) fn exit(failure: &anyhow::Error) {
    // Where standard error is closed there is no reader.
    let _ = writeln!(std::io::stderr(), "error: {failure:#}");
    std::process::exit(1);
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message")
}

#[cfg(test)]
mod tests;
