-- Views read with FINAL, so that every cell appears once, as it is now.
-- A view is made anew by a later migration, never changed here.

-- A denominator that landed later than its cell counts.
CREATE OR REPLACE VIEW v_counts AS
SELECT topic, region, level, pane_start, pane_seconds, posts, authors, authors_24h, authors_self, total_posts,
       if(total_posts > 0, posts * 1000000.0 / total_posts, NULL) AS rate,
       final, version
FROM (
    SELECT c.topic AS topic, c.region AS region, c.level AS level, c.pane_start AS pane_start, c.pane_seconds AS pane_seconds,
           c.posts AS posts, c.authors AS authors, c.authors_24h AS authors_24h, c.authors_self AS authors_self,
           if(d.version > c.version, d.posts, c.total_posts) AS total_posts,
           c.final AS final, c.version AS version
    FROM counts AS c FINAL
    LEFT JOIN (SELECT region, pane_start, pane_seconds, posts, version FROM denominators FINAL) AS d
        ON d.region = c.region AND d.pane_start = c.pane_start AND d.pane_seconds = c.pane_seconds
    WHERE c.posts > 0
)
COMMENT 'A row a cell with posts, as it is now. rate: posts per million posts, NULL without a denominator. Levels overlap (the world holds the countries, countries hold their first level, overlays hold all again): choose a level, never add over them. Authors never add, neither over panes nor over regions.';

-- Distinct authors don't add: they come from the 24 h window that ends with the day, once it has.
CREATE OR REPLACE VIEW v_daily AS
SELECT topic, region, level, day, panes, posts, authors, total_posts,
       if(total_posts > 0, posts * 1000000.0 / total_posts, NULL) AS rate,
       final
FROM (
    SELECT c.topic AS topic, c.region AS region, c.level AS level, c.day AS day, c.panes AS panes, c.posts AS posts,
           if(c.pane_seconds = 86400, toNullable(c.authors_pane), w.authors) AS authors,
           coalesce(d.posts, c.total_posts) AS total_posts,
           c.final AS final
    FROM (
        SELECT topic, region, max(x.level) AS level, toDate(x.pane_start) AS day, pane_seconds, count() AS panes,
               sum(x.posts) AS posts, max(x.authors) AS authors_pane, sum(x.total_posts) AS total_posts, min(x.final) AS final
        FROM counts AS x FINAL
        WHERE x.posts > 0 AND x.pane_seconds <= 86400
        GROUP BY topic, region, day, pane_seconds
    ) AS c
    LEFT JOIN (
        SELECT topic, region, toDate(window_end) - 1 AS day, toNullable(authors) AS authors
        FROM window_counts FINAL
        WHERE window_seconds = 86400 AND window_end = toStartOfDay(window_end)
    ) AS w ON w.topic = c.topic AND w.region = c.region AND w.day = c.day
    LEFT JOIN (
        SELECT region, toDate(pane_start) AS day, pane_seconds, toNullable(sum(y.posts)) AS posts
        FROM denominators AS y FINAL
        WHERE pane_seconds <= 86400
        GROUP BY region, day, pane_seconds
    ) AS d ON d.region = c.region AND d.day = c.day AND d.pane_seconds = c.pane_seconds
)
COMMENT 'UTC days. total_posts: of all panes of the day, also those without a post on the topic. authors: distinct of the whole day, NULL until it has closed; never added. Levels overlap: choose a level, never add over them.';

-- The same by weeks from Monday; authors come from the 7 d window that ends with the week.
CREATE OR REPLACE VIEW v_weekly AS
SELECT topic, region, level, week, panes, posts, authors, total_posts,
       if(total_posts > 0, posts * 1000000.0 / total_posts, NULL) AS rate,
       final
FROM (
    SELECT c.topic AS topic, c.region AS region, c.level AS level, c.week AS week, c.panes AS panes, c.posts AS posts,
           if(c.pane_seconds = 604800, toNullable(c.authors_pane), w.authors) AS authors,
           coalesce(d.posts, c.total_posts) AS total_posts,
           c.final AS final
    FROM (
        SELECT topic, region, max(x.level) AS level, toMonday(x.pane_start) AS week, pane_seconds, count() AS panes,
               sum(x.posts) AS posts, max(x.authors) AS authors_pane, sum(x.total_posts) AS total_posts, min(x.final) AS final
        FROM counts AS x FINAL
        WHERE x.posts > 0 AND x.pane_seconds <= 604800
        GROUP BY topic, region, week, pane_seconds
    ) AS c
    LEFT JOIN (
        SELECT topic, region, toDate(window_end) - 7 AS week, toNullable(authors) AS authors
        FROM window_counts FINAL
        WHERE window_seconds = 604800 AND window_end = toDateTime(toMonday(window_end), 'UTC')
    ) AS w ON w.topic = c.topic AND w.region = c.region AND w.week = c.week
    LEFT JOIN (
        SELECT region, toMonday(pane_start) AS week, pane_seconds, toNullable(sum(y.posts)) AS posts
        FROM denominators AS y FINAL
        WHERE pane_seconds <= 604800
        GROUP BY region, week, pane_seconds
    ) AS d ON d.region = c.region AND d.week = c.week AND d.pane_seconds = c.pane_seconds
)
COMMENT 'Weeks from Monday 00:00 UTC. authors: distinct of the whole week, NULL until it has closed; never added. Levels overlap: choose a level, never add over them.';

CREATE OR REPLACE VIEW v_alerts AS
SELECT a.id AS id, a.revision AS revision, a.topic AS topic, a.topic_name AS topic_name, a.region AS region, a.regions AS regions,
       a.opened_at AS opened_at, toDateTime(intDiv(a.fired_at_us, 1000000), 'UTC') AS fired_at, a.fired_at_us AS fired_at_us,
       a.window_end AS window_end, a.window_seconds AS window_seconds, a.stage AS stage, a.state AS state, a.severity AS severity,
       a.observed AS observed, a.posts AS posts, a.population AS population, a.expected AS expected, a.upperbound AS upperbound,
       a.recurrence AS recurrence, a.method AS method, a.coverage AS coverage, e.state AS handled, e.actor AS handled_by,
       e.at_us AS handled_at_us, e.note AS note, a.explanation AS explanation, a.version AS version
FROM (SELECT * FROM alerts FINAL ORDER BY version DESC, revision DESC LIMIT 1 BY id) AS a
LEFT JOIN (
    SELECT alert, toNullable(argMax(x.state, position)) AS state, toNullable(argMax(x.actor, position)) AS actor,
           toNullable(argMax(x.at_us, position)) AS at_us, toNullable(argMax(x.note, position)) AS note
    FROM alert_events AS x FINAL
    GROUP BY alert
) AS e ON e.alert = a.id
COMMENT 'The latest revision of each alert, with what people did last. An alert has one region; regions lists all that were in alarm, over levels that overlap: never add them.';

-- What a page would have shown at an instant: of each cell the latest revision that had landed by then.
CREATE OR REPLACE VIEW v_counts_as_of AS
SELECT topic, region, level, pane_start, pane_seconds, posts, authors, authors_24h, authors_self, total_posts,
       if(total_posts > 0, posts * 1000000.0 / total_posts, NULL) AS rate,
       final, version, landed_at
FROM (
    SELECT * FROM counts_history FINAL
    WHERE landed_at <= {known:DateTime64(3, 'UTC')}
    ORDER BY version DESC
    LIMIT 1 BY topic, region, pane_start, pane_seconds
)
WHERE posts > 0
COMMENT 'v_counts as it was known at an instant, closed panes only: SELECT ... FROM v_counts_as_of(known = ''2026-01-06 08:00:00''). Levels overlap: choose a level, never add over them.';

CREATE DATABASE IF NOT EXISTS {public};

-- Readers of it need no right on the tables behind it.
CREATE OR REPLACE VIEW {public}.public_counts DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT topic, region, level, day, accounts FROM {database}.public_counts FINAL
COMMENT 'Accounts a day, rounded to 5, NULL where withheld. Countries hold their first level: never add over levels.';
