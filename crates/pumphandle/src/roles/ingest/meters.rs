//! What is counted and reported of one feed.

use feeds::Now;
use record::region::UNLOCATED;
use record::time::{HOUR, MINUTE};
use record::{Micros, Op, Post, Provenance, RejectReason};
use web::Metrics;

use crate::monitor;

/// What is counted of the posts of one feed, from 0 on.
pub(super) struct PostMeters {
    pub(super) accepted: web::Counter,
    /// Posts made, those of them that have a place, and those that went out while their author's
    /// profile was still requested.
    creates: web::Counter,
    located: web::Counter,
    by_coordinates: web::Counter,
    pending: web::Counter,
    /// Posts appended once more, with the answer about their author's profile.
    resent: web::Counter,
    /// Posts of the authors that stand for all where profiles are requested, and those of them that
    /// have a place.
    sampled: web::Counter,
    sampled_located: web::Counter,
}

/// What is counted of one feed, from 0 on.
pub(super) struct Meters {
    pub(super) posts: PostMeters,
    pub(super) ignored: web::Counter,
    pub(super) gaps: web::Counter,
    pub(super) reconnects: web::Counter,
    pub(super) outages: web::Counter,
    pub(super) ahead: web::Counter,
    pub(super) connected: web::Gauge,
    pub(super) failed: web::Gauge,
    pub(super) silent: web::Gauge,
    pub(super) lag: web::Gauge,
    pub(super) waited: web::Gauge,
}

impl PostMeters {
    fn new(metrics: &Metrics, feed: &str) -> PostMeters {
        let counter = |name: &str, help: &str| metrics.counter(name, help, &[("feed", feed)]);
        PostMeters {
            accepted: counter(
                "pumphandle_posts_read_total",
                "Posts, deletions and removals read and appended.",
            ),
            creates: counter("pumphandle_posts_made_total", "Posts made, of all that were read."),
            located: counter(
                "pumphandle_posts_located_total",
                "Posts made that have a place, be it by a later answer.",
            ),
            by_coordinates: counter(
                "pumphandle_posts_by_coordinates_total",
                "Posts made that have a place by their coordinates.",
            ),
            pending: counter(
                "pumphandle_posts_pending_total",
                "Posts that went out while their author's profile was still requested.",
            ),
            resent: counter(
                "pumphandle_posts_resent_total",
                "Posts appended once more with the answer about their author's profile.",
            ),
            sampled: counter(
                "pumphandle_posts_sampled_total",
                "Posts made by authors in the sample whose profiles are requested.",
            ),
            sampled_located: counter(
                "pumphandle_posts_sampled_located_total",
                "Posts made by authors in the sample that have a place, be it by a later answer.",
            ),
        }
    }

    pub(super) fn count(&self, post: &Post) {
        self.accepted.add(1);
        if post.op == Op::Create {
            self.creates.add(1);
            let best = post.places.first().map(|place| place.provenance);
            self.by_coordinates.add(u64::from(best == Some(Provenance::Coordinates)));
            self.pending.add(u64::from(post.flags.pending));
            self.sampled.add(u64::from(post.flags.sampled));
            self.count_place(post);
        }
    }

    /// Counts posts that went out before and have been appended again.
    pub(super) fn count_resent<'a>(&self, posts: impl Iterator<Item = &'a Post>) {
        for post in posts {
            self.resent.add(1);
            self.count_place(post);
        }
    }

    fn count_place(&self, post: &Post) {
        if post.path() != UNLOCATED {
            self.located.add(1);
            self.sampled_located.add(u64::from(post.flags.sampled));
        }
    }
}

impl Meters {
    pub(super) fn new(metrics: &Metrics, feed: &str) -> Meters {
        let counter = |name: &str, help: &str| metrics.counter(name, help, &[("feed", feed)]);
        let gauge = |name: &str, help: &str| metrics.gauge(name, help, &[("feed", feed)]);
        for reason in RejectReason::ALL {
            monitor::rejects(metrics, feed, reason);
        }
        Meters {
            posts: PostMeters::new(metrics, feed),
            ignored: counter(
                "pumphandle_lines_ignored_total",
                "Lines understood and of no use, such as those of other collections.",
            ),
            gaps: counter(
                "pumphandle_feed_gaps_total",
                "Spans of arrivals that can't be had any more.",
            ),
            reconnects: counter("pumphandle_feed_reconnects_total", "Connections made again."),
            outages: counter(
                "pumphandle_feed_outages_total",
                "Times that a feed brought nothing for longer than its rate explains, or was cut.",
            ),
            ahead: counter(
                "pumphandle_feed_stamps_ahead_total",
                "Lines stamped more than a minute ahead of our clock, which counts in their place.",
            ),
            connected: gauge(
                "pumphandle_feed_connected",
                "1 while the feed has a connection, or its file can be read.",
            ),
            failed: gauge("pumphandle_feed_failed", "1 if the feed is read no more, or not whole."),
            silent: gauge("pumphandle_feed_silent_seconds", "Seconds since the last event."),
            lag: gauge(
                "pumphandle_feed_lag_seconds",
                "How far the last line's stamp was behind our clock; negative where it was ahead.",
            ),
            waited: gauge(
                "pumphandle_feed_queue_messages_max",
                "The most lines that have waited to be appended at once; `limits.queue` bounds \
                    them.",
            ),
        }
    }
}

/// A time in which a network brings nothing.
pub(super) struct Outage {
    /// By the monotonic clock.
    pub(super) since: Micros,
    pub(super) why: String,
    pub(super) attempts: u32,
    pub(super) resumed: Option<Micros>,
    pub(super) reconnected: bool,
    pub(super) reported: Repeated,
}

/// A word that may be due again and again: at once, then more and more rarely.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Repeated {
    /// By the monotonic clock.
    next: Option<Micros>,
    wait: Micros,
}

impl Repeated {
    pub(super) fn due(&mut self, now: Now) -> bool {
        // What has not come up for a long time is news again.
        if self.next.is_some_and(|next| now.monotonic - next > 2 * self.wait) {
            *self = Repeated::default();
        }
        if self.next.is_some_and(|next| now.monotonic < next) {
            return false;
        }
        self.wait = if self.next.is_none() { MINUTE } else { (2 * self.wait).min(6 * HOUR) };
        self.next = Some(now.monotonic + self.wait);
        true
    }
}
