//! WebSocket (RFC 6455), after the handshake: messages are kept, pings answered.

use super::{Next, Scene, Talk};

/// Most bytes of a head: two, eight of length, four of mask.
const HEAD: usize = 14;

/// A server in the middle of a conversation.
#[derive(Default)]
pub(crate) struct WebSocket {
    head: Vec<u8>,
    frame: Option<Frame>,
    /// The message that is being put together.
    message: Option<usize>,
}

struct Frame {
    code: u8,
    last: bool,
    left: u64,
    mask: [u8; 4],
    turn: usize,
    /// Control frames have at most 125 bytes, and are given back.
    control: Vec<u8>,
}

impl Talk for WebSocket {
    fn name(&self) -> &'static str {
        "websocket"
    }

    fn hear(&mut self, said: &[u8], scene: &mut Scene<'_>) {
        let mut rest = said;
        loop {
            let Some(frame) = &mut self.frame else {
                let Some((byte, behind)) = rest.split_first() else {
                    return;
                };
                self.head.push(*byte);
                rest = behind;
                match frame(&self.head) {
                    Ok(None) => {}
                    Ok(Some(frame)) => {
                        self.head.clear();
                        self.begin(&frame, scene);
                        self.frame = Some(frame);
                    }
                    Err(()) => {
                        // a protocol error, as the server says it
                        scene.say(&[0x88, 2, 0x03, 0xea]);
                        scene.next = Next::Close;
                        return;
                    }
                }
                continue;
            };
            let now = usize::try_from(frame.left).unwrap_or(usize::MAX).min(rest.len());
            let plain: Vec<u8> = rest[..now]
                .iter()
                .enumerate()
                .map(|(at, byte)| byte ^ frame.mask[(frame.turn + at) % 4])
                .collect();
            frame.turn = (frame.turn + now) % 4;
            frame.left -= now as u64;
            rest = &rest[now..];
            if frame.code < 8 {
                scene.notes.body(self.message, &plain);
            } else {
                frame.control.extend(plain);
            }
            if frame.left > 0 {
                return;
            }
            if let Some(frame) = self.frame.take()
                && self.end(&frame, scene)
            {
                return;
            }
        }
    }
}

impl WebSocket {
    fn begin(&mut self, frame: &Frame, scene: &mut Scene<'_>) {
        match frame.code {
            1 => self.message = scene.notes.asked(b"TEXT", b""),
            2 => self.message = scene.notes.asked(b"BINARY", b""),
            _ => {}
        }
    }

    /// Whether the conversation is over.
    fn end(&mut self, frame: &Frame, scene: &mut Scene<'_>) -> bool {
        let length = u8::try_from(frame.control.len()).unwrap_or(0);
        match frame.code {
            8 => {
                scene.say(&[0x88, length]);
                scene.say(&frame.control);
                scene.next = Next::Close;
                return true;
            }
            9 => {
                scene.notes.exchange(b"PING", &frame.control, "PONG");
                scene.say(&[0x8a, length]);
                scene.say(&frame.control);
            }
            0..=2 if frame.last => self.message = None,
            _ => {}
        }
        false
    }
}

/// Reads a head; `None` when more is to come.
fn frame(head: &[u8]) -> Result<Option<Frame>, ()> {
    let [first, second, rest @ ..] = head else {
        return Ok(None);
    };
    let code = first & 15;
    let length = second & 127;
    let masked = second & 128 != 0;
    // clients mask, extensions were not agreed on, control frames are short and whole
    let control = code >= 8;
    if !masked || first & 0x70 != 0 || (control && (length > 125 || first & 0x80 == 0)) || head.len() > HEAD {
        return Err(());
    }
    let wide = match length {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    if rest.len() < wide + 4 {
        return Ok(None);
    }
    let left = match wide {
        0 => u64::from(length),
        _ => rest[..wide]
            .iter()
            .fold(0, |sum, byte| (sum << 8) | u64::from(*byte)),
    };
    let mut mask = [0; 4];
    mask.copy_from_slice(&rest[wide..wide + 4]);
    Ok(Some(Frame {
        code,
        last: first & 0x80 != 0,
        left,
        mask,
        turn: 0,
        control: Vec::new(),
    }))
}
