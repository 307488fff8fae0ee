-- Every row is absolute; of two with one key the higher version holds, where there is one, else the one that came last.
-- Which of them a plain SELECT shows depends on merges that nobody sees: read tables with FINAL, or the views, which do.
--
-- Instants are UTC. What the server decides by a default that has changed, or may, is said here:
-- rows that repeat are what versions are for, so inserts aren't deduplicated by block; old months fall away in whole parts;
-- months that no longer change are merged into one part, so that FINAL has nothing left to do in them.

CREATE TABLE IF NOT EXISTS counts (
    topic LowCardinality(String),
    region LowCardinality(String),
    level Int8 COMMENT '0 country, 1 first level, 2 own, -1 world and overlays; levels overlap, never add over them',
    pane_start DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    pane_seconds UInt32 CODEC(T64, ZSTD(1)),
    posts UInt32 CODEC(T64, ZSTD(1)) COMMENT 'of whole feeds; a post counts for its region, its ancestors and its overlays',
    authors UInt32 CODEC(T64, ZSTD(1)) COMMENT 'distinct within the pane; never add over panes',
    authors_24h Nullable(UInt32) CODEC(ZSTD(1)) COMMENT 'distinct in the 24 h before the end of the pane; NULL where it is longer',
    authors_self UInt32 CODEC(T64, ZSTD(1)) COMMENT 'distinct, of posts that speak of their author''s own state',
    posts_news UInt32 CODEC(T64, ZSTD(1)),
    posts_filtered UInt32 CODEC(T64, ZSTD(1)) COMMENT 'of filtered feeds, which are in no other column',
    authors_filtered UInt32 CODEC(T64, ZSTD(1)),
    total_posts UInt64 CODEC(T64, ZSTD(1)) COMMENT 'all posts of whole feeds in this region and pane',
    final UInt8 COMMENT '1: can not change any more',
    newest_us Int64 CODEC(Delta, ZSTD(1)) COMMENT 'the newest event time counted, in microseconds',
    version UInt64 CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(pane_start)
ORDER BY (topic, region, pane_start, pane_seconds)
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 0,
         min_age_to_force_merge_seconds = 172800, min_age_to_force_merge_on_partition_only = 1
COMMENT 'A row a cell: topic, region and pane. Read with FINAL, or v_counts. Levels overlap: never add over them.';

-- `earliest` turns time around, so that the first landing of a revision holds: landing it again doesn't change what was known when.
CREATE TABLE IF NOT EXISTS counts_history (
    topic LowCardinality(String),
    region LowCardinality(String),
    level Int8,
    pane_start DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    pane_seconds UInt32 CODEC(T64, ZSTD(1)),
    version UInt64 CODEC(Delta, ZSTD(1)),
    posts UInt32 CODEC(T64, ZSTD(1)),
    authors UInt32 CODEC(T64, ZSTD(1)),
    authors_24h Nullable(UInt32) CODEC(ZSTD(1)),
    authors_self UInt32 CODEC(T64, ZSTD(1)),
    posts_news UInt32 CODEC(T64, ZSTD(1)),
    posts_filtered UInt32 CODEC(T64, ZSTD(1)),
    authors_filtered UInt32 CODEC(T64, ZSTD(1)),
    total_posts UInt64 CODEC(T64, ZSTD(1)),
    final UInt8,
    newest_us Int64 CODEC(Delta, ZSTD(1)),
    landed_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1)) COMMENT 'when this revision landed first',
    earliest UInt64 MATERIALIZED 18446744073709551615 - toUInt64(toUnixTimestamp64Milli(landed_at)) CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(earliest)
PARTITION BY toYYYYMM(pane_start)
ORDER BY (topic, region, pane_start, pane_seconds, version)
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 0,
         min_age_to_force_merge_seconds = 172800, min_age_to_force_merge_on_partition_only = 1
COMMENT 'A cell as it was when its pane closed, and each later revision. v_counts_as_of(known = ...) shows what was known at an instant.';

CREATE TABLE IF NOT EXISTS tag_counts (
    tag LowCardinality(String),
    region LowCardinality(String),
    pane_start DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    posts UInt32 CODEC(T64, ZSTD(1)),
    final UInt8,
    version UInt64 CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(pane_start)
ORDER BY (tag, region, pane_start)
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 0,
         min_age_to_force_merge_seconds = 172800, min_age_to_force_merge_on_partition_only = 1
COMMENT 'Posts per key of the lexicon, by the region of the post itself, in panes of one hour, once a post: regions do add up here. Read with FINAL.';

CREATE TABLE IF NOT EXISTS denominators (
    region LowCardinality(String),
    pane_start DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    pane_seconds UInt32 CODEC(T64, ZSTD(1)),
    posts UInt64 CODEC(T64, ZSTD(1)),
    final UInt8,
    version UInt64 CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(pane_start)
ORDER BY (region, pane_start, pane_seconds)
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 0,
         min_age_to_force_merge_seconds = 172800, min_age_to_force_merge_on_partition_only = 1
COMMENT 'All posts of whole feeds, by region and pane. Read with FINAL. Levels overlap: never add over regions.';

CREATE TABLE IF NOT EXISTS coverage (
    feed LowCardinality(String),
    pane_start DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    pane_seconds UInt32 CODEC(T64, ZSTD(1)),
    share Float64 COMMENT '0 to 1',
    version UInt64 CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(pane_start)
ORDER BY (feed, pane_start, pane_seconds)
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 0,
         min_age_to_force_merge_seconds = 172800, min_age_to_force_merge_on_partition_only = 1
COMMENT 'The share of a pane''s arrivals that each whole feed has covered. Read with FINAL.';

CREATE TABLE IF NOT EXISTS window_counts (
    topic LowCardinality(String),
    region LowCardinality(String),
    window_end DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    window_seconds UInt32 CODEC(T64, ZSTD(1)),
    authors UInt32 CODEC(T64, ZSTD(1)),
    authors_self UInt32 CODEC(T64, ZSTD(1)),
    final UInt8,
    version UInt64 CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(window_end)
ORDER BY (topic, region, window_end, window_seconds)
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 0,
         min_age_to_force_merge_seconds = 172800, min_age_to_force_merge_on_partition_only = 1
COMMENT 'Distinct authors of the trailing window that ends at window_end. Windows overlap: never add them. Read with FINAL.';

CREATE TABLE IF NOT EXISTS verdicts (
    topic LowCardinality(String),
    region LowCardinality(String),
    window_end DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    window_seconds UInt32 CODEC(T64, ZSTD(1)),
    method LowCardinality(String),
    stage LowCardinality(String) COMMENT 'early, closed or final, each kept',
    observed UInt32 CODEC(T64, ZSTD(1)),
    expected Nullable(Float64),
    upperbound Nullable(Float64),
    pvalue Nullable(Float64),
    alarm Nullable(UInt8) COMMENT '1, 0, or NULL for no answer, with its reason',
    reason LowCardinality(String),
    population UInt64 CODEC(T64, ZSTD(1)),
    coverage Float64,
    revision UInt32,
    version UInt64 CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(window_end)
ORDER BY (topic, region, window_end, window_seconds, method, stage)
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 0,
         min_age_to_force_merge_seconds = 172800, min_age_to_force_merge_on_partition_only = 1
COMMENT 'What each window was judged to be. Read with FINAL.';

-- Few rows, kept for ever: no partitions, no TTL.
CREATE TABLE IF NOT EXISTS alerts (
    id String,
    revision UInt32,
    topic LowCardinality(String),
    topic_name String,
    region LowCardinality(String),
    regions String COMMENT 'JSON: all regions in alarm during the episode',
    opened_at DateTime('UTC') COMMENT 'start of the window that raised it first',
    fired_at_us Int64 COMMENT 'in microseconds',
    window_end DateTime('UTC'),
    window_seconds UInt32,
    stage LowCardinality(String),
    state LowCardinality(String) COMMENT 'open, withdrawn or closed',
    severity UInt8 COMMENT '1 notable, 2 high, 3 very high',
    observed UInt32,
    posts UInt32,
    population UInt64,
    expected Float64,
    upperbound Float64,
    recurrence Nullable(Float64) COMMENT 'mean time between false episodes this rare, in days',
    method LowCardinality(String),
    coverage Float64,
    explanation String COMMENT 'JSON: what the sample of the posts shows',
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (id, revision)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 0
COMMENT 'Every revision of every alert. Read with FINAL; v_alerts has the latest of each.';

CREATE TABLE IF NOT EXISTS alert_events (
    alert String,
    position UInt32 COMMENT 'the number of events before it',
    at_us Int64 COMMENT 'in microseconds',
    actor String,
    state LowCardinality(String),
    note String
)
ENGINE = ReplacingMergeTree
ORDER BY (alert, position)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 0
COMMENT 'What people did about alerts, in order. Read with FINAL.';

CREATE TABLE IF NOT EXISTS public_counts (
    topic LowCardinality(String),
    region LowCardinality(String),
    level Int8,
    day Date,
    accounts Nullable(UInt32) COMMENT 'rounded to 5; NULL where it is withheld',
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(day)
ORDER BY (topic, region, day)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 0
COMMENT 'What the public may see, of final UTC days. Read with FINAL, or as public_counts of the public database.';

CREATE TABLE IF NOT EXISTS reference (
    series LowCardinality(String),
    region LowCardinality(String),
    date Date COMMENT 'first day of the period',
    value Float64,
    unit LowCardinality(String),
    source LowCardinality(String)
)
ENGINE = ReplacingMergeTree
ORDER BY (series, region, date)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 0
COMMENT 'Official case numbers and the like, to compare with. Of two values of one day the one loaded last holds: read with FINAL.';

CREATE TABLE IF NOT EXISTS regions (
    region LowCardinality(String),
    name String,
    parent LowCardinality(String),
    level Int8,
    population UInt64,
    latitude Float64,
    longitude Float64
)
ENGINE = ReplacingMergeTree
ORDER BY region
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 0
COMMENT 'Regions by code; the source of the dictionary region_names.';

CREATE TABLE IF NOT EXISTS progress (
    stream LowCardinality(String),
    partition UInt32,
    next UInt64
)
ENGINE = ReplacingMergeTree
ORDER BY (stream, partition)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 0
COMMENT 'The next position to read of each partition, written after the rows before it. Read with FINAL.';

CREATE TABLE IF NOT EXISTS meta (
    key LowCardinality(String),
    value String,
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY key
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 0
COMMENT 'settings: the latest settings, as JSON. newest_us: the newest event time counted. closed_until: the latest window end judged for good. Read with FINAL.';
