//! The configuration: read, checked and merged before anything starts.
//!
//! `layers` lays file, environment and `--set` over the defaults, which are
//! `config/pumphandle.toml` itself; `reader` reads the sections, which declare each key once with
//! its type and check. All errors are reported at once, each with its place and a hint.
//! Opens nothing but the configuration and the files it names, and generates no keys.

mod feed_section;
mod files;
mod layers;
mod notify_section;
mod places;
mod reader;
mod sections;
mod topics;
mod transport;
mod units;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use lexicon::Topic;
use record::diagnostic::{Diagnostic, Place};
use record::document::{Table, parse_toml};
use record::kind::Kind;
use record::time::Micros;
use record::{DetectSettings, Settings, TopicSetting};

pub(crate) use feed_section::{Feed, FeedKind};
pub(crate) use notify_section::{Mail, Notify};
pub(crate) use places::{Places, read_region_files};
pub(crate) use sections::{
    Alerts, Ingest, Journal, JournalKind, Limits, Log, LogFormat, MetricsListener, Panes, Privacy,
    Rejects, Retention, Warehouse, WarehouseKind, Web,
};
pub(crate) use topics::{Topics, read_topic_files, with_hint};
pub(crate) use units::{display_duration, parse_size};

use reader::{Read, Reader};

/// The configuration file of the source tree, which is the defaults.
pub(crate) const DEFAULT: &str = include_str!("../../../config/pumphandle.toml");

/// Where a configuration is looked for when none is named.
const USUAL_FILES: [&str; 2] = ["pumphandle.toml", "config/pumphandle.toml"];

const FILE_BYTES_MAX: u64 = 1 << 20;

#[derive(Clone)]
pub(crate) struct Config {
    /// The file that was read; none if all is default.
    pub(crate) file: Option<PathBuf>,
    pub(crate) journal: Journal,
    pub(crate) warehouse: Warehouse,
    pub(crate) panes: Panes,
    pub(crate) topics: Topics,
    pub(crate) feeds: Vec<Feed>,
    pub(crate) web: Web,
    pub(crate) detect: DetectSettings,
    pub(crate) alerts: Alerts,
    pub(crate) notify: Notify,
    pub(crate) privacy: Privacy,
    pub(crate) retention: Retention,
    pub(crate) limits: Limits,
    pub(crate) rejects: Rejects,
    pub(crate) ingest: Ingest,
    pub(crate) places: Places,
    pub(crate) log: Log,
    pub(crate) metrics: MetricsListener,
    pub(crate) warnings: Vec<Diagnostic>,
}

impl Default for Log {
    fn default() -> Log {
        Log { format: LogFormat::Text, level: "info" }
    }
}

/// The configuration, or all errors in it.
///
/// Without a path it is `pumphandle.toml` or `config/pumphandle.toml` in the working directory,
/// else the defaults.
/// `sets` are the arguments of `--set`; of `environment` only `PUMPHANDLE__SECTION__KEY` is read.
pub(crate) fn load(
    path: Option<&Path>,
    sets: &[String],
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Config, Vec<Diagnostic>> {
    let path = match path {
        Some(path) => Some(path.to_owned()),
        None => USUAL_FILES.iter().map(PathBuf::from).find(|path| path.is_file()),
    };
    load_layers(path, &[], sets, environment)
}

/// The built-in defaults and `sets` over them, whatever is in the working directory.
#[cfg(test)]
pub(crate) fn built_in(sets: &[String]) -> Result<Config, Vec<Diagnostic>> {
    load_layers(None, &[], sets, std::iter::empty())
}

/// The defaults, over them `usual`, the file if one is named, and `sets`; without the working
/// directory's file and without the environment.
pub(crate) fn load_named(
    path: Option<&Path>,
    usual: &[String],
    sets: &[String],
) -> Result<Config, Vec<Diagnostic>> {
    load_layers(path.map(Path::to_owned), usual, sets, std::iter::empty())
}

/// `usual` replaces defaults, in the form of `sets`.
fn load_layers(
    path: Option<PathBuf>,
    usual: &[String],
    sets: &[String],
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Config, Vec<Diagnostic>> {
    let (mut root, mut errors) = parse_toml(DEFAULT, |line| Place::Default { line });
    let feed_defaults = layers::feed_defaults(&root);
    layers::lay_sets_over(&mut root, usual, &mut errors);
    let file = path.as_ref().map(|path| path.display().to_string());
    if let (Some(path), Some(file)) = (&path, &file) {
        let whole_file = Place::WholeFile { file: file.clone() };
        let text = files::read_text(path, FILE_BYTES_MAX, "the configuration", &whole_file)
            .map_err(|error| {
                vec![error.or_hint(
                    "without `--config` the defaults hold; its path is relative to the working \
                        directory",
                )]
            })?;
        let (table, syntax) = parse_toml(&text, |line| Place::File { file: file.clone(), line });
        errors.extend(syntax);
        layers::lay_over(&mut root, table);
    }
    let mut overrides = Vec::new();
    layers::lay_environment_over(&mut root, environment, &mut overrides);
    layers::lay_sets_over(&mut root, sets, &mut overrides);
    let folder = path.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    let mut reader = Reader::new(root, folder, errors);
    reader.note_all(overrides);
    let config = read_sections(&mut reader, &feed_defaults, path);
    let (mut errors, mut warnings) = reader.finish();
    match config {
        Ok(mut config) if errors.is_empty() => {
            warnings.extend(transport::warnings(&config));
            config.warnings = warnings;
            Ok(config)
        }
        _ => {
            sort(&mut errors, file.into_iter().collect());
            Err(errors)
        }
    }
}

/// The process's environment, as far as it is text.
pub(crate) fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// File by file, those of `files` first, each in order of lines.
fn sort(problems: &mut Vec<Diagnostic>, mut files: Vec<String>) {
    let mut keyed: Vec<((usize, usize, usize), Diagnostic)> = Vec::new();
    for problem in problems.drain(..) {
        let mut rank_of = |file: &String| match files.iter().position(|known| known == file) {
            Some(rank) => rank,
            None => {
                files.push(file.clone());
                files.len() - 1
            }
        };
        let key = match &problem.place {
            Place::Default { line } => (0, 0, *line),
            Place::WholeFile { file } => (1, rank_of(file), 0),
            Place::File { file, line } => (1, rank_of(file), *line),
            Place::Environment(_) => (2, 0, 0),
            Place::Set(_) => (3, 0, 0),
        };
        keyed.push((key, problem));
    }
    keyed.sort_by_key(|(key, _)| *key);
    problems.extend(keyed.into_iter().map(|(_, problem)| problem));
}

fn read_sections(
    reader: &mut Reader,
    feed_defaults: &Table,
    file: Option<PathBuf>,
) -> Read<Config> {
    let journal = reader.section("journal", Journal::read);
    let warehouse = reader.section("warehouse", Warehouse::read);
    let panes = reader.section("panes", Panes::read);
    let data = journal.as_ref().ok().map(|journal| journal.data.as_path());
    let topics = topics::read_topics(reader, data);
    let feeds = feed_section::read_feeds(reader, feed_defaults, file.as_deref());
    let web = reader.section("web", Web::read);
    let detect = reader.section("detect", sections::read_detect);
    let alerts = reader.section("alerts", Alerts::read);
    let notify = reader.section("notify", Notify::read);
    let privacy = reader.section("privacy", Privacy::read);
    let retention = reader.section("retention", Retention::read);
    let limits = reader.section("limits", Limits::read);
    let rejects = reader.section("rejects", Rejects::read);
    let ingest = reader.section("ingest", Ingest::read);
    let places = places::read_places(reader, topics.as_ref().ok());
    let log = reader.section("log", Log::read);
    let metrics = reader.section("metrics", MetricsListener::read);
    if let (Ok(panes), true) = (&panes, reader.is_sound()) {
        compare_spans(
            reader,
            panes,
            detect.as_ref().ok(),
            privacy.as_ref().ok(),
            retention.as_ref().ok(),
        );
    }
    warn_of_listeners(reader, web.as_ref().ok(), metrics.as_ref().ok());
    Ok(Config {
        file,
        journal: journal?,
        warehouse: warehouse?,
        panes: panes?,
        topics: topics?,
        feeds: feeds?,
        web: web?,
        detect: detect?,
        alerts: alerts?,
        notify: notify?,
        privacy: privacy?,
        retention: retention?,
        limits: limits?,
        rejects: rejects?,
        ingest: ingest?,
        places: places?,
        log: log?,
        metrics: metrics?,
        warnings: Vec::new(),
    })
}

fn warn_of_listeners(reader: &mut Reader, web: Option<&Web>, metrics: Option<&MetricsListener>) {
    let listeners = [
        (
            "[web]",
            web.map(|web| web.listen),
            "lets other machines in",
            "use `127.0.0.1`, or see that only those you trust reach it",
        ),
        (
            "[metrics]",
            metrics.and_then(|metrics| metrics.listen),
            "lets other machines read the metrics",
            "use `127.0.0.1`, or see that only your Prometheus reaches it",
        ),
    ];
    for (section, listen, what, hint) in listeners {
        if let Some(listen) = listen.filter(|listen| !listen.ip().is_loopback()) {
            let message = format!("`listen`, {listen}, {what}, in `{section}`");
            let place = reader.place(section, "listen");
            reader.warnings.push(Diagnostic::new(&place, message).hint(hint));
        }
    }
}

/// Compares spans of several sections with the horizon.
fn compare_spans(
    reader: &mut Reader,
    panes: &Panes,
    detect: Option<&DetectSettings>,
    privacy: Option<&Privacy>,
    retention: Option<&Retention>,
) {
    let horizon = display_duration(panes.horizon);
    let horizon_place = reader.place("[panes]", "horizon");
    let baseline = "a baseline is made of numbers that are final";
    let revision = "what may still be revised must still be there";
    let spans = [
        ("[detect]", "guardband", detect.map(|detect| detect.guardband), baseline),
        ("[retention]", "posts", retention.map(|retention| retention.posts), revision),
        ("[retention]", "tallies", retention.map(|retention| retention.tallies), revision),
    ];
    for (section, key, span, hint) in spans {
        let Some(span) = span.filter(|span| *span < panes.horizon) else { continue };
        let (place, shown) = (reader.place(section, key), display_duration(span));
        let name = format!("`{}.{key}`", section.trim_matches(['[', ']']));
        reader.note(if place.is_default() {
            let message =
                format!("`horizon`, {horizon}, is longer than {name}, {shown}, in `[panes]`");
            Diagnostic::new(&horizon_place, message).hint(hint)
        } else {
            let message = format!(
                "{name}, {shown}, is shorter than `panes.horizon`, {horizon}, in `{section}`"
            );
            Diagnostic::new(&place, message).hint(hint)
        });
    }
    let Some(epoch) = privacy.map(|privacy| privacy.author_key_epoch) else { return };
    let windows = Kind::ALL.iter().flat_map(|kind| kind.windows()).chain(&panes.windows);
    let least =
        windows.max().map_or(sections::WINDOW_MAX, |longest: &Micros| *longest) + panes.horizon;
    if epoch < least {
        let message = format!(
            "`author-key-epoch`, {}, is shorter than the longest window and the horizon, in \
                `[privacy]`",
            display_duration(epoch)
        );
        let place = reader.place("[privacy]", "author-key-epoch");
        let place = if place.is_default() { horizon_place } else { place };
        let hint = format!("at least {}", display_duration(least));
        reader.note(Diagnostic::new(&place, message).hint(hint));
    }
}

impl Limits {
    /// The bounds of one line.
    pub(crate) fn of_lines(&self) -> feeds::line::Limits {
        feeds::line::Limits {
            line_bytes_max: self.line_bytes,
            depth_max: self.depth,
            tags_max: self.tags_per_post,
            tag_bytes_max: self.tag_bytes,
        }
    }
}

impl Config {
    /// What the engine must know of it. Number, generation, start and key fingerprints are the
    /// caller's.
    pub(crate) fn settings(&self) -> Settings {
        let mut topics: Vec<TopicSetting> =
            self.topics.lexicon.topics().iter().map(|topic| self.topic_setting(topic)).collect();
        // The order of files and of topics in them means nothing.
        topics.sort_by(|a, b| a.id.cmp(&b.id));
        Settings {
            lateness: self.panes.lateness,
            horizon: self.panes.horizon,
            pane: self.panes.length,
            windows: self.panes.windows.clone(),
            partitions: self.journal.partitions,
            topics,
            feeds: self.feeds.iter().map(Feed::setting).collect(),
            regions: self
                .places
                .placing
                .atlas
                .own()
                .map(atlas::OwnRegions::table)
                .unwrap_or_default(),
            detect: self.detect.clone(),
            author_epoch: self.privacy.author_key_epoch,
            cells_max: self.limits.cells as u64,
            key_fingerprints: Vec::new(),
            lexicon: self.topics.meaning.clone(),
            places: self.places.meaning.clone(),
            ..Settings::default()
        }
    }

    fn topic_setting(&self, topic: &Topic) -> TopicSetting {
        let (pane, windows) = match topic.kind {
            Kind::Symptom | Kind::Disease => (self.panes.length, self.panes.windows.clone()),
            kind => (kind.pane(), kind.windows().to_vec()),
        };
        TopicSetting {
            id: topic.id.clone(),
            name: topic.name.clone(),
            kind: topic.kind,
            pane,
            windows,
        }
    }
}
