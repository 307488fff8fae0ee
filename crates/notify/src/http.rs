//! One request to an address that an operator wrote down and somebody else may steer: webhooks and
//! Alertmanager.
//!
//! `https` only; the name is resolved once, what it resolves to is checked, and exactly that is
//! connected to; redirects are not
//! followed; whatever the other side does, it takes no longer than [`DEADLINE`] and no more memory
//! than [`ANSWER_BYTES_MAX`].
//! An operator's own networks may be named: they are reached, also by plain `http`.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use url::{Host, Url};

use crate::channel::{ROOTS_KEY, SendError, explain_certificate_error};

const DEADLINE: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 64;

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
    /// What of the body came with the head, for a log.
    pub(crate) said: String,
}

/// Posts JSON.
pub(crate) fn post(
    reach: &Reach,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer, SendError> {
    let deadline = Instant::now() + DEADLINE;
    let url = checked_url(url)?;
    let is_https = url.scheme() == "https";
    let port = url.port_or_known_default().unwrap_or(443);
    let host = url.host().ok_or_else(|| SendError::never("the address has no host"))?;
    let addresses: Vec<SocketAddr> = match &host {
        Host::Ipv4(address) => vec![(*address, port).into()],
        Host::Ipv6(address) => vec![(*address, port).into()],
        Host::Domain(name) => (*name, port)
            .to_socket_addrs()
            .map_err(|error| SendError::later(format!("`{name}` can't be resolved: {error}")))?
            .collect(),
    };
    let Some(address) =
        addresses.iter().find(|address| reach.allows(unmapped(address.ip()), is_https)).copied()
    else {
        let found: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
        let why = format!("`{host}` is {}, which is not to be reached this way", found.join(", "));
        // A name may come to mean something else; an address stays what it is.
        return Err(if matches!(host, Host::Domain(_)) {
            SendError::later(why)
        } else {
            SendError::never(why)
        });
    };
    let failed = |error: std::io::Error| {
        let why = explain_certificate_error(&error.to_string(), ROOTS_KEY);
        SendError::later(format!("`{host}`: {why}"))
    };
    let stream = TcpStream::connect_timeout(&address, left(deadline)?).map_err(failed)?;
    let request = request(&url, &host.to_string(), headers, body);
    let answer = if is_https {
        let config = tls(reach)?;
        let name = ServerName::try_from(host.to_string().trim_matches(['[', ']']).to_owned())
            .map_err(|error| {
                SendError::never(format!("`{host}` is no name of a server: {error}"))
            })?;
        let connection = rustls::ClientConnection::new(config, name)
            .map_err(|error| SendError::later(error.to_string()))?;
        exchange(rustls::StreamOwned::new(connection, Timed { stream, deadline }), &request)
    } else {
        exchange(Timed { stream, deadline }, &request)
    };
    parse(&answer.map_err(failed)?)
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

fn left(deadline: Instant) -> Result<Duration, SendError> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(SendError::later("it took too long")) } else { Ok(left) }
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

/// Every read and write ends at the deadline, however little each brings.
struct Timed {
    stream: TcpStream,
    deadline: Instant,
}

impl Timed {
    fn left(&self) -> std::io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(std::io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

fn request(url: &Url, host: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let port = url.port().map_or(String::new(), |port| format!(":{port}"));
    let query = url.query().map_or(String::new(), |query| format!("?{query}"));
    let mut head = format!(
        "POST {}{query} HTTP/1.1\r\nHost: {host}{port}\r\nContent-Type: \
            application/json\r\nContent-Length: {}\r\nConnection: close\r\nUser-Agent: \
            pumphandle\r\n",
        url.path(),
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

/// What it answers, up to its end, the bound, or the end of its head.
fn exchange(mut stream: impl Read + Write, request: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(request)?;
    stream.flush()?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = match stream.read(&mut buffer) {
            Ok(read) => read,
            // Some close without saying so.
            Err(error)
                if error.kind() == std::io::ErrorKind::UnexpectedEof && !answer.is_empty() =>
            {
                0
            }
            Err(error) => return Err(error),
        };
        answer.extend_from_slice(buffer.get(..read).unwrap_or_default());
        let has_head = answer.windows(4).any(|four| four == b"\r\n\r\n");
        if read == 0 || has_head || answer.len() >= ANSWER_BYTES_MAX {
            return Ok(answer);
        }
    }
}

fn parse(answer: &[u8]) -> Result<Answer, SendError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let head =
        response.parse(answer).map_err(|error| SendError::later(format!("no HTTP: {error}")))?;
    let httparse::Status::Complete(body_at) = head else {
        return Err(SendError::later("the answer has no end"));
    };
    let status = response.code.ok_or_else(|| SendError::later("the answer has no status"))?;
    let retry_after =
        response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("retry-after"));
    let retry_after = retry_after
        .and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse().ok())
        .map(Duration::from_secs);
    let said = String::from_utf8_lossy(answer.get(body_at..).unwrap_or_default())
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect();
    Ok(Answer { status, retry_after, said })
}

#[cfg(test)]
mod tests;
