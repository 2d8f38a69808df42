//! RFC 6455 as far as the tests need it: the handshake, masked frames, an echo server.

use sha1_of::sha1;

use super::upstream::Connection;
use super::wire::Wire;

const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Opcode of a text frame.
pub const TEXT: u8 = 1;
/// Opcode of a binary frame.
pub const BINARY: u8 = 2;
/// Opcode of a close frame.
pub const CLOSE: u8 = 8;

/// `Sec-WebSocket-Accept` for a key.
pub fn accept_for(key: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(sha1(format!("{key}{GUID}").as_bytes()))
}

/// The client's request to upgrade.
pub fn handshake(target: &str, key: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// Reads the client's handshake and accepts it.
pub fn accept(connection: &mut Connection) {
    let request = connection.request();
    assert_eq!(request.field("upgrade"), Some("websocket"));
    assert!(request.connection("upgrade"), "{request:?}");
    let key = request.field("sec-websocket-key").unwrap().to_owned();
    connection.send(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        accept_for(&key)
    ));
}

/// A backend that accepts and sends every frame back, until a close frame.
pub fn echo(mut connection: Connection) {
    accept(&mut connection);
    loop {
        let (opcode, payload) = read_frame(&mut connection);
        write_frame(&mut connection, opcode, &payload, None);
        if opcode == CLOSE {
            return;
        }
    }
}

/// Sends a final frame; a client gives a mask.
pub fn write_frame(wire: &mut Wire, opcode: u8, payload: &[u8], mask: Option<[u8; 4]>) {
    let mut frame = vec![0x80 | opcode];
    let flag = if mask.is_some() { 0x80 } else { 0 };
    match payload.len() {
        length @ 0..126 => frame.push(flag | length as u8),
        length @ 126..65536 => {
            frame.push(flag | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(flag | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let key = mask.unwrap_or_default();
    if mask.is_some() {
        frame.extend_from_slice(&key);
    }
    frame.extend(
        payload
            .iter()
            .zip(key.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    wire.send(frame);
}

/// Reads one frame: opcode and payload.
#[track_caller]
pub fn read_frame(wire: &mut Wire) -> (u8, Vec<u8>) {
    let head = wire.read_exactly(2);
    assert_eq!(head[0] & 0xf0, 0x80, "a final frame without extensions");
    let length = match head[1] & 0x7f {
        126 => u64::from(u16::from_be_bytes(wire.read_exactly(2).try_into().unwrap())),
        127 => u64::from_be_bytes(wire.read_exactly(8).try_into().unwrap()),
        short => u64::from(short),
    };
    let key = if head[1] & 0x80 != 0 {
        wire.read_exactly(4)
    } else {
        vec![0; 4]
    };
    let payload = wire.read_exactly(usize::try_from(length).unwrap());
    let plain = payload
        .iter()
        .zip(key.iter().cycle())
        .map(|(byte, key)| byte ^ key)
        .collect();
    (head[0] & 0x0f, plain)
}

mod sha1_of {
    //! SHA-1 (FIPS 180-4), which the handshake wants and nothing else here does.

    pub fn sha1(message: &[u8]) -> [u8; 20] {
        let mut state = [
            0x6745_2301_u32,
            0xefcd_ab89,
            0x98ba_dcfe,
            0x1032_5476,
            0xc3d2_e1f0,
        ];
        let mut padded = message.to_vec();
        padded.push(0x80);
        while padded.len() % 64 != 56 {
            padded.push(0);
        }
        padded.extend_from_slice(&(message.len() as u64 * 8).to_be_bytes());
        for block in padded.chunks_exact(64) {
            compress(&mut state, block);
        }
        let mut out = [0; 20];
        for (bytes, word) in out.chunks_exact_mut(4).zip(state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        out
    }

    fn compress(state: &mut [u32; 5], block: &[u8]) {
        let mut words = [0_u32; 80];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = u32::from_be_bytes(bytes.try_into().unwrap());
        }
        for at in 16..80 {
            let mixed = words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16];
            words[at] = mixed.rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = *state;
        for (round, word) in words.iter().enumerate() {
            let (mixed, constant) = match round / 20 {
                0 => ((b & c) | (!b & d), 0x5a82_7999),
                1 => (b ^ c ^ d, 0x6ed9_eba1),
                2 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let next = a.rotate_left(5).wrapping_add(mixed).wrapping_add(e);
            let next = next.wrapping_add(constant).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (word, add) in state.iter_mut().zip([a, b, c, d, e]) {
            *word = word.wrapping_add(add);
        }
    }
}
