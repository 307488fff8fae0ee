//! The one folding of text into keys.
