//! Supervisor: runs the roles of one process on a thread each, in groups that stop one after the
//! other.
//!
//! A role that ends or panics before its group was stopped is the failure of the process: the first
//! group is stopped, each group
//! after it once those before it have ended or have had their time, and the failure is returned.
//! Knows no role.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::Stop;
use super::health::{Health, condition};

/// After a failure each group may drain for so long. Unit tests don't wait as long.
const DRAIN_MAX: Duration =
    if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(10) };
/// How long the notice of an outage may take.
const NOTICE_MAX: Duration = Duration::from_secs(30);
/// How often `each_turn` is called.
const TURN_EVERY: Duration =
    if cfg!(test) { Duration::from_millis(1) } else { Duration::from_millis(200) };

/// What one thread does until its group is stopped.
pub(crate) struct Role<'a> {
    name: &'static str,
    run: Box<dyn FnOnce() -> anyhow::Result<()> + Send + 'a>,
}

impl<'a> Role<'a> {
    pub(crate) fn new(
        name: &'static str,
        run: impl FnOnce() -> anyhow::Result<()> + Send + 'a,
    ) -> Role<'a> {
        Role { name, run: Box::new(run) }
    }
}

/// Roles that are stopped together.
pub(crate) struct Group<'a> {
    pub(crate) stop: Stop,
    /// Whether they may also end by themselves, as with a log that ends.
    pub(crate) is_finite: bool,
    pub(crate) roles: Vec<Role<'a>>,
}

/// What happens beside the roles.
pub(crate) struct Beside<'a> {
    pub(crate) health: &'a Health,
    /// Called several times a second, by the thread that supervises.
    pub(crate) each_turn: &'a mut dyn FnMut(),
    /// The last act after a failure that nobody had stopped the process before: has the cause.
    pub(crate) notice: Box<dyn FnOnce(&str) + Send + 'a>,
    /// Ends the process where a role doesn't end in its time.
    pub(crate) abandon: &'a (dyn Fn(&anyhow::Error) + Sync),
}

struct Ended {
    group: usize,
    role: &'static str,
    result: anyhow::Result<()>,
}

/// Runs all roles until the last group has ended; the first failure.
pub(crate) fn supervise(groups: Vec<Group<'_>>, beside: Beside<'_>) -> anyhow::Result<()> {
    let Beside { health, each_turn, notice, abandon } = beside;
    std::thread::scope(|scope| {
        let (sender, ends) = mpsc::channel::<Ended>();
        let mut states = Vec::new();
        for (group, Group { stop, is_finite, roles }) in groups.into_iter().enumerate() {
            let mut running = Vec::new();
            for Role { name, run } in roles {
                let (ended, not_started) = (sender.clone(), sender.clone());
                let thread = std::thread::Builder::new().name(name.to_owned());
                let spawned = thread.spawn_scoped(scope, move || {
                    let result = catch_unwind(AssertUnwindSafe(run));
                    let result = result
                        .unwrap_or_else(|panic| Err(anyhow!("panic: {}", message_of(&*panic))));
                    // The supervisor may have given up waiting.
                    let _ = ended.send(Ended { group, role: name, result });
                });
                if let Err(error) = spawned {
                    let result = Err(anyhow!(error).context("failed to start its thread"));
                    let _ = not_started.send(Ended { group, role: name, result });
                }
                running.push(name);
            }
            states.push(State { stop, is_finite, running });
        }
        let mut supervisor =
            Supervisor { states, current: 0, deadline: None, failure: None, is_outage: false };
        while supervisor.advance() {
            match ends.recv_timeout(TURN_EVERY) {
                Ok(ended) => supervisor.note(ended, health),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            each_turn();
        }
        let (failure, is_stuck) = supervisor.end();
        let Some((cause, is_outage, failure)) = failure else { return Ok(()) };
        if is_outage {
            let (sent, wait) = mpsc::channel();
            let cause = cause.clone();
            let thread = std::thread::Builder::new().name("notice".to_owned());
            let spawned = thread.spawn_scoped(scope, move || {
                if catch_unwind(AssertUnwindSafe(|| notice(&cause))).is_err() {
                    tracing::error!("the notice of the outage failed");
                }
                let _ = sent.send(());
            });
            if spawned.is_ok() && wait.recv_timeout(NOTICE_MAX) == Err(RecvTimeoutError::Timeout) {
                tracing::error!("the notice of the outage took too long");
                abandon(&failure);
            }
        }
        if is_stuck {
            abandon(&failure);
        }
        Err(failure)
    })
}

struct State {
    stop: Stop,
    is_finite: bool,
    running: Vec<&'static str>,
}

struct Supervisor {
    states: Vec<State>,
    /// The group that is waited for; those before it have ended or had their time.
    current: usize,
    /// Until when it is waited for; none before a failure.
    deadline: Option<Instant>,
    failure: Option<(String, anyhow::Error)>,
    /// Nobody had stopped the process before it failed.
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
            state.stop.ask();
        }
        self.deadline = self.failure.as_ref().map(|_| Instant::now() + DRAIN_MAX);
    }

    fn note(&mut self, Ended { group, role, result }: Ended, health: &Health) {
        let was_stopped = self.states.first().is_some_and(|first| first.stop.asked());
        let Some(state) = self.states.get_mut(group) else { return };
        state.running.retain(|running| *running != role);
        let error = match result {
            Ok(()) if state.stop.asked() || state.is_finite => return,
            Ok(()) => anyhow!("it ended before it was stopped"),
            Err(error) => error,
        };
        let cause = format!("{role} ended: {error:#}");
        tracing::error!(role, cause = format!("{error:#}"), "a role ended, stopping the process");
        health.failing(condition::ROLE_ENDED, role, format!("{role} ended"));
        if self.failure.is_none() {
            self.is_outage = !was_stopped;
            self.failure = Some((cause, error.context(format!("{role} ended"))));
            if let Some(first) = self.states.first() {
                first.stop.ask();
            }
            self.deadline = Some(Instant::now() + DRAIN_MAX);
        }
    }

    /// The failure with its cause in words and whether it is an outage; and whether any role still
    /// runs.
    fn end(self) -> (Option<(String, bool, anyhow::Error)>, bool) {
        let is_stuck = self.states.iter().any(|state| !state.running.is_empty());
        let is_outage = self.is_outage;
        (self.failure.map(|(cause, error)| (cause, is_outage, error)), is_stuck)
    }
}

/// Ends the process where a role doesn't end: a kill at any moment loses nothing.
pub(crate) fn exit(failure: &anyhow::Error) {
    // Where standard error is closed there is nobody to read it.
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
