//! TLS of the network feeds: the certificate authorities that servers are checked against.
//!
//! Used by Jetstream's connections and by requests for profiles.
//! Reads no file: authorities arrive as parsed certificates.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

/// The certificate of an authority.
pub type Certificate = CertificateDer<'static>;

/// Trusts Mozilla's list and `roots`.
pub(crate) fn client_config(roots: &[Certificate]) -> Result<Arc<ClientConfig>, rustls::Error> {
    let mut store = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    store.add_parsable_certificates(roots.iter().cloned());
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    Ok(Arc::new(config.with_root_certificates(store).with_no_client_auth()))
}
