//! Backends that never fail: each answers every request with its name, on a thread for each
//! connection. What fails is what is before them.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use crate::support::wire::find;

/// Starts one; it listens for as long as the process lives.
pub fn start(at: IpAddr, name: String) -> SocketAddr {
    let listener = TcpListener::bind((at, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}",
        name.len()
    );
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let answer = answer.clone();
            thread::spawn(move || serve(stream, answer.as_bytes()));
        }
    });
    address
}

fn serve(mut stream: TcpStream, answer: &[u8]) {
    let _ = stream.set_nodelay(true);
    let (mut bytes, mut room) = (Vec::new(), [0; 4096]);
    while let Ok(count) = stream.read(&mut room) {
        if count == 0 {
            return;
        }
        bytes.extend_from_slice(&room[..count]);
        while let Some(end) = find(&bytes, b"\r\n\r\n") {
            bytes.drain(..end + 4);
            if stream.write_all(answer).is_err() {
                return;
            }
        }
    }
}
