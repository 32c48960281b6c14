//! DNS over TCP: messages with their length in front.

use std::time::Instant;

use super::{Next, Scene, Talk};
use crate::dns;

/// Longest message that is looked at. No question is longer.
const LONGEST: usize = 4096;

/// A server in the middle of a conversation.
#[derive(Default)]
pub(crate) struct Lookup {
    buffer: Vec<u8>,
    garbage: bool,
}

impl Talk for Lookup {
    fn name(&self) -> &'static str {
        if self.garbage { "raw" } else { "dns" }
    }

    fn hear(&mut self, said: &[u8], scene: &mut Scene<'_>) {
        if self.garbage {
            return;
        }
        self.buffer.extend_from_slice(said);
        let mut at = 0;
        while let Some(length) = self.buffer[at..].first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length));
            let Some(message) = self.buffer.get(at + 2..at + 2 + length) else {
                break;
            };
            let answer = dns::answer(message, scene.names, scene.ledger, Instant::now(), scene.process);
            let Some(answer) = answer else {
                return self.stop(scene);
            };
            if let Ok(length) = u16::try_from(answer.len()) {
                scene.say(&length.to_be_bytes());
                scene.say(&answer);
            }
            at += 2 + length;
        }
        self.buffer.drain(..at);
        if self.buffer.len() > LONGEST {
            self.stop(scene);
        }
    }
}

impl Lookup {
    fn stop(&mut self, scene: &mut Scene<'_>) {
        self.garbage = true;
        self.buffer = Vec::new();
        scene.next = Next::Close;
    }
}
