//! A klamm broker as a process of its own: started, stopped, killed and started again on the same port and data.
//!
//! What it writes to stderr is kept: tests look for words in it, it is shown when a test fails, and a panic in it fails every test.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a broker may take for anything, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a broker is to be started.
#[derive(Clone, Default)]
pub struct Launch {
    settings: Vec<String>,
    data: Vec<PathBuf>,
    descriptors: Option<u32>,
    in_memory: bool,
    crash_at: Option<String>,
}

impl Launch {
    /// With these values (`key=value`), and data in a directory that is removed in the end.
    pub fn with(settings: &[&str]) -> Self {
        Self { settings: settings.iter().map(|s| (*s).to_owned()).collect(), ..Self::default() }
    }

    /// With data in this directory; may be said more than once.
    pub fn data(mut self, dir: impl AsRef<Path>) -> Self {
        self.data.push(dir.as_ref().to_owned());
        self
    }

    /// With data that does not touch a disk, for tests that are about something else: others may keep the disk busy.
    pub fn in_memory(mut self) -> Self {
        self.in_memory = true;
        self
    }

    /// With a death of kill −9 at a crash point (`base/crash_point.rs`), which debug builds have; later starts live on.
    pub fn crashing_at(mut self, point: &str) -> Self {
        self.crash_at = Some(point.to_owned());
        self
    }

    /// With no more than this many open files and sockets.
    pub fn descriptors(mut self, limit: u32) -> Self {
        self.descriptors = Some(limit);
        self
    }

    /// Starts it on a free port; it serves when this returns.
    pub fn start(self) -> BrokerProcess {
        let memory = Path::new("/dev/shm");
        let own = self.data.is_empty().then(|| match self.in_memory && memory.is_dir() {
            true => tempfile::tempdir_in(memory).expect("a temporary directory in memory"),
            false => tempfile::tempdir().expect("a temporary directory"),
        });
        let data = own.as_ref().map_or_else(|| self.data.clone(), |dir| vec![dir.path().to_owned()]);
        let launch = Launch { data, ..self };
        let mut broker = BrokerProcess { address: ([127, 0, 0, 1], 0).into(), launch, running: None, _own: own };
        broker.start_again();
        broker
    }

    /// Starts it, and expects that it ends by itself without having served.
    pub fn refused(self) -> Refusal {
        let mut running = self.spawn(([127, 0, 0, 1], 0).into());
        let line = running.read_line();
        let Running { mut child, stderr, .. } = running;
        if !line.is_empty() {
            let _ = child.kill();
            panic!("the broker started: {line}{}", stderr.finish());
        }
        let status = child.wait().expect("it can be waited for");
        Refusal { status, stderr: stderr.finish() }
    }

    fn spawn(&self, address: SocketAddr) -> Running {
        let binary = env!("CARGO_BIN_EXE_klamm");
        let mut command = match self.descriptors {
            None => Command::new(binary),
            Some(limit) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("ulimit -n {limit} && exec \"$0\" \"$@\""), binary]);
                shell
            }
        };
        let data: Vec<String> = self.data.iter().map(|dir| dir.display().to_string()).collect();
        command.args(["serve", "--listen", &address.to_string(), "--data", &data.join(",")]);
        for setting in &self.settings {
            command.args(["--set", setting]);
        }
        // Variables that begin so are configuration to a broker; a test has only its own.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"KLAMM_")) {
            command.env_remove(name);
        }
        if let Some(point) = &self.crash_at {
            command.env("CRASH_AT", point);
        }
        command.env("RUST_BACKTRACE", "1").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let stderr = Stderr::follow(child.stderr.take().expect("it is piped"));
        Running { child, stdout: Some(stdout), stderr }
    }
}

/// What a broker said that did not start.
#[derive(Debug)]
pub struct Refusal {
    pub status: ExitStatus,
    pub stderr: String,
}

impl Refusal {
    /// Asserts that it ended as a program does that found something wrong, and said all of `words`.
    pub fn says(&self, words: &[&str]) {
        assert_eq!(self.status.code(), Some(1), "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in what the broker said:\n{}", self.stderr);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }
}

/// A broker that was started by a test.
pub struct BrokerProcess {
    address: SocketAddr,
    launch: Launch,
    running: Option<Running>,
    _own: Option<TempDir>,
}

struct Running {
    child: Child,
    stdout: Option<BufReader<std::process::ChildStdout>>,
    stderr: Stderr,
}

impl Running {
    fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().expect("it is read by nobody else").read_line(&mut line).expect("its output can be read");
        line
    }
}

impl BrokerProcess {
    /// Starts a broker on a free port, with data in a directory that is removed in the end.
    pub fn start(settings: &[&str]) -> Self {
        Launch::with(settings).start()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn bootstrap(&self) -> String {
        self.address.to_string()
    }

    /// Its first data directory.
    pub fn data(&self) -> &Path {
        &self.launch.data[0]
    }

    pub fn log_of(&self, topic: &str, partition: i32) -> PathBuf {
        self.data().join(format!("{topic}-{partition}"))
    }

    pub fn pid(&self) -> u32 {
        self.running.as_ref().expect("the broker runs").child.id()
    }

    /// Whether the process is still there.
    pub fn is_running(&mut self) -> bool {
        self.running.as_mut().is_some_and(|running| running.child.try_wait().expect("it can be asked").is_none())
    }

    /// Memory that the process itself holds, in bytes: without the files it has mapped.
    pub fn memory(&self) -> u64 {
        self.status("RssAnon:")
    }

    /// The most memory that the process has held since the start or [`reset_peak_memory`](Self::reset_peak_memory), in bytes, with the
    /// files it has mapped.
    pub fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// Measures the peak from here on; what the process holds now.
    pub fn reset_peak_memory(&self) -> u64 {
        std::fs::write(format!("/proc/{}/clear_refs", self.pid()), "5").expect("Linux resets the peak");
        self.peak_memory()
    }

    fn status(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the broker runs");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("Linux tells");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    /// Files and sockets the process has open.
    pub fn open_descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("the broker runs").count()
    }

    /// What it wrote to stderr since it was started last.
    pub fn said(&self) -> String {
        self.running.as_ref().expect("the broker runs").stderr.text()
    }

    /// Waits until it has written `words` to stderr.
    pub fn wait_until_it_says(&self, words: &str) {
        self.running.as_ref().expect("the broker runs").stderr.wait_for(words);
    }

    /// Starts the broker that was stopped or killed, on its old port.
    pub fn start_again(&mut self) {
        self.start_with(&[]);
    }

    /// As [`start_again`](Self::start_again), with other values on top of those it had.
    pub fn start_with(&mut self, settings: &[&str]) {
        assert!(self.running.is_none(), "the broker runs");
        self.launch.settings.extend(settings.iter().map(|s| (*s).to_owned()));
        let mut running = self.launch.spawn(self.address);
        self.launch.crash_at = None;
        let line = running.read_line();
        let listens = line.split(" listens on ").nth(1).and_then(|rest| rest.split(' ').next());
        let Some(address) = listens.and_then(|a| a.parse().ok()) else {
            let _ = running.child.kill();
            panic!("the broker did not start: {line:?} {:?}\n{}", running.child.wait(), running.stderr.finish());
        };
        self.address = address;
        let mut stdout = running.stdout.take().expect("it was just opened");
        std::thread::spawn(move || std::io::copy(&mut stdout.by_ref(), &mut std::io::sink()));
        self.running = Some(running);
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address).is_err() {
            assert!(Instant::now() < deadline, "the broker does not accept connections");
            std::thread::yield_now();
        }
    }

    /// SIGKILL: what a crash of the process looks like.
    pub fn kill(&mut self) {
        let mut running = self.running.take().expect("the broker runs");
        running.child.kill().expect("it can be killed");
        running.child.wait().expect("it can be waited for");
        without_panic(running.stderr.finish());
    }

    /// SIGTERM, and the time it took; fails the test if the broker does not end well.
    pub fn stop(&mut self) -> Duration {
        let started = Instant::now();
        let running = self.running.as_ref().expect("the broker runs");
        let pid = rustix::process::Pid::from_child(&running.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it can be told to stop");
        let (status, stderr) = self.wait();
        assert!(status.success(), "the broker stopped with {status}\n{stderr}");
        started.elapsed()
    }

    /// Waits until it ends by itself; how, and what it said.
    pub fn wait(&mut self) -> (ExitStatus, String) {
        let mut running = self.running.take().expect("the broker runs");
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = running.child.try_wait().expect("it can be waited for") {
                break status;
            }
            if Instant::now() > deadline {
                let _ = running.child.kill();
                panic!("the broker does not end\n{}", running.stderr.finish());
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        (status, without_panic(running.stderr.finish()))
    }
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.child.kill();
            let _ = running.child.wait();
            let said = running.stderr.finish();
            if std::thread::panicking() {
                eprintln!("the broker on {} said:\n{said}", self.address);
            } else {
                without_panic(said);
            }
        }
    }
}

fn without_panic(said: String) -> String {
    assert!(!said.contains("panicked"), "the broker panicked:\n{said}");
    said
}

/// Stderr of a process, as far as it was written.
struct Stderr {
    kept: Arc<Kept>,
    reader: JoinHandle<()>,
}

#[derive(Default)]
struct Kept {
    text: Mutex<String>,
    grown: Condvar,
}

impl Stderr {
    fn follow(pipe: std::process::ChildStderr) -> Self {
        let kept = Arc::new(Kept::default());
        let into = kept.clone();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                let mut text = into.text.lock().expect("nobody panics with it");
                text.push_str(&String::from_utf8_lossy(&line));
                text.push('\n');
                into.grown.notify_all();
            }
        });
        Self { kept, reader }
    }

    fn text(&self) -> String {
        self.kept.text.lock().expect("nobody panics with it").clone()
    }

    fn wait_for(&self, words: &str) {
        let text = self.kept.text.lock().expect("nobody panics with it");
        let waited = self.kept.grown.wait_timeout_while(text, PATIENCE, |text| !text.contains(words));
        let (kept, timeout) = waited.expect("nobody panics with it");
        let text = kept.clone();
        drop(kept);
        assert!(!timeout.timed_out(), "the broker did not say {words:?}, but:\n{text}");
    }

    /// All of it, once the process has ended.
    fn finish(self) -> String {
        self.reader.join().expect("reading does not panic");
        self.kept.text.lock().expect("nobody panics with it").clone()
    }
}
