//! Where: coordinates and place names to regions.
