//! What nobody has to wait for: processes that have said that they end, memory that is not used any more.
//!
//! Taking down a box's mounts and control group takes the kernel longer than a short command runs. One thread of the
//! agent does it behind everybody's back; where it cannot be had, it is done at once.

use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

type Work = Box<dyn FnOnce() + Send>;

/// Does it soon, in order, on another thread.
pub(crate) fn later(work: impl FnOnce() + Send + 'static) {
    static SWEEPER: OnceLock<Option<Sender<Work>>> = OnceLock::new();
    let sweeper = SWEEPER.get_or_init(|| {
        let (sender, works) = channel::<Work>();
        std::thread::Builder::new()
            .name("sweeper".to_owned())
            .spawn(move || works.into_iter().for_each(|work| work()))
            .ok()
            .map(|_| sender)
    });
    let work: Work = Box::new(work);
    match sweeper {
        Some(sweeper) => {
            if let Err(returned) = sweeper.send(work) {
                (returned.0)();
            }
        }
        None => work(),
    }
}
