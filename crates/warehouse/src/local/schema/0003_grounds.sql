-- What a verdict is worth, and what an alert rests on (JSON).
ALTER TABLE verdicts ADD COLUMN expected_low REAL;
ALTER TABLE verdicts ADD COLUMN expected_high REAL;
ALTER TABLE verdicts ADD COLUMN detectable_rise REAL;
ALTER TABLE verdicts ADD COLUMN qvalue REAL;
ALTER TABLE verdicts ADD COLUMN provisional INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alerts ADD COLUMN grounds TEXT NOT NULL DEFAULT '{}';
