//! Ingest of one live feed under clocks that are set: tests hand on what a connection would.

use std::sync::atomic::{AtomicI64, Ordering};

use feeds::jetstream;

use super::*;

/// Both clocks of a machine, as a test sets them.
#[derive(Clone)]
pub(crate) struct Hands {
    start: Micros,
    passed: Arc<AtomicI64>,
    /// The wall clock is wrong by so much.
    wrong: Arc<AtomicI64>,
}

impl Hands {
    pub(crate) fn new(start: Micros) -> Hands {
        Hands { start, passed: Arc::default(), wrong: Arc::default() }
    }

    pub(crate) fn clock(&self) -> Clock {
        let hands = self.clone();
        Clock::of(move || {
            let monotonic = hands.passed.load(Ordering::Relaxed);
            Now { wall: hands.truth() + hands.wrong.load(Ordering::Relaxed), monotonic }
        })
    }

    /// The time that it really is.
    pub(crate) fn truth(&self) -> Micros {
        self.start + self.passed.load(Ordering::Relaxed)
    }

    pub(crate) fn pass(&self, time: Micros) {
        self.passed.fetch_add(time, Ordering::Relaxed);
    }

    pub(crate) fn be_wrong(&self, by: Micros) {
        self.wrong.store(by, Ordering::Relaxed);
    }
}

/// Moments in the life of the first feed, which is live.
pub(crate) struct Life<'a> {
    pub(crate) hands: Hands,
    pub(super) ingest: Ingest<'a>,
    intake: Intake,
    clock: Clock,
    /// Lines handed on so far.
    pub(super) lines: u64,
    /// After the last of them.
    last: Option<Micros>,
}

impl<'a> Life<'a> {
    pub(crate) fn start(journal: &'a dyn Journal, config: &'a Config, hands: Hands) -> Life<'a> {
        // Keys are made only before the log has begun.
        Keys::open(journal, config).unwrap();
        let settings = log::settle(journal, &config.settings(), None).unwrap();
        Life::of(journal, config, &settings, hands)
    }

    /// By settings that stand in the log already.
    pub(crate) fn of(
        journal: &'a dyn Journal,
        config: &'a Config,
        settings: &Settings,
        hands: Hands,
    ) -> Life<'a> {
        let clock = hands.clock();
        clock.now();
        let keys = Keys::open(journal, config).unwrap();
        let around =
            Around { clock: clock.clone(), metrics: Arc::default(), sources: Arc::default() };
        let intake = intake(config, settings, &keys, 0);
        let mut ingest =
            Ingest::start(journal, config, settings, Vec::new(), around, false).unwrap();
        let name = config.feeds[0].name.clone();
        let progress = FeedProgress::live(&name, 1, config.ingest.outage_hold);
        let feed = Running::new(&name, 1, Source::None, progress, &ingest.around);
        ingest.feeds.push(Running { live: true, ..feed });
        let mut life = Life { hands, ingest, intake, clock, lines: 0, last: None };
        life.connected();
        life
    }

    /// A line, as the connection hands it on.
    pub(crate) fn line(&mut self, line: &[u8]) {
        self.lines += 1;
        let outcome = self.intake.read(line, Some(self.clock.wall())).unwrap();
        if let Some(by) = self.intake.take_ahead() {
            self.ingest.message(0, Message::Ahead { by });
        }
        self.last = outcome.arrival().or(self.last);
        let cursor = jetstream::Cursor {
            host: "h".into(),
            sequence: None,
            stamp: self.last.unwrap_or_default(),
        };
        self.ingest.message(0, Message::Line { outcome, cursor: Cursor::Jetstream(cursor) });
    }

    pub(crate) fn alive(&mut self) {
        let at = self.clock.now();
        self.ingest.message(0, Message::Alive { at });
    }

    pub(crate) fn disconnected(&mut self) {
        let at = self.clock.now();
        self.ingest.message(0, Message::Disconnected { at, why: "no answer".to_owned() });
    }

    /// It stands; after an outage it goes on where it was.
    pub(crate) fn connected(&mut self) {
        let at = self.clock.now();
        self.ingest.message(0, Message::Connected { at, resumed: self.last });
    }

    pub(crate) fn round(&mut self) {
        self.ingest.round().unwrap();
    }
}
