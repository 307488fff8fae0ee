//! The topics that are watched when nobody says otherwise, compiled in so that one file is enough to run.

/// Name and text of each file under `config/topics`.
pub fn default_files() -> &'static [(&'static str, &'static str)] {
    &[
        ("diseases.toml", include_str!("../../../config/topics/diseases.toml")),
        ("symptoms.toml", include_str!("../../../config/topics/symptoms.toml")),
        ("voice.toml", include_str!("../../../config/topics/voice.toml")),
    ]
}
