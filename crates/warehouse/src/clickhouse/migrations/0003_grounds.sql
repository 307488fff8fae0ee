-- What a verdict is worth, and what an alert rests on.
ALTER TABLE verdicts
    ADD COLUMN IF NOT EXISTS expected_low Nullable(Float64) COMMENT 'expected lies between these with 95 %',
    ADD COLUMN IF NOT EXISTS expected_high Nullable(Float64),
    ADD COLUMN IF NOT EXISTS detectable_rise Nullable(Float64) COMMENT 'the smallest rise, as a multiple of expected, caught with 80 %; above 10 the cell has too few posts to tell',
    ADD COLUMN IF NOT EXISTS qvalue Nullable(Float64) COMMENT 'Benjamini-Hochberg among the windows of one length and end; no rule uses it',
    ADD COLUMN IF NOT EXISTS provisional UInt8 DEFAULT 0 COMMENT '1 in the first fortnight of an installation';

ALTER TABLE alerts ADD COLUMN IF NOT EXISTS grounds String DEFAULT '{}' COMMENT 'JSON: what the alert rests on, enough to compute it again';
