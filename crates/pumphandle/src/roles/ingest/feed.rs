//! A feed that this worker reads: how far it has come, and how it fares.
//!
//! Counts and reports what its source brings; appends nothing.

use feeds::file::looks;
use feeds::intake::{Dropped, Routing};
use feeds::progress::Progress as FeedProgress;
use feeds::{Cursor, Message, Now};
use notify::channel::explain_certificate_error;
use record::time::SECOND;
use record::{Micros, Post, Reject};

use super::meters::{Meters, Outage, Repeated};
use super::source::Source;
use super::stored::Place;
use super::{Around, LINES_JUDGED_MIN};
use crate::monitor;
use crate::roles::sources::{LAG_MAX, SourceState};

/// The stamps of a source must differ from our clock for so long before it is reported.
const LAG_REPORTED_AFTER: Micros = 10 * SECOND;
/// The key that names the authorities a feed trusts.
const ROOTS_KEY: &str = "roots-file";

pub(super) struct Running {
    pub(super) around: Around,
    pub(super) name: String,
    pub(super) epoch: u64,
    pub(super) source: Source,
    pub(super) finite: bool,
    /// A network, which follows the clock.
    pub(super) live: bool,
    pub(super) progress: FeedProgress,
    /// After the last line that was appended.
    pub(super) cursor: Option<Cursor>,
    pub(super) meters: Meters,
    /// Lines read and lines rejected since the start, or of a network since they were last judged.
    pub(super) lines: u64,
    pub(super) rejected: u64,
    /// What the first line looks like that was rejected, as long as none was understood.
    pub(super) looks: Option<&'static str>,
    pub(super) any_understood: bool,
    /// A followed file has been read up to what is written to it now.
    pub(super) caught_up: bool,
    pub(super) outage: Option<Outage>,
    /// The monotonic clock at the last line, and how far that line's stamp was behind our clock.
    pub(super) event_at: Option<Micros>,
    pub(super) lag: Option<Micros>,
    /// The monotonic clock since when stamps have differed from our clock, and whether that was
    /// reported.
    pub(super) differs: Option<(Micros, bool)>,
    pub(super) rejects_reported: Repeated,
    pub(super) ahead_reported: Repeated,
    pub(super) errors_reported: Repeated,
    /// Why it is read no more; or, of followed files, why one of them was not read to its end.
    pub(super) failed: Option<String>,
    pub(super) cut_short: Option<String>,
    /// It failed before its first line, and stands where others are.
    pub(super) stands: bool,
    pub(super) failed_noted: bool,
    /// A tick has reported that it has ended; and `feeds` says so too.
    pub(super) ended_ticked: bool,
    pub(super) is_read_noted: bool,
    /// Where earlier owners stood is forgotten.
    pub(super) alone: bool,
}

impl Running {
    /// A feed of which nothing has been read.
    pub(super) fn new(
        name: &str,
        epoch: u64,
        source: Source,
        progress: FeedProgress,
        around: &Around,
    ) -> Running {
        Running {
            around: around.clone(),
            name: name.to_owned(),
            epoch,
            source,
            finite: false,
            live: false,
            progress,
            cursor: None,
            meters: Meters::new(&around.metrics, name),
            lines: 0,
            rejected: 0,
            looks: None,
            any_understood: false,
            caught_up: false,
            outage: None,
            event_at: None,
            lag: None,
            differs: None,
            rejects_reported: Repeated::default(),
            ahead_reported: Repeated::default(),
            errors_reported: Repeated::default(),
            failed: None,
            cut_short: None,
            stands: false,
            failed_noted: false,
            ended_ticked: false,
            is_read_noted: false,
            alone: false,
        }
    }

    fn change_state(&self, change: impl FnOnce(&mut SourceState)) {
        self.around.sources.change(&self.name, change);
    }

    /// Where the next owner goes on.
    pub(super) fn place(&self) -> Place {
        // Where a feed merely stands, nothing of it was read.
        let reached = self.progress.reached().filter(|_| !self.stands);
        Place { cursor: self.cursor.as_ref().map(Cursor::to_string), reached }
    }

    /// Whether other workers need not wait for it any more.
    pub(super) fn is_settled(&self) -> bool {
        self.is_read_noted || self.failed_noted
    }

    /// Whether it has no line, and none is to be expected soon: the watermark would wait for ever.
    pub(super) fn is_without_line(&self) -> bool {
        (self.failed.is_some() || self.caught_up) && self.progress.reached().is_none()
    }

    /// Shows whether it was opened.
    pub(super) fn opened(&mut self, is_open: bool) {
        let connected = is_open && !self.live;
        self.meters.connected.set(f64::from(u8::from(connected)));
        self.meters.failed.set(0.0);
        let live = self.live;
        self.change_state(|state| (state.live, state.connected) = (live, connected));
    }

    /// A feed that can't be read on: the others go on without it, its end is not claimed and what
    /// it lacks is not covered.
    pub(super) fn fail(&mut self, why: String) {
        tracing::error!(
            feed = self.name,
            why,
            "this feed has failed and is read no more; the others go on"
        );
        self.source = Source::None;
        self.progress.on_failed();
        self.meters.failed.set(1.0);
        self.meters.connected.set(0.0);
        self.change_state(|state| {
            state.failed = Some(why.clone());
            state.connected = false;
        });
        self.failed = Some(why);
    }

    /// Of followed files one could not be read: they are many, and the others go on.
    pub(super) fn cut_short(&mut self, why: String, now: Now) {
        if self.errors_reported.due(now) {
            tracing::error!(
                feed = self.name,
                why,
                "a file could not be read, going on with the others"
            );
        }
        self.meters.failed.set(1.0);
        self.cut_short.get_or_insert_with(|| why.clone());
        self.change_state(|state| state.failed = Some(why));
    }

    /// Of the first line that was rejected, while none was understood: what kind of file it is of.
    pub(super) fn guess_kind(&mut self, begins: &[u8]) {
        if self.looks.is_none() && !self.any_understood {
            self.looks = looks::hint(begins);
        }
    }

    /// Fails if too many lines were rejected; returns whether it has.
    pub(super) fn fail_if_rejected(&mut self, share_max: f64) -> bool {
        let why = self.too_many_rejected(LINES_JUDGED_MIN, share_max);
        why.map(|why| self.fail(why)).is_some()
    }

    /// Of a file: it has been read to its end, unless too many of its lines were rejected.
    pub(super) fn end_file(&mut self) {
        // Of a short file, only what can't be one at all.
        let most = if self.looks.is_some() { 0.5 } else { 1.0 - f64::EPSILON };
        match self.too_many_rejected(1, most) {
            Some(why) => self.fail(why),
            None => {
                self.progress.on_end();
                tracing::info!(feed = self.name, "read to its end");
            }
        }
    }

    /// What a connection reports of itself.
    pub(super) fn report(&mut self, message: &Message, now: Now) {
        match message {
            Message::Gap { from, to, why } => self.gap(*from, *to, why),
            Message::Disconnected { why, .. } => {
                self.disconnected(&explain_certificate_error(why, ROOTS_KEY), now)
            }
            Message::Connected { resumed, .. } => self.connected(*resumed),
            Message::Alive { .. } => self.prove_alive(now),
            Message::Failed { why } => {
                tracing::error!(feed = self.name, why, "a part of the source could not be read");
            }
            _ => {}
        }
        self.progress.on_message(message, now);
    }

    fn gap(&mut self, from: Micros, to: Micros, why: &str) {
        tracing::warn!(
            feed = self.name,
            from = record::time::display(from),
            to = record::time::display(to),
            why,
            "gap: these arrivals are lost"
        );
        self.meters.gaps.add(1);
        self.change_state(|state| state.gaps += 1);
    }

    /// An outage is reported when it begins and when it ends, and in between more and more rarely.
    fn disconnected(&mut self, why: &str, now: Now) {
        self.meters.connected.set(0.0);
        let outage = self.outage.get_or_insert_with(|| {
            self.meters.outages.add(1);
            let reported = Repeated::default();
            Outage {
                since: now.monotonic,
                why: why.to_owned(),
                attempts: 0,
                resumed: None,
                reconnected: false,
                reported,
            }
        });
        outage.attempts += 1;
        outage.reconnected = false;
        let seconds = (now.monotonic - outage.since) / SECOND;
        if outage.reported.due(now) {
            match outage.attempts {
                1 => tracing::warn!(
                    feed = self.name,
                    why,
                    "an outage begins: connecting again, nothing is claimed as covered meanwhile"
                ),
                attempts => {
                    tracing::warn!(feed = self.name, why, seconds, attempts, "the outage goes on")
                }
            }
        } else {
            tracing::debug!(feed = self.name, why, seconds, "no connection");
        }
        self.change_state(|state| {
            state.connected = false;
            state.outage.get_or_insert_with(|| (now.monotonic, why.to_owned())).1 = why.to_owned();
        });
    }

    fn connected(&mut self, resumed: Option<Micros>) {
        self.meters.connected.set(1.0);
        let again = self.outage.is_some();
        match &mut self.outage {
            Some(outage) => {
                outage.reconnected = true;
                outage.resumed = resumed;
                self.meters.reconnects.add(1);
            }
            None => tracing::info!(feed = self.name, "connected"),
        }
        self.change_state(|state| {
            state.connected = true;
            state.reconnects += u64::from(again);
        });
    }

    /// A connection has brought something, or has proven that there was nothing: an outage is over.
    pub(super) fn prove_alive(&mut self, now: Now) {
        let Some(outage) = self.outage.take_if(|outage| outage.reconnected) else { return };
        tracing::info!(
            feed = self.name,
            seconds = (now.monotonic - outage.since) / SECOND,
            attempts = outage.attempts,
            resumed_from = outage.resumed.map(record::time::display),
            why = outage.why,
            "the outage is over"
        );
        self.change_state(|state| state.outage = None);
    }

    /// A line came, whatever it says.
    pub(super) fn note_event(&mut self, now: Now) {
        self.event_at = Some(now.monotonic);
    }

    /// A line whose stamp is not believed.
    pub(super) fn note_ahead(&mut self, by: Micros, now: Now) {
        self.meters.ahead.add(1);
        self.lag = Some(-by);
        if self.ahead_reported.due(now) {
            tracing::warn!(
                feed = self.name,
                seconds = by / SECOND,
                "a line is stamped ahead of our clock, which counts in its place: one of the two \
                    is wrong"
            );
        }
    }

    /// How far a network is behind our clock is shown, and reported once it has lasted.
    pub(super) fn note_lag(&mut self, arrival: Micros, now: Now) {
        let lag = now.wall - arrival;
        self.lag = Some(lag);
        if !self.live {
            return;
        }
        match &mut self.differs {
            Some((since, reported)) if lag.abs() <= LAG_MAX => {
                if *reported {
                    tracing::info!(
                        feed = self.name,
                        seconds = (now.monotonic - *since) / SECOND,
                        "its stamps are near our clock again"
                    );
                }
                self.differs = None;
            }
            None if lag.abs() > LAG_MAX => self.differs = Some((now.monotonic, false)),
            Some((since, reported))
                if !*reported && now.monotonic - *since >= LAG_REPORTED_AFTER =>
            {
                *reported = true;
                tracing::warn!(
                    feed = self.name,
                    seconds = lag / SECOND,
                    "its stamps are behind our clock: it is catching up, or one of the two clocks \
                        is wrong"
                );
            }
            _ => {}
        }
    }

    /// Counts a line that was understood.
    pub(super) fn count_line(&mut self) {
        self.lines += 1;
        self.any_understood = true;
    }

    /// Counts a post, and what was left out of it.
    pub(super) fn count_post(&self, post: &Post, dropped: &Dropped) {
        for (what, count) in
            [("tag", dropped.tags), ("language", dropped.languages), ("topic", dropped.topics)]
        {
            if count > 0 {
                let labels = [("feed", self.name.as_str()), ("what", what)];
                let help = "Tags, languages and topics of posts that were left out: too many, too \
                    long, or no such language.";
                self.around
                    .metrics
                    .counter("pumphandle_post_parts_dropped_total", help, &labels)
                    .add(count.into());
            }
        }
        self.meters.posts.count(post);
    }

    /// Counts posts that went out before and now have their places.
    pub(super) fn count_placed(
        &self,
        posts: &[(Routing, Post)],
        requested: u32,
        failed: Option<String>,
    ) {
        let result = if failed.is_some() { "failed" } else { "answered" };
        let labels = [("feed", self.name.as_str()), ("result", result)];
        self.around
            .metrics
            .counter("pumphandle_profiles_total", "Profiles requested for a place.", &labels)
            .add(requested.into());
        if let Some(why) = failed {
            let why = explain_certificate_error(&why, ROOTS_KEY);
            tracing::warn!(feed = self.name, why, "profiles could not be requested, trying again");
        }
        self.meters.posts.count_resent(posts.iter().map(|(_, post)| post));
    }

    /// Counts a line that was rejected.
    pub(super) fn count_reject(&mut self, reject: &Reject) {
        monitor::rejects(&self.around.metrics, &reject.feed, reject.reason).add(1);
        self.around.sources.change(&reject.feed, |state| state.rejects += 1);
        self.lines += 1;
        self.rejected += 1;
    }

    /// On a network anybody may write what can't be read: that is reported, and nothing more.
    pub(super) fn judge_rejects(&mut self, share_max: f64, now: Now) {
        if self.lines < LINES_JUDGED_MIN {
            return;
        }
        let share = self.rejected as f64 / self.lines as f64;
        if share > share_max && self.rejects_reported.due(now) {
            tracing::warn!(
                feed = self.name,
                percent = (share * 1_000.0).round() / 10.0,
                lines = self.lines,
                "many lines can't be read: `pumphandle rejects list` and \
                    `pumphandle_rejects_total` say why"
            );
        }
        (self.lines, self.rejected) = (0, 0);
    }

    /// Why a file is no feed, if so great a share of at least so many lines was rejected: better no
    /// counts than wrong ones.
    fn too_many_rejected(&self, lines_min: u64, share_max: f64) -> Option<String> {
        let share = self.rejected as f64 / self.lines.max(1) as f64;
        if self.lines < lines_min || share <= share_max {
            return None;
        }
        let hint = self
            .looks
            .unwrap_or("`pumphandle rejects list` and `pumphandle_rejects_total` say why");
        let percent = (share * 100.0).round();
        let than =
            if self.lines < LINES_JUDGED_MIN { "" } else { ", more than `rejects.share-max`" };
        Some(format!("{percent} % of {} lines were rejected{than}\nhint: {hint}", self.lines))
    }

    /// Brings metrics and state up to date.
    pub(super) fn show(&self, now: Now) {
        if let Source::Live(source) = &self.source {
            self.meters.waited.set(source.waited_most() as f64);
        }
        if let Some(at) = self.event_at {
            self.meters.silent.set(((now.monotonic - at) / SECOND) as f64);
        }
        if let Some(lag) = self.lag {
            self.meters.lag.set(lag as f64 / SECOND as f64);
        }
        self.change_state(|state| {
            state.ended = self.progress.has_ended();
            (state.event_at, state.lag) = (self.event_at, self.lag);
        });
    }
}
