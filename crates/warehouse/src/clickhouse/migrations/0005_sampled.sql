-- The posts that a denominator was made from: fewer than it where it is an estimate from a sample of authors.
ALTER TABLE denominators ADD COLUMN IF NOT EXISTS total_sampled UInt64 DEFAULT posts CODEC(T64, ZSTD(1)) AFTER posts;
