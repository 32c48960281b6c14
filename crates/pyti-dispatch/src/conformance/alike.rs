//! Random histories for two stores.

use pyti_model::outcome::Blame;

use super::{Failure, Subject, expect, name, new_job, offers, ok};
use crate::id::{JobId, Lease, WorkerId};
use crate::job::Priority;
use crate::message::{Completion, HowReleased, Message, Order};
use crate::store::JobStore as _;

/// Sends one random history to two stores and compares every answer and every job.
///
/// # Errors
///
/// The first difference.
#[expect(
    clippy::cast_possible_truncation,
    reason = "random numbers may lose their upper half"
)]
pub fn alike<A: Subject, B: Subject>(a: &mut A, b: &mut B, seed: u64, steps: usize) -> Result<(), Failure> {
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as usize % below
    };
    let mut leases: Vec<Lease> = Vec::new();
    let mut requests = [0_u64; 4];
    for n in 0..4 {
        let hello = |boot| Message::Hello {
            worker: name(n),
            boot,
            offers: offers(3),
        };
        let enrol = Message::Enrol {
            worker: name(n),
            offers: offers(3),
            approved: n != 3,
        };
        same(a, b, &enrol)?;
        same(a, b, &hello(1))?;
    }
    for _ in 0..steps {
        let who = next(4);
        let lease = leases.get(next(leases.len().max(1))).copied();
        let lease = lease.unwrap_or(Lease([0; 16]));
        let message = match next(40) {
            0..8 => {
                let mut new = new_job(next(60) as u64);
                new.key.generation = u32::from(next(20) == 0);
                new.priority = Priority::ALL[next(5)];
                new.captured = next(4) > 0;
                new.project = format!("p{}", next(3));
                new.needs.memory_mib = 512 << next(3);
                Message::Submit(new)
            }
            8..10 => Message::Ready {
                job: JobId(1 + next(60) as u64),
            },
            10 => Message::Requeue {
                job: JobId(1 + next(60) as u64),
            },
            11 => Message::Cancel {
                job: JobId(1 + next(60) as u64),
            },
            12 => {
                requests[who] = 0;
                Message::Hello {
                    worker: name(who as u64),
                    boot: 1 + next(4) as u64,
                    offers: offers([1, 2, 3, 4][next(4)]),
                }
            }
            13..24 => {
                requests[who] += next(3) as u64;
                let fresh: Vec<Lease> = (0..=next(3))
                    .map(|_| Lease(std::array::from_fn(|_| (next(256) & 0xff) as u8)))
                    .collect();
                leases.extend(&fresh);
                Message::Claim {
                    worker: name(who as u64),
                    boot: ok(a.store().worker(&name(who as u64)))?.map_or(1, |w| w.boot),
                    request: requests[who],
                    fresh,
                }
            }
            24..26 => Message::Renew {
                worker: name(who as u64),
                leases: leases.iter().rev().take(4).copied().collect(),
            },
            26..33 => {
                let done = Completion {
                    worker: holder(a, lease)?.unwrap_or_else(|| name(who as u64)),
                    lease,
                    blame: [None, None, Some(Blame::Package), Some(Blame::Us)][next(4)],
                    missing: if next(5) == 0 {
                        vec!["x".to_owned()]
                    } else {
                        vec![]
                    },
                };
                let (ours, theirs) = (
                    ok(a.store().complete(done.clone(), Some(a.record())))?,
                    ok(b.store().complete(done.clone(), Some(b.record())))?,
                );
                expect(&format!("{done:?}"), theirs, ours)?;
                continue;
            }
            33..36 => Message::Release {
                worker: holder(a, lease)?.unwrap_or_else(|| name(who as u64)),
                lease,
                how: if next(2) == 0 {
                    HowReleased::Clean
                } else {
                    HowReleased::Unclean
                },
            },
            36 => match next(40) {
                0 => Message::Revoke {
                    worker: name(who as u64),
                },
                1 => Message::Approve {
                    worker: name(who as u64),
                },
                n => Message::Order {
                    worker: name(who as u64),
                    order: [Order::Hold, Order::Drain, Order::Resume, Order::Resume][n % 4],
                },
            },
            37 => {
                a.restart();
                b.restart();
                Message::Tick
            }
            _ => {
                let ms = next(150_000) as u64;
                a.pass(ms);
                b.pass(ms);
                Message::Tick
            }
        };
        same(a, b, &message)?;
    }
    for n in 1.. {
        let (ours, theirs) = (ok(a.store().job(JobId(n)))?, ok(b.store().job(JobId(n)))?);
        let end = ours.is_none();
        expect("job", theirs, ours)?;
        expect("left behind", b.left_behind(JobId(n)), a.left_behind(JobId(n)))?;
        if end {
            break;
        }
    }
    for n in 0..4 {
        expect(
            "worker",
            ok(b.store().worker(&name(n)))?,
            ok(a.store().worker(&name(n)))?,
        )?;
    }
    Ok(())
}

fn same<A: Subject, B: Subject>(a: &A, b: &B, message: &Message) -> Result<(), Failure> {
    let (ours, theirs) = (
        ok(a.store().send(message.clone()))?,
        ok(b.store().send(message.clone()))?,
    );
    expect(&format!("{message:?}"), theirs, ours)
}

fn holder<A: Subject>(a: &A, lease: Lease) -> Result<Option<WorkerId>, Failure> {
    for n in 1.. {
        match ok(a.store().job(JobId(n)))? {
            None => break,
            Some(job) => {
                if let Some(holder) = job.newest(lease) {
                    return Ok(Some(holder.worker.clone()));
                }
            }
        }
    }
    Ok(None)
}
