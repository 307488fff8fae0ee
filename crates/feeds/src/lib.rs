//! In: files and networks to records.
