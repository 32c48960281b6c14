//! A recording, read as what it is: bytes of somebody who may want us to fall over.

use std::io::{BufRead, BufReader, Read};
use std::time::{Duration, Instant};

use pyti_model::event::{Envelope, Event, RECORDING_VERSION};

/// How much of a recording is read at most.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes, unpacked.
    pub bytes: u64,
    /// Bytes of one line.
    pub line: u64,
    /// Events.
    pub events: usize,
    /// Logarithm of the window that unpacking may need.
    pub window_log: u32,
    /// Time.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 256 << 20,
            line: 32 << 20,
            events: 500_000,
            // what our recorder writes needs 21
            window_log: 23,
            time: Duration::from_secs(10),
        }
    }
}

/// Why a recording is not read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordingError {
    /// It does not begin as one.
    #[error("this is no recording")]
    NotOne,
    /// A newer program wrote it.
    #[error("the recording has the form {0}.{1}, which is newer than this program")]
    Newer(u32, u32),
    /// It is bigger than a page is made of.
    #[error("the recording is bigger than {0}: it can be kept, but is not shown")]
    TooBig(&'static str),
}

/// Reads zstd-compressed JSON lines. What follows a cut or a damaged line is left out, as in every reader of recordings; what
/// goes over a limit is refused.
pub fn read_recording(bytes: impl Read, limits: &Limits) -> Result<Vec<Envelope>, RecordingError> {
    let started = Instant::now();
    let mut decoder = zstd::stream::read::Decoder::new(bytes).map_err(|_| RecordingError::NotOne)?;
    decoder
        .window_log_max(limits.window_log)
        .map_err(|_| RecordingError::NotOne)?;
    // one byte more than is allowed, to see that it goes on
    let mut reader = BufReader::new(decoder.take(limits.bytes + 1));
    let mut events: Vec<Envelope> = Vec::new();
    let (mut line, mut read) = (Vec::new(), 0_u64);
    loop {
        if started.elapsed() > limits.time {
            return Err(RecordingError::TooBig("what can be read in a few seconds"));
        }
        line.clear();
        match (&mut reader).take(limits.line + 1).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => break,
            Ok(n) => read += n as u64,
        }
        if read > limits.bytes {
            return Err(RecordingError::TooBig("what a page is made of"));
        }
        if line.len() as u64 > limits.line {
            return Err(RecordingError::TooBig("one event may be"));
        }
        let Ok(envelope) = serde_json::from_slice::<Envelope>(&line) else {
            break;
        };
        if events.is_empty() {
            match &envelope.event {
                Event::Began { recording, .. } if recording.0 > RECORDING_VERSION.0 => {
                    return Err(RecordingError::Newer(recording.0, recording.1));
                }
                Event::Began { .. } | Event::Decided { .. } => {}
                _ => return Err(RecordingError::NotOne),
            }
        }
        if events.len() == limits.events {
            return Err(RecordingError::TooBig("so many events"));
        }
        events.push(envelope);
    }
    if events.is_empty() {
        return Err(RecordingError::NotOne);
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECIDED: &str = "{\"seq\":0,\"at_us\":0,\"event\":\"decided\",\"file\":null,\
         \"outcome\":{\"status\":\"na\",\"reasons\":[]}}\n";
    const FINISHED: &str = "{\"seq\":1,\"at_us\":1,\"event\":\"finished\",\"interrupted\":false}\n";

    fn packed(text: &str) -> Vec<u8> {
        zstd::encode_all(text.as_bytes(), 3).unwrap()
    }

    fn small() -> Limits {
        Limits {
            bytes: 4096,
            line: 1024,
            events: 8,
            ..Limits::default()
        }
    }

    #[test]
    fn frames_in_a_row_are_one_recording() {
        let mut bytes = packed(DECIDED);
        bytes.extend(packed(FINISHED));
        assert_eq!(read_recording(&*bytes, &small()).unwrap().len(), 2);
    }

    #[test]
    fn a_cut_recording_keeps_what_came_before() {
        let mut bytes = packed(DECIDED);
        let end = packed(FINISHED);
        bytes.extend(&end[..end.len() - 4]);
        assert!(!read_recording(&*bytes, &small()).unwrap().is_empty());
        bytes.extend(b"garbage");
        assert!(read_recording(&*bytes, &small()).is_ok());
    }

    #[test]
    fn every_limit_holds() {
        let bad = |text: &str, limits: &Limits| read_recording(&*packed(text), limits).unwrap_err();
        assert_eq!(bad("", &small()), RecordingError::NotOne);
        assert_eq!(bad(FINISHED, &small()), RecordingError::NotOne);
        let many = format!("{DECIDED}{}", FINISHED.repeat(7));
        assert!(read_recording(&*packed(&many), &small()).is_ok());
        let more = format!("{DECIDED}{}", FINISHED.repeat(8));
        assert!(matches!(bad(&more, &small()), RecordingError::TooBig(_)));
        let long = format!("{DECIDED}{{\"x\":\"{}\"}}\n", "x".repeat(1024));
        assert!(matches!(bad(&long, &small()), RecordingError::TooBig(_)));
        let long = format!("{DECIDED}{}", FINISHED.repeat(70));
        let wide = Limits {
            events: 1000,
            ..small()
        };
        assert!(matches!(bad(&long, &wide), RecordingError::TooBig(_)));
        let slow = Limits {
            time: Duration::ZERO,
            ..small()
        };
        assert!(matches!(bad(DECIDED, &slow), RecordingError::TooBig(_)));
    }

    #[test]
    fn a_bomb_of_zeros_stops_at_the_limit() {
        // 1 GB of zeros in some 30 KB
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        std::io::copy(&mut std::io::repeat(0).take(1 << 30), &mut encoder).unwrap();
        let bomb = encoder.finish().unwrap();
        assert!(bomb.len() < 200_000);
        let began = Instant::now();
        let refused = read_recording(&*bomb, &Limits::default());
        assert!(matches!(
            refused,
            Err(RecordingError::TooBig(_) | RecordingError::NotOne)
        ));
        assert!(began.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_window_that_is_too_wide_is_not_unpacked() {
        let text = format!("{DECIDED}{FINISHED}");
        let pack = |log: u32| {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
            encoder.long_distance_matching(true).unwrap();
            encoder.window_log(log).unwrap();
            std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        };
        assert!(read_recording(&*pack(21), &Limits::default()).is_ok());
        assert_eq!(
            read_recording(&*pack(27), &Limits::default()).unwrap_err(),
            RecordingError::NotOne
        );
    }
}
