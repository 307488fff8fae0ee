-- The posts that a denominator was made from: fewer than it where it is an estimate from a sample of authors.
ALTER TABLE denominators ADD COLUMN total_sampled INTEGER NOT NULL DEFAULT 0;
UPDATE denominators SET total_sampled = posts;
