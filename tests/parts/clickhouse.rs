//! A ClickHouse for tests: the one that `CLICKHOUSE_URL` names, or the engine of the Python package
//! that `tests/parts/clickhouse.sh` has put under the target folder, behind
//! `tests/clickhouse_http.py`.
//!
//! Where there is neither, a test says so and passes; in CI, or with `PUMPHANDLE_REQUIRE_PARTS=1`,
//! it fails.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

/// An engine of our own, killed when dropped.
pub(super) struct Engine {
    child: Child,
    url: String,
}

impl Engine {
    /// Over a folder, or over a temporary one; on a port, or on a free one. None where the package
    /// isn't there.
    pub(super) fn start(data: Option<&Path>, port: u16, further: &[&str]) -> Option<Engine> {
        let package = package()?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clickhouse_http.py");
        let mut command = Command::new("python3");
        command
            .env("PYTHONPATH", package)
            .arg(script)
            .args(["--port", &port.to_string(), "--exit-with-parent"])
            .args(further);
        if let Some(data) = data {
            command.arg("--data").arg(data);
        }
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("python3 runs");
        let mut ready = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut ready).expect("the engine says when it is ready");
        let url = ready
            .split(' ')
            .nth(1)
            .unwrap_or_else(|| panic!("the engine didn't start: {ready:?}"))
            .to_owned();
        Some(Engine { child, url })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn port(&self) -> u16 {
        self.url
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok())
            .expect("the address ends with a port")
    }

    /// As `kill -9`.
    pub(super) fn kill(&mut self) {
        // An engine that has ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The address of an engine that all tests of this process share; it ends with the process.
pub(super) fn url() -> Option<String> {
    static SHARED: Mutex<Option<Engine>> = Mutex::new(None);
    if let Ok(url) = env::var("CLICKHOUSE_URL") {
        return Some(url);
    }
    let mut shared = SHARED.lock().expect("starting it doesn't panic half-way");
    if shared.is_none() {
        *shared = Engine::start(None, 0, &[]);
    }
    match &*shared {
        Some(engine) => Some(engine.url().to_owned()),
        None => absent(
            "no ClickHouse: neither CLICKHOUSE_URL nor the package of tests/parts/clickhouse.sh",
        ),
    }
}

/// A part that isn't there fails where it must not be missing.
#[allow(clippy::print_stdout, reason = "a test that is skipped says so where tests are read")]
pub(super) fn absent<T>(what: &str) -> Option<T> {
    let required: bool = env::var_os("CI").is_some_and(|value| !value.is_empty())
        || env::var_os("PUMPHANDLE_REQUIRE_PARTS").is_some_and(|value| value == "1");
    assert!(!required, "{what}");
    println!("skipped: {what}");
    None
}

/// Beside what cargo built this test into.
pub(super) fn package() -> Option<PathBuf> {
    let program = env::current_exe().ok()?;
    let folders = program.ancestors().map(|folder| folder.join("parts/clickhouse"));
    folders.into_iter().find(|folder| folder.join("chdb").is_dir())
}
