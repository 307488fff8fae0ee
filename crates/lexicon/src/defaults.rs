//! Default topics, compiled into the binary.

/// Name and text of each file under `config/topics`.
pub fn default_files() -> &'static [(&'static str, &'static str)] {
    &[
        ("campaigns.toml", include_str!("../../../config/topics/campaigns.toml")),
        ("diseases.toml", include_str!("../../../config/topics/diseases.toml")),
        ("narratives.toml", include_str!("../../../config/topics/narratives.toml")),
        ("patients.toml", include_str!("../../../config/topics/patients.toml")),
        ("sensitive.toml", include_str!("../../../config/topics/sensitive.toml")),
        ("symptoms.toml", include_str!("../../../config/topics/symptoms.toml")),
        ("voice.toml", include_str!("../../../config/topics/voice.toml")),
    ]
}

/// Topics to begin a crisis with: watched only once an operator says where and until when.
pub fn templates() -> &'static [(&'static str, &'static str)] {
    &[("templates/crisis.toml", include_str!("../../../config/topics/templates/crisis.toml"))]
}
