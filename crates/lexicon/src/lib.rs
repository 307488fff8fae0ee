//! What: text to tags, topics and voice.
