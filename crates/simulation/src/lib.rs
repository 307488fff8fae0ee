//! Made up: a seeded world of posts and counts.
