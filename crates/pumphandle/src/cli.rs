//! The command line: commands, options and their help texts.
//!
//! Parsed by `main.rs`, executed by `commands`.
//! Does not read the configuration.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use surveillance::detectors::space::SpaceMethod;
use surveillance::detectors::{DEFAULT, Method};

/// With the attribution of the compiled-in map data.
const LONG_VERSION: &str = concat!(env!("PUMPHANDLE_RELEASE"), "\n", atlas::attribution!());

#[derive(Debug, Parser)]
#[command(
    name = "pumphandle",
    version = crate::RELEASE,
    long_version = LONG_VERSION,
    about = "Counts health hashtags by region and event-time window and reports unusual rises.",
    max_term_width = 120
)]
pub(crate) struct Cli {
    /// Configuration file. Default: `pumphandle.toml`, then `config/pumphandle.toml`, then the
    /// built-in defaults.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Sets a configuration key: `--set panes.lateness=5m`. May be repeated.
    #[arg(long, global = true, value_name = "SECTION.KEY=VALUE")]
    pub(crate) set: Vec<String>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the whole pipeline on simulated posts, without network or account.
    #[command(
        after_help = "Example:\n  pumphandle demo\n\nGenerates three weeks of history, then \
            continues in accelerated time, with the page on http://127.0.0.1:8080.\nThe data \
            folder is emptied at every start.\n`--config` and `--set` apply; without `--config` \
            no configuration file is read. Storage is always local, and the only feed is the \
            simulated network. Messages to subscriptions are marked as simulated."
    )]
    Demo(Demo),
    /// Runs all roles in one process: reads the configured feeds, counts posts, detects and
    /// delivers alerts, and serves the page.
    #[command(
        after_help = "Example:\n  pumphandle run\n  pumphandle run --config pumphandle.toml \
            --until-drained\n\nSIGTERM or Ctrl-C shuts down cleanly; a second one exits \
            immediately. The next start resumes where the last one ended."
    )]
    Run(Run),
    /// Reads feeds and appends posts to the streams (one role of `run` as a separate process).
    #[command(
        after_help = "Example:\n  pumphandle ingest --config cluster.toml\n\nSeveral processes \
            share the feeds."
    )]
    Ingest(Run),
    /// Counts posts (one role of `run` as a separate process).
    #[command(
        after_help = "Example:\n  pumphandle tally --config cluster.toml\n\nSeveral processes \
            share the partitions."
    )]
    Tally(Run),
    /// Judges counts and opens alerts (one role of `run` as a separate process).
    #[command(after_help = "Example:\n  pumphandle watch --config cluster.toml\n\nOne process is \
            active; further ones are on standby.")]
    Watch(Run),
    /// Writes counts, verdicts and alerts to the warehouse (one role of `run` as a separate
    /// process).
    #[command(after_help = "Example:\n  pumphandle land --config cluster.toml")]
    Land(Run),
    /// Serves the page and the API (one role of `run` as a separate process).
    #[command(after_help = "Example:\n  pumphandle serve --config cluster.toml")]
    Serve(Run),
    /// Creates or updates streams, settings and tables. Idempotent.
    #[command(
        after_help = "Example:\n  pumphandle migrate --config cluster.toml\n\nRun it before the \
            roles start, and after every change of topics, feeds or detectors.\nA drained log is \
            restarted with a higher generation; alerts are retained."
    )]
    Migrate,
    /// Counts posts from files: exact over the whole input, independent of the order of lines.
    #[command(
        after_help = "Examples:\n  pumphandle replay posts.ndjson --counts counts.csv\n  zcat \
            day.gz | pumphandle replay - --counts - --rejects rejects.csv\n  pumphandle replay \
            posts.ndjson --as-live --alerts alerts.ndjson\n  pumphandle replay --log --topics-anew \
            --counts counts.csv"
    )]
    Replay(Replay),
    /// Writes a synthetic stream of posts as Jetstream lines with a `region`.
    #[command(
        after_help = "Example:\n  pumphandle simulate --posts 1000000 --seed 1 > posts.ndjson"
    )]
    Simulate(Simulate),
    /// Reads texts as NDJSON and prints their hashtags, keys, topics and voice.
    #[command(
        after_help = "Example:\n  printf '{\"text\":\"#GRIPPE2026 #fluffy\"}\\n' | pumphandle tags"
    )]
    Tags,
    /// Lists topics, explains which topics a text matches, checks topic files and finds missing
    /// tags.
    #[command(after_help = "Examples:\n  pumphandle topics list\n  pumphandle topics show \
            influenza\n  pumphandle topics lint my-topics.toml\n  pumphandle topics explain \"J'ai \
            de la fièvre et je tousse #grippe\"\n  pumphandle topics emerging --topic influenza \
            posts.ndjson")]
    Topics(Topics),
    /// Finds the region of coordinates and texts: NDJSON in, NDJSON out.
    #[command(after_help = "Examples:\n  printf '{\"text\":\"Paris, \
            TX\"}\\n{\"lat\":52.52,\"lon\":13.405}\\n' | pumphandle locate\n  pumphandle locate \
            --meaning mention < texts.ndjson\n\nA line has `lat` and `lon`, or `text`. If it has both, \
            the text is used only if the coordinates have no region.\nRegions of `[atlas] \
            regions` are included, overlays in a separate field. `ZZ` is no region, with the \
            reason.")]
    Locate(Locate),
    /// Lists and shows regions, and checks GeoJSON files.
    #[command(
        after_help = "Examples:\n  pumphandle regions list --own\n  pumphandle regions show \
            US-TX\n  pumphandle regions check counties.geojson flood.geojson"
    )]
    Regions(Regions),
    /// Runs a detector on time series from CSV, or finds clusters in space and time.
    #[command(
        after_help = "Examples:\n  pumphandle detect --method ears-c1 --param alpha=0.001 < \
            series.csv\n  pumphandle detect --method space-time-permutation --places places.csv < \
            series.csv\n\nReads `series,time,observed[,population][,expected]`, writes \
            `series,time,observed,expected,upperbound,alarm,pvalue,reason,statistic`.\nScans \
            write clusters: `cluster,places,first,last,observed,expected,alarm,pvalue,reason,statistic`, places separated by `;`.\nMethods: ears-c1, ears-c2, ears-c3, eears, essence-ewma, essence-regression, essence-switch, bayes, rki, farrington, farrington-flexible, cusum, glr-pois, glr-nb, outbreakp, rogerson, weeks, nb-predictive; with --places: stcd, space-time-permutation, prospective-poisson, expectation-based-poisson."
    )]
    Detect(Detect),
    /// Scores detectors on a fixed set of synthetic series, or on recorded counts: calibration,
    /// probability of detection, delay, false episodes.
    #[command(after_help = "Examples:\n  pumphandle evaluate --plot detection.svg > \
            tables.md\n  pumphandle evaluate --short\n  pumphandle evaluate --recorded \
            placebo-counts.csv\n  pumphandle evaluate --real ../shared/real --method \
            nb-predictive --param guardband=4 --against essence-ewma\n\nTakes minutes; the result depends only on the seed. \
            `--recorded` reads output of `replay --counts` for placebo tags, which no outbreak \
            affects.")]
    Evaluate(Evaluate),
    /// Checks configuration and topic files and reports all problems.
    #[command(
        after_help = "Examples:\n  pumphandle check --config pumphandle.toml\n  pumphandle check \
            --today 2027-06-01\n\nA topic past its review date is a problem; `--today` \
            checks for another day."
    )]
    Check(Check),
    /// Lists and shows alerts, and records responses to them.
    #[command(after_help = "Examples:\n  pumphandle alerts list\n  pumphandle alerts show \
            3f2a9c01b7de\n  pumphandle alerts ack 3f2a9c01b7de --note \"asked the state office\"")]
    Alerts(Alerts),
    /// Monitors a topic in a polygon for a limited time: a flood, a fire, contaminated water.
    #[command(
        after_help = "Examples:\n  pumphandle crisis start --polygon elbe.geojson --topic flood \
            --until 2026-12-10 --inhabitants 240000 --reason \"dyke broke at Pirna\"\n  pumphandle \
            crisis list\n  pumphandle crisis stop elbe --reason \"water is back\"\n\nAt most 30 \
            days, at least 10,000 inhabitants, and no cell of fewer than 11 accounts is ever \
            shown.\nA crisis alert is published only after a person has decided that it is a \
            health event."
    )]
    Crisis(CrisisArgs),
    /// Sends a test message to a subscription and prints the result for each recipient.
    #[command(
        after_help = "Example:\n  pumphandle notify test bavaria\n\nOne line per recipient: \
            `accepted`, `refused CODE` with the reply of the mail server, or `failed` with the \
            reason.\nExit code 1 if any recipient did not accept the test."
    )]
    Notify(NotifyArgs),
    /// Lists rejected lines, or reads them again.
    #[command(
        after_help = "Examples:\n  pumphandle rejects list\n  pumphandle rejects replay\n\nThe log \
            stores the place and hash of a line, not the line: `replay` reads it again from its \
            file with the current topics and limits, and appends it if it is valid. Nothing is \
            counted twice."
    )]
    Rejects(Rejects),
    /// Loads reference data for comparison, such as official case series.
    #[command(after_help = "Example:\n  pumphandle reference load cases.csv\n\nColumns \
            `series,region,date,value` and optionally `unit,source`. A file is loaded completely \
            or not at all; loading it again replaces its values.")]
    Reference(Reference),
    /// Creates, lists and revokes access tokens for page and API.
    #[command(after_help = "Examples:\n  pumphandle token create --name 'Duty officer' --role \
            official\n  pumphandle token list\n  pumphandle token revoke 'Duty officer'\n\nRoles, \
            each including the previous ones: `viewer` views everything, `analyst` downloads \
            tables, `official` acts on alerts, `operator` has all rights.\nA token is printed \
            once and stored as a hash.")]
    Token(Token),
    /// Moves the pseudonym keys out of the data folder.
    #[command(
        after_help = "Example:\n  pumphandle keys move\n\nEarlier releases created them inside the \
            data folder. `keys move` moves them to the folder set by `keys` in `[privacy]`,\nby \
            default next to the data folder: `data-keys` for `data`. Stop the program first."
    )]
    Keys(Keys),
    /// Erases an author: removes all posts of the author that can still be retracted from the
    /// counts.
    #[command(after_help = "Examples:\n  pumphandle erase --author \
            did:plc:ewvi7nxzyoun6zhxrhs64oiz\n  pumphandle erase --author posts:user-17\n\nIt has \
            the effect of an account deletion at the source, and prints what was retracted and \
            until when copies exist.\nIf the program is running, the request is sent to its API, \
            with a token of role `operator`; otherwise the streams are changed directly.")]
    Erase(Erase),
    /// Checks whether a page is ready: exit code 0 if `/readyz` returns 200.
    #[command(after_help = "Example:\n  pumphandle health 127.0.0.1:8080\n\nDefault address: \
            `web.listen`.")]
    Health {
        /// Host and port.
        address: Option<String>,
    },
    /// Writes a table or view of the warehouse as CSV or NDJSON.
    #[command(
        after_help = "Example:\n  pumphandle export --table v_counts --from 2026-01-05 --to \
            2026-01-12 > counts.csv"
    )]
    Export(Export),
}

#[derive(Debug, Args)]
pub(crate) struct Token {
    #[command(subcommand)]
    pub(crate) command: TokenCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Creates a token and prints it once.
    Create {
        /// Name of the holder, recorded with each change.
        #[arg(long)]
        name: String,
        /// `viewer`, `analyst`, `official` or `operator`.
        #[arg(long)]
        role: String,
    },
    /// Lists names, roles and creation dates of tokens.
    List,
    /// Revokes a token and ends its sessions.
    Revoke { name: String },
    /// Prints a one-time sign-in link as operator, valid for ten minutes.
    Link,
}

#[derive(Debug, Args)]
pub(crate) struct Keys {
    #[command(subcommand)]
    pub(crate) command: KeysCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Moves keys out of the data folder.
    Move,
}

#[derive(Debug, Args)]
pub(crate) struct Erase {
    /// A Bluesky DID, or `SOURCE:ID` as in the posts.
    #[arg(long, value_name = "AUTHOR")]
    pub(crate) author: String,
    /// File with an access token for the API. Default: the variable `PUMPHANDLE_TOKEN`.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Address of the page. Default: `web.listen`.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// Simulated seconds per real second.
    #[arg(long, default_value_t = 60, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) speed: u32,
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Data folder of the demo; emptied at every start.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data: Option<PathBuf>,
    /// Exits after this many seconds.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) stop_after: Option<u64>,
    /// Prints every revision of an alert as JSON, also to a terminal. Always JSON if the output is
    /// not a terminal.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Exits with 0 when every finite feed has been read and stored; the log is then closed.
    #[arg(long)]
    pub(crate) until_drained: bool,
    /// Prints alerts as JSON, also to a terminal. Always JSON if the output is not a terminal.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// NDJSON in pumphandle's schema or Jetstream lines, plain, gz or zst; `-` is standard input.
    #[arg(value_name = "FILE", required_unless_present = "log")]
    pub(crate) files: Vec<String>,
    /// Cells with posts: `topic,region,pane_start,posts,authors,authors_24h,total_posts`.
    #[arg(long, value_name = "FILE")]
    pub(crate) counts: Option<PathBuf>,
    /// Counts of lexicon keys by the post's own region: `tag,region,pane_start,posts`.
    #[arg(long, value_name = "FILE")]
    pub(crate) tag_counts: Option<PathBuf>,
    /// Verdicts of all windows.
    #[arg(long, value_name = "FILE")]
    pub(crate) verdicts: Option<PathBuf>,
    /// Alerts as NDJSON, one line per revision.
    #[arg(long, value_name = "FILE")]
    pub(crate) alerts: Option<PathBuf>,
    /// Rejected lines with reasons: `file,line,reason,length,hash,detail`.
    #[arg(long, value_name = "FILE")]
    pub(crate) rejects: Option<PathBuf>,
    /// Uses the order of lines as order of arrival; closes windows and fires alerts as `run` does,
    /// in bounded memory.
    #[arg(long)]
    pub(crate) as_live: bool,
    /// Reads the retained stream in the data folder instead of files.
    #[arg(long, conflicts_with_all = ["files", "as_live"])]
    pub(crate) log: bool,
    /// With `--log`: matches the posts' tags again, with the current topic files. Matches of
    /// phrases remain.
    #[arg(long, conflicts_with_all = ["files", "as_live"])]
    pub(crate) topics_anew: bool,
    /// Stops when resident memory exceeds this: `512MiB`, `2GB`.
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory_max: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// Number of posts, in addition to duplicates, deletions and other events.
    #[arg(long, value_name = "N")]
    pub(crate) posts: u64,
    #[arg(long, default_value_t = 1, value_name = "S")]
    pub(crate) seed: u64,
    /// Distributes the posts over this many days instead of the usual rate.
    #[arg(long, value_name = "DAYS")]
    pub(crate) days: Option<f64>,
    /// Events in the simulated world.
    #[arg(long, value_enum, default_value_t = Happening::All)]
    pub(crate) events: Happening,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Happening {
    /// Outbreaks, news, bots, outages, growth.
    All,
    /// None: every alert is false.
    Nothing,
    /// No health event: a language grows tenfold in three days, and 20 h are lost and then read in
    /// one batch.
    Platform,
}

#[derive(Debug, Args)]
pub(crate) struct Evaluate {
    /// Short form that takes seconds, for regression tests.
    #[arg(long)]
    pub(crate) short: bool,
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Only one part: `calibration`, `null-year`, `outbreaks`, `early`, `slow` or `pipeline`; with
    /// `--real` `dengue`, `measles`, `japan` or `nab`. The delivery of alerts under the weekly
    /// limit needs the null year and the outbreaks, and is available only without this option.
    #[arg(long, value_name = "PART")]
    pub(crate) only: Option<String>,
    /// Writes a plot of detected outbreaks as SVG.
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    /// Calibration on counts of placebo tags, as written by `replay --counts`.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["short", "plot", "operating", "weekly"])]
    pub(crate) recorded: Option<PathBuf>,
    /// A detector on real series with known epidemics, in a folder of the form that
    /// docs/evaluation.md describes.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["short", "plot", "operating", "recorded"])]
    pub(crate) real: Option<PathBuf>,
    /// The detector for `--real` and for the parts `slow` and `pipeline`, as for `detect`.
    #[arg(long, value_name = "METHOD", default_value = "nb-predictive")]
    pub(crate) method: String,
    /// A parameter of the detector, as for `detect`. May be repeated.
    #[arg(long = "param", value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) params: Vec<(String, String)>,
    /// Another detector for the dengue series, compared epidemic by epidemic:
    /// `essence-ewma`, or `METHOD,KEY=VALUE,...`.
    #[arg(long, value_name = "METHOD", requires = "real")]
    pub(crate) against: Option<String>,
    /// The first week of the dengue series that is scored.
    #[arg(long, value_name = "DATE", requires = "real", default_value = "2013-01-06")]
    pub(crate) from: String,
    /// Only the table for the operating threshold: false episodes per series and year at each p.
    #[arg(long)]
    pub(crate) operating: bool,
    /// Only the table of the weekly look: quantiles of its chart in series without outbreaks.
    #[arg(long)]
    pub(crate) weekly: bool,
}

/// Parses `KEY=VALUE`.
fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write `KEY=VALUE`")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// Every method that `detect` knows.
fn methods() -> String {
    let names = Method::NAMES.iter().chain(SpaceMethod::NAMES).copied().collect::<Vec<_>>();
    format!(
        "One of {}. Default: {DEFAULT}, at a threshold by how far the times are apart",
        names.join(", ")
    )
}

#[derive(Debug, Args)]
pub(crate) struct Detect {
    #[arg(long, value_name = "METHOD", help = methods())]
    pub(crate) method: Option<String>,
    /// How far the times of a series are apart: `hour`, `6h`, `day` or `week`. For the default
    /// method; where it is left out, dates say it.
    #[arg(long, value_name = "SPACING")]
    pub(crate) every: Option<String>,
    /// A parameter of the method, as in R, in kebab-case: `--param alpha=0.001`. May be repeated.
    #[arg(long = "param", value_name = "KEY=VALUE")]
    pub(crate) params: Vec<String>,
    /// Coordinates of series, for methods of space and time: CSV with `series,x,y`, or
    /// `series,lon,lat` in degrees.
    #[arg(long, value_name = "FILE")]
    pub(crate) places: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Overrides today's date: `2027-06-01`.
    #[arg(long, value_name = "DATE")]
    pub(crate) today: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Topics {
    #[command(subcommand)]
    pub(crate) command: TopicsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TopicsCommand {
    /// Lists the configured topics, one per line.
    #[command(after_help = "Example:\n  pumphandle topics list --json | jq -r 'select(.kind == \
            \"symptom\").id'")]
    List {
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Shows the definition of a topic.
    #[command(after_help = "Example:\n  pumphandle topics show influenza")]
    Show {
        #[arg(value_name = "ID")]
        id: String,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Reports doubtful definitions: shared keys, common words, missing languages. Exit code 1 if
    /// there are any.
    #[command(after_help = "Examples:\n  pumphandle topics lint\n  pumphandle topics lint \
            my-topics.toml\n\nWithout files it checks the configured topics. Files are \
            checked together, without the configured topics.")]
    Lint {
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Explains which tags, phrases and rules of voice match a text, and the resulting topics.
    #[command(
        after_help = "Examples:\n  pumphandle topics explain \"J'ai de la fièvre et je tousse \
            #grippe\" --lang fr\n  pumphandle topics explain - < post.txt"
    )]
    Explain {
        /// The text of a post; `-` reads it from standard input.
        #[arg(value_name = "TEXT")]
        text: String,
        /// Language stated by the post. Default: any. May be repeated.
        #[arg(long, value_name = "LANG")]
        lang: Vec<String>,
        /// Tag given by the platform; tags in the text are then ignored. May be repeated.
        #[arg(long, value_name = "TAG")]
        tag: Vec<String>,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Finds tags that co-occur with a topic more often than by chance and are not in its
    /// definition.
    #[command(
        after_help = "Examples:\n  pumphandle topics emerging posts.ndjson\n  pumphandle topics \
            emerging --topic influenza --from 2026-11-01 day*.ndjson.gz\n  pumphandle topics \
            emerging --log\n\nCSV, strongest association \
            first: `topic,tag,accounts,topic_accounts,tag_accounts,all_accounts,lift`.\nAt least \
            10 accounts must have used both, more for some kinds of topics. Never for sensitive \
            topics, nor from posts that match one."
    )]
    Emerging(Emerging),
}

#[derive(Debug, Args)]
pub(crate) struct Emerging {
    /// Posts in the formats of `replay`: NDJSON in pumphandle's schema or Jetstream lines, plain,
    /// gz or zst; `-` is standard input.
    #[arg(value_name = "FILE", required_unless_present = "log")]
    pub(crate) files: Vec<String>,
    /// Reads the retained stream in the data folder instead of files.
    #[arg(long, conflicts_with = "files")]
    pub(crate) log: bool,
    /// Only this topic.
    #[arg(long, value_name = "ID")]
    pub(crate) topic: Option<String>,
    /// Start, inclusive: a date, RFC 3339 or unix seconds.
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// End, exclusive.
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// Minimum lift: ratio of a tag's frequency among the topic's accounts to that among all; at
    /// least 1.
    #[arg(long, default_value_t = 3.0, value_name = "TIMES")]
    pub(crate) lift_min: f64,
    /// Stops when resident memory exceeds this: `512MiB`, `2GB`.
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory_max: Option<String>,
    /// One JSON object per line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Locate {
    /// Origin of the texts: a platform's `place`, an author's `profile`, or a `mention` in a post.
    #[arg(long, default_value = "profile", value_name = "MEANING", value_parser = ["place", "profile", "mention"])]
    pub(crate) meaning: String,
}

#[derive(Debug, Args)]
pub(crate) struct Regions {
    #[command(subcommand)]
    pub(crate) command: RegionsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RegionsCommand {
    /// Lists regions, one per line: code, level, parent, inhabitants, name.
    #[command(
        after_help = "Examples:\n  pumphandle regions list\n  pumphandle regions list --under DE \
            --json"
    )]
    List {
        /// Only regions of `[atlas] regions`.
        #[arg(long)]
        own: bool,
        /// Only this region and its subregions.
        #[arg(long, value_name = "CODE")]
        under: Option<String>,
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Shows a region.
    #[command(after_help = "Example:\n  pumphandle regions show DE-BY")]
    Show {
        #[arg(value_name = "CODE")]
        code: String,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Checks GeoJSON files together, as for `[atlas] regions`, and reports all problems.
    #[command(after_help = "Example:\n  pumphandle regions check counties.geojson \
            flood.geojson\n\nWithout files it checks those of the configuration. Exit code 64 if \
            there are problems.")]
    Check {
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Alerts {
    #[command(subcommand)]
    pub(crate) command: AlertsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AlertsCommand {
    /// Lists alerts, most recent first: a sentence per line to a terminal, otherwise JSON.
    List {
        /// JSON, also to a terminal.
        #[arg(long)]
        json: bool,
        /// Reads the stream of alerts instead of the warehouse, which may be unavailable or
        /// delayed.
        #[arg(long)]
        log: bool,
    },
    /// Shows all revisions of an alert, in the format of `list`.
    Show {
        id: String,
        /// JSON, also to a terminal.
        #[arg(long)]
        json: bool,
    },
    /// Explains why a topic has no alert in a region: observed value, bound, missing accounts, and
    /// reason.
    #[command(after_help = "Example:\n  pumphandle alerts why-not influenza FR")]
    WhyNot { topic: String, region: String },
    /// Recomputes an alert's numbers from its stored data, and fails if they differ.
    #[command(after_help = "Example:\n  pumphandle alerts recompute 3f2a9c01b7de")]
    Recompute { id: String },
    /// Records a response to an alert: through the API if the page is running, otherwise in the
    /// data folder.
    #[command(
        after_help = "Examples:\n  pumphandle alerts ack 3f2a9c01b7de --assignee \"Duty officer\" \
            --note \"asked the state office\"\n  pumphandle alerts ack 3f2a9c01b7de --state \
            decided --outcome talk-only --note \"a television programme\"\n  pumphandle alerts ack \
            3f2a9c01b7de --snooze-until 2026-12-01\n\nWithout `--state` a new alert becomes \
            `triaged`. It fails if someone else has changed the alert: review it, then repeat."
    )]
    Ack(Box<Ack>),
}

#[derive(Debug, Args)]
pub(crate) struct Ack {
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Prints the recorded change as JSON, also to a terminal.
    #[arg(long)]
    pub(crate) json: bool,
    /// `triaged`, `verifying`, `decided` or `closed`.
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<String>,
    /// Undoes the last change; goes with `--note` only.
    #[arg(long, conflicts_with_all = ["state", "outcome", "assignee", "snooze_until", "emerged", "notified", "responded"])]
    pub(crate) undo: bool,
    /// Outcome: `health-event`, `known` (also the expected season), `talk-only`, `artefact` (bot,
    /// outage, other meaning of a word) or `could-not-tell`.
    #[arg(long, value_name = "OUTCOME")]
    pub(crate) outcome: Option<String>,
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub(crate) note: String,
    /// New assignee; empty: none.
    #[arg(long, value_name = "NAME")]
    pub(crate) assignee: Option<String>,
    /// Hides the alert until then, unless its ratio doubles; a time in the past ends a snooze.
    #[arg(long, value_name = "TIME")]
    pub(crate) snooze_until: Option<String>,
    /// When the health event began.
    #[arg(long, value_name = "TIME")]
    pub(crate) emerged: Option<String>,
    /// When the responsible authority was notified.
    #[arg(long, value_name = "TIME")]
    pub(crate) notified: Option<String>,
    /// When the first response was complete.
    #[arg(long, value_name = "TIME")]
    pub(crate) responded: Option<String>,
    /// Number of changes of the alert when it was reviewed. Default: the current number.
    #[arg(long, value_name = "N")]
    pub(crate) after: Option<u32>,
    /// Name of the person, if no API is used. Default: the user's name.
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) actor: Option<String>,
    /// File with an access token for the API. Default: PUMPHANDLE_TOKEN.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CrisisArgs {
    #[command(subcommand)]
    pub(crate) command: CrisisCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CrisisCommand {
    /// Writes a topic and its polygon into the folder of crises, and prints the expected number of
    /// located posts per day.
    #[command(
        after_help = "Examples:\n  pumphandle crisis start --polygon elbe.geojson --topic flood \
            --until 2026-12-10 --inhabitants 240000 --reason \"dyke broke at Pirna\"\n  pumphandle \
            crisis start --polygon plant.geojson --topic words.toml --tag chlorleck --until \
            2026-11-30T12:00:00Z --inhabitants 52000 --reason \"leak at the plant\"\n\nOnly posts \
            with coordinates count for a polygon; the topic is also counted for countries and \
            first-level regions. Tags that\n`topics lint` reports are refused. `run` applies \
            the crisis at its next start, a cluster after `migrate`."
    )]
    Start(Box<CrisisStart>),
    /// Lists crises, one per line: id, state, end, region, person, reason.
    List {
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Removes a crisis before or after its end; its counts remain.
    #[command(after_help = "Example:\n  pumphandle crisis stop elbe --reason \"water is back\"")]
    Stop {
        #[arg(value_name = "ID")]
        id: String,
        /// Reason, for the audit log.
        #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        reason: String,
        /// Name of the person. Default: the user's name.
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CrisisStart {
    /// GeoJSON with one polygon.
    #[arg(long, value_name = "FILE")]
    pub(crate) polygon: PathBuf,
    /// Template (`smoke`, `flood`, `heat`, `contaminated-water`), or a topic file with one topic of
    /// the kind `crisis`.
    #[arg(long, value_name = "TEMPLATE|FILE")]
    pub(crate) topic: String,
    /// End of the crisis: a date (midnight UTC), RFC 3339 or unix seconds.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: String,
    /// Reason, for the audit log.
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) reason: String,
    /// Inhabitants of the polygon. Default: its property `inhabitants` or `population`.
    #[arg(long, value_name = "N")]
    pub(crate) inhabitants: Option<u64>,
    /// Additional hashtag of the place. May be repeated.
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Vec<String>,
    /// Id of the topic. Default: the name of the polygon's file. The region is `x:ID`.
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,
    /// Display name. Default: the name of the template.
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,
    /// Name of the person. Default: the user's name.
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Table or view; an unknown name lists all.
    #[arg(long, value_name = "NAME")]
    pub(crate) table: String,
    /// Start, inclusive: a date, RFC 3339 or unix seconds.
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// End, exclusive.
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// `csv` or `ndjson`.
    #[arg(long, default_value = "csv", value_name = "FORMAT")]
    pub(crate) format: String,
}

#[derive(Debug, Args)]
pub(crate) struct NotifyArgs {
    #[command(subcommand)]
    pub(crate) command: NotifyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NotifyCommand {
    /// Sends a test to every recipient of a subscription, including deputies and those off duty.
    #[command(after_help = "Example:\n  pumphandle notify test bavaria")]
    Test(NotifyTest),
}

#[derive(Debug, Args)]
pub(crate) struct NotifyTest {
    /// Name of the subscription, defined in a file or on the page.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// File with an access token for the API, for a subscription defined on the page. Default:
    /// PUMPHANDLE_TOKEN.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Rejects {
    #[command(subcommand)]
    pub(crate) command: RejectsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RejectsCommand {
    /// Lists rejected lines as CSV: `feed,place,line,reason,length,hash,detail`.
    List,
    /// Reads rejected lines again from their files.
    Replay,
}

#[derive(Debug, Args)]
pub(crate) struct Reference {
    #[command(subcommand)]
    pub(crate) command: ReferenceCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReferenceCommand {
    /// Loads a CSV file; `-` is standard input.
    Load { file: PathBuf },
}
