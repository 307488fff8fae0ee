//! How good alerts were and how fast people were, from what they decided.
//!
//! Everything has its number beside it, and nothing is said of too few.

use crate::output::{Alert, AlertEvent, Handling, Outcome};
use crate::time::{DAY, Micros};

/// A share of fewer decided alerts is no share.
const DECIDED_LEAST: u32 = 20;
/// 97.5 % point of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Of all alerts that are given.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Figures {
    pub alerts: u32,
    pub decided: u32,
    /// By [`Outcome::ALL`].
    pub outcomes: [u32; 5],
    /// Health events among those decided: the positive predictive value. None of fewer than 20.
    pub events: Option<Share>,
    /// Real rises of whatever cause among those decided. None of fewer than 20.
    pub real_rises: Option<Share>,
    /// From firing until somebody acknowledged it.
    pub acknowledge: Option<Spread>,
    /// From firing until it was decided.
    pub decide: Option<Spread>,
}

/// `of` out of `n`, with the 95 % interval of Wilson (1927, J Am Stat Assoc 22:209-212).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    pub of: u32,
    pub n: u32,
    pub share: f64,
    pub low: f64,
    pub high: f64,
}

impl Share {
    fn new(of: u32, n: u32) -> Option<Share> {
        if n < DECIDED_LEAST {
            return None;
        }
        let (count, share) = (f64::from(n), f64::from(of) / f64::from(n));
        let shrink = 1.0 + Z * Z / count;
        let middle = (share + Z * Z / (2.0 * count)) / shrink;
        let half =
            Z / shrink * (share * (1.0 - share) / count + Z * Z / (4.0 * count * count)).sqrt();
        Some(Share { of, n, share, low: (middle - half).max(0.0), high: (middle + half).min(1.0) })
    }
}

/// Durations in order: the middle one, and the one that nine in ten don't exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    pub n: u32,
    pub median: Micros,
    pub ninth_decile: Micros,
}

impl Spread {
    fn new(mut durations: Vec<Micros>) -> Option<Spread> {
        durations.sort_unstable();
        let n = durations.len();
        let median = (durations.get(n.checked_sub(1)? / 2)? + durations.get(n / 2)?).div_euclid(2);
        // The least value that at least nine tenths don't exceed.
        let ninth_decile = *durations.get((n * 9).div_ceil(10).saturating_sub(1))?;
        Some(Spread { n: u32::try_from(n).unwrap_or(u32::MAX), median, ninth_decile })
    }
}

/// What the past alerts given say. Withdrawn ones count only if people decided them.
pub fn figures<'a>(entries: impl IntoIterator<Item = (&'a Alert, &'a [AlertEvent])>) -> Figures {
    let mut figures = Figures::default();
    let (mut acknowledged, mut decided) = (Vec::new(), Vec::new());
    for (alert, events) in entries {
        figures.alerts += 1;
        let since_fired = |event: &AlertEvent| (event.at - alert.fired_at).max(0);
        acknowledged
            .extend(events.iter().find(|event| event.state > Handling::New).map(since_fired));
        decided
            .extend(events.iter().find(|event| event.state >= Handling::Decided).map(since_fired));
        if let Some(outcome) = events.last().and_then(|event| event.outcome) {
            figures.decided += 1;
            figures.outcomes[outcome as usize] += 1;
        }
    }
    let count = |wanted: fn(Outcome) -> bool| {
        Outcome::ALL
            .into_iter()
            .filter(|outcome| wanted(*outcome))
            .map(|outcome| figures.outcomes[outcome as usize])
            .sum()
    };
    Figures {
        events: Share::new(count(|outcome| outcome == Outcome::HealthEvent), figures.decided),
        real_rises: Share::new(count(Outcome::is_real_rise), figures.decided),
        acknowledge: Spread::new(acknowledged),
        decide: Spread::new(decided),
        ..figures
    }
}

/// One of the three clocks of 7-1-7 (Frieden et al. 2021, Lancet 398:638-640).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    pub from: Micros,
    pub to: Micros,
    pub target: Micros,
}

impl Clock {
    fn new(from: Option<Micros>, to: Option<Micros>, target: Micros) -> Option<Clock> {
        Some(Clock { from: from?, to: to?, target })
    }

    pub fn took(self) -> Micros {
        (self.to - self.from).max(0)
    }

    pub fn is_met(self) -> bool {
        self.took() <= self.target
    }
}

/// Detected within seven days of emergence, notified within one of detection, responded to within
/// seven of notification.
/// Those that only people can enter stay empty until they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Clocks {
    pub detect: Option<Clock>,
    pub notify: Option<Clock>,
    pub respond: Option<Clock>,
}

pub fn clocks(alert: &Alert, events: &[AlertEvent]) -> Clocks {
    let milestones = events.last().map(|event| event.milestones).unwrap_or_default();
    Clocks {
        detect: Clock::new(milestones.emerged, Some(alert.fired_at), 7 * DAY),
        notify: Clock::new(Some(alert.fired_at), milestones.notified, DAY),
        respond: Clock::new(milestones.notified, milestones.responded, 7 * DAY),
    }
}
