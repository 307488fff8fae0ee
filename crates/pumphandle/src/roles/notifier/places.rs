//! Names of regions and topics in each language, and which region lies in which.
//!
//! From the log's settings, the atlas and the operator's own regions. Messages, page and printer
//! read it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lexicon::{Date, Days, MonthDay};
use notify::subscription::World;
use notify::words::{self, Language, Names, Telling};
use notify::zone::Zone;
use record::kind::Kind;
use record::region::RegionTable;
use record::text::fold;
use record::time::{DAY, pane_start};
use record::{Alert, Settings};

use crate::config::Config;

pub(super) struct Places {
    kinds: BTreeMap<String, Kind>,
    table: RegionTable,
    atlas: atlas::Atlas,
    /// Names by code and language, the operator's own regions included.
    own: BTreeMap<String, BTreeMap<String, String>>,
    /// Id, name and days of each campaign.
    campaigns: Vec<(String, String, Vec<Days>)>,
    /// Hashtags by topic, folded.
    tags: BTreeMap<String, BTreeSet<String>>,
}

impl Places {
    pub(super) fn new(settings: &Settings, config: &Config) -> Places {
        Places {
            kinds: settings.topics.iter().map(|topic| (topic.id.clone(), topic.kind)).collect(),
            table: settings.region_table(),
            atlas: atlas::Atlas::new(),
            own: config.places.names(),
            campaigns: config
                .topics
                .lexicon
                .topics()
                .iter()
                .filter(|topic| !topic.days.is_empty())
                .map(|topic| (topic.id.clone(), topic.name.clone(), topic.days.clone()))
                .collect(),
            tags: config
                .topics
                .lexicon
                .topics()
                .iter()
                .map(|topic| {
                    let tags = topic.tags.iter().map(|tag| fold(&tag.text));
                    (topic.id.clone(), tags.collect())
                })
                .collect(),
        }
    }
}

impl World for Places {
    fn kind(&self, topic: &str) -> Option<Kind> {
        self.kinds.get(topic).copied()
    }

    fn is_within(&self, region: &str, above: &str) -> bool {
        self.table.within(region, above)
    }
}

/// Names of the topics that come with the program, a topic a line.
const TOPIC_NAMES: &str = include_str!("topics.txt");

/// By topic and language.
pub(crate) fn topic_names() -> BTreeMap<String, BTreeMap<String, String>> {
    let named = TOPIC_NAMES.lines().filter_map(|line| {
        let (id, names) = line.split_once('|')?;
        let names = ["fr", "es", "de"].into_iter().zip(names.split('|'));
        Some((
            id.to_owned(),
            names.map(|(language, name)| (language.to_owned(), name.to_owned())).collect(),
        ))
    });
    named.collect()
}

impl Names for Places {
    fn region(&self, code: &str, language: Language) -> Option<String> {
        let known =
            self.atlas.region(code).map(|region| region.name_in(language.code()).to_owned());
        known.or_else(|| {
            let names = self.own.get(code)?;
            names
                .get(language.code())
                .or_else(|| names.get("en"))
                .or_else(|| names.values().next())
                .cloned()
        })
    }

    fn topic(&self, id: &str, language: Language) -> Option<String> {
        let names =
            TOPIC_NAMES.lines().find_map(|line| line.strip_prefix(id)?.strip_prefix('|'))?;
        let column = match language {
            Language::English => return None,
            Language::French => 0,
            Language::Spanish => 1,
            Language::German => 2,
        };
        names.split('|').nth(column).map(str::to_owned)
    }

    fn is_own_tag(&self, topic: &str, tag: &str) -> bool {
        self.tags.get(topic).is_some_and(|tags| tags.contains(tag))
    }

    fn campaigns(&self, alert: &Alert, language: Language) -> Vec<String> {
        let (from, to) = (alert.window_end - alert.window_length, alert.window_end);
        let days = std::iter::successors(Some(pane_start(from, DAY)), |day| Some(day + DAY));
        let days: Vec<MonthDay> = days
            .take_while(|day| *day < to)
            .filter_map(|day| Some(Date::of(day)?.month_day()))
            .collect();
        let covers = |span: &Days| span.is_short() && days.iter().any(|day| span.contain(*day));
        let is_about = |id: &str| {
            id == alert.topic
                || alert.explanation.tags.iter().any(|(tag, _)| self.is_own_tag(id, tag))
        };
        self.campaigns
            .iter()
            .filter(|(id, _, spans)| spans.iter().any(covers) && is_about(id))
            .map(|(id, name, _)| self.topic(id, language).unwrap_or_else(|| name.clone()))
            .collect()
    }
}

/// Renders alerts in the words of messages, with the recurrence among all series.
pub(crate) fn describe(config: &Config) -> web::Describe {
    let places = Places::new(&config.settings(), config);
    Arc::new(move |alert, course, reader| {
        let telling = Telling {
            language: Language::parse(reader.language).unwrap_or(Language::English),
            zone: &Zone::named(&reader.zone).unwrap_or_else(Zone::utc),
            names: &places,
            series: 0,
            history: &[],
            rise: None,
        };
        web::AlertText {
            sentence: words::headline(alert, &telling),
            course_text: course.map(|course| words::course(course, &telling)),
            rest: words::rest(alert, &telling),
            rarity: words::rarity(alert, &telling),
            doubt: words::doubt(alert, &telling).map(str::to_owned),
            checks: words::checks(alert, &telling),
        }
    })
}

#[cfg(test)]
mod tests;
