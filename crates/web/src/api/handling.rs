//! The loop: what people do with alerts, and how good alerts were and how fast people were.

use axum::http::StatusCode;
use record::alerts::{Changed as What, figures};
use record::time::SECOND;
use record::{AlertChange, AlertEvent, Outcome, Refused};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::time::timeout;
use warehouse::AlertQuery;

use super::{ALERTS_MAX, Answer, Call, PATIENCE, name};
use crate::Change;
use crate::problem::Problem;

/// What somebody did with an alert, and how it stood after that.
#[derive(Serialize, JsonSchema)]
pub(crate) struct EventShown {
    at: f64,
    actor: String,
    /// `new`, `triaged`, `verifying`, `decided` or `closed`.
    state: &'static str,
    note: String,
    /// `health-event`, `known`, `talk-only`, `artefact` or `could-not-tell`.
    outcome: Option<&'static str>,
    /// Who has it; empty: nobody.
    assignee: String,
    snooze_until: Option<i64>,
    emerged_at: Option<i64>,
    notified_at: Option<i64>,
    responded_at: Option<i64>,
    /// The alert's revision that it was made against.
    revision: u32,
}

impl From<&AlertEvent> for EventShown {
    fn from(event: &AlertEvent) -> EventShown {
        let seconds = |instant: Option<i64>| instant.map(|instant| instant.div_euclid(SECOND));
        EventShown {
            at: event.at as f64 / SECOND as f64,
            actor: event.actor.clone(),
            state: event.state.name(),
            note: event.note.clone(),
            outcome: event.outcome.map(Outcome::name),
            assignee: event.assignee.clone(),
            snooze_until: seconds(event.snooze.map(|snooze| snooze.until)),
            emerged_at: seconds(event.milestones.emerged),
            notified_at: seconds(event.milestones.notified),
            responded_at: seconds(event.milestones.responded),
            revision: event.revision,
        }
    }
}

/// An event in the log of its alert.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Logged {
    #[serde(flatten)]
    event: EventShown,
    /// What it changed beside the note: `state`, `outcome`, `assignee`, `snooze`, `milestones`.
    changed: Vec<&'static str>,
    /// Whether it restored what was before the last change.
    undone: bool,
}

impl Logged {
    /// All events of an alert.
    pub(crate) fn all(events: &[AlertEvent]) -> Vec<Logged> {
        let mut was_undone = false;
        let event = |nth: usize| {
            let before = |back| nth.checked_sub(back).map(|at| &events[at]);
            let changed = events[nth].changes(before(1));
            // What is done again after it was undone is a change like others.
            was_undone = !was_undone
                && nth > 0
                && !changed.is_empty()
                && events[nth].changes(before(2)).is_empty();
            Logged {
                event: EventShown::from(&events[nth]),
                undone: was_undone,
                changed: changed.into_iter().map(What::name).collect(),
            }
        };
        (0..events.len()).map(event).collect()
    }
}

/// A change as it is requested: what isn't given stays. Instants are RFC 3339 or unix seconds.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes `record::AlertChange`, which is what is read")]
pub(crate) struct ChangeAsked {
    /// How many changes the alert had when it was looked at.
    after: u32,
    state: Option<String>,
    outcome: Option<String>,
    assignee: Option<String>,
    note: Option<String>,
    /// Takes the last change back; goes with a note only.
    undo: Option<bool>,
    snooze_until: Option<f64>,
    emerged_at: Option<f64>,
    notified_at: Option<f64>,
    responded_at: Option<f64>,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Changed {
    /// How many changes the alert has now.
    changes: u32,
    event: EventShown,
}

/// `POST /api/v1/alerts/{id}/changes`: 200 once the change holds, 409 if another was faster.
pub(crate) async fn change(call: Call) -> Answer {
    let Some(changes) = call.room.web.changes.clone() else {
        return Err(Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "this server only shows alerts: it reads no stream of them",
        ));
    };
    let alert = name("id", call.path.clone().unwrap_or_default())?;
    let change: AlertChange = serde_json::from_slice(&call.body)
        .map_err(|why| Problem::bad_request(format!("the change can't be read: {why}")))?;
    let actor = call.holder.actor();
    let (answer, answered) = oneshot::channel();
    let busy = || {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the stream of alerts takes nothing at the moment, try again",
        )
    };
    timeout(PATIENCE, changes.send(Change { alert, change, actor, answer }))
        .await
        .map_err(|_| busy())?
        .map_err(|_| busy())?;
    match timeout(PATIENCE, answered).await {
        Ok(Ok(Ok(event))) => {
            call.json(&Changed { changes: event.after + 1, event: EventShown::from(&event) })
        }
        Ok(Ok(Err(refused))) => Err(refusal(&refused)),
        // It may hold all the same: whoever asks looks again.
        Ok(Err(_)) | Err(_) => Err(busy()),
    }
}

fn refusal(refused: &Refused) -> Problem {
    let status = match refused {
        Refused::Unknown(_) => StatusCode::NOT_FOUND,
        Refused::Stale { .. } => StatusCode::CONFLICT,
        Refused::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Refused::Failed(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    Problem::new(status, refused.to_string())
}

/// How good alerts were and how fast people were; nothing is said of fewer than 20 decided.
#[derive(Serialize, JsonSchema)]
pub(crate) struct FiguresShown {
    simulated: bool,
    alerts: u32,
    decided: u32,
    outcomes: Vec<OutcomeShown>,
    /// Health events among those decided.
    events: Option<ShareShown>,
    /// Real rises of whatever cause among those decided.
    real_rises: Option<ShareShown>,
    acknowledge: Option<SpreadShown>,
    decide: Option<SpreadShown>,
}

#[derive(Serialize, JsonSchema)]
struct OutcomeShown {
    outcome: &'static str,
    alerts: u32,
}

/// With its 95 % interval.
#[derive(Serialize, JsonSchema)]
struct ShareShown {
    of: u32,
    n: u32,
    share: f64,
    low: f64,
    high: f64,
}

#[derive(Serialize, JsonSchema)]
struct SpreadShown {
    n: u32,
    median_seconds: i64,
    ninth_decile_seconds: i64,
}

/// `GET /api/v1/figures?topic=&region=`: of the last alerts, how many were what, and how long
/// people took.
pub(crate) async fn figures_of(call: Call) -> Answer {
    let query = AlertQuery {
        topic: call.text("topic"),
        region: call.region("region"),
        limit: ALERTS_MAX,
        ..AlertQuery::default()
    };
    let entries = call.room.ask(move |warehouse| warehouse.alerts(&query)).await?;
    let found = figures(entries.iter().map(|entry| (&entry.alert, entry.events.as_slice())));
    let share = |share: Option<record::alerts::Share>| {
        share.map(|share| ShareShown {
            of: share.of,
            n: share.n,
            share: share.share,
            low: share.low,
            high: share.high,
        })
    };
    let spread = |spread: Option<record::alerts::Spread>| {
        spread.map(|spread| SpreadShown {
            n: spread.n,
            median_seconds: spread.median / SECOND,
            ninth_decile_seconds: spread.ninth_decile / SECOND,
        })
    };
    let outcomes = Outcome::ALL
        .iter()
        .zip(found.outcomes)
        .map(|(outcome, alerts)| OutcomeShown { outcome: outcome.name(), alerts });
    call.json(&FiguresShown {
        simulated: call.room.web.simulated,
        alerts: found.alerts,
        decided: found.decided,
        outcomes: outcomes.collect(),
        events: share(found.events),
        real_rises: share(found.real_rises),
        acknowledge: spread(found.acknowledge),
        decide: spread(found.decide),
    })
}
