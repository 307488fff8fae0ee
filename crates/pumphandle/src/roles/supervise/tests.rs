use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::bail;

use super::{Beside, Group, Role, supervise};
use crate::roles::Stop;
use crate::roles::health::Health;

fn wait_for(stop: &Stop) {
    while !stop.asked() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Three groups: one of two roles with `first` in it, one, and the last; the order in which they
/// end, the result and the notices.
fn run(
    stop: &Stop,
    is_finite: bool,
    first: impl FnOnce() -> anyhow::Result<()> + Send,
) -> (Vec<&'static str>, String, Vec<String>) {
    let order = Mutex::new(Vec::new());
    let notices = Mutex::new(Vec::new());
    let (second_stop, last_stop) = (Stop::default(), Stop::default());
    let ends = |name: &'static str, stop: &Stop| {
        let (stop, order) = (stop.clone(), &order);
        Role::new(name, move || {
            wait_for(&stop);
            order.lock().unwrap().push(name);
            Ok(())
        })
    };
    let groups = vec![
        Group {
            stop: stop.clone(),
            is_finite,
            roles: vec![Role::new("first", first), ends("beside", stop)],
        },
        Group {
            stop: second_stop.clone(),
            is_finite: false,
            roles: vec![ends("page", &second_stop)],
        },
        Group { stop: last_stop.clone(), is_finite: false, roles: vec![ends("last", &last_stop)] },
    ];
    let health = Health::default();
    let notice = |cause: &str| {
        notices.lock().unwrap().push(format!("{cause} after {}", order.lock().unwrap().len()))
    };
    let beside = Beside {
        health: &health,
        each_turn: &mut || {},
        notice: Box::new(notice),
        abandon: &|_| panic!("nothing is stuck"),
    };
    let result =
        supervise(groups, beside).map_or_else(|error| format!("{error:#}"), |()| "well".to_owned());
    (order.into_inner().unwrap(), result, notices.into_inner().unwrap())
}

#[test]
fn a_panic_stops_all_in_order_and_the_notice_is_last() {
    let (order, result, notices) = run(&Stop::default(), false, || panic!("index out of bounds"));
    assert_eq!(order, ["beside", "page", "last"]);
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
fn a_role_that_ends_unasked_is_a_failure() {
    let (_, result, notices) = run(&Stop::default(), false, || Ok(()));
    assert_eq!(
        (result.as_str(), notices.len()),
        ("first ended: it ended before it was stopped", 1)
    );
}

#[test]
fn a_stop_ends_all_in_order_without_a_notice() {
    let stop = Stop::default();
    let (order, result, notices) = run(&stop, false, || {
        stop.ask();
        Ok(())
    });
    assert_eq!(
        (order, result.as_str(), notices.len()),
        (vec!["beside", "page", "last"], "well", 0)
    );
}

#[test]
fn a_failure_after_the_stop_is_an_error_but_no_outage() {
    let stop = Stop::default();
    let (_, result, notices) = run(&stop, false, || {
        stop.ask();
        bail!("no room left")
    });
    assert_eq!((result.as_str(), notices.len()), ("first ended: no room left", 0));
}

#[test]
fn finite_roles_may_end_by_themselves() {
    let stop = Stop::default();
    let (order, result, notices) = run(&stop, true, || {
        stop.ask();
        Ok(())
    });
    assert_eq!((order.len(), result.as_str(), notices.len()), (3, "well", 0));
}

#[test]
fn a_role_that_does_not_end_is_abandoned_after_its_time() {
    let (stop, last_stop) = (Stop::default(), Stop::default());
    let (released, abandoned) = (Arc::new(AtomicBool::new(false)), AtomicUsize::new(0));
    let last_has_ended = AtomicBool::new(false);
    let stuck = Arc::clone(&released);
    let groups = vec![
        Group {
            stop: stop.clone(),
            is_finite: false,
            roles: vec![
                Role::new("failing", || bail!("gone")),
                Role::new("stuck", move || {
                    while !stuck.load(Ordering::SeqCst) {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    Ok(())
                }),
            ],
        },
        Group {
            stop: last_stop.clone(),
            is_finite: false,
            roles: vec![Role::new("last", || {
                wait_for(&last_stop);
                last_has_ended.store(true, Ordering::SeqCst);
                Ok(())
            })],
        },
    ];
    let health = Health::default();
    let abandon = |error: &anyhow::Error| {
        assert_eq!(format!("{error:#}"), "failing ended: gone");
        abandoned.fetch_add(1, Ordering::SeqCst);
        released.store(true, Ordering::SeqCst);
    };
    let beside = Beside {
        health: &health,
        each_turn: &mut || {},
        notice: Box::new(|_| {}),
        abandon: &abandon,
    };
    assert!(supervise(groups, beside).is_err());
    assert_eq!(
        (abandoned.load(Ordering::SeqCst), last_has_ended.load(Ordering::SeqCst)),
        (1, true)
    );
    assert_eq!(health.readiness().failing[0].detail, "failing ended");
}
