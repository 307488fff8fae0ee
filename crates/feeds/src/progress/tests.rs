use proptest::prelude::*;

use super::*;

/// An hour that is no multiple of anything.
const T: Micros = 1_767_603_603 * SECOND;

/// Clocks that agree.
fn at(wall: Micros) -> Now {
    Now { wall, monotonic: wall - T }
}

fn live() -> Progress {
    Progress::live("f", 7, OUTAGE_HOLD)
}

/// What a tick claims, in seconds after `T`.
fn claim(progress: &mut Progress, now: Micros) -> Option<(i64, i64, Span)> {
    progress
        .tick(at(now))
        .map(|tick| ((tick.from - T) / SECOND, (tick.reached - T) / SECOND, tick.span))
}

#[derive(Debug, Clone)]
enum Happens {
    Arrives(Micros),
    Proven,
    Waits(Micros),
    Ticks,
    Reconnects(Micros),
}

fn happenings() -> impl Strategy<Value = Vec<Happens>> {
    let one = prop_oneof![
        4 => (-30..8_i64).prop_map(|s| Happens::Arrives(s * SECOND)),
        2 => Just(Happens::Proven),
        3 => (0..400_i64).prop_map(|s| Happens::Waits(s * SECOND / 4)),
        4 => Just(Happens::Ticks),
        1 => (0..900_i64).prop_map(|s| Happens::Reconnects(s * SECOND)),
    ];
    prop::collection::vec(one, 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn covered_claims_meet_and_go_no_further_than_arrivals_and_the_proven_clock(happenings in happenings()) {
        let mut progress = live();
        let mut now = T;
        let (mut furthest, mut proven, mut claimed) = (Micros::MIN, Micros::MIN, None);
        for happens in happenings {
            match happens {
                Happens::Arrives(behind) => {
                    progress.on_arrival(now + behind, at(now));
                    furthest = furthest.max(now + behind);
                }
                Happens::Proven => {
                    progress.on_alive(at(now));
                    proven = now;
                }
                Happens::Waits(long) => now += long,
                Happens::Reconnects(behind) => {
                    progress.on_connected(at(now), Some(now - behind));
                    furthest = furthest.max(now - behind);
                    proven = now;
                    claimed = Some(now - behind);
                }
                Happens::Ticks => {
                    let Some(tick) = progress.tick(at(now)) else { continue };
                    prop_assert!(tick.from <= tick.reached);
                    match tick.span {
                        Span::Covered => {
                            prop_assert!(tick.reached <= furthest.max(proven));
                            prop_assert!(claimed.is_none_or(|claimed| tick.from == claimed), "{claimed:?} {tick:?}");
                            claimed = Some(tick.reached);
                        }
                        Span::Silent => prop_assert!(now - proven.max(T) > OUTAGE_HOLD),
                    }
                }
            }
        }
    }

    #[test]
    fn each_boundary_is_ticked_once_and_before_what_lies_beyond_it(arrivals in prop::collection::vec(0..600_i64, 1..100)) {
        let mut clock = TickClock::default();
        let mut passed: Option<Micros> = None;
        for arrival in arrivals.iter().map(|second| T + second * SECOND) {
            let multiple = arrival.div_euclid(10 * SECOND) * 10 * SECOND;
            let expected = passed.filter(|passed| *passed < multiple).map(|_| multiple);
            prop_assert_eq!(clock.boundary(arrival), expected);
            passed = passed.max(Some(multiple));
        }
    }

    #[test]
    fn a_file_covers_its_least_to_its_greatest_arrival(arrivals in prop::collection::vec(0..600_i64, 1..60), tick_every in 1..9_usize) {
        let mut progress = Progress::of_file("f", 1);
        let mut covered = Vec::new();
        for (i, arrival) in arrivals.iter().enumerate() {
            progress.on_arrival(*arrival, Now::default());
            if i % tick_every == 0 {
                covered.extend(progress.tick(Now::default()));
            }
        }
        progress.on_end();
        covered.extend(progress.tick(Now::default()));
        prop_assert!(covered.last().unwrap().ended);
        covered.sort_by_key(|tick| tick.from);
        let (least, greatest) = (*arrivals.iter().min().unwrap(), *arrivals.iter().max().unwrap());
        let reached = covered.iter().fold(least, |reached, tick| if tick.from <= reached { reached.max(tick.reached) } else { reached });
        prop_assert_eq!((covered[0].from, reached), (least, greatest));
    }
}

#[test]
fn a_live_feed_follows_the_clock_only_while_it_is_proven_alive() {
    let mut progress = live();
    assert_eq!(progress.tick(at(T)), None, "nothing is known of it");
    progress.on_connected(at(T), None);
    assert_eq!(claim(&mut progress, T), Some((0, 0, Span::Covered)));
    progress.on_arrival(T + SECOND, at(T + SECOND));
    assert_eq!(claim(&mut progress, T + SECOND), Some((0, 1, Span::Covered)));
    // No post, but an answer: all but what may be on its way is certain.
    progress.on_alive(at(T + 10 * SECOND));
    assert_eq!(claim(&mut progress, T + 10 * SECOND), Some((1, 8, Span::Covered)));
    assert_eq!(claim(&mut progress, T + 40 * SECOND), Some((8, 8, Span::Covered)), "held");
}

#[test]
fn an_outage_is_held_then_ticked_as_silence_then_replaced() {
    let mut progress = live();
    progress.on_connected(at(T), None);
    progress.on_arrival(T, at(T));
    progress.on_alive(at(T + 10 * SECOND));
    assert_eq!(claim(&mut progress, T + 610 * SECOND), Some((0, 8, Span::Covered)));
    assert_eq!(claim(&mut progress, T + 611 * SECOND), Some((8, 611, Span::Silent)));
    assert_eq!(claim(&mut progress, T + 612 * SECOND), Some((611, 612, Span::Silent)));
    // The cursor brings back what was missed.
    progress.on_connected(at(T + 700 * SECOND), Some(T + 5 * SECOND));
    assert_eq!(claim(&mut progress, T + 700 * SECOND), Some((5, 8, Span::Covered)));
    progress.on_arrival(T + 300 * SECOND, at(T + 701 * SECOND));
    progress.on_alive(at(T + 701 * SECOND));
    assert_eq!(
        claim(&mut progress, T + 701 * SECOND),
        Some((8, 300, Span::Covered)),
        "no clock while it catches up"
    );
    progress.on_arrival(T + 701 * SECOND, at(T + 702 * SECOND));
    progress.on_alive(at(T + 720 * SECOND));
    assert_eq!(claim(&mut progress, T + 720 * SECOND), Some((300, 718, Span::Covered)));
}

#[test]
fn a_source_that_never_answers_holds_nothing_up_for_ever() {
    let mut progress = live();
    assert_eq!(progress.tick(at(T)), None);
    assert_eq!(progress.tick(at(T + OUTAGE_HOLD)), None);
    assert_eq!(claim(&mut progress, T + OUTAGE_HOLD + SECOND), Some((0, 601, Span::Silent)));
}

#[test]
fn nothing_is_claimed_across_a_gap() {
    let mut progress = live();
    progress.on_connected(at(T), None);
    progress.on_arrival(T + 5 * SECOND, at(T + 5 * SECOND));
    assert_eq!(claim(&mut progress, T + 6 * SECOND), Some((0, 5, Span::Covered)));
    progress.on_connected(at(T + 900 * SECOND), Some(T));
    progress.on_gap(T + 500 * SECOND, at(T + 900 * SECOND));
    progress.on_arrival(T + 501 * SECOND, at(T + 900 * SECOND));
    assert_eq!(claim(&mut progress, T + 900 * SECOND), Some((500, 501, Span::Covered)));
}

#[test]
fn a_quiet_source_is_caught_up_once_it_has_been_quiet_and_alive() {
    let mut progress = live();
    progress.on_connected(at(T + 1000 * SECOND), Some(T));
    progress.on_alive(at(T + 1001 * SECOND));
    assert_eq!(claim(&mut progress, T + 1001 * SECOND), Some((0, 0, Span::Covered)));
    progress.on_alive(at(T + 1010 * SECOND));
    assert_eq!(claim(&mut progress, T + 1010 * SECOND), Some((0, 1008, Span::Covered)));
}

#[test]
fn a_boundary_is_reached_before_the_line_that_passes_it() {
    let mut progress = Progress::of_file("f", 1);
    progress.on_arrival(T, Now::default());
    let tick = progress.tick_before(T + 27 * SECOND, Now::default()).unwrap();
    assert_eq!((tick.from, tick.reached), (T, T + 27 * SECOND));
    assert_eq!(Progress::of_file("f", 1).tick_before(T, Now::default()), None);
}

#[test]
fn an_empty_file_says_that_it_is_over() {
    let mut progress = Progress::of_file("f", 1);
    assert_eq!(progress.tick(at(T)), None);
    progress.on_end();
    let tick = progress.tick(at(T)).unwrap();
    assert_eq!((tick.reached, tick.ended), (0, true));
}

#[test]
fn seconds_of_the_clock_are_ticked_even_if_it_is_set_back() {
    let mut clock = TickClock::default();
    assert!(clock.due(T));
    clock.ticked(T);
    assert!(!clock.due(T + SECOND - 1));
    assert!(clock.due(T + SECOND));
    assert!(clock.due(T - 1), "a clock that was set back ticks at once");
    assert_eq!(clock.next(), Some(T + SECOND));
}

#[test]
fn no_claim_of_a_live_feed_lies_beyond_the_clock() {
    let ahead = T + 10 * 86_400 * SECOND;
    let mut progress = live();
    progress.on_connected(at(T), Some(ahead));
    progress.on_arrival(ahead, at(T + SECOND));
    progress.on_gap(ahead, at(T + 2 * SECOND));
    let tick = progress.tick(at(T + 3 * SECOND)).unwrap();
    assert!(tick.reached <= T + 2 * SECOND + STAMP_AHEAD_MAX, "{tick:?}");
}

#[test]
fn a_feed_is_silent_by_the_monotonic_clock_only() {
    let mut progress = live();
    progress.on_connected(at(T), None);
    progress.on_arrival(T, at(T));
    // Two days by the wall, ten seconds by the other.
    let tick = progress.tick(Now { wall: T + 172_800 * SECOND, monotonic: 10 * SECOND }).unwrap();
    assert_eq!((tick.reached, tick.span), (T, Span::Covered));
    // And the other way round: what is behind by the wall is silent all the same.
    let tick = progress.tick(Now { wall: T - 86_400 * SECOND, monotonic: 611 * SECOND }).unwrap();
    assert_eq!((tick.reached, tick.span), (T, Span::Silent));
}

#[test]
fn a_feed_that_failed_says_neither_more_nor_that_it_ended() {
    let mut nothing = Progress::of_file("f", 1);
    nothing.on_failed();
    assert_eq!(nothing.tick(at(T)), None);
    nothing.stand_at(T);
    let tick = nothing.tick(at(T)).unwrap();
    assert_eq!((tick.from, tick.reached, tick.ended), (T, T, false));
    let mut some = Progress::of_file("f", 1);
    some.on_arrival(T, at(T));
    some.on_failed();
    let tick = some.tick(at(T + 3600 * SECOND)).unwrap();
    assert_eq!((tick.from, tick.reached, tick.ended), (T, T, false));
}
