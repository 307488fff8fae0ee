//! The command line: what can be asked for, with an example for each.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// With what must be said of the data that is compiled in.
const LONG_VERSION: &str = concat!(env!("PUMPHANDLE_RELEASE"), "\n", atlas::attribution!());

#[derive(Debug, Parser)]
#[command(
    name = "pumphandle",
    version = crate::RELEASE,
    long_version = LONG_VERSION,
    about = "Counts health hashtags per region and event-time window, and alerts when one spikes.",
    max_term_width = 120
)]
pub(crate) struct Cli {
    /// Configuration file; without one, `pumphandle.toml` or `config/pumphandle.toml` if there is
    /// one, else built-in defaults.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Sets one key over the configuration: `--set panes.lateness=5m`. May be repeated.
    #[arg(long, global = true, value_name = "SECTION.KEY=VALUE")]
    pub(crate) set: Vec<String>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows the whole pipeline at work on simulated posts: no network, no key, no account.
    #[command(
        after_help = "Example:\n  pumphandle demo\n\nFills three weeks of simulated history, then \
            goes on at a quickened clock, with a page on http://127.0.0.1:8080.\nIt keeps its data \
            in a folder of its own that is emptied at every start: a second start begins \
            anew.\n`--config` and `--set` apply, a configuration file only where `--config` names \
            it; streams and tables are always local, and the one feed is the simulated network. \
            Subscriptions receive messages that are marked as simulated."
    )]
    Demo(Demo),
    /// Runs all roles in one process: reads the configured feeds, counts, judges, alerts, and
    /// serves the page.
    #[command(
        after_help = "Example:\n  pumphandle run\n  pumphandle run --config pumphandle.toml \
            --until-drained\n\nSIGTERM or Ctrl-C drains and ends cleanly; a second one ends at \
            once. A second start goes on where the first ended."
    )]
    Run(Run),
    /// Reads feeds and appends posts and ticks to shared streams: one role of `run`, as a process
    /// of its own.
    #[command(
        after_help = "Example:\n  pumphandle ingest --config cluster.toml\n\nSeveral share the \
            feeds among them."
    )]
    Ingest(Run),
    /// Counts the posts of its share of partitions: one role of `run`, as a process of its own.
    #[command(
        after_help = "Example:\n  pumphandle tally --config cluster.toml\n\nSeveral share the \
            partitions among them."
    )]
    Tally(Run),
    /// Judges counts and opens alerts: one role of `run`, as a process of its own.
    #[command(
        after_help = "Example:\n  pumphandle watch --config cluster.toml\n\nOne is active; further \
            ones stand by and take over."
    )]
    Watch(Run),
    /// Writes counts, verdicts and alerts into the warehouse: one role of `run`, as a process of
    /// its own.
    #[command(after_help = "Example:\n  pumphandle land --config cluster.toml")]
    Land(Run),
    /// Serves the page and the API from the warehouse: one role of `run`, as a process of its own.
    #[command(after_help = "Example:\n  pumphandle serve --config cluster.toml")]
    Serve(Run),
    /// Makes streams, settings and tables, or brings them up to date; done twice it changes nothing
    /// more.
    #[command(
        after_help = "Example:\n  pumphandle migrate --config cluster.toml\n\nTo be run before \
            roles start, and again after every change of topics, feeds or detectors.\nA log that \
            was drained is begun anew, with a higher generation; alerts are kept."
    )]
    Migrate,
    /// Counts posts from files: exact over the whole input, in any order of lines.
    #[command(
        after_help = "Examples:\n  pumphandle replay posts.ndjson --counts counts.csv\n  zcat \
            day.gz | pumphandle replay - --counts - --rejects rejects.csv\n  pumphandle replay \
            posts.ndjson --as-live --alerts alerts.ndjson\n  pumphandle replay --log --topics-anew \
            --counts counts.csv"
    )]
    Replay(Replay),
    /// Writes a seeded made-up stream of posts, as Jetstream lines with a `region`.
    #[command(
        after_help = "Example:\n  pumphandle simulate --posts 1000000 --seed 1 > posts.ndjson"
    )]
    Simulate(Simulate),
    /// Reads NDJSON texts and says their hashtags, keys, topics and voice.
    #[command(
        after_help = "Example:\n  printf '{\"text\":\"#GRIPPE2026 #fluffy\"}\\n' | pumphandle tags"
    )]
    Tags,
    /// Lists topics, says why a text counts for them, and looks for slips in topic files and for
    /// tags that they lack.
    #[command(after_help = "Examples:\n  pumphandle topics list\n  pumphandle topics show \
            influenza\n  pumphandle topics lint my-topics.toml\n  pumphandle topics explain \"J'ai \
            de la fièvre et je tousse #grippe\"\n  pumphandle topics emerging --topic influenza \
            posts.ndjson")]
    Topics(Topics),
    /// Says where coordinates and texts are: NDJSON in, NDJSON out.
    #[command(after_help = "Examples:\n  printf '{\"text\":\"Paris, \
            TX\"}\\n{\"lat\":52.52,\"lon\":13.405}\\n' | pumphandle locate\n  pumphandle locate \
            --meaning mention < texts.ndjson\n\nA line has `lat` and `lon`, or `text`; of one with \
            both the text is read only where the coordinates have no region.\nOwn regions of \
            `[atlas] regions` are answered too, and overlays named beside. No region is `ZZ`, with \
            its reason.")]
    Locate(Locate),
    /// Lists regions, shows one, and checks GeoJSON files of your own.
    #[command(
        after_help = "Examples:\n  pumphandle regions list --own\n  pumphandle regions show \
            US-TX\n  pumphandle regions check counties.geojson flood.geojson"
    )]
    Regions(Regions),
    /// Judges series of counts from CSV with a named detector, or finds clusters among places.
    #[command(
        after_help = "Examples:\n  pumphandle detect --method ears-c1 --param alpha=0.001 < \
            series.csv\n  pumphandle detect --method space-time-permutation --places places.csv < \
            series.csv\n\nReads `series,time,observed[,population][,expected]`, writes \
            `series,time,observed,expected,upperbound,alarm,pvalue,reason,statistic`.\nThe scans \
            write clusters: `cluster,places,first,last,observed,expected,alarm,pvalue,reason,statistic`, places parted by `;`.\nMethods: ears-c1, ears-c2, ears-c3, eears, essence-ewma, essence-regression, essence-switch, bayes, rki, farrington, farrington-flexible, cusum, glr-pois, glr-nb, outbreakp, rogerson; with --places: stcd, space-time-permutation, prospective-poisson, expectation-based-poisson."
    )]
    Detect(Detect),
    /// Scores detectors on a frozen set of made-up series, or on recorded counts: calibration,
    /// outbreaks caught, delay, false episodes.
    #[command(after_help = "Examples:\n  pumphandle evaluate --plot detection.svg > \
            tables.md\n  pumphandle evaluate --short\n  pumphandle evaluate --recorded \
            placebo-counts.csv\n\nTakes minutes; what it prints depends on the seed alone. \
            `--recorded` reads what `replay --counts` wrote of tags that no outbreak concerns.")]
    Evaluate(Evaluate),
    /// Checks configuration and topic files, and tells every problem at once.
    #[command(
        after_help = "Examples:\n  pumphandle check --config pumphandle.toml\n  pumphandle check \
            --today 2027-06-01\n\nA topic whose day of review has passed is a problem too; \
            `--today` asks what will be due."
    )]
    Check(Check),
    /// Lists alerts, shows one, or says what was done about it.
    #[command(after_help = "Examples:\n  pumphandle alerts list\n  pumphandle alerts show \
            3f2a9c01b7de\n  pumphandle alerts ack 3f2a9c01b7de --note \"asked the state office\"")]
    Alerts(Alerts),
    /// Watches a topic for a while in a polygon: a flood, a fire, bad water.
    #[command(
        after_help = "Examples:\n  pumphandle crisis start --polygon elbe.geojson --topic flood \
            --until 2026-12-10 --inhabitants 240000 --reason \"dyke broke at Pirna\"\n  pumphandle \
            crisis list\n  pumphandle crisis stop elbe --reason \"water is back\"\n\nAt most 30 \
            days, at least 10,000 inhabitants, and no cell of fewer than 11 accounts is ever \
            shown.\nThe public is told of a crisis alert only after a person has decided that it \
            is a health event."
    )]
    Crisis(CrisisArgs),
    /// Tests a subscription: sends a test message by its channel and prints the result for each
    /// recipient.
    #[command(
        after_help = "Example:\n  pumphandle notify test bavaria\n\nEvery recipient has a line: \
            `accepted`, `refused CODE` with what its mail server replied, or `failed` with the \
            reason.\nIt ends with 1 if any of them did not accept the test."
    )]
    Notify(NotifyArgs),
    /// Lists lines that were set aside, or tries them again.
    #[command(
        after_help = "Examples:\n  pumphandle rejects list\n  pumphandle rejects replay\n\nThe log \
            keeps where a line stood and its hash, not the line: `replay` reads it again at its \
            place in its file, by the topics and limits of now, and appends what is understood. \
            Nothing is counted twice."
    )]
    Rejects(Rejects),
    /// Loads numbers of others to compare with: official case series and the like.
    #[command(after_help = "Example:\n  pumphandle reference load cases.csv\n\nColumns \
            `series,region,date,value` and optionally `unit,source`. A file loads whole or not at \
            all; loading it again replaces what it names.")]
    Reference(Reference),
    /// Makes, lists and revokes tokens, which open page and API with a role.
    #[command(after_help = "Examples:\n  pumphandle token create --name 'Duty officer' --role \
            official\n  pumphandle token list\n  pumphandle token revoke 'Duty officer'\n\nRoles, \
            each with all that those before it may: `viewer` sees everything, `analyst` takes \
            tables away, `official` acts on alerts, `operator` does all.\nA token is shown once \
            and kept as a hash.")]
    Token(Token),
    /// Moves the keys of pseudonyms out of the data folder.
    #[command(
        after_help = "Example:\n  pumphandle keys move\n\nEarlier releases made them inside the \
            data folder. `keys move` puts them into the folder that `keys` in `[privacy]` \
            names,\nor beside the data folder: `data-keys` for `data`. Stop the program first."
    )]
    Keys(Keys),
    /// Erases an author: all posts of theirs that can still be taken back leave the counts.
    #[command(after_help = "Examples:\n  pumphandle erase --author \
            did:plc:ewvi7nxzyoun6zhxrhs64oiz\n  pumphandle erase --author posts:user-17\n\nIt does \
            what the deletion of an account does at its source, and prints what was taken back and \
            until when copies exist.\nIf the program runs, the request goes to its API, with a \
            token of role `operator`; else the streams are changed directly.")]
    Erase(Erase),
    /// Asks whether a page is ready: ends with 0 if `/readyz` answers 200.
    #[command(
        after_help = "Example:\n  pumphandle health 127.0.0.1:8080\n\nWithout an address it asks \
            `web.listen`."
    )]
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
    /// Makes a token and writes it to standard output, this once.
    Create {
        /// Whose it is: what changes are signed with.
        #[arg(long)]
        name: String,
        /// `viewer`, `analyst`, `official` or `operator`.
        #[arg(long)]
        role: String,
    },
    /// Lists names, roles and the days on which tokens were made.
    List,
    /// Ends a token, and with it every session that it opened.
    Revoke { name: String },
    /// Prints a link that opens the page once as operator, within ten minutes.
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
    /// A DID of Bluesky, or `SOURCE:ID` as the posts name them.
    #[arg(long, value_name = "AUTHOR")]
    pub(crate) author: String,
    /// File that holds a token for the API; else the variable `PUMPHANDLE_TOKEN` is used.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Where the page listens; without it, as `web.listen` says.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// How many seconds of the simulated world pass in one of ours.
    #[arg(long, default_value_t = 60, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) speed: u32,
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Folder of the demo's data; emptied at every start.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data: Option<PathBuf>,
    /// Ends by itself after this many seconds.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) stop_after: Option<u64>,
    /// Prints alerts as lines of JSON, every revision, at a terminal too; the output is always JSON
    /// elsewhere.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Ends with 0 when every finite feed has been read and has landed; the log then takes no more.
    #[arg(long)]
    pub(crate) until_drained: bool,
    /// Prints alerts as lines of JSON at a terminal too; the output is always JSON elsewhere.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// NDJSON of our schema or Jetstream lines, plain, gz or zst; `-` is standard input.
    #[arg(value_name = "FILE", required_unless_present = "log")]
    pub(crate) files: Vec<String>,
    /// Cells with posts: `topic,region,pane_start,posts,authors,authors_24h,total_posts`.
    #[arg(long, value_name = "FILE")]
    pub(crate) counts: Option<PathBuf>,
    /// Counts of lexicon keys by the post's own region: `tag,region,pane_start,posts`.
    #[arg(long, value_name = "FILE")]
    pub(crate) tag_counts: Option<PathBuf>,
    /// What each window was judged to be.
    #[arg(long, value_name = "FILE")]
    pub(crate) verdicts: Option<PathBuf>,
    /// Alerts as NDJSON, a line a revision.
    #[arg(long, value_name = "FILE")]
    pub(crate) alerts: Option<PathBuf>,
    /// What was set aside, and why: `file,line,reason,length,hash,detail`.
    #[arg(long, value_name = "FILE")]
    pub(crate) rejects: Option<PathBuf>,
    /// Takes file order as order of arrival; closes and fires as live would, in bounded memory.
    #[arg(long)]
    pub(crate) as_live: bool,
    /// Reads the retained stream in the data folder instead of files.
    #[arg(long, conflicts_with_all = ["files", "as_live"])]
    pub(crate) log: bool,
    /// With `--log`: decides topics anew from the posts' tags, by the topic files as they are now.
    /// What phrases found stays.
    #[arg(long, conflicts_with_all = ["files", "as_live"])]
    pub(crate) topics_anew: bool,
    /// Stops when the program holds more memory than this: `512MiB`, `2GB`.
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory_max: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// How many posts are made; duplicates, deletions and other events come on top.
    #[arg(long, value_name = "N")]
    pub(crate) posts: u64,
    #[arg(long, default_value_t = 1, value_name = "S")]
    pub(crate) seed: u64,
    /// Spreads the posts over this many days instead of by the usual rate.
    #[arg(long, value_name = "DAYS")]
    pub(crate) days: Option<f64>,
    /// What happens beyond people's daily round.
    #[arg(long, value_enum, default_value_t = Happening::All)]
    pub(crate) events: Happening,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Happening {
    /// Outbreaks, news, bots, outages, growth.
    All,
    /// Nothing: every alert is a false one.
    Nothing,
    /// Nothing of health: a language grows tenfold in three days, and 20 h are lost and then read
    /// at once.
    Platform,
}

#[derive(Debug, Args)]
pub(crate) struct Evaluate {
    /// A form that takes seconds, to see whether anything has drifted.
    #[arg(long)]
    pub(crate) short: bool,
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// One part of it alone; what is heard after the budget needs the null year and the outbreaks,
    /// and comes with the whole only.
    #[arg(long, value_name = "PART", value_parser = ["calibration", "null-year", "outbreaks", "early"])]
    pub(crate) only: Option<String>,
    /// Where a plot of outbreaks caught is written, as SVG.
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    /// Counts of placebo tags, as `replay --counts` writes them: the calibration of these instead.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["short", "plot", "operating", "slow_rises"])]
    pub(crate) recorded: Option<PathBuf>,
    /// Only the table from which the limit of slow rises is read: false episodes a series and year
    /// above each height of their chart.
    #[arg(long)]
    pub(crate) slow_rises: bool,
    /// Only the table from which the operating threshold is read: false episodes a series and year
    /// at each p.
    #[arg(long)]
    pub(crate) operating: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Detect {
    #[arg(long, value_name = "METHOD")]
    pub(crate) method: String,
    /// A parameter of the method, as in R, in kebab-case: `--param alpha=0.001`. May be repeated.
    #[arg(long = "param", value_name = "KEY=VALUE")]
    pub(crate) params: Vec<String>,
    /// Where each series is, for the methods of space and time: CSV with `series,x,y`, or
    /// `series,lon,lat` in degrees.
    #[arg(long, value_name = "FILE")]
    pub(crate) places: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Takes another day for today: `2027-06-01`.
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
    /// The topics that are watched, a line each.
    #[command(after_help = "Example:\n  pumphandle topics list --json | jq -r 'select(.kind == \
            \"symptom\").id'")]
    List {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// All that is written of one topic.
    #[command(after_help = "Example:\n  pumphandle topics show influenza")]
    Show {
        #[arg(value_name = "ID")]
        id: String,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// What an editor would ask about: shared keys, common words, missing languages. Ends with 1 if
    /// there is anything.
    #[command(after_help = "Examples:\n  pumphandle topics lint\n  pumphandle topics lint \
            my-topics.toml\n\nWithout files it looks at the topics that are watched. Files are \
            looked at together, and apart from those.")]
    Lint {
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Why a text counts: each tag, phrase and rule of voice that has a say, and what comes of it.
    #[command(
        after_help = "Examples:\n  pumphandle topics explain \"J'ai de la fièvre et je tousse \
            #grippe\" --lang fr\n  pumphandle topics explain - < post.txt"
    )]
    Explain {
        /// The text of a post; `-` reads it from standard input.
        #[arg(value_name = "TEXT")]
        text: String,
        /// A language that the post states; without one it may be any. May be repeated.
        #[arg(long, value_name = "LANG")]
        lang: Vec<String>,
        /// A tag that the platform gave; tags in the text are then not read. May be repeated.
        #[arg(long, value_name = "TAG")]
        tag: Vec<String>,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Tags that people use beside a topic far more often than chance would, and that it doesn't
    /// count by yet.
    #[command(
        after_help = "Examples:\n  pumphandle topics emerging posts.ndjson\n  pumphandle topics \
            emerging --topic influenza --from 2026-11-01 day*.ndjson.gz\n  pumphandle topics \
            emerging --log\n\nCSV, the most telling first: \
            `topic,tag,accounts,topic_accounts,tag_accounts,all_accounts,lift`.\nAt least 10 \
            accounts must have used both, more where the topic's kind asks for more. Never for \
            sensitive topics, nor by posts that count for one."
    )]
    Emerging(Emerging),
}

#[derive(Debug, Args)]
pub(crate) struct Emerging {
    /// Posts as `replay` reads them: NDJSON of our schema or Jetstream lines, plain, gz or zst; `-`
    /// is standard input.
    #[arg(value_name = "FILE", required_unless_present = "log")]
    pub(crate) files: Vec<String>,
    /// Reads the retained stream in the data folder instead of files.
    #[arg(long, conflicts_with = "files")]
    pub(crate) log: bool,
    /// Of this topic only.
    #[arg(long, value_name = "ID")]
    pub(crate) topic: Option<String>,
    /// Posts from this instant on: a date, RFC 3339 or unix seconds.
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Posts before this instant.
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// How many times more common than among all accounts a tag must be among the topic's; at least
    /// 1.
    #[arg(long, default_value_t = 3.0, value_name = "TIMES")]
    pub(crate) lift_min: f64,
    /// Stops when the program holds more memory than this: `512MiB`, `2GB`.
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory_max: Option<String>,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Locate {
    /// What texts are: a platform's `place`, the author's `profile`, or a `mention` in a post.
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
    /// A line each: code, level, parent, inhabitants, name.
    #[command(
        after_help = "Examples:\n  pumphandle regions list\n  pumphandle regions list --under DE \
            --json"
    )]
    List {
        /// Only those of `[atlas] regions`.
        #[arg(long)]
        own: bool,
        /// Only this region and those below it.
        #[arg(long, value_name = "CODE")]
        under: Option<String>,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// All that is known of one region.
    #[command(after_help = "Example:\n  pumphandle regions show DE-BY")]
    Show {
        #[arg(value_name = "CODE")]
        code: String,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Reads GeoJSON files together as `[atlas] regions` would, and tells every problem at once.
    #[command(after_help = "Example:\n  pumphandle regions check counties.geojson \
            flood.geojson\n\nWithout files it looks at those of the configuration. Ends with 64 if \
            there is any problem.")]
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
    /// One line an alert, last fired first: a sentence at a terminal, JSON elsewhere.
    List {
        /// Lines of JSON at a terminal too.
        #[arg(long)]
        json: bool,
        /// From the stream of alerts instead of the warehouse, which may be away or behind.
        #[arg(long)]
        log: bool,
    },
    /// All revisions of one alert, as `list` prints them.
    Show {
        id: String,
        /// Lines of JSON at a terminal too.
        #[arg(long)]
        json: bool,
    },
    /// Says why a topic is in no alert in a region: what was observed, the bound, how much more was
    /// needed, and what held it back.
    #[command(after_help = "Example:\n  pumphandle alerts why-not influenza FR")]
    WhyNot { topic: String, region: String },
    /// Computes an alert's numbers again from what is stored with it, and fails where they differ.
    #[command(after_help = "Example:\n  pumphandle alerts recompute 3f2a9c01b7de")]
    Recompute { id: String },
    /// Says what was done about an alert: by the page's API if one listens, else in the data
    /// folder.
    #[command(
        after_help = "Examples:\n  pumphandle alerts ack 3f2a9c01b7de --assignee \"Duty officer\" \
            --note \"asked the state office\"\n  pumphandle alerts ack 3f2a9c01b7de --state \
            decided --outcome talk-only --note \"a television programme\"\n  pumphandle alerts ack \
            3f2a9c01b7de --snooze-until 2026-12-01\n\nWithout `--state` a new alert becomes \
            `triaged`. It fails where somebody else was faster; look again, then say it again."
    )]
    Ack(Box<Ack>),
}

#[derive(Debug, Args)]
pub(crate) struct Ack {
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Prints the recorded change as JSON at a terminal too.
    #[arg(long)]
    pub(crate) json: bool,
    /// `new`, `triaged`, `verifying`, `decided` or `closed`.
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<String>,
    /// What it was: `health-event`, `known` (also the expected season), `talk-only`, `artefact`
    /// (bot, outage, word sense) or `could-not-tell`.
    #[arg(long, value_name = "OUTCOME")]
    pub(crate) outcome: Option<String>,
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub(crate) note: String,
    /// Who has it from now on; empty: nobody.
    #[arg(long, value_name = "NAME")]
    pub(crate) assignee: Option<String>,
    /// Not to be seen until then, unless it comes to twice its ratio; an instant that has passed
    /// ends a snooze.
    #[arg(long, value_name = "TIME")]
    pub(crate) snooze_until: Option<String>,
    /// When the health event began.
    #[arg(long, value_name = "TIME")]
    pub(crate) emerged: Option<String>,
    /// When the authority in charge was told.
    #[arg(long, value_name = "TIME")]
    pub(crate) notified: Option<String>,
    /// When the first response was complete.
    #[arg(long, value_name = "TIME")]
    pub(crate) responded: Option<String>,
    /// How many changes the alert had when it was looked at; without it, as many as it has now.
    #[arg(long, value_name = "N")]
    pub(crate) after: Option<u32>,
    /// Who says so, where no API listens that knows; without it, the user's name.
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) actor: Option<String>,
    /// File that holds the token for the API; without it PUMPHANDLE_TOKEN.
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
    /// Writes a topic and its polygon into the folder of crises, and says how many placed posts a
    /// day are to be expected.
    #[command(
        after_help = "Examples:\n  pumphandle crisis start --polygon elbe.geojson --topic flood \
            --until 2026-12-10 --inhabitants 240000 --reason \"dyke broke at Pirna\"\n  pumphandle \
            crisis start --polygon plant.geojson --topic words.toml --tag chlorleck --until \
            2026-11-30T12:00:00Z --inhabitants 52000 --reason \"leak at the plant\"\n\nOnly posts \
            with coordinates fall into a polygon; the topic is counted for countries and first \
            levels too. What an editor would\nask about a word (`topics lint`) is refused here. \
            `run` takes the crisis on at its next start, a cluster by `migrate`."
    )]
    Start(Box<CrisisStart>),
    /// The crises that are written down, a line each: id, state, end, region, who, why.
    List {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Takes a crisis out before or after its end; what was counted stays.
    #[command(after_help = "Example:\n  pumphandle crisis stop elbe --reason \"water is back\"")]
    Stop {
        #[arg(value_name = "ID")]
        id: String,
        /// Why, for the audit log.
        #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        reason: String,
        /// Who says so; without it, the user's name.
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CrisisStart {
    /// GeoJSON with one polygon.
    #[arg(long, value_name = "FILE")]
    pub(crate) polygon: PathBuf,
    /// A template (`smoke`, `flood`, `heat`, `contaminated-water`), or a topic file with one topic
    /// of the kind `crisis`.
    #[arg(long, value_name = "TEMPLATE|FILE")]
    pub(crate) topic: String,
    /// Posts before this instant count: a date (its midnight, UTC), RFC 3339 or unix seconds.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: String,
    /// Why, for the audit log.
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) reason: String,
    /// How many people live in the polygon; else its `inhabitants` or `population` says so.
    #[arg(long, value_name = "N")]
    pub(crate) inhabitants: Option<u64>,
    /// A hashtag of the place beside those of the topic. May be repeated.
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Vec<String>,
    /// What the topic is called in lists; without it, as the polygon's file. Its region is `x:ID`.
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,
    /// What it is called by people; without it, as the template.
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,
    /// Who says so; without it, the user's name.
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// One of the tables and views; an unknown name lists them.
    #[arg(long, value_name = "NAME")]
    pub(crate) table: String,
    /// Rows from this instant on: a date, RFC 3339 or unix seconds.
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Rows before this instant.
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
    /// Sends a test to every recipient of a subscription, including those not on duty and deputies.
    #[command(after_help = "Example:\n  pumphandle notify test bavaria")]
    Test(NotifyTest),
}

#[derive(Debug, Args)]
pub(crate) struct NotifyTest {
    /// The subscription, of a file or of the page.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// File that holds the token for the API, for a subscription of the page; without it
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
    /// As CSV: `feed,place,line,reason,length,hash,detail`.
    List,
    /// Reads lines of files again at their places.
    Replay,
}

#[derive(Debug, Args)]
pub(crate) struct Reference {
    #[command(subcommand)]
    pub(crate) command: ReferenceCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReferenceCommand {
    /// From a CSV file; `-` is standard input.
    Load { file: PathBuf },
}
