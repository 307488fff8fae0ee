//! Out: alerts to people's channels.
