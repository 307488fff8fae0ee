-- Instants are unix seconds (UTC), spans are seconds; columns named …_us are microseconds, where a second is too coarse.
-- Every row is absolute; of two with one key the higher version holds.

-- A cell: one topic, region and pane.
CREATE TABLE counts (
    topic TEXT NOT NULL,
    region TEXT NOT NULL,
    level INTEGER NOT NULL,
    pane_start INTEGER NOT NULL,
    pane_seconds INTEGER NOT NULL,
    posts INTEGER NOT NULL,
    authors INTEGER NOT NULL,
    authors_24h INTEGER,
    authors_self INTEGER NOT NULL,
    posts_news INTEGER NOT NULL,
    posts_filtered INTEGER NOT NULL,
    authors_filtered INTEGER NOT NULL,
    total_posts INTEGER NOT NULL,
    final INTEGER NOT NULL,
    newest_us INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (topic, region, pane_start, pane_seconds)
) STRICT, WITHOUT ROWID;

-- A cell as it was when its pane closed, and each later revision of it.
CREATE TABLE counts_history (
    topic TEXT NOT NULL,
    region TEXT NOT NULL,
    level INTEGER NOT NULL,
    pane_start INTEGER NOT NULL,
    pane_seconds INTEGER NOT NULL,
    version INTEGER NOT NULL,
    posts INTEGER NOT NULL,
    authors INTEGER NOT NULL,
    authors_24h INTEGER,
    authors_self INTEGER NOT NULL,
    posts_news INTEGER NOT NULL,
    posts_filtered INTEGER NOT NULL,
    authors_filtered INTEGER NOT NULL,
    total_posts INTEGER NOT NULL,
    final INTEGER NOT NULL,
    newest_us INTEGER NOT NULL,
    PRIMARY KEY (topic, region, pane_start, pane_seconds, version)
) STRICT, WITHOUT ROWID;

-- By the post's own region, in panes of one hour, once a post.
CREATE TABLE tag_counts (
    tag TEXT NOT NULL,
    region TEXT NOT NULL,
    pane_start INTEGER NOT NULL,
    posts INTEGER NOT NULL,
    final INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (tag, region, pane_start)
) STRICT, WITHOUT ROWID;

-- All posts of whole feeds.
CREATE TABLE denominators (
    region TEXT NOT NULL,
    pane_start INTEGER NOT NULL,
    pane_seconds INTEGER NOT NULL,
    posts INTEGER NOT NULL,
    final INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (region, pane_start, pane_seconds)
) STRICT, WITHOUT ROWID;

-- The share of a pane's arrivals that a whole feed has covered.
CREATE TABLE coverage (
    feed TEXT NOT NULL,
    pane_start INTEGER NOT NULL,
    pane_seconds INTEGER NOT NULL,
    share REAL NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (feed, pane_start, pane_seconds)
) STRICT, WITHOUT ROWID;

-- Distinct authors of the window that ends at window_end.
CREATE TABLE window_counts (
    topic TEXT NOT NULL,
    region TEXT NOT NULL,
    window_end INTEGER NOT NULL,
    window_seconds INTEGER NOT NULL,
    authors INTEGER NOT NULL,
    authors_self INTEGER NOT NULL,
    final INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (topic, region, window_end, window_seconds)
) STRICT, WITHOUT ROWID;

-- What was judged of a window: stage is early, closed or final, each kept; alarm is 1, 0, or NULL for no answer, with its reason.
CREATE TABLE verdicts (
    topic TEXT NOT NULL,
    region TEXT NOT NULL,
    window_end INTEGER NOT NULL,
    window_seconds INTEGER NOT NULL,
    method TEXT NOT NULL,
    stage TEXT NOT NULL,
    observed INTEGER NOT NULL,
    expected REAL,
    upperbound REAL,
    pvalue REAL,
    alarm INTEGER,
    reason TEXT NOT NULL,
    population INTEGER NOT NULL,
    coverage REAL NOT NULL,
    revision INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (topic, region, window_end, window_seconds, method, stage)
) STRICT, WITHOUT ROWID;

-- Every revision of every alert; recurrence in days; regions and explanation are JSON.
CREATE TABLE alerts (
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    topic TEXT NOT NULL,
    topic_name TEXT NOT NULL,
    region TEXT NOT NULL,
    regions TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    fired_at_us INTEGER NOT NULL,
    window_end INTEGER NOT NULL,
    window_seconds INTEGER NOT NULL,
    stage TEXT NOT NULL,
    state TEXT NOT NULL,
    severity INTEGER NOT NULL,
    observed INTEGER NOT NULL,
    posts INTEGER NOT NULL,
    population INTEGER NOT NULL,
    expected REAL NOT NULL,
    upperbound REAL NOT NULL,
    recurrence REAL,
    method TEXT NOT NULL,
    coverage REAL NOT NULL,
    explanation TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (id, revision)
) STRICT, WITHOUT ROWID;

-- What people did, in order; position is the number of events before it.
CREATE TABLE alert_events (
    alert TEXT NOT NULL,
    position INTEGER NOT NULL,
    at_us INTEGER NOT NULL,
    actor TEXT NOT NULL,
    state TEXT NOT NULL,
    note TEXT NOT NULL,
    PRIMARY KEY (alert, position)
) STRICT, WITHOUT ROWID;

-- What the public may see, of final UTC days; accounts is NULL where it is withheld.
CREATE TABLE public_counts (
    topic TEXT NOT NULL,
    region TEXT NOT NULL,
    level INTEGER NOT NULL,
    day INTEGER NOT NULL,
    accounts INTEGER,
    version INTEGER NOT NULL,
    PRIMARY KEY (topic, region, day)
) STRICT, WITHOUT ROWID;

-- The next position to read of each partition, written with the rows before it.
CREATE TABLE progress (
    stream TEXT NOT NULL,
    partition INTEGER NOT NULL,
    next INTEGER NOT NULL,
    PRIMARY KEY (stream, partition)
) STRICT, WITHOUT ROWID;

-- `settings`: the latest settings record, as JSON. In value and version alike: `newest_us`, the newest event time counted,
-- and `closed_until`, the latest end of a window judged other than early.
CREATE TABLE meta (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- level: 0 country, 1 first level, 2 operator's own, -1 world and overlays. Levels overlap: never add posts over them.
-- A denominator that landed later than its cell counts; rate is posts per million posts, NULL without a denominator.
CREATE VIEW v_counts AS
SELECT topic, region, level, pane_start, pane_seconds, posts, authors, authors_24h, authors_self, total_posts,
       CASE WHEN total_posts > 0 THEN posts * 1000000.0 / total_posts END AS rate,
       final, version
FROM (
    SELECT c.topic, c.region, c.level, c.pane_start, c.pane_seconds, c.posts, c.authors, c.authors_24h, c.authors_self,
           CASE WHEN d.version > c.version THEN d.posts ELSE c.total_posts END AS total_posts,
           c.final, c.version
    FROM counts AS c
    LEFT JOIN denominators AS d ON d.region = c.region AND d.pane_start = c.pane_start AND d.pane_seconds = c.pane_seconds
    WHERE c.posts > 0
);

-- UTC days, of panes not longer than a day. Distinct authors don't add: authors is the 24 h window that ends with the day, once it has.
-- total_posts is of all the day's panes, also those without a post on the topic.
CREATE VIEW v_daily AS
SELECT topic, region, level, day, panes, posts, authors, total_posts,
       CASE WHEN total_posts > 0 THEN posts * 1000000.0 / total_posts END AS rate,
       final
FROM (
    SELECT c.topic AS topic, c.region AS region, max(c.level) AS level, c.pane_start - c.pane_start % 86400 AS day, count(*) AS panes, sum(c.posts) AS posts,
           CASE WHEN c.pane_seconds = 86400 THEN max(c.authors) ELSE (
               SELECT w.authors FROM window_counts AS w
               WHERE w.topic = c.topic AND w.region = c.region AND w.window_end = c.pane_start - c.pane_start % 86400 + 86400 AND w.window_seconds = 86400
           ) END AS authors,
           coalesce((
               SELECT sum(d.posts) FROM denominators AS d
               WHERE d.region = c.region AND d.pane_seconds = c.pane_seconds
                 AND d.pane_start >= c.pane_start - c.pane_start % 86400 AND d.pane_start < c.pane_start - c.pane_start % 86400 + 86400
           ), sum(c.total_posts)) AS total_posts,
           min(c.final) AS final
    FROM counts AS c
    WHERE c.posts > 0 AND c.pane_seconds <= 86400
    GROUP BY c.topic, c.region, c.pane_start - c.pane_start % 86400, c.pane_seconds
);

-- Weeks from Monday 00:00 UTC (1970-01-05 was one), by the same rules; authors is the 7 d window that ends with the week.
CREATE VIEW v_weekly AS
SELECT topic, region, level, week, panes, posts, authors, total_posts,
       CASE WHEN total_posts > 0 THEN posts * 1000000.0 / total_posts END AS rate,
       final
FROM (
    SELECT c.topic AS topic, c.region AS region, max(c.level) AS level, c.pane_start - (c.pane_start - 345600) % 604800 AS week, count(*) AS panes, sum(c.posts) AS posts,
           CASE WHEN c.pane_seconds = 604800 THEN max(c.authors) ELSE (
               SELECT w.authors FROM window_counts AS w
               WHERE w.topic = c.topic AND w.region = c.region AND w.window_end = c.pane_start - (c.pane_start - 345600) % 604800 + 604800 AND w.window_seconds = 604800
           ) END AS authors,
           coalesce((
               SELECT sum(d.posts) FROM denominators AS d
               WHERE d.region = c.region AND d.pane_seconds = c.pane_seconds
                 AND d.pane_start >= c.pane_start - (c.pane_start - 345600) % 604800 AND d.pane_start < c.pane_start - (c.pane_start - 345600) % 604800 + 604800
           ), sum(c.total_posts)) AS total_posts,
           min(c.final) AS final
    FROM counts AS c
    WHERE c.posts > 0 AND c.pane_seconds <= 604800
    GROUP BY c.topic, c.region, c.pane_start - (c.pane_start - 345600) % 604800, c.pane_seconds
);

-- The latest revision of each alert, with what people did last.
CREATE VIEW v_alerts AS
SELECT a.id, a.revision, a.topic, a.topic_name, a.region, a.regions, a.opened_at, a.fired_at_us / 1000000 AS fired_at, a.fired_at_us,
       a.window_end, a.window_seconds, a.stage, a.state, a.severity, a.observed, a.posts, a.population, a.expected, a.upperbound,
       a.recurrence, a.method, a.coverage, e.state AS handled, e.actor AS handled_by, e.at_us AS handled_at_us, e.note AS note,
       a.explanation, a.version
FROM alerts AS a
LEFT JOIN alert_events AS e ON e.alert = a.id AND e.position = (SELECT max(position) FROM alert_events WHERE alert = a.id)
WHERE NOT EXISTS (SELECT 1 FROM alerts AS b WHERE b.id = a.id AND (b.version, b.revision) > (a.version, a.revision));
