//! Recordings on disk: zstd-compressed JSON lines, one [`Envelope`] each, append-only.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use pyti_model::event::{Envelope, Event, RECORDING_VERSION};

/// Longest line that is read, bytes.
const LINE_CAP: u64 = 64 << 20;
/// Most bytes of a whole recording, uncompressed.
const CAP: u64 = 4 << 30;

/// Why a recording could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file cannot be read or written.
    #[error("cannot use the recording {0}")]
    File(PathBuf, #[source] io::Error),
    /// A newer PyTI wrote it.
    #[error("the recording {path} has the form {0}.{1}, this PyTI reads up to {reads}.x", .found.0, .found.1, reads = RECORDING_VERSION.0)]
    Newer {
        /// Where it is.
        path: PathBuf,
        /// Its form.
        found: (u32, u32),
    },
    /// It does not begin as a recording does.
    #[error("{0} is no recording")]
    NotOne(PathBuf),
}

/// Who is told of every event, in order, while it happens.
pub trait Listener: Send + Sync {
    /// An event was recorded.
    fn heard(&self, envelope: &Envelope);
}

impl Listener for () {
    fn heard(&self, _: &Envelope) {}
}

/// Writes a recording. It numbers events itself, so that they have no gaps.
pub struct Recorder {
    state: Mutex<State>,
    began: Instant,
    path: Option<PathBuf>,
}

struct State {
    out: Option<zstd::stream::write::Encoder<'static, File>>,
    failed: Option<io::Error>,
    next: u64,
    last_us: u64,
    listener: Arc<dyn Listener>,
}

impl Recorder {
    /// Writes into this file, which must not exist.
    pub fn create(path: &Path, listener: Arc<dyn Listener>) -> Result<Self, RecordingError> {
        let file = File::create_new(path)
            .and_then(|file| zstd::stream::write::Encoder::new(file, 3))
            .map_err(|e| RecordingError::File(path.to_owned(), e))?;
        Ok(Self::new(Some(file), Some(path.to_owned()), listener))
    }

    /// Writes nowhere: the listener is all who hear.
    pub fn nowhere(listener: Arc<dyn Listener>) -> Self {
        Self::new(None, None, listener)
    }

    fn new(
        out: Option<zstd::stream::write::Encoder<'static, File>>,
        path: Option<PathBuf>,
        listener: Arc<dyn Listener>,
    ) -> Self {
        let state = State {
            out,
            failed: None,
            next: 0,
            last_us: 0,
            listener,
        };
        Self {
            state: Mutex::new(state),
            began: Instant::now(),
            path,
        }
    }

    /// Microseconds since the recording began.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Records an event of our own, now.
    pub fn record(&self, event: Event) {
        self.record_at(self.now_us(), event);
    }

    /// Records an event that was stamped elsewhere on this clock. Time never goes back.
    pub fn record_at(&self, at_us: u64, event: Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let at_us = at_us.max(state.last_us);
        let envelope = Envelope {
            seq: state.next,
            at_us,
            event,
        };
        state.next += 1;
        state.last_us = at_us;
        // progress is for who is waiting now
        if matches!(envelope.event, Event::Progress { .. }) {
            state.next -= 1;
        } else {
            let written = state.out.as_mut().map_or(Ok(()), |out| {
                serde_json::to_writer(&mut *out, &envelope)?;
                out.write_all(b"\n")?;
                // a task's end is worth a flush: it is not lost when we are killed
                if matches!(
                    envelope.event,
                    Event::Ended { .. } | Event::Began { .. } | Event::Decided { .. }
                ) {
                    out.flush()
                } else {
                    Ok(())
                }
            });
            if let Err(error) = written {
                state.failed.get_or_insert(error);
            }
        }
        state.listener.heard(&envelope);
    }

    /// Ends the file; what is recorded later is only heard. An error of any write before comes out here.
    pub fn finish(&self) -> Result<(), RecordingError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let finished = match (state.failed.take(), state.out.take()) {
            (Some(error), _) => Err(error),
            (None, Some(out)) => out.finish().and_then(|file| file.sync_data()),
            (None, None) => Ok(()),
        };
        finished.map_err(|e| RecordingError::File(self.path.clone().unwrap_or_default(), e))
    }
}

/// Reads a recording. What follows a cut or a damaged line is left out; the reader of the events sees that
/// [`Event::Finished`] is missing.
pub fn read(path: &Path) -> Result<Vec<Envelope>, RecordingError> {
    let file = File::open(path).map_err(|e| RecordingError::File(path.to_owned(), e))?;
    let decoder =
        zstd::stream::read::Decoder::new(file).map_err(|e| RecordingError::File(path.to_owned(), e))?;
    let mut reader = BufReader::new(decoder.take(CAP));
    let mut events = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(LINE_CAP).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let Ok(envelope) = serde_json::from_slice::<Envelope>(&line) else {
            break;
        };
        if events.is_empty() {
            match &envelope.event {
                Event::Began { recording, .. } if recording.0 > RECORDING_VERSION.0 => {
                    return Err(RecordingError::Newer {
                        path: path.to_owned(),
                        found: *recording,
                    });
                }
                Event::Began { .. } | Event::Decided { .. } => {}
                _ => return Err(RecordingError::NotOne(path.to_owned())),
            }
        }
        events.push(envelope);
    }
    if events.is_empty() {
        return Err(RecordingError::NotOne(path.to_owned()));
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use pyti_model::outcome::{Outcome, Reason, ReasonCode, Status};

    use super::*;

    fn decided() -> Event {
        Event::Decided {
            file: None,
            outcome: Outcome::because(Status::Na, Reason::new(ReasonCode::WindowsOnly, "")),
        }
    }

    #[test]
    fn what_is_written_is_read_again_without_progress() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.jsonl.zst");
        let recorder = Recorder::create(&path, Arc::new(())).unwrap();
        recorder.record(decided());
        recorder.record(Event::Progress {
            task: "x".into(),
            text: "".into(),
            done: None,
            total: None,
        });
        recorder.record(Event::Finished { interrupted: false });
        recorder.finish().unwrap();
        let events = read(&path).unwrap();
        assert_eq!(events.iter().map(|e| e.seq).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(events[0].event, decided());
    }

    #[test]
    fn a_cut_recording_keeps_what_came_before_the_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.jsonl.zst");
        let recorder = Recorder::create(&path, Arc::new(())).unwrap();
        recorder.record(decided());
        for _ in 0..1000 {
            recorder.record(Event::Finished { interrupted: false });
        }
        recorder.finish().unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 5]).unwrap();
        assert!(!read(&path).unwrap().is_empty());
        std::fs::write(&path, b"garbage").unwrap();
        assert!(matches!(read(&path), Err(RecordingError::NotOne(_))));
    }
}
