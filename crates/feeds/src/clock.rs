//! Clocks of the machine: wall time, elapsed time, and whether the two agree.
//!
//! A wall clock can be set, and a monotonic one can't. Arrivals and claims of coverage need the
//! first, spans of silence the second. Where the wall clock has left the monotonic one by more than
//! a minute, its step is not followed until both have agreed for a minute; meanwhile nobody ticks
//! and nothing is deleted. Everything that decides is pure and takes readings; only
//! [`Clock::system`] reads the machine. Knows no feeds.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use record::time::{MINUTE, Micros, SECOND};

/// The wall clock has made a step if it parts from the monotonic one by more.
const APART_MAX: Micros = MINUTE;
/// So long both must agree before a step is followed.
const AGREED_FOR: Micros = 60 * SECOND;
/// Two readings agree if the wall clock has moved by no more than this against the monotonic one.
const AGREED_WITHIN: Micros = SECOND;
/// A small correction is followed by this part of the time that passes.
const FOLLOWED: Micros = 10;

/// Before 2025 nobody ran this: a machine without a battery begins in 1970, until it receives the
/// time.
const PLAUSIBLE: Micros = 1_735_689_600 * SECOND;

/// One moment by both clocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    /// Microseconds since 1970.
    pub wall: Micros,
    /// Microseconds since some instant; never falls.
    pub monotonic: Micros,
}

/// A pair of clocks that all who hold it share.
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

struct Inner {
    read: Box<dyn Fn() -> Now + Send + Sync>,
    steadiness: Mutex<Steadiness>,
}

impl Clock {
    /// Of whatever gives readings: tests bring virtual time.
    pub fn of(read: impl Fn() -> Now + Send + Sync + 'static) -> Clock {
        Clock(Arc::new(Inner { read: Box::new(read), steadiness: Mutex::default() }))
    }

    /// The machine's.
    pub fn system() -> Clock {
        Clock::of(|| {
            static BEGAN: OnceLock<Instant> = OnceLock::new();
            let micros = |micros: u128| Micros::try_from(micros).unwrap_or(Micros::MAX);
            let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let monotonic = micros(BEGAN.get_or_init(Instant::now).elapsed().as_micros());
            Now { wall: micros(since_1970.as_micros()), monotonic }
        })
    }

    /// The moment, by a wall clock whose steps are followed only once they have held for a minute.
    pub fn now(&self) -> Now {
        self.observed(|_, now| now)
    }

    pub fn wall(&self) -> Micros {
        self.now().wall
    }

    /// Whether wall and monotonic clock agree: without that nothing may be claimed and nothing be
    /// deleted by age.
    pub fn steady(&self) -> bool {
        self.step().is_none()
    }

    /// How far the wall clock has left the monotonic one, while they don't agree.
    pub fn step(&self) -> Option<Micros> {
        self.observed(|steadiness, _| steadiness.step())
    }

    /// Steps seen so far.
    pub fn steps(&self) -> u64 {
        self.observed(|steadiness, _| steadiness.steps)
    }

    /// The wall clock at the first reading that can be true and the time that has passed since: no
    /// step moves it. For names and ages of files of this process.
    pub fn unstepped(&self) -> Micros {
        self.observed(|steadiness, now| {
            steadiness
                .first
                .map_or(now.wall, |first| first.wall + (now.monotonic - first.monotonic))
        })
    }

    fn observed<T>(&self, ask: impl FnOnce(&Steadiness, Now) -> T) -> T {
        let mut steadiness = self.0.steadiness.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock: readings must come in their order.
        let now = steadiness.observe((self.0.read)());
        ask(&steadiness, now)
    }
}

/// Whether the wall clock goes as the monotonic one does, from readings of both.
#[derive(Debug, Clone, Default)]
struct Steadiness {
    first: Option<Now>,
    /// Wall less monotonic, by which we go.
    offset: Micros,
    read_at: Micros,
    elsewhere: Option<Elsewhere>,
    steps: u64,
}

/// Where the wall clock has gone, and since when it has stayed there.
#[derive(Debug, Clone, Copy)]
struct Elsewhere {
    offset: Micros,
    since: Micros,
}

impl Steadiness {
    fn observe(&mut self, read: Now) -> Now {
        let offset = read.wall - read.monotonic;
        if self.first.is_none() {
            *self = Steadiness {
                first: Some(read),
                offset,
                read_at: read.monotonic,
                ..Steadiness::default()
            };
        }
        let passed = (read.monotonic - self.read_at).max(0);
        self.read_at = read.monotonic;
        match &mut self.elsewhere {
            None if (offset - self.offset).abs() > APART_MAX => {
                self.elsewhere = Some(Elsewhere { offset, since: read.monotonic });
                self.steps += 1;
            }
            None => {
                let most = passed / FOLLOWED;
                self.offset += (offset - self.offset).clamp(-most, most);
            }
            Some(elsewhere) if (offset - elsewhere.offset).abs() > AGREED_WITHIN => {
                *elsewhere = Elsewhere { offset, since: read.monotonic };
            }
            Some(elsewhere) if read.monotonic - elsewhere.since >= AGREED_FOR => {
                self.offset = offset;
                self.elsewhere = None;
                if self.first.is_some_and(|first| first.wall < PLAUSIBLE) {
                    self.first = Some(read);
                }
            }
            Some(_) => {}
        }
        Now { wall: read.monotonic + self.offset, monotonic: read.monotonic }
    }

    fn step(&self) -> Option<Micros> {
        self.elsewhere.map(|elsewhere| elsewhere.offset - self.offset)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use record::time::{DAY, HOUR};

    use super::*;

    const T: Micros = 1_767_603_603 * SECOND;

    #[test]
    fn two_days_ahead_for_two_seconds_moves_no_clock() {
        let mut steadiness = Steadiness::default();
        for second in 0..300 {
            let monotonic = second * SECOND;
            let ahead = if (100..102).contains(&second) { 2 * DAY } else { 0 };
            let now = steadiness.observe(Now { wall: T + monotonic + ahead, monotonic });
            assert_eq!(now.wall, T + monotonic);
            assert_eq!(
                steadiness.step().is_some(),
                (100..162).contains(&second),
                "second {second}"
            );
        }
        assert_eq!(steadiness.steps, 1);
    }

    #[test]
    fn a_step_that_holds_is_followed_after_a_minute() {
        for step in [-HOUR, -2 * MINUTE, 2 * MINUTE, 365 * DAY] {
            let mut steadiness = Steadiness::default();
            for second in 0..200 {
                let monotonic = second * SECOND;
                let moved = if second >= 100 { step } else { 0 };
                let now = steadiness.observe(Now { wall: T + monotonic + moved, monotonic });
                let followed = if second >= 160 { step } else { 0 };
                assert_eq!(now.wall, T + monotonic + followed, "step {step}, second {second}");
            }
        }
    }

    #[test]
    fn no_step_moves_the_clock_that_names_files() {
        use std::sync::atomic::{AtomicI64, Ordering};
        let (passed, wrong) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
        let hands = (passed.clone(), wrong.clone());
        let read = move || {
            let monotonic = hands.0.load(Ordering::Relaxed);
            Now { wall: T + monotonic + hands.1.load(Ordering::Relaxed), monotonic }
        };
        let clock = Clock::of(read.clone());
        // Thirty days ahead, for ten minutes and then for good.
        for second in 0..2_000 {
            passed.store(second * SECOND, Ordering::Relaxed);
            wrong.store(
                if (100..700).contains(&second) || second > 1_000 { 30 * DAY } else { 0 },
                Ordering::Relaxed,
            );
            assert_eq!(clock.unstepped(), T + second * SECOND);
        }
        assert_eq!(clock.wall(), T + 1_999 * SECOND + 30 * DAY);
        // Only a time that can't be is left for one that can.
        let clock = Clock::of(read);
        for second in 2_000..2_200 {
            passed.store(second * SECOND, Ordering::Relaxed);
            wrong.store(if second < 2_050 { -T } else { 0 }, Ordering::Relaxed);
            clock.now();
        }
        assert_eq!(clock.unstepped(), T + 2_199 * SECOND);
    }

    #[test]
    fn a_clock_that_keeps_jumping_is_never_followed() {
        let mut steadiness = Steadiness::default();
        for second in 0..1_000 {
            let monotonic = second * SECOND;
            let now =
                steadiness.observe(Now { wall: T + monotonic + (second / 30) * HOUR, monotonic });
            assert_eq!(now.wall, T + monotonic);
        }
    }

    #[test]
    fn small_steps_add_up_to_a_large_one() {
        let mut steadiness = Steadiness::default();
        let wall = |second: i64| T + second * SECOND + (second / 10) * 50 * SECOND;
        let first = (0..).find(|second| {
            steadiness.observe(Now { wall: wall(*second), monotonic: second * SECOND });
            steadiness.step().is_some()
        });
        assert_eq!(first, Some(20));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

        /// Whatever the wall clock does, ours moves with the time that passes or by a step that has
        /// held for a minute.
        #[test]
        fn the_clock_jumps_only_to_where_the_wall_has_stayed(
            moves in prop::collection::vec((0..50_i64, prop_oneof![4 => Just(0), 1 => -3 * DAY..3 * DAY]), 1..60)
        ) {
            let mut steadiness = Steadiness::default();
            let (mut monotonic, mut apart) = (0, 0);
            let mut held_since = 0;
            let mut before: Option<Now> = None;
            for (seconds, step) in moves {
                monotonic += seconds * SECOND;
                apart += step;
                if step.abs() > AGREED_WITHIN {
                    held_since = monotonic;
                }
                let now = steadiness.observe(Now { wall: T + monotonic + apart, monotonic });
                if let Some(before) = before {
                    let jump = (now.wall - before.wall) - (now.monotonic - before.monotonic);
                    let small = (now.monotonic - before.monotonic) / FOLLOWED;
                    prop_assert!(jump.abs() <= small || (now.wall == T + monotonic + apart && monotonic - held_since >= AGREED_FOR));
                }
                before = Some(now);
            }
        }
    }
}
