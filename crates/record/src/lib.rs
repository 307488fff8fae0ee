//! The word: every record of every stream, in memory and on the wire.
