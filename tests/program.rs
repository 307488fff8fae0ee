//! Starting the program, waiting for it, and ending it whatever becomes of the test.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// Nothing that ends by itself may take longer, even on a machine that does other things.
pub(crate) const LONG: Duration = Duration::from_secs(300);
/// Between two looks at what is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A test's own folder, in which its programs run.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a folder for temporary files"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.file(name), content).expect("a file in our own folder");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        // What the caller's environment says of us must not decide a test.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| {
                name.starts_with("PUMPHANDLE_") || name == "RUST_LOG" || name == "RUST_BACKTRACE"
            }) {
                command.env_remove(name);
            }
        }
        command.current_dir(self.path()).args(args).stdin(Stdio::null());
        command
    }

    /// Runs to its end, which must come.
    pub(crate) fn output(&self, args: &[&str]) -> Done {
        self.output_of(args, Vec::new())
    }

    /// The same with something on standard input.
    pub(crate) fn output_of(&self, args: &[&str], input: Vec<u8>) -> Done {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut stdin = child.stdin.take().expect("piped");
        // Who reads no input closes the pipe: no failure of ours.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let mut killer = Killer(child);
        let mut streams = [
            Box::new(killer.0.stdout.take().expect("piped")) as Box<dyn Read + Send>,
            Box::new(killer.0.stderr.take().expect("piped")),
        ]
        .map(|mut stream| {
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                let _ = stream.read_to_end(&mut bytes);
                bytes
            })
        })
        .into_iter();
        let status = until(LONG, &format!("the end of `{}`", args.join(" ")), || {
            killer.0.try_wait().expect("its state")
        });
        writer.join().expect("no panic");
        let mut take = || streams.next().expect("two").join().expect("no panic");
        Done { args: args.join(" "), output: Output { status, stdout: take(), stderr: take() } }
    }

    /// Starts it and lets it run; what it says of itself goes to a file.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        let name = format!("stderr-{}", fs::read_dir(self.path()).map_or(0, Iterator::count));
        let log = self.file(&name);
        let stderr = File::create(&log).expect("a file in our own folder");
        let child = self
            .command(args)
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .expect("the program starts");
        Running { child: Killer(child), log }
    }
}

/// What a command did.
pub(crate) struct Done {
    args: String,
    output: Output,
}

impl Done {
    /// Ended with this code, and neither by a panic nor by a signal.
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Done {
        let stderr = self.stderr();
        assert_eq!(
            self.output.status.code(),
            Some(code),
            "`{}`: {}\n{stderr}",
            self.args,
            self.output.status
        );
        assert!(!stderr.contains("panicked"), "`{}`: {stderr}", self.args);
        self
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8(self.output.stdout.clone()).expect("text")
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// The number behind `name=` in the line that sums a replay up.
    #[track_caller]
    pub(crate) fn summed(&self, name: &str) -> u64 {
        let stderr = self.stderr();
        let line = stderr
            .lines()
            .find(|line| line.contains(" replayed "))
            .unwrap_or_else(|| panic!("no summary: {stderr}"));
        let number = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        number
            .and_then(|number| number.parse().ok())
            .unwrap_or_else(|| panic!("no `{name}` in {line}"))
    }
}

/// A program at work; killed when the test no longer holds it.
pub(crate) struct Running {
    child: Killer,
    log: PathBuf,
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// What it has said of itself so far.
    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[track_caller]
    pub(crate) fn says(&self, what: &str) {
        until(LONG, &format!("`{what}` in {}", self.log.display()), || {
            self.log().contains(what).then_some(())
        });
    }

    /// The address of its page, once it has one.
    #[track_caller]
    pub(crate) fn page(&self) -> String {
        until(LONG, "the address of the page", || self.address("page"))
    }

    /// Where the log says that it serves something.
    fn address(&self, what: &str) -> Option<String> {
        let log = self.log();
        let places = [format!("{what}=\"http://"), format!("\"{what}\":\"http://")];
        let (_, rest) = places.iter().find_map(|place| log.split_once(place.as_str()))?;
        rest.split_once(['"', '/']).map(|(address, _)| address.to_owned())
    }

    /// As [`Running::get`], of the listener for metrics.
    pub(crate) fn monitor(&self, path: &str) -> Option<String> {
        self.get_at(&self.address("metrics")?, path)
    }

    /// As [`Running::metric`], of the listener for metrics.
    pub(crate) fn monitored(&self, name: &str) -> Option<f64> {
        sum(&self.monitor("/metrics")?, name)
    }

    /// The body of an answer with status 200; none as long as there is no such answer.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        self.get_at(&self.page(), path)
    }

    fn get_at(&self, address: &str, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(LONG)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            .ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
    }

    /// The sum over labels of a metric; none as long as it isn't there.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        sum(&self.get("/metrics")?, name)
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.pid())])
            .status()
            .expect("a shell");
        assert!(sent.success(), "no process {} to signal: {}", self.pid(), self.log());
    }

    pub(crate) fn kill(&mut self) {
        self.child.0.kill().expect("it is ours to kill");
        self.child.0.wait().expect("it has ended");
    }

    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.0.try_wait().expect("its state")
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(&mut self) -> ExitStatus {
        until(LONG, &format!("the end of process {}: {}", self.pid(), self.log()), || self.ended())
    }

    #[track_caller]
    pub(crate) fn ends(&mut self, code: i32) {
        let status = self.end();
        assert_eq!(status.code(), Some(code), "{status}\n{}", self.log());
        assert!(!self.log().contains("panicked"), "{}", self.log());
    }
}

/// Over labels.
fn sum(metrics: &str, name: &str) -> Option<f64> {
    let lines = metrics
        .lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
    let values: Vec<f64> = lines.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

struct Killer(Child);

impl Drop for Killer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Looks again and again until there is something, or the time is up.
#[track_caller]
pub(crate) fn until<T>(most: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + most;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {} s for {what}", most.as_secs());
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The program of this build, or another one that `PUMPHANDLE_PROGRAM` names: that of an image,
/// say.
fn binary() -> PathBuf {
    std::env::var_os("PUMPHANDLE_PROGRAM")
        .map_or_else(|| env!("CARGO_BIN_EXE_pumphandle").into(), PathBuf::from)
}

/// The checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the checkout")
}

/// A test that can't be made here says so.
#[expect(clippy::print_stdout, reason = "a test that is skipped says so where tests are read")]
pub(crate) fn skip(why: &str) {
    println!("skipped: {why}");
    // Printed even where the output of passing tests is not.
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// A simulated stream, in a file of the folder.
pub(crate) fn simulate(folder: &Folder, name: &str, args: &[&str]) {
    let out = File::create(folder.file(name)).expect("a file in our own folder");
    let mut all = vec!["simulate"];
    all.extend(args);
    let status = folder.command(&all).stdout(out).status().expect("the program starts");
    assert!(status.success(), "simulate {args:?}");
}
