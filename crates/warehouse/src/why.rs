//! Why a series is in no alert: its latest verdict, and every floor and rule that it fails.
//!
//! Reads the warehouse's port only, so that every answer can be checked in the tables. Decides
//! nothing: floors and reasons are those of [`record::policy`] and of the verdict.

use std::fmt;

use record::policy::{BASELINE_REACH, Shortfall};
use record::reason::text_of;
use record::region::{RegionTable, WORLD};
use record::time::{DAY, HOUR, display};
use record::{Alert, AlertState, Micros, Outcome, Reason, Settings, Suspect};

use crate::error::WarehouseError;
use crate::port::{AlertEntry, AlertQuery, Judged, Reading, SeriesQuery};

/// Of the longest window, in the shortest panes.
const PANES_MAX: usize = 7 * 24 * 12;
const ALERTS_MAX: usize = 1_000;

/// What is known of a series and of what kept it from being an alert.
#[derive(Debug, Clone, PartialEq)]
pub struct WhyNot {
    pub topic: String,
    pub region: String,
    /// The latest window that was judged.
    pub window: Option<Judged>,
    /// Posts in it, as far as they are told.
    pub posts: u32,
    /// The least number of accounts that would have been an alert.
    pub needed: Option<u32>,
    /// What holds it back; nothing where there is an alert.
    pub holds: Vec<Hold>,
    /// The alert that it is in, the open one first.
    pub alert: Option<Alert>,
    /// What people took out of the baselines of its latest windows, latest first.
    pub excluded: Vec<Excluded>,
}

/// Days of a decided alert that are in no baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct Excluded {
    pub alert: String,
    pub from: Micros,
    pub to: Micros,
}

/// A thing that stands between a series and an alert.
#[derive(Debug, Clone, PartialEq)]
pub enum Hold {
    /// No settings have landed, so it isn't known what is watched.
    NothingYet,
    /// Nothing watches the topic.
    UnknownTopic { known: Vec<String> },
    /// There is no such region, or none as deep as this.
    UnknownRegion { nearest: String },
    /// The topic's kind is not counted at this level.
    Level { kind: &'static str },
    /// No post of the topic was ever counted in the region.
    NoPosts,
    /// Below this many accounts nothing of the topic's kind is told, so not whether it was judged
    /// either.
    Withheld { kind: &'static str, least: u32 },
    /// It was counted, and nothing has been judged yet.
    NotJudged,
    /// Too little of the window was seen to say anything.
    Coverage { share: f64, least: f64 },
    /// There was no answer, for this reason.
    NoAnswer {
        reason: Option<Reason>,
        /// The smallest rise, as a multiple of what is expected, that would have been seen.
        detectable: Option<f64>,
    },
    /// Not above the method's bound.
    Bound { bound: f64 },
    /// Too few accounts or posts, or too small a rise, for an alert.
    Floor(Shortfall),
    /// Above all of these, and joined to an alert of another region.
    Joined { alert: String, region: String },
    /// The episode was taken back.
    Withdrawn { alert: String },
    /// Above all of these; the alert has not landed yet.
    OnItsWay,
}

impl Hold {
    /// What it is, in a word that programs know it by.
    pub fn name(&self) -> &'static str {
        match self {
            Hold::NothingYet => "nothing-yet",
            Hold::UnknownTopic { .. } => "unknown-topic",
            Hold::UnknownRegion { .. } => "unknown-region",
            Hold::Level { .. } => "level",
            Hold::NoPosts => "no-posts",
            Hold::Withheld { .. } => "withheld",
            Hold::NotJudged => "not-judged",
            Hold::Coverage { .. } => "coverage",
            Hold::NoAnswer { .. } => "no-answer",
            Hold::Bound { .. } => "bound",
            Hold::Floor(Shortfall::Accounts { .. }) => "accounts",
            Hold::Floor(Shortfall::Posts { .. }) => "posts",
            Hold::Floor(Shortfall::Ratio { .. }) => "ratio",
            Hold::Joined { .. } => "joined",
            Hold::Withdrawn { .. } => "withdrawn",
            Hold::OnItsWay => "on-its-way",
        }
    }
}

/// Asks for the latest window of a series.
pub fn why_not(
    warehouse: &dyn Reading,
    topic: &str,
    region: &str,
) -> Result<WhyNot, WarehouseError> {
    let region = if region.contains(':') {
        region.to_ascii_lowercase()
    } else {
        region.to_ascii_uppercase()
    };
    let query = SeriesQuery {
        topic: topic.to_owned(),
        region: region.clone(),
        from: Micros::MIN,
        to: Micros::MAX,
        limit: 1,
        only: None,
    };
    let latest = warehouse.series(&query)?;
    let window = latest.verdicts.last().cloned();
    let posts = match &window {
        None => 0,
        Some(window) => {
            let of_window = SeriesQuery {
                from: window.end - window.length,
                to: window.end,
                limit: PANES_MAX,
                ..query
            };
            warehouse.series(&of_window)?.panes.iter().map(|pane| pane.posts).sum()
        }
    };
    let alerts =
        AlertQuery { topic: Some(topic.to_owned()), limit: ALERTS_MAX, ..AlertQuery::default() };
    let entries = warehouse.alerts(&alerts)?;
    let (needed, holds, excluded) = (None, Vec::new(), Vec::new());
    let mut why = WhyNot {
        topic: topic.to_owned(),
        region,
        window,
        posts,
        needed,
        holds,
        alert: None,
        excluded,
    };
    let Some(settings) = warehouse.settings()? else {
        why.holds.push(Hold::NothingYet);
        return Ok(why);
    };
    why.excluded = why.taken_out(&settings.region_table(), &entries);
    let alerts: Vec<Alert> = entries.into_iter().map(|entry| entry.alert).collect();
    why.find(&settings, &alerts, !latest.panes.is_empty());
    Ok(why)
}

impl WhyNot {
    fn find(&mut self, settings: &Settings, alerts: &[Alert], has_posts: bool) {
        let Some(topic) = settings.topic(&self.topic) else {
            let known = settings.topics.iter().map(|topic| topic.id.clone()).collect();
            return self.holds.push(Hold::UnknownTopic { known });
        };
        let table = settings.region_table();
        if let Some(nearest) = unknown(&table, &self.region) {
            return self.holds.push(Hold::UnknownRegion { nearest });
        }
        let kind = topic.kind;
        if !kind.allows(table.level(&self.region), &self.region) {
            return self.holds.push(Hold::Level { kind: kind.name() });
        }
        let Some(window) = self.window.clone() else {
            self.holds.push(match (kind.floor(), has_posts) {
                (0, false) => Hold::NoPosts,
                (0, true) => Hold::NotJudged,
                (least, _) => Hold::Withheld { kind: kind.name(), least },
            });
            return;
        };
        let floors = settings.detect.floors;
        let expected = window.expected.unwrap_or(0.0);
        let least_accounts = floors.accounts_least(kind);
        let by_ratio = (floors.ratio * expected).ceil();
        let above_bound = window.upperbound.map(|bound| bound.floor() + 1.0);
        self.needed =
            above_bound.map(|bound| bound.max(by_ratio).max(f64::from(least_accounts)) as u32);

        // An alert of the window's time: its own, one that holds it, or one that explains it.
        let of_the_time = |alert: &&Alert| {
            let is_open = alert.state == AlertState::Open;
            alert.opened_at < window.end && (is_open || alert.window_end >= window.end)
        };
        let mut of_the_time: Vec<&Alert> = alerts.iter().filter(of_the_time).collect();
        of_the_time.sort_by_key(|alert| {
            (alert.state != AlertState::Open, !alert.regions.contains(&self.region))
        });
        let own = of_the_time.iter().find(|alert| alert.regions.contains(&self.region));
        if let Some(alert) = own.filter(|alert| alert.state != AlertState::Withdrawn) {
            self.alert = Some((**alert).clone());
            return;
        }
        self.holds.extend(own.map(|alert| Hold::Withdrawn { alert: alert.id.clone() }));

        self.holds.extend(without_alarm(&window, settings.detect.coverage));
        let shortfalls = floors.shortfalls(kind, window.observed, self.posts, expected);
        self.holds.extend(shortfalls.map(Hold::Floor));
        if self.holds.is_empty() {
            let joined = of_the_time.first().filter(|alert| alert.state != AlertState::Withdrawn);
            self.holds.push(match joined {
                Some(alert) => {
                    Hold::Joined { alert: alert.id.clone(), region: alert.region.clone() }
                }
                None => Hold::OnItsWay,
            });
        }
    }

    fn taken_out(&self, table: &RegionTable, entries: &[AlertEntry]) -> Vec<Excluded> {
        let Some(window) = &self.window else { return Vec::new() };
        let is_out = |entry: &&AlertEntry| {
            let AlertEntry { alert, events } = entry;
            // The world of an alert that other places explain is not taken out.
            let covers = |above: &String| {
                (above != WORLD || alert.region == WORLD) && table.within(&self.region, above)
            };
            let is_before = alert.opened_at < window.end - window.length
                && alert.window_end > window.end - BASELINE_REACH;
            let leaves = events
                .last()
                .and_then(|event| event.outcome)
                .is_some_and(Outcome::leaves_baselines);
            leaves && is_before && alert.regions.iter().any(covers)
        };
        let out = entries.iter().filter(is_out).map(|entry| &entry.alert);
        out.map(|alert| Excluded {
            alert: alert.id.clone(),
            from: alert.opened_at,
            to: alert.window_end,
        })
        .collect()
    }

    /// How many accounts more it would have taken.
    pub fn more(&self) -> Option<u32> {
        Some(self.needed?.saturating_sub(self.window.as_ref()?.observed))
    }
}

/// Why a window is not in alarm.
fn without_alarm(window: &Judged, coverage_least: f64) -> Vec<Hold> {
    match window.alarm {
        None if window.coverage < coverage_least => {
            vec![Hold::Coverage { share: window.coverage, least: coverage_least }]
        }
        None => {
            let no_answer =
                Hold::NoAnswer { reason: window.reason, detectable: window.detectable_rise };
            // With too few posts a count below the bound is no evidence of calm.
            let bound = window.upperbound.filter(|bound| {
                window.reason == Some(Reason::TooFewPosts) && f64::from(window.observed) <= *bound
            });
            std::iter::once(no_answer).chain(bound.map(|bound| Hold::Bound { bound })).collect()
        }
        Some(false) => {
            let bound = window.upperbound.or(window.expected).unwrap_or(0.0);
            vec![Hold::Bound { bound }]
        }
        Some(true) => Vec::new(),
    }
}

/// The known region nearest above an unknown code.
fn unknown(table: &RegionTable, region: &str) -> Option<String> {
    if region == WORLD || region.contains(':') {
        return None;
    }
    let (path, is_unknown) = table.path(region);
    is_unknown.then(|| record::region::own_of(&path).to_owned())
}

impl fmt::Display for Hold {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hold::NothingYet => write!(
                out,
                "nothing yet: no settings have landed, so it isn't known what is watched"
            ),
            Hold::UnknownTopic { known } => {
                write!(out, "topic: nothing watches it; topics are `{}`", known.join("`, `"))
            }
            Hold::UnknownRegion { nearest } => {
                write!(out, "region: unknown; what is there counts as `{nearest}`")
            }
            Hold::Level { kind } => {
                write!(out, "kind: {kind} topics are not counted at this level")
            }
            Hold::NoPosts => write!(out, "no posts: none of the topic was ever counted here"),
            Hold::Withheld { kind, least } => {
                write!(out, "floor: of {kind} topics nothing is told below {least} accounts")
            }
            Hold::NotJudged => write!(out, "not judged: no window has closed since its first post"),
            Hold::Coverage { share, least } => {
                write!(
                    out,
                    "coverage: {:.0} % of the window was seen, {:.0} % are needed",
                    share * 100.0,
                    least * 100.0
                )
            }
            Hold::NoAnswer { reason, detectable } => no_answer(*reason, *detectable, out),
            Hold::Bound { bound } => write!(out, "bound: not above {}", short(*bound)),
            Hold::Floor(Shortfall::Accounts { least }) => {
                write!(out, "floor: an alert takes at least {least} accounts")
            }
            Hold::Floor(Shortfall::Posts { have, least }) => {
                write!(out, "floor: an alert takes at least {least} posts, there are {have}")
            }
            Hold::Floor(Shortfall::Ratio { have, least }) => {
                write!(
                    out,
                    "floor: an alert takes {} times what is expected, this is {}",
                    short(*least),
                    short(*have)
                )
            }
            Hold::Joined { alert, region } => {
                write!(out, "joined: it is explained by {region}, in alert {alert}")
            }
            Hold::Withdrawn { alert } => write!(
                out,
                "withdrawn: alert {alert} was taken back, its window did not bear it out"
            ),
            Hold::OnItsWay => {
                write!(out, "nothing: it is above all of these, and its alert has not landed yet")
            }
        }
    }
}

fn no_answer(
    reason: Option<Reason>,
    detectable: Option<f64>,
    out: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    match reason {
        Some(Reason::TooFewPosts) => {
            write!(out, "too few posts: calm can't be told here")?;
            detectable.map_or(Ok(()), |rise| {
                write!(out, ", only {} times what is expected would be seen", short(rise))
            })
        }
        Some(Reason::Pending) => write!(out, "pending: too many of its posts wait for a place"),
        Some(Reason::BaselineTooShort) => {
            write!(out, "history: too few earlier windows to compare with")
        }
        Some(Reason::Learning) => {
            write!(out, "learning: a new installation gives no answer in its first days")
        }
        reason => write!(out, "no answer: {}", text_of(reason)),
    }
}

/// As lines for a terminal.
impl fmt::Display for WhyNot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_alert = self.alert.is_some();
        writeln!(
            out,
            "{} in {}: {}",
            self.topic,
            self.region,
            if is_alert { "in an alert" } else { "no alert" }
        )?;
        if let Some(window) = &self.window {
            let length = match window.length {
                length if length % DAY == 0 && length > DAY => format!("{} d", length / DAY),
                length => format!("{} h", length / HOUR),
            };
            writeln!(
                out,
                "window:    {length} to {} ({})",
                display(window.end),
                window.stage.name()
            )?;
            writeln!(out, "observed:  {} accounts, {} posts", window.observed, self.posts)?;
            let number = |number: Option<f64>| number.map_or("none".to_owned(), short);
            writeln!(out, "expected:  {}", number(window.expected))?;
            writeln!(out, "bound:     {} ({})", number(window.upperbound), window.method)?;
            if let (Some(needed), Some(more)) = (self.needed, self.more()) {
                writeln!(out, "needed:    {needed} accounts, {more} more")?;
            }
        }
        match &self.alert {
            Some(alert) => write_alert(alert, out)?,
            None => self.holds.iter().try_for_each(|hold| writeln!(out, "held back: {hold}"))?,
        }
        self.excluded.iter().try_for_each(|excluded| {
            let (from, to) = (display(excluded.from), display(excluded.to));
            writeln!(
                out,
                "baseline:  without {from} to {to}, which alert {} took out",
                excluded.alert
            )
        })
    }
}

/// The alert of a series, and why it may not be sent at once.
fn write_alert(alert: &Alert, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (id, state, region) = (&alert.id, alert.state.name(), &alert.region);
    writeln!(out, "alert:     {id} ({state}), headed {region}")?;
    if alert.grounds.is_doubtful() {
        let suspect: Vec<&str> =
            alert.grounds.suspect.iter().map(|suspect: &Suspect| suspect.name()).collect();
        writeln!(
            out,
            "held back: never sent at once, never public: suspect ({})",
            suspect.join(", ")
        )?;
    }
    if alert.grounds.provisional {
        writeln!(
            out,
            "held back: provisional, in a new installation's first fortnight: for the digest \
                unless it is large"
        )?;
    }
    Ok(())
}

/// A number as a person reads it.
fn short(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests;
