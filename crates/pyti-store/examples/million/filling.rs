//! Results as they would come from an index, and many who submit, claim and complete side by side.

#![expect(clippy::cast_possible_truncation, reason = "small random numbers")]

use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pyti_dispatch::{
    Answer, Completion, JobKey, JobStore as _, Label, Needs, NewJob, Offers, Priority, WorkerId,
};
use pyti_model::outcome::{Blame, Outcome, Reason, ReasonCode, Status, Verdict};
use pyti_model::{Digest, FileKind};
use pyti_store::{Class, Env, Expansion, FileInfo, NewFinding, NewResult, Recording, Store};

/// What goes wrong.
pub(crate) type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Works that are brought side by side, so that they share commits.
const SIDE_BY_SIDE: u64 = 64;
/// Results of one job's batch when filling.
pub(crate) const CLAIMED: u16 = 16;
/// When the first result came, in milliseconds since 1970; the last came ten months later.
pub(crate) const BEGAN: u64 = 1_750_000_000_000;
const LASTED: u64 = 300 * 86_400_000;

struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

fn digest(n: u64) -> Fallible<Digest> {
    // spread as real ones are
    let a = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Ok(format!("{a:016x}{:016x}{:016x}{n:016x}", a.rotate_left(17), a ^ n).parse()?)
}

/// The n-th of so many results: its file, its project, its environment.
fn result(n: u64, all: u64) -> Fallible<NewResult> {
    let mut chance = Chance(n.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1);
    // 2.5 results a file, 3.4 files a project; one project has a hundredth of everything
    let file = n * 2 / 5;
    let project = if file.is_multiple_of(100) {
        0
    } else {
        1 + file * 10 / 34
    };
    let name = format!(
        "{}-{project}",
        ["lib", "django-tool", "py", "data-science-kit"][(project % 4) as usize]
    );
    let version = format!("{}.{}.{}", file % 7, file % 23, file % 5);
    let good = chance.below(10) < 6;
    let code = ReasonCode::ALL[chance.below(ReasonCode::ALL.len() as u64) as usize];
    let blob = digest(n + (1 << 40))?;
    let finds = chance.below(12) == 0;
    Ok(NewResult {
        file: FileInfo {
            project: name.clone(),
            version: version.clone(),
            sort_key: file.to_be_bytes().to_vec(),
            name: format!("{name}-{version}.tar.gz"),
            sha256: digest(file)?,
            size: 20_000 + file % 100_000,
            kind: if file.is_multiple_of(2) {
                FileKind::Wheel
            } else {
                FileKind::Sdist
            },
            uploaded_ms: BEGAN + LASTED / all * n,
        },
        env: Env {
            platform: "linux/x86_64".to_owned(),
            interpreter: format!("cpython-3.{}", 8 + n % 6),
            isolation: "sandbox".to_owned(),
            options: String::new(),
        },
        finished_ms: BEGAN + LASTED / all * n,
        outcome: Outcome {
            status: if good { Status::Pass } else { Status::Fail },
            reasons: if good { vec![] } else { vec![Reason::new(code, "")] },
        },
        verdict: if finds {
            Verdict::Suspicious
        } else {
            Verdict::Clean
        },
        blame: (!good).then_some(Blame::Package),
        cost_ms: chance.below(60_000),
        passed: chance.below(500) as u32,
        failed: chance.below(3) as u32,
        recording: Some(Recording {
            blob,
            size: 20_000 + chance.below(20_000),
            class: Class::Short,
        }),
        baseline: None,
        more: None,
        findings: if finds {
            vec![NewFinding {
                rule: format!("rule-{}", chance.below(60)),
                severity: chance.below(4) as u8,
                state: 1,
                sentence: "While being built, it read the decoy AWS key and sent it to collector.example."
                    .to_owned(),
                events: vec![chance.below(1000), chance.below(1000)],
            }]
        } else {
            vec![]
        },
    })
}

fn label(text: &str) -> Fallible<Label> {
    Ok(text.parse()?)
}

fn job(n: u64, result: &NewResult) -> Fallible<NewJob> {
    Ok(NewJob {
        key: JobKey {
            file: result.file.sha256.clone(),
            // one for each environment
            spec: digest(n % 6)?,
            generation: 0,
        },
        project: result.file.project.clone(),
        needs: Needs {
            platform: label("linux/x86_64")?,
            interpreter: label("cpython-3.12")?,
            isolation: label("sandbox")?,
            memory_mib: 2048,
        },
        priority: Priority::Release,
        captured: true,
    })
}

fn enrol(store: &Store, name: &str) -> Fallible<WorkerId> {
    let who: WorkerId = name.parse()?;
    let offers = Offers {
        platform: label("linux/x86_64")?,
        interpreters: [label("cpython-3.12")?].into(),
        isolations: [label("sandbox")?].into(),
        memory_mib: 4096,
        slots: CLAIMED,
    };
    store.enrol(who.clone(), offers.clone(), true)?;
    store.hello(who.clone(), 1, offers)?;
    Ok(who)
}

/// Where works come from.
pub(crate) struct Source<'a> {
    pub(crate) next: &'a AtomicU64,
    pub(crate) end: u64,
    /// As many results as there will be in all.
    pub(crate) all: u64,
    pub(crate) stop: &'a AtomicBool,
}

/// Submits, claims and completes until there are no more; how many.
fn work(store: &Store, name: &str, slots: u16, source: &Source<'_>) -> Fallible<u64> {
    let Source { next, end, all, stop } = source;
    let who = enrol(store, name)?;
    let (mut request, mut done) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        let from = next.fetch_add(u64::from(CLAIMED), Ordering::Relaxed);
        if from >= *end {
            break;
        }
        let mut results = Vec::new();
        let mut jobs = Vec::new();
        for n in from..(from + u64::from(CLAIMED)).min(*end) {
            let result = result(n, *all)?;
            jobs.push(job(n, &result)?);
            results.push(result);
        }
        // as a feed brings them: some at once
        store.expand(Expansion {
            jobs,
            ..Expansion::default()
        })?;
        while !results.is_empty() {
            request += 1;
            let slots = u16::try_from(results.len())?.min(slots);
            let Answer::Granted { grants, .. } = store.claim(&who, 1, request, slots)? else {
                return Err("no answer to a claim".into());
            };
            if grants.is_empty() {
                // a store that was filled before knows these jobs already
                break;
            }
            for grant in grants {
                let completion = Completion {
                    worker: who.clone(),
                    lease: grant.lease,
                    blame: None,
                    missing: Vec::new(),
                };
                store.complete(completion, results.pop())?;
                done += 1;
            }
        }
    }
    Ok(done)
}

/// Many who work side by side, so that they share commits.
pub(crate) fn crowd(store: &Store, prefix: &str, slots: u16, source: &Source<'_>) -> Fallible<u64> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..SIDE_BY_SIDE)
            .map(|n| scope.spawn(move || work(store, &format!("{prefix}{n}"), slots, source)))
            .collect();
        let mut sum = 0;
        for thread in threads {
            sum += thread.join().map_err(|_| "a thread panicked")??;
        }
        Ok(sum)
    })
}
