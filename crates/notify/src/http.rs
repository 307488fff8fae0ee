//! HTTP client: one request over one connection, for webhooks, Alertmanager and the program's API.
//!
//! [`post`] sends to addresses that somebody else may control: `https` only; the name is resolved
//! once, the addresses are checked, and the connection goes to a checked one; redirects are not
//! followed. An operator's own networks may be named: they are reached, also by plain `http`.
//! Time and memory of an exchange are bounded. Keeps no connections.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{HeaderMap, RETRY_AFTER};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use crate::channel::{ROOTS_KEY, SendError, explain_certificate_error};

const DEADLINE: Duration = Duration::from_secs(10);
/// A receiver's body is only logged, so it isn't worth a longer wait.
const BODY_DEADLINE: Duration = Duration::from_secs(1);
const HEAD_BYTES_MAX: usize = 16 << 10;
const BODY_BYTES_LOGGED: usize = 4 << 10;

/// A certificate to trust.
pub type Certificate = CertificateDer<'static>;

/// What may be reached beside the public internet.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// Address and length of prefix.
    pub own_networks: Vec<(IpAddr, u8)>,
    /// Certificates to trust beside those of Mozilla's list.
    pub roots: Vec<Certificate>,
}

impl Reach {
    /// `10.0.0.0/8`, `::1`, `192.168.7.2/32`.
    pub fn network(text: &str) -> Option<(IpAddr, u8)> {
        let (address, bits) = text.split_once('/').unwrap_or((text, ""));
        let address: IpAddr = address.trim().parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = if bits.is_empty() {
            most
        } else {
            bits.trim().parse().ok().filter(|bits| *bits <= most)?
        };
        Some((address, bits))
    }

    /// The certificates of a PEM file; none where there is nothing else in it either.
    pub fn certificates(pem: &[u8]) -> Option<Vec<Certificate>> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        found.ok().filter(|found| !found.is_empty())
    }

    fn is_own(&self, address: IpAddr) -> bool {
        self.own_networks.iter().any(|(network, bits)| match (network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                u32::from(*network).checked_shr(32 - u32::from(*bits)).unwrap_or(0)
                    == u32::from(address).checked_shr(32 - u32::from(*bits)).unwrap_or(0)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                u128::from(*network).checked_shr(128 - u32::from(*bits)).unwrap_or(0)
                    == u128::from(address).checked_shr(128 - u32::from(*bits)).unwrap_or(0)
            }
            _ => false,
        })
    }

    /// Whether it may be connected to, and whether without encryption.
    fn allows(&self, address: IpAddr, is_https: bool) -> bool {
        self.is_own(address) || (is_https && is_public(address))
    }
}

/// Addresses of the internet: not of this host, its networks, its providers' services, or of
/// something wrapped in another family.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// The special ranges of RFC 6890 and its successors.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(matches!(a, 0 | 10 | 127 | 224..=255)
        || (a == 100 && (64..128).contains(&b))
        || (a == 169 && b == 254)
        || (a == 172 && (16..32).contains(&b))
        || (a == 192 && b == 168)
        || (a == 192 && b == 0 && matches!(c, 0 | 2))
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && matches!(b, 18 | 19))
        || (a == 198 && b == 51 && c == 100)
        || (a == 203 && b == 0 && c == 113))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    // Global unicast is 2000::/3; out of it go Teredo and other services, documentation, 6to4.
    (0x2000..0x4000).contains(&a)
        && !(a == 0x2001 && b < 0x200)
        && !(a == 0x2001 && b == 0xdb8)
        && a != 0x2002
        && a != 0x3fff
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// The beginning of the body, for a log.
    pub(crate) said: String,
}

/// Posts JSON.
pub(crate) fn post(
    reach: &Reach,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer, SendError> {
    let url = checked_url(url)?;
    let host = url.host().ok_or_else(|| SendError::never("the address has no host"))?;
    let address = reachable_address(reach, &url, &host)?;
    let tls = match url.scheme() {
        "https" => Some((tls(reach)?, server_name(&host)?)),
        _ => None,
    };
    let port = url.port().map_or(String::new(), |port| format!(":{port}"));
    let query = url.query().map_or(String::new(), |query| format!("?{query}"));
    let request = Request {
        method: "POST",
        host: &format!("{host}{port}"),
        path: &format!("{}{query}", url.path()),
        headers,
        body,
    };
    let limits =
        Limits { deadline: DEADLINE, body_deadline: BODY_DEADLINE, body_bytes: BODY_BYTES_LOGGED };
    let response = exchange(address, tls, &request, &limits).map_err(|error| {
        SendError::later(format!(
            "`{host}`: {}",
            explain_certificate_error(&error.to_string(), ROOTS_KEY)
        ))
    })?;
    let retry_after = response.headers.get(RETRY_AFTER);
    let text = String::from_utf8_lossy(&response.body);
    Ok(Answer {
        status: response.status,
        retry_after: retry_after
            .and_then(|seconds| seconds.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs),
        said: text.chars().filter(|c| !c.is_control()).take(200).collect(),
    })
}

/// Resolves the host and returns the first address that may be connected to.
fn reachable_address(reach: &Reach, url: &Url, host: &Host<&str>) -> Result<SocketAddr, SendError> {
    let port = url.port_or_known_default().unwrap_or(443);
    let addresses: Vec<SocketAddr> = match host {
        Host::Ipv4(address) => vec![(*address, port).into()],
        Host::Ipv6(address) => vec![(*address, port).into()],
        Host::Domain(name) => (*name, port)
            .to_socket_addrs()
            .map_err(|error| SendError::later(format!("`{name}` can't be resolved: {error}")))?
            .collect(),
    };
    let is_https = url.scheme() == "https";
    let allowed = |address: &&SocketAddr| reach.allows(unmapped(address.ip()), is_https);
    if let Some(address) = addresses.iter().find(allowed) {
        return Ok(*address);
    }
    let found: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    let why = format!("`{host}` is {}, which is not to be reached this way", found.join(", "));
    // A name may resolve differently later; an address doesn't change.
    Err(match host {
        Host::Domain(_) => SendError::later(why),
        Host::Ipv4(_) | Host::Ipv6(_) => SendError::never(why),
    })
}

fn server_name(host: &Host<&str>) -> Result<ServerName<'static>, SendError> {
    ServerName::try_from(host.to_string().trim_matches(['[', ']']).to_owned())
        .map_err(|error| SendError::never(format!("`{host}` is no name of a server: {error}")))
}

/// A request with a body of JSON.
pub struct Request<'a> {
    pub method: &'a str,
    /// With the port, as the header has it.
    pub host: &'a str,
    /// With the query.
    pub path: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
}

/// Bounds of an exchange.
pub struct Limits {
    /// Until the head of the response.
    pub deadline: Duration,
    /// From then on for its body.
    pub body_deadline: Duration,
    pub body_bytes: usize,
}

pub struct Response {
    pub status: u16,
    pub headers: HeaderMap,
    /// What came of it within the limits.
    pub body: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    #[error(transparent)]
    Connection(#[from] std::io::Error),
    #[error("it took too long")]
    Deadline(#[from] tokio::time::error::Elapsed),
    #[error("invalid request: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("no HTTP: {0}")]
    Http(#[from] hyper::Error),
}

/// Sends one request to an address and waits for the response.
pub fn exchange(
    address: SocketAddr,
    tls: Option<(Arc<rustls::ClientConfig>, ServerName<'static>)>,
    request: &Request<'_>,
    limits: &Limits,
) -> Result<Response, ExchangeError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let deadline = Instant::now() + limits.deadline;
        let head = async {
            let stream = TcpStream::connect(address).await?;
            match tls {
                Some((config, name)) => {
                    let stream = TlsConnector::from(config).connect(name, stream).await?;
                    send(TokioIo::new(stream), request).await
                }
                None => send(TokioIo::new(stream), request).await,
            }
        };
        let (head, mut incoming) = timeout_at(deadline, head).await??.into_parts();
        let deadline = Instant::now() + limits.body_deadline;
        let mut body = Vec::new();
        while let Ok(Some(Ok(frame))) = timeout_at(deadline, incoming.frame()).await {
            body.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
            if body.len() >= limits.body_bytes {
                body.truncate(limits.body_bytes);
                break;
            }
        }
        Ok(Response { status: head.status.as_u16(), headers: head.headers, body })
    })
}

async fn send<Stream>(
    stream: Stream,
    request: &Request<'_>,
) -> Result<hyper::Response<Incoming>, ExchangeError>
where
    Stream: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let mut head = hyper::Request::builder()
        .method(request.method)
        .uri(request.path)
        .header("host", request.host)
        .header("content-type", "application/json")
        .header("connection", "close")
        .header("user-agent", "pumphandle");
    for (name, value) in request.headers {
        head = head.header(*name, *value);
    }
    let request = head.body(Full::new(Bytes::copy_from_slice(request.body)))?;
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(stream).await?;
    // It ends with the runtime; its error is that of the request.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

/// A mistake in it is seen before anything is sent.
pub(crate) fn checked_url(url: &str) -> Result<Url, SendError> {
    let url = Url::parse(url).map_err(|error| SendError::never(format!("no address: {error}")))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(SendError::never(format!("`{}` is not `https`", url.scheme())));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(SendError::never("an address holds no password"));
    }
    Ok(url)
}

/// IPv4 in the clothes of IPv6 is judged as what it is.
fn unmapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

fn tls(reach: &Reach) -> Result<Arc<rustls::ClientConfig>, SendError> {
    let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    roots.add_parsable_certificates(reach.roots.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| SendError::later(error.to_string()))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

#[cfg(test)]
mod tests;
