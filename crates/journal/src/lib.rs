//! Kept: streams in order.
