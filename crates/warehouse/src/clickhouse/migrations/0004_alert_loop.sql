-- How an alert stands after an event.
ALTER TABLE alert_events
    ADD COLUMN IF NOT EXISTS revision UInt32 COMMENT 'of the alert, that it was made against',
    ADD COLUMN IF NOT EXISTS outcome Nullable(String) COMMENT 'only once it is decided',
    ADD COLUMN IF NOT EXISTS assignee String COMMENT 'who has it after this; empty: nobody',
    ADD COLUMN IF NOT EXISTS snooze_until_us Nullable(Int64) COMMENT 'in microseconds',
    ADD COLUMN IF NOT EXISTS snooze_ratio Nullable(Float64) COMMENT 'observed to expected when it was snoozed',
    ADD COLUMN IF NOT EXISTS emerged_us Nullable(Int64) COMMENT 'when the health event began, as people entered it',
    ADD COLUMN IF NOT EXISTS notified_us Nullable(Int64) COMMENT 'when the authority in charge was told',
    ADD COLUMN IF NOT EXISTS responded_us Nullable(Int64) COMMENT 'when the first response was complete';

CREATE OR REPLACE VIEW v_alerts AS
SELECT a.id AS id, a.revision AS revision, a.topic AS topic, a.topic_name AS topic_name, a.region AS region, a.regions AS regions,
       a.opened_at AS opened_at, toDateTime(intDiv(a.fired_at_us, 1000000), 'UTC') AS fired_at, a.fired_at_us AS fired_at_us,
       a.window_end AS window_end, a.window_seconds AS window_seconds, a.stage AS stage, a.state AS state, a.severity AS severity,
       a.observed AS observed, a.posts AS posts, a.population AS population, a.expected AS expected, a.upperbound AS upperbound,
       a.recurrence AS recurrence, a.method AS method, a.coverage AS coverage, e.state AS handled, e.actor AS handled_by,
       e.at_us AS handled_at_us, e.note AS note, e.outcome AS outcome, e.assignee AS assignee, a.explanation AS explanation,
       a.version AS version
FROM (SELECT * FROM alerts FINAL ORDER BY version DESC, revision DESC LIMIT 1 BY id) AS a
LEFT JOIN (
    SELECT alert, toNullable(argMax(x.state, position)) AS state, toNullable(argMax(x.actor, position)) AS actor,
           toNullable(argMax(x.at_us, position)) AS at_us, toNullable(argMax(x.note, position)) AS note,
           argMax(tuple(x.outcome), position).1 AS outcome, toNullable(argMax(x.assignee, position)) AS assignee
    FROM alert_events AS x FINAL
    GROUP BY alert
) AS e ON e.alert = a.id
COMMENT 'The latest revision of each alert, with what people did last. An alert has one region; regions lists all that were in alarm, over levels that overlap: never add them.';
