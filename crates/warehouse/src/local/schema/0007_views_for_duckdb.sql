-- `sum(1)`: DuckDB rewrites `count(*)` into a function of its own, which SQLite does not have.

-- UTC days, of panes not longer than a day. Distinct authors don't add: authors is the 24 h window that ends with the day, once it has.
-- total_posts is of all the day's panes, also those without a post on the topic.
DROP VIEW v_daily;
CREATE VIEW v_daily AS
SELECT topic, region, level, day, panes, posts, authors, total_posts,
       CASE WHEN total_posts > 0 THEN posts * 1000000.0 / total_posts END AS rate,
       final
FROM (
    SELECT c.topic AS topic, c.region AS region, max(c.level) AS level, c.pane_start - c.pane_start % 86400 AS day, sum(1) AS panes, sum(c.posts) AS posts,
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
DROP VIEW v_weekly;
CREATE VIEW v_weekly AS
SELECT topic, region, level, week, panes, posts, authors, total_posts,
       CASE WHEN total_posts > 0 THEN posts * 1000000.0 / total_posts END AS rate,
       final
FROM (
    SELECT c.topic AS topic, c.region AS region, max(c.level) AS level, c.pane_start - (c.pane_start - 345600) % 604800 AS week, sum(1) AS panes, sum(c.posts) AS posts,
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
