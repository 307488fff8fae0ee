//! A broker of a test's own, to be stopped, killed and started again.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::*;

pub(super) struct Broker {
    pub(super) folder: TempDir,
    port: u16,
    script: Option<Child>,
}

impl Broker {
    /// Starts one, or says that there is nothing to start one with.
    pub(super) fn start() -> Option<Broker> {
        let fetched = Command::new(script())
            .arg("--fetch")
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        part(
            fetched.then_some(()),
            "no Kafka to stop and start: tests/kafka_local.sh needs Java, Maven and the registry",
        )?;
        let mut broker =
            Broker { folder: TempDir::new().unwrap(), port: free_port(), script: None };
        broker.start_again();
        Some(broker)
    }

    pub(super) fn start_again(&mut self) {
        let port = self.port.to_string();
        let mut child = Command::new(script())
            .arg(self.folder.path())
            .arg(port)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(
            line.starts_with("ready"),
            "{}",
            std::fs::read_to_string(self.folder.path().join("kafka.log")).unwrap_or_default()
        );
        self.script = Some(child);
    }

    /// Sends a signal to the broker's own process.
    pub(super) fn signal(&self, signal: &str) {
        let pid = std::fs::read_to_string(self.folder.path().join("broker.pid")).unwrap();
        assert!(Command::new("kill").arg(signal).arg(pid.trim()).status().unwrap().success());
    }

    /// Stops it by a signal, and waits until it is gone.
    pub(super) fn stop(&mut self, signal: &str) {
        self.signal(signal);
        self.script.take().unwrap().wait().unwrap();
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where it wants user and password.
    pub(super) fn guarded_address(&self) -> String {
        format!("127.0.0.1:{}", self.port + 2)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.script.is_some() {
            self.stop("-KILL");
        }
    }
}

fn script() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/kafka_local.sh"))
}

/// The first of three free ports.
pub(super) fn free_port() -> u16 {
    let bind = |port| TcpListener::bind(("127.0.0.1", port)).ok();
    (0..100)
        .find_map(|_| {
            let first = bind(0)?;
            let port = first.local_addr().ok()?.port();
            let _others = (bind(port.checked_add(1)?)?, bind(port.checked_add(2)?)?);
            Some(port)
        })
        .expect("three free ports in a row")
}
