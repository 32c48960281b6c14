//! What workers are asked to sign: valid for a minute and once, without a list of what was given out, so that asking costs nothing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pyti_command::trust::Nonce;
use pyti_dispatch::WorkerId;
use ring::hmac;

use crate::error::ServerError;

/// How long a nonce is good.
const VALID: Duration = Duration::from_mins(1);

/// Secrets that end with the process, and what was used.
pub(crate) struct Secrets {
    key: hmac::Key,
    began: Instant,
    used: Mutex<HashMap<[u8; 40], Instant>>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(…)")
    }
}

impl Secrets {
    pub(crate) fn new() -> Result<Self, ServerError> {
        Ok(Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &super::random::<32>()?),
            began: Instant::now(),
            used: Mutex::default(),
        })
    }

    /// A nonce for a worker: sixteen random bytes, when it is over on our own clock, and our mark on both.
    pub(crate) fn nonce(&self, worker: &WorkerId, now: Instant) -> Result<Nonce, ServerError> {
        let mut bytes = [0; 40];
        bytes[..16].copy_from_slice(&super::random::<16>()?);
        let until = u64::try_from((now + VALID).duration_since(self.began).as_millis()).unwrap_or(u64::MAX);
        bytes[16..24].copy_from_slice(&until.to_be_bytes());
        let mark = self.mark(worker, &bytes[..24]);
        bytes[24..].copy_from_slice(&mark);
        Ok(Nonce(bytes))
    }

    /// Whether a nonce is ours, for that worker, not over and not used before; it is used then. The signature was checked.
    pub(crate) fn take(&self, worker: &WorkerId, nonce: &Nonce, now: Instant) -> bool {
        let mark = self.mark(worker, &nonce.0[..24]);
        if !same(&mark, &nonce.0[24..]) {
            return false;
        }
        let mut until = [0; 8];
        until.copy_from_slice(&nonce.0[16..24]);
        let until = self.began + Duration::from_millis(u64::from_be_bytes(until));
        if now > until {
            return false;
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|_, until| *until >= now);
        used.insert(nonce.0, until).is_none()
    }

    fn mark(&self, worker: &WorkerId, bytes: &[u8]) -> [u8; 16] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(bytes);
        context.update(worker.as_str().as_bytes());
        let mut mark = [0; 16];
        mark.copy_from_slice(&context.sign().as_ref()[..16]);
        mark
    }
}

/// Compares without telling by its time where the difference is.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_once_for_one_worker_for_a_minute() {
        let secrets = Secrets::new().unwrap();
        let (w1, w2): (WorkerId, WorkerId) = ("w1".parse().unwrap(), "w2".parse().unwrap());
        let now = Instant::now();
        let nonce = secrets.nonce(&w1, now).unwrap();
        assert!(!secrets.take(&w2, &nonce, now));
        let mut forged = nonce;
        forged.0[20] ^= 1;
        assert!(!secrets.take(&w1, &forged, now));
        assert!(!secrets.take(&w1, &nonce, now + VALID + Duration::from_secs(1)));
        assert!(secrets.take(&w1, &nonce, now));
        assert!(!secrets.take(&w1, &nonce, now));
        assert!(!Secrets::new().unwrap().take(&w1, &nonce, now));
    }
}
