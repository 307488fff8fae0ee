use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::bail;

use super::{Group, OnFailure, supervise};
use crate::runtime::role::{Context, Progress, Role, Stop};

const IDLE: Progress = Progress::Idle(Duration::from_millis(1));

/// A role with one turn.
struct Once<F>(Option<F>);

impl<F: FnOnce(&Context) -> anyhow::Result<Progress>> Once<F> {
    fn new(run: F) -> Once<F> {
        Once(Some(run))
    }
}

impl<F: FnOnce(&Context) -> anyhow::Result<Progress> + Send> Role for Once<F> {
    fn turn(&mut self, context: &Context) -> anyhow::Result<Progress> {
        self.0.take().map_or(Ok(IDLE), |run| run(context))
    }
}

/// A role that ends when it is stopped.
struct Lasting<'a> {
    name: &'static str,
    order: &'a Mutex<Vec<&'static str>>,
}

impl Role for Lasting<'_> {
    fn turn(&mut self, _context: &Context) -> anyhow::Result<Progress> {
        Ok(IDLE)
    }

    fn stop(&mut self, _context: &Context) -> anyhow::Result<()> {
        self.order.lock().unwrap().push(self.name);
        Ok(())
    }
}

/// Three groups: one of two roles with `first` in it, one, and the last; the order in which they
/// end, the result and the notices.
fn run(
    stop: &Stop,
    is_finite: bool,
    first: impl FnOnce() -> anyhow::Result<Progress> + Send,
) -> (Vec<&'static str>, String, Vec<String>) {
    let order = Mutex::new(Vec::new());
    let notices = Mutex::new(Vec::new());
    let [mut counting, mut serving, mut last] = [const { Group::new() }; 3];
    counting.is_finite = is_finite;
    counting.add("first", Once::new(|_| first()));
    counting.add("second", Lasting { name: "second", order: &order });
    serving.add("page", Lasting { name: "page", order: &order });
    last.add("last", Lasting { name: "last", order: &order });
    let notice = |cause: &str| {
        notices.lock().unwrap().push(format!("{cause} after {}", order.lock().unwrap().len()))
    };
    let on_failure = OnFailure {
        report: &|_| {},
        notice: Box::new(notice),
        abandon: &|_| panic!("nothing is stuck"),
    };
    let result = supervise(stop, vec![counting, serving, last], on_failure)
        .map_or_else(|error| format!("{error:#}"), |()| "well".to_owned());
    (order.into_inner().unwrap(), result, notices.into_inner().unwrap())
}

#[test]
fn a_panic_stops_all_in_order_and_the_notice_is_last() {
    let (order, result, notices) = run(&Stop::default(), false, || panic!("index out of bounds"));
    assert_eq!(order, ["second", "page", "last"]);
    assert_eq!(result, "first ended: panic: index out of bounds");
    assert_eq!(notices, ["first ended: panic: index out of bounds after 3"]);
}

#[test]
fn an_error_is_the_result_and_its_cause_is_in_the_notice() {
    let (order, result, notices) = run(&Stop::default(), false, || bail!("the disk is full"));
    assert_eq!((order.len(), result.as_str()), (3, "first ended: the disk is full"));
    assert_eq!(notices, ["first ended: the disk is full after 3"]);
}

#[test]
fn a_role_that_ends_without_a_stop_is_a_failure() {
    let (_, result, notices) = run(&Stop::default(), false, || Ok(Progress::Ended));
    assert_eq!(
        (result.as_str(), notices.len()),
        ("first ended: it ended before it was stopped", 1)
    );
}

#[test]
fn a_stop_ends_all_in_order_without_a_notice() {
    let stop = Stop::default();
    let (order, result, notices) = run(&stop, false, || {
        stop.request();
        Ok(Progress::Ended)
    });
    assert_eq!(
        (order, result.as_str(), notices.len()),
        (vec!["second", "page", "last"], "well", 0)
    );
}

#[test]
fn a_failure_after_the_stop_is_an_error_but_no_outage() {
    let stop = Stop::default();
    let (_, result, notices) = run(&stop, false, || {
        stop.request();
        bail!("no room left")
    });
    assert_eq!((result.as_str(), notices.len()), ("first ended: no room left", 0));
}

#[test]
fn finite_roles_may_end_by_themselves() {
    let stop = Stop::default();
    let (order, result, notices) = run(&stop, true, || {
        stop.request();
        Ok(Progress::Ended)
    });
    assert_eq!((order.len(), result.as_str(), notices.len()), (3, "well", 0));
}

#[test]
fn a_role_that_does_not_end_is_abandoned_after_its_time() {
    let (released, abandoned) = (Arc::new(AtomicBool::new(false)), AtomicUsize::new(0));
    let (order, failed) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let stuck = Arc::clone(&released);
    let [mut first, mut last] = [const { Group::new() }; 2];
    first.add("failing", Once::new(|_| bail!("gone")));
    let wait = move |_: &_| {
        while !stuck.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(Progress::Ended)
    };
    first.add("stuck", Once::new(wait));
    last.add("last", Lasting { name: "last", order: &order });
    let abandon = |error: &anyhow::Error| {
        assert_eq!(format!("{error:#}"), "failing ended: gone");
        abandoned.fetch_add(1, Ordering::SeqCst);
        released.store(true, Ordering::SeqCst);
    };
    let on_failure = OnFailure {
        report: &|role| failed.lock().unwrap().push(role.to_owned()),
        notice: Box::new(|_| {}),
        abandon: &abandon,
    };
    assert!(supervise(&Stop::default(), vec![first, last], on_failure).is_err());
    assert_eq!(abandoned.load(Ordering::SeqCst), 1);
    assert_eq!(*order.lock().unwrap(), ["last"]);
    assert_eq!(*failed.lock().unwrap(), ["failing"]);
}

#[test]
fn a_chain_ends_in_order_after_its_first_role() {
    let order = Mutex::new(Vec::new());
    let mut chain = Group { is_chain: true, is_finite: true, ..Group::new() };
    for name in ["first", "second", "third"] {
        let order = &order;
        let run = move |context: &Context| {
            while context.has_upstream() && !context.is_input_complete() {
                std::thread::sleep(Duration::from_millis(1));
            }
            order.lock().unwrap().push(name);
            Ok(Progress::Ended)
        };
        chain.add(name, Once::new(run));
    }
    let on_failure =
        OnFailure { report: &|_| {}, notice: Box::new(|_| {}), abandon: &|_| panic!("stuck") };
    supervise(&Stop::default(), vec![chain], on_failure).unwrap();
    assert_eq!(*order.lock().unwrap(), ["first", "second", "third"]);
}
