-- Which alerts are the latest, without reading their rows, which are long.
CREATE INDEX alerts_by_time ON alerts (fired_at_us DESC, id, version, revision, topic, region, state);
CREATE INDEX alerts_by_version ON alerts (id, version, revision);
