//! JSON form of an alert: for the API, `alerts`, and `replay --alerts`.
//!
//! Instants are unix seconds, with a fraction only where there is one.

use record::time::{Micros, SECOND};
use record::{Alert, AlertState, Grounds, Stage};
use serde::{Serialize, Serializer};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AlertLine {
    pub id: String,
    pub revision: u32,
    pub topic: String,
    pub topic_name: String,
    pub region: String,
    pub regions: Vec<String>,
    #[serde(serialize_with = "seconds")]
    pub opened_at: Micros,
    #[serde(serialize_with = "seconds")]
    pub fired_at: Micros,
    #[serde(serialize_with = "seconds")]
    pub window_end: Micros,
    pub window_seconds: i64,
    pub stage: Stage,
    pub state: AlertState,
    pub severity: u8,
    pub observed: u32,
    pub posts: u32,
    pub population: u64,
    pub expected: f64,
    pub upperbound: f64,
    /// In days.
    pub recurrence: Option<f64>,
    pub method: String,
    pub coverage: f64,
    /// How many posts of the window were sampled; the numbers below count among them.
    pub sampled: u32,
    pub first_person: u32,
    pub news: u32,
    pub most_by_one: u32,
    pub near_copies: u32,
    pub new_accounts: u32,
    pub tags: Vec<Share>,
    pub langs: Vec<Share>,
    pub link_domains: Vec<Share>,
    /// What the alert rests on.
    pub grounds: Box<Grounds>,
}

/// How many of the sampled posts have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Share {
    pub name: String,
    pub posts: u32,
}

impl From<&Alert> for AlertLine {
    fn from(alert: &Alert) -> AlertLine {
        let explanation = &alert.explanation;
        AlertLine {
            id: alert.id.clone(),
            revision: alert.revision,
            topic: alert.topic.clone(),
            topic_name: alert.topic_name.clone(),
            region: alert.region.clone(),
            regions: alert.regions.clone(),
            opened_at: alert.opened_at,
            fired_at: alert.fired_at,
            window_end: alert.window_end,
            window_seconds: alert.window_length.div_euclid(SECOND),
            stage: alert.stage,
            state: alert.state,
            severity: alert.severity,
            observed: alert.observed,
            posts: alert.posts,
            population: alert.population,
            expected: alert.expected,
            upperbound: alert.upperbound,
            recurrence: alert.recurrence,
            method: alert.method.clone(),
            coverage: alert.coverage,
            sampled: explanation.sampled,
            first_person: explanation.own,
            news: explanation.news,
            most_by_one: explanation.most_by_one,
            near_copies: explanation.near_copies,
            new_accounts: explanation.new_accounts,
            tags: shares(&explanation.tags),
            langs: shares(&explanation.langs),
            link_domains: shares(&explanation.link_domains),
            grounds: alert.grounds.clone(),
        }
    }
}

fn shares(pairs: &[(String, u32)]) -> Vec<Share> {
    pairs.iter().map(|(name, posts)| Share { name: name.clone(), posts: *posts }).collect()
}

fn seconds<S: Serializer>(instant: &Micros, serializer: S) -> Result<S::Ok, S::Error> {
    if instant.rem_euclid(SECOND) == 0 {
        serializer.serialize_i64(instant.div_euclid(SECOND))
    } else {
        serializer.serialize_f64(*instant as f64 / SECOND as f64)
    }
}
