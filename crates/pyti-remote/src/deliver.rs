//! Delivering what a job came to: segments first, then the word that it is complete, again and again until it is answered.

use std::io;
use std::time::Duration;

use pyti_command::raw::Manifest;
use pyti_command::work::{Complete, CompleteParams, Taken, WorkOutcome};
use pyti_worker::Stop;

use crate::backoff::Backoff;
use crate::client::ClientError;
use crate::link::{Link, LinkError};
use crate::spool::{Delivery, Entry};

/// How often a delivery of which something is missing is sent anew before it is called a failure.
const ANEW: u32 = 20;

/// What became of a delivery.
#[derive(Debug)]
pub(crate) enum Delivered {
    /// It was answered so.
    Answered(Taken),
    /// The worker was stopped before; it stays in the spool.
    Stopped,
}

/// Why one try came to nothing.
#[derive(Debug, thiserror::Error)]
enum TryError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the spool cannot be read")]
    Spool(#[from] io::Error),
}

/// Delivers, as long as it takes. What the controller refuses for good is delivered as our failure, without a recording.
pub(crate) async fn deliver(
    link: &Link,
    entry: &Entry,
    delivery: Delivery,
    stop: &Stop,
    progress: impl Fn(u32),
) -> Result<Delivered, LinkError> {
    let mut delivery = delivery;
    let mut backoff = Backoff::default();
    let mut anew = 0;
    loop {
        let tried = tokio::select! {
            () = stop.stopped() => return Ok(Delivered::Stopped),
            tried = once(link, entry, &delivery, &progress) => tried,
        };
        let wait = match tried {
            Ok(Taken::Missing) if anew < ANEW => {
                anew += 1;
                backoff.next(crate::backoff::dice(), Some(Duration::from_millis(500)))
            }
            Ok(Taken::Missing) => {
                let why = "the controller says again and again that segments are missing";
                delivery = give_up(delivery, why.to_owned())?;
                continue;
            }
            Ok(taken) => return Ok(Delivered::Answered(taken)),
            // the lease is over: what is put for it is not taken
            Err(TryError::Client(error)) if error.status() == Some(410) => {
                return Ok(Delivered::Answered(Taken::Gone));
            }
            Err(TryError::Client(error)) => match link.weigh(error, &mut backoff) {
                Ok(wait) => wait,
                Err(LinkError::Client(error)) => {
                    delivery = give_up(delivery, pyti_model::with_causes(&error))?;
                    continue;
                }
                Err(other) => return Err(other),
            },
            Err(TryError::Spool(error)) => {
                delivery = give_up(delivery, pyti_model::with_causes(&error))?;
                continue;
            }
        };
        tokio::select! {
            () = stop.stopped() => return Ok(Delivered::Stopped),
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// The same as our own failure. When even that is refused, there is nothing more to say.
fn give_up(delivery: Delivery, why: String) -> Result<Delivery, LinkError> {
    if let (WorkOutcome::Failed { .. }, true) = (&delivery.outcome, delivery.manifest.0.is_empty()) {
        return Err(LinkError::Refused(why));
    }
    Ok(Delivery {
        outcome: WorkOutcome::Failed { why },
        manifest: Manifest::default(),
    })
}

async fn once(
    link: &Link,
    entry: &Entry,
    delivery: &Delivery,
    progress: &impl Fn(u32),
) -> Result<Taken, TryError> {
    let lease = entry.lease();
    for (stream, segments) in &delivery.manifest.0 {
        let there = link
            .once(|token| async move { link.client().next_segment(&token, &lease, *stream).await })
            .await?;
        for (seq, named) in segments.iter().enumerate().skip(there as usize) {
            let bytes = entry.segment(*stream, seq, named)?;
            let number = u32::try_from(seq).unwrap_or(u32::MAX);
            let bytes = &bytes;
            link.once(|token| async move {
                link.client()
                    .put_segment(&token, &lease, *stream, number, bytes.clone())
                    .await
            })
            .await?;
            progress(number + 1);
        }
    }
    let params = CompleteParams {
        lease,
        outcome: delivery.outcome.clone(),
        manifest: delivery.manifest.clone(),
    };
    Ok(link.call::<Complete>(&params, Duration::ZERO).await?.answer)
}
