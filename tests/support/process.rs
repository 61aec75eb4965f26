//! A klamm broker as a process of its own: started, stopped, killed and started again on the same port and data.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a broker may take to serve after it was started, on a machine that is busy with other tests.
const START: Duration = Duration::from_secs(30);

pub struct BrokerProcess {
    address: SocketAddr,
    data: TempDir,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl BrokerProcess {
    /// Starts a broker on a free port, with data in a directory that is removed in the end.
    pub fn start(settings: &[&str]) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let arguments = settings.iter().map(|s| (*s).to_owned()).collect();
        let mut broker = Self { address: ([127, 0, 0, 1], 0).into(), data, arguments, child: None };
        broker.start_again();
        broker
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn bootstrap(&self) -> String {
        self.address.to_string()
    }

    pub fn data(&self) -> &Path {
        self.data.path()
    }

    pub fn log_of(&self, topic: &str, partition: i32) -> PathBuf {
        self.data().join(format!("{topic}-{partition}"))
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the broker runs").id()
    }

    /// Starts the broker that was stopped or killed, on its old port.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "the broker runs");
        let mut command = Command::new(env!("CARGO_BIN_EXE_klamm"));
        command.args(["serve", "--listen", &self.address.to_string(), "--data"]).arg(self.data.path());
        for setting in &self.arguments {
            command.args(["--set", setting]);
        }
        command.env("RUST_BACKTRACE", "1").stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("the binary starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        lines.read_line(&mut line).expect("the broker says where it listens");
        let listens = line.split(" listens on ").nth(1).and_then(|rest| rest.split(' ').next());
        let Some(address) = listens.and_then(|a| a.parse().ok()) else {
            let _ = child.kill();
            panic!("the broker did not start: {line:?} {:?}", child.wait());
        };
        self.address = address;
        std::thread::spawn(move || std::io::copy(&mut lines.by_ref(), &mut std::io::sink()));
        self.child = Some(child);
        let deadline = Instant::now() + START;
        while TcpStream::connect(self.address).is_err() {
            assert!(Instant::now() < deadline, "the broker does not accept connections");
            std::thread::yield_now();
        }
    }

    /// SIGKILL: what a crash of the process looks like.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("the broker runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it can be waited for");
    }

    /// SIGTERM, and the time it took; fails the test if the broker does not end well.
    pub fn stop(&mut self) -> Duration {
        let mut child = self.child.take().expect("the broker runs");
        let started = Instant::now();
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it can be told to stop");
        let status = child.wait().expect("it can be waited for");
        assert!(status.success(), "the broker stopped with {status}");
        started.elapsed()
    }
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
