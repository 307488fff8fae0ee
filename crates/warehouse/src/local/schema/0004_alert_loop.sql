-- How an alert stands after an event: outcome only once it is decided; assignee empty where nobody has it; the milestones of 7-1-7.
ALTER TABLE alert_events ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alert_events ADD COLUMN outcome TEXT;
ALTER TABLE alert_events ADD COLUMN assignee TEXT NOT NULL DEFAULT '';
ALTER TABLE alert_events ADD COLUMN snooze_until_us INTEGER;
ALTER TABLE alert_events ADD COLUMN snooze_ratio REAL;
ALTER TABLE alert_events ADD COLUMN emerged_us INTEGER;
ALTER TABLE alert_events ADD COLUMN notified_us INTEGER;
ALTER TABLE alert_events ADD COLUMN responded_us INTEGER;

-- The latest revision of each alert, with what people did last.
DROP VIEW v_alerts;
CREATE VIEW v_alerts AS
SELECT a.id, a.revision, a.topic, a.topic_name, a.region, a.regions, a.opened_at, a.fired_at_us / 1000000 AS fired_at, a.fired_at_us,
       a.window_end, a.window_seconds, a.stage, a.state, a.severity, a.observed, a.posts, a.population, a.expected, a.upperbound,
       a.recurrence, a.method, a.coverage, e.state AS handled, e.actor AS handled_by, e.at_us AS handled_at_us, e.note AS note,
       e.outcome AS outcome, e.assignee AS assignee, a.explanation, a.version
FROM alerts AS a
LEFT JOIN alert_events AS e ON e.alert = a.id AND e.position = (SELECT max(position) FROM alert_events WHERE alert = a.id)
WHERE NOT EXISTS (SELECT 1 FROM alerts AS b WHERE b.id = a.id AND (b.version, b.revision) > (a.version, a.revision));
