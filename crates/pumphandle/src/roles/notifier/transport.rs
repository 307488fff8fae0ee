//! Transport: renders a delivery in the subscriber's language and sends it by its channel.
//!
//! Runs on a thread for each message, since a receiver may be slow. The warehouse is queried only
//! for the trend in a message, which is left out where that fails.

use std::sync::Arc;

use notify::channel::alertmanager;
use notify::dispatch::{Content, Delivery, Report};
use notify::message::{Bar, Occasion, TREND_BARS};
use notify::words::Telling;
use notify::{Audience, Channel, Message, SendError, message};
use record::{Alert, Micros};
use warehouse::{Reading, SeriesQuery};

use super::channels::Channels;
use super::places::Places;

/// Verdicts of a trend.
const VERDICTS_MAX: usize = 5_000;

pub(super) struct Transport {
    pub(super) channels: Channels,
    pub(super) places: Places,
    pub(super) warehouse: Arc<dyn Reading>,
}

impl Transport {
    pub(super) fn send(&self, delivery: &Delivery, now: Micros) -> Result<(), SendError> {
        let subscription = &*delivery.subscription;
        let (Channel::Alertmanager { url }, Content::Alert { report, named: Some(named), .. }) =
            (&subscription.channel, &delivery.content)
        else {
            let message = self.render(delivery, now);
            return self.channels.send(subscription, &delivery.to, &message, now);
        };
        let telling = self.telling(delivery, report);
        let page = self.channels.page();
        let name = &subscription.name;
        let body = alertmanager::body(&report.alert, named, &telling, name, page, now);
        alertmanager::send(self.channels.reach(), url, &body)
    }

    fn telling<'a>(&'a self, delivery: &'a Delivery, report: &'a Report) -> Telling<'a> {
        Telling {
            language: delivery.subscription.language,
            zone: &delivery.subscription.zone,
            names: &self.places,
            series: delivery.series,
            history: &report.history,
            rise: report.rise,
        }
    }

    fn render(&self, delivery: &Delivery, now: Micros) -> Message {
        let subscription = &*delivery.subscription;
        let (language, zone) = (subscription.language, &subscription.zone);
        let frame = self.channels.frame(subscription);
        match &delivery.content {
            Content::Alert { report, occasion, .. } => {
                let telling = self.telling(delivery, report);
                let trend = match subscription.audience {
                    Audience::Public => Vec::new(),
                    Audience::Official => trend(&*self.warehouse, &report.alert),
                };
                let occasion = occasion.unwrap_or(Occasion::Update);
                message::of_alert(&report.alert, occasion, &telling, &frame, &trend)
            }
            Content::Digest { id, reports } => {
                let tellings: Vec<(&Alert, Telling<'_>)> = reports
                    .iter()
                    .map(|report| (&report.alert, self.telling(delivery, report)))
                    .collect();
                message::digest(&tellings, id, language, zone, now, &frame)
            }
            Content::Pulse { id, pulse } => message::pulse(pulse, id, language, zone, now, &frame),
            Content::Notice { id, notice } => {
                message::notice(notice, id, language, zone, now, &frame)
            }
        }
    }
}

/// The last windows of the alert's series that don't overlap, oldest first; none where the
/// warehouse is unreachable.
fn trend(warehouse: &dyn Reading, alert: &Alert) -> Vec<Bar> {
    let ends: Vec<Micros> =
        (0..TREND_BARS).rev().map(|back| alert.window_end - back * alert.window_length).collect();
    let query = SeriesQuery {
        topic: alert.topic.clone(),
        region: alert.region.clone(),
        from: ends.first().copied().unwrap_or(alert.window_end),
        to: alert.window_end + 1,
        limit: VERDICTS_MAX,
        only: None,
    };
    let Ok(series) = warehouse.series(&query) else { return Vec::new() };
    let observed = |end: Micros| {
        let found = series
            .verdicts
            .iter()
            .find(|verdict| verdict.end == end && verdict.length == alert.window_length);
        if end == alert.window_end {
            Some(alert.observed)
        } else {
            found.map(|verdict| verdict.observed)
        }
    };
    let bars = ends.into_iter().map(|end| Bar { end, observed: observed(end) });
    bars.skip_while(|bar| bar.observed.is_none()).collect()
}
