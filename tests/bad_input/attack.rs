//! The attacked broker, and the attackers' end of a connection.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bytes::BufMut;

use crate::support::process::{BrokerProcess, Launch};
use crate::support::{Client, DEADLINE};

/// What the allocator may keep of a burst, and what a busy machine is late in giving back.
const SLACK: u64 = 24 << 20;

/// A broker with a topic that ordinary clients use before, during and after an attack.
pub struct Victim {
    pub broker: BrokerProcess,
    before: u64,
    before_with_files: u64,
    written: i64,
}

impl Victim {
    pub fn start(settings: &[&str]) -> Self {
        Self::launch(Launch::with(settings))
    }

    pub fn launch(launch: Launch) -> Self {
        let broker = launch.start();
        let mut victim = Self { broker, before: 0, before_with_files: 0, written: 0 };
        Client::connect(victim.address()).make_topic("ordinary");
        for _ in 0..3 {
            victim.serves();
        }
        victim.before = victim.broker.memory();
        victim.before_with_files = victim.broker.reset_peak_memory();
        victim
    }

    pub fn address(&self) -> SocketAddr {
        self.broker.address()
    }

    pub fn attacker(&self) -> Attacker {
        Attacker::connect(self.address())
    }

    /// An ordinary client comes, writes, and reads what it wrote.
    pub fn serves(&mut self) {
        let mut client = Client::connect(self.address());
        let value = format!("value {}", self.written);
        let offset = client.produce("ordinary", &[value.as_bytes()]);
        assert_eq!(offset, self.written, "nothing else was written");
        let read = client.read_from("ordinary", 0, offset);
        assert_eq!(read, [(offset, value.into_bytes())]);
        self.written += 1;
    }

    /// Memory taken since the start, in bytes.
    pub fn growth(&self) -> u64 {
        self.broker.memory().saturating_sub(self.before)
    }

    /// Asserts that at no moment since the start the broker held more than `bytes` beyond what it held then.
    pub fn never_held_more_than(&self, bytes: u64) {
        let peak = self.broker.peak_memory().saturating_sub(self.before_with_files);
        assert!(peak <= bytes + SLACK, "the broker grew by {} MiB in between", peak >> 20);
    }

    /// As [`goes_on`](Self::goes_on), where the attack itself was allowed to write up to `end`.
    pub fn goes_on_after(mut self, end: i64) {
        self.written = end;
        self.goes_on();
    }

    /// The end of every row: the broker serves, and has given back what the attack took.
    pub fn goes_on(mut self) {
        self.serves();
        wait_until("the memory of the attack is given back", || self.growth() <= SLACK);
        assert!(self.broker.is_running());
        self.broker.stop();
    }
}

/// Waits for something to become true.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A socket to the broker that sends what it likes.
pub struct Attacker {
    stream: TcpStream,
}

impl Attacker {
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap_or_else(|e| panic!("cannot connect: {e}"))
    }

    pub fn try_connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    /// Sends bytes as they are. That the broker has hung up meanwhile is no failure of the test: it may refuse before all is sent.
    pub fn send(&mut self, bytes: &[u8]) -> &mut Self {
        match self.stream.write_all(bytes) {
            Err(e) if !is_hang_up(e.kind()) => panic!("the attack cannot be sent: {e}"),
            _ => self,
        }
    }

    pub fn send_frame(&mut self, frame: &[u8]) -> &mut Self {
        let mut bytes = Vec::with_capacity(4 + frame.len());
        bytes.put_u32(frame.len() as u32);
        bytes.put_slice(frame);
        self.send(&bytes)
    }

    /// Says that nothing more will be sent.
    pub fn finish_sending(&mut self) -> &mut Self {
        let _ = self.stream.shutdown(Shutdown::Write);
        self
    }

    /// Asserts that the broker hangs up without an answer.
    pub fn is_hung_up_on(&mut self) {
        let mut answer = [0; 64];
        match self.stream.read(&mut answer) {
            Ok(0) => {}
            Ok(n) => panic!("an answer instead of the end of the connection: {:02x?}", &answer[..n]),
            Err(e) if is_hang_up(e.kind()) => {}
            Err(e) => panic!("neither an answer nor the end of the connection: {e}"),
        }
    }

    /// The next answer, without its length.
    pub fn receive_frame(&mut self) -> Vec<u8> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).expect("an answer");
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut frame).expect("a whole answer");
        frame
    }

    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }
}

fn is_hang_up(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof | ErrorKind::ConnectionAborted)
}

/// The beginning of a request: key, version, correlation id 7 and the client id "x", as header version 1.
pub fn header(key: i16, version: i16) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.put_i16(key);
    bytes.put_i16(version);
    bytes.put_i32(7);
    bytes.put_i16(1);
    bytes.put_u8(b'x');
    bytes
}
