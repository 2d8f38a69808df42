//! An agent of a backend in HAProxy's protocol.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// An agent that says the same until it is told to say something else, counts how often it is
/// asked, and keeps what it was sent.
pub struct Agent {
    port: u16,
    line: Arc<Mutex<String>>,
    sent: Arc<Mutex<Vec<u8>>>,
    asked: Arc<AtomicU64>,
}

impl Agent {
    pub fn saying(line: &str) -> Agent {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let agent = Agent::at(listener.local_addr().unwrap().port(), line);
        let (line, sent) = (Arc::clone(&agent.line), Arc::clone(&agent.sent));
        let asked = Arc::clone(&agent.asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                asked.fetch_add(1, Ordering::SeqCst);
                let line = line.lock().unwrap().clone();
                let mut room = [0; 64];
                let _ = stream.set_read_timeout(Some(Duration::from_millis(20)));
                if let Ok(count) = stream.read(&mut room) {
                    *sent.lock().unwrap() = room[..count].to_vec();
                }
                let _ = stream.write_all(line.as_bytes());
            }
        });
        agent
    }

    /// One that nobody reaches.
    pub fn gone() -> Agent {
        Agent::at(1, "")
    }

    fn at(port: u16, line: &str) -> Agent {
        Agent {
            port,
            line: Arc::new(Mutex::new(line.to_owned())),
            sent: Arc::default(),
            asked: Arc::default(),
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn says(&self, line: &str) {
        line.clone_into(&mut self.line.lock().unwrap());
    }

    /// What it was sent last.
    pub fn sent(&self) -> Vec<u8> {
        self.sent.lock().unwrap().clone()
    }

    /// How often it was asked.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}
