//! `pyti admin`: for who runs a service.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use pyti_command::admin::{
    Approve, Audit, AuditParams, Backup, BackupParams, CheckParams, CheckStore, CreateJoin, CreateJoinParams,
    CreateToken, CreateTokenParams, Jobs, JobsParams, Joins, OrderParams, OrderWorker, Prune, PruneParams,
    Queues, Requeue, Revoke, RevokeJoin, RevokeParams, RevokeToken, TokenParams, TokensAnswer, Workers,
};
use pyti_command::feed::FeedStatus;
use pyti_command::job::{Cancel, CancelParams};
use pyti_command::trust::Scope;
use pyti_command::{Method, Nothing, Secret, feed};
use pyti_dispatch::{JobId, Order, WorkerId};
use pyti_report::Ink;
use pyti_store::{Retention, Store};
use serde::Serialize;

use crate::args::{AdminArgs, AdminCommand, AdminJobs, AdminStore, AdminTokens, AdminWorkers, ScopeName};
use crate::caller::Caller;
use crate::output::{Look, Usage, print, tell};
use crate::shown::{self, head, seen, table};

/// How long a store may take to be looked after.
const LONG: Duration = Duration::from_hours(1);
/// Exit code of a store that is damaged.
const DAMAGED: u8 = 1;

/// `pyti admin`.
pub(crate) fn admin(args: AdminArgs, look: &Look) -> anyhow::Result<u8> {
    if let AdminCommand::Store(command) = &args.command
        && let Some(code) = offline(command, args.json)?
    {
        return Ok(code);
    }
    crate::run::runtime()?.block_on(async {
        let desk = Desk {
            caller: Caller::new(&args.controller)?,
            json: args.json,
            look,
        };
        match args.command {
            AdminCommand::Workers { command } => desk.workers(command).await,
            AdminCommand::Tokens { command } => desk.tokens(command).await,
            AdminCommand::Jobs { command } => desk.jobs(command).await,
            AdminCommand::Feed => desk.feed().await,
            AdminCommand::Store(command) => desk.store(command).await,
            AdminCommand::Audit { before } => desk.audit(before).await,
        }
    })
}

struct Desk<'a> {
    caller: Caller,
    json: bool,
    look: &'a Look,
}

fn worker(name: &str) -> anyhow::Result<WorkerId> {
    Ok(name
        .parse()
        .map_err(|error| Usage(format!("{name:?}: {error}")))?)
}

impl Desk<'_> {
    async fn call<M: Method>(&self, params: &M::Params) -> anyhow::Result<M::Answer>
    where
        M::Params: Sync,
    {
        Ok(self.caller.call::<M>(params, Duration::ZERO).await?)
    }

    /// As JSON where that was asked for, else as text.
    fn show<T: Serialize>(&self, answer: &T, text: impl FnOnce(&T) -> String) -> anyhow::Result<u8> {
        let text = if self.json {
            serde_json::to_string(answer)?
        } else {
            self.look.report.plain(&text(answer))
        };
        print(&text)?;
        Ok(0)
    }

    /// Done; there is nothing to show.
    fn done(&self, text: &str) -> anyhow::Result<u8> {
        self.show(&Nothing::default(), |_| text.to_owned())
    }

    async fn workers(&self, command: Option<AdminWorkers>) -> anyhow::Result<u8> {
        let order = |name: &str, order| {
            anyhow::Ok(OrderParams {
                worker: worker(name)?,
                order,
            })
        };
        match command.unwrap_or(AdminWorkers::List) {
            AdminWorkers::List => {
                let answer = self.call::<Workers>(&Nothing::default()).await?;
                self.show(&answer, |answer| {
                    shown::workers(&answer.workers, crate::clock_ms(), &self.look.report)
                })
            }
            AdminWorkers::Invite { name, hours } => {
                let params = CreateJoinParams {
                    valid_s: hours.map(|hours| hours * 3600),
                    worker: name.as_deref().map(worker).transpose()?,
                };
                let made = self.call::<CreateJoin>(&params).await?;
                if !self.json {
                    tell(&format!("join token {}, good once:", made.id));
                }
                self.secret(&made, &made.token)
            }
            AdminWorkers::Invitations => {
                let answer = self.call::<Joins>(&Nothing::default()).await?;
                self.show(&answer, |answer| {
                    self.token_table(answer, "no join token is open")
                })
            }
            AdminWorkers::Uninvite { id } => {
                self.call::<RevokeJoin>(&TokenParams { id }).await?;
                self.done("the join token is void")
            }
            AdminWorkers::Approve { worker: name } => {
                let params = pyti_command::admin::WorkerParams {
                    worker: worker(&name)?,
                };
                self.call::<Approve>(&params).await?;
                self.done(&format!("{name} is trusted"))
            }
            AdminWorkers::Hold { worker } => {
                self.call::<OrderWorker>(&order(&worker, Order::Hold)?).await?;
                self.done(&format!("{worker} gets no new jobs"))
            }
            AdminWorkers::Drain { worker } => {
                self.call::<OrderWorker>(&order(&worker, Order::Drain)?).await?;
                self.done(&format!("{worker} gets no new jobs and ends when it is empty"))
            }
            AdminWorkers::Resume { worker } => {
                self.call::<OrderWorker>(&order(&worker, Order::Resume)?).await?;
                self.done(&format!("{worker} goes on"))
            }
            AdminWorkers::Revoke { worker: name, retest } => {
                let params = RevokeParams {
                    worker: worker(&name)?,
                    retest,
                };
                let answer = self.call::<Revoke>(&params).await?;
                self.show(&answer, |answer| {
                    format!(
                        "{name} is out for good: {} jobs are queued again, {} that it delivered {}",
                        answer.requeued.len(),
                        answer.delivered.len(),
                        if retest {
                            format!("are tested again ({} new jobs)", answer.retested)
                        } else {
                            "stand; --retest tests them again".to_owned()
                        }
                    )
                })
            }
        }
    }

    /// The text of a token goes to standard output and nowhere else.
    fn secret<T: Serialize>(&self, made: &T, token: &Secret) -> anyhow::Result<u8> {
        print(&if self.json {
            serde_json::to_string(made)?
        } else {
            token.expose().to_owned()
        })?;
        Ok(0)
    }

    fn token_table(&self, answer: &TokensAnswer, none: &str) -> String {
        if answer.tokens.is_empty() {
            return format!(" {none}");
        }
        let now = crate::clock_ms();
        let mut rows = vec![head(&["id", "may", "good for", "whose"])];
        for token in &answer.tokens {
            let may: Vec<&str> = token.scopes.iter().map(|scope| scope.word()).collect();
            let left = token.until_ms.saturating_sub(now);
            rows.push(vec![
                (Ink::Strong, token.id.clone()),
                (
                    Ink::Notice,
                    if may.is_empty() {
                        "join".to_owned()
                    } else {
                        may.join(" ")
                    },
                ),
                if left == 0 {
                    (Ink::Bad, "over".to_owned())
                } else {
                    (Ink::Quiet, shown::ago(left))
                },
                (Ink::Quiet, seen(&token.name)),
            ]);
        }
        table(&rows, &self.look.report)
    }

    async fn tokens(&self, command: Option<AdminTokens>) -> anyhow::Result<u8> {
        match command.unwrap_or(AdminTokens::List) {
            AdminTokens::List => {
                let answer = self
                    .call::<pyti_command::admin::Tokens>(&Nothing::default())
                    .await?;
                self.show(&answer, |answer| {
                    self.token_table(answer, "there is no API token")
                })
            }
            AdminTokens::Create { name, scope, days } => {
                let params = CreateTokenParams {
                    name,
                    scopes: scope
                        .iter()
                        .map(|scope| match scope {
                            ScopeName::Submit => Scope::Submit,
                            ScopeName::Admin => Scope::Admin,
                        })
                        .collect(),
                    valid_s: days.map(|days| days * 86_400),
                };
                let made = self.call::<CreateToken>(&params).await?;
                if !self.json {
                    tell(&format!("API token {}, shown this once:", made.id));
                }
                self.secret(&made, &made.token)
            }
            AdminTokens::Revoke { id } => {
                self.call::<RevokeToken>(&TokenParams { id }).await?;
                self.done("the token is void")
            }
        }
    }

    async fn jobs(&self, command: Option<AdminJobs>) -> anyhow::Result<u8> {
        match command.unwrap_or(AdminJobs::List { worker: None }) {
            AdminJobs::List { worker: name } => {
                let params = JobsParams {
                    worker: name.as_deref().map(worker).transpose()?,
                    before: None,
                };
                let answer = self.call::<Jobs>(&params).await?;
                self.show(&answer, |answer| {
                    if answer.jobs.is_empty() {
                        return " none".to_owned();
                    }
                    let lines = answer.jobs.iter().map(|job| {
                        format!(" {:>7}{}\n", job.job.0, shown::job_lines(job, &self.look.report))
                    });
                    lines.collect()
                })
            }
            AdminJobs::Queues => {
                let answer = self.call::<Queues>(&Nothing::default()).await?;
                self.show(&answer, |answer| shown::queues(&answer.queues, &self.look.report))
            }
            AdminJobs::Requeue { job } => {
                let params = pyti_command::admin::JobParams { job: JobId(job) };
                let answer = self.call::<Requeue>(&params).await?;
                self.show(&answer, |answer| format!("job {} does it again", answer.job))
            }
            AdminJobs::Cancel { job } => {
                let answer = self.call::<Cancel>(&CancelParams { job: JobId(job) }).await?;
                self.show(&answer, |answer| format!("job {job} was {}", answer.state.word()))
            }
        }
    }

    async fn feed(&self) -> anyhow::Result<u8> {
        let answer = self.call::<feed::Status>(&Nothing::default()).await?;
        self.show(&answer, |answer| {
            feed_text(answer, crate::clock_ms(), &self.look.report)
        })
    }

    async fn audit(&self, before: Option<i64>) -> anyhow::Result<u8> {
        let answer = self.call::<Audit>(&AuditParams { before }).await?;
        self.show(&answer, |answer| {
            let now = crate::clock_ms();
            let mut rows = vec![head(&["line", "when", "who", "what", "to whom"])];
            for line in &answer.lines {
                rows.push(vec![
                    (Ink::Quiet, line.id.to_string()),
                    (
                        Ink::Quiet,
                        format!("{} ago", shown::ago(now.saturating_sub(line.at_ms))),
                    ),
                    (Ink::Strong, seen(&line.who)),
                    (Ink::Notice, seen(&line.what)),
                    (Ink::Quiet, seen(&line.detail)),
                ]);
            }
            table(&rows, &self.look.report)
        })
    }

    async fn store(&self, command: AdminStore) -> anyhow::Result<u8> {
        match command {
            AdminStore::Check { deep, .. } => {
                let answer = self
                    .caller
                    .call::<CheckStore>(&CheckParams { deep }, LONG)
                    .await?;
                self.show(&answer, |answer| problems(&answer.problems))?;
                Ok(if answer.problems.is_empty() { 0 } else { DAMAGED })
            }
            AdminStore::Backup { name, .. } => {
                let answer = self.caller.call::<Backup>(&BackupParams { name }, LONG).await?;
                self.show(&answer, |answer| {
                    let counts = (answer.blobs, answer.copied, answer.unsound);
                    backed_up(&answer.folder, answer.database_bytes, counts)
                })
            }
            AdminStore::Prune {
                long_days,
                short_days,
                ..
            } => {
                let params = PruneParams {
                    long_days,
                    short_days,
                };
                let answer = self.caller.call::<Prune>(&params, LONG).await?;
                self.show(&answer, |answer| {
                    pruned(answer.old, answer.orphans, answer.bytes, answer.segments)
                })
            }
            AdminStore::Restore { .. } => {
                Err(Usage("a store is restored where nothing serves it: give --data".to_owned()).into())
            }
        }
    }
}

/// The same on a folder of data that nothing serves; nothing when no folder was named.
fn offline(command: &AdminStore, json: bool) -> anyhow::Result<Option<u8>> {
    let show = |object: serde_json::Value, text: String| -> anyhow::Result<()> {
        print(&if json { object.to_string() } else { text })?;
        Ok(())
    };
    let open = |folder: &Path| {
        Store::open(folder, pyti_store::Options::default())
            .with_context(|| format!("{} cannot be opened", folder.display()))
    };
    let existing = |folder: &Path| {
        if folder.is_dir() {
            Ok(())
        } else {
            Err(Usage(format!("there is no folder {}", folder.display())))
        }
    };
    match command {
        AdminStore::Check {
            deep,
            data: Some(folder),
        } => {
            existing(folder)?;
            let found = open(folder)?.check(*deep)?;
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            show(serde_json::json!({"problems": found}), problems(&found))?;
            Ok(Some(if found.is_empty() { 0 } else { DAMAGED }))
        }
        AdminStore::Backup {
            name,
            data: Some(folder),
        } => {
            existing(folder)?;
            let made = open(folder)?.backup(Path::new(name))?;
            let counts = (made.blobs, made.copied, made.unsound);
            show(
                serde_json::json!({"folder": name, "database_bytes": made.database_bytes, "blobs": made.blobs,
                    "copied": made.copied, "unsound": made.unsound}),
                backed_up(name, made.database_bytes, counts),
            )?;
            Ok(Some(0))
        }
        AdminStore::Prune {
            long_days,
            short_days,
            data: Some(folder),
        } => {
            existing(folder)?;
            let days = |days: Option<u32>, default: Option<Duration>| {
                days.map_or(default, |days| {
                    Some(Duration::from_secs(u64::from(days) * 86_400))
                })
            };
            let usual = Retention::default();
            let made = open(folder)?.prune(&Retention {
                long: days(*long_days, usual.long),
                short: days(*short_days, usual.short),
            })?;
            show(
                serde_json::json!({"old": made.old, "orphans": made.orphans, "bytes": made.bytes, "segments": made.segments}),
                pruned(made.old, made.orphans, made.bytes, made.segments),
            )?;
            Ok(Some(0))
        }
        AdminStore::Restore { from, data } => {
            existing(from)?;
            let made = Store::restore(from, data)
                .with_context(|| format!("{} cannot be restored", from.display()))?;
            show(
                serde_json::json!({"folder": data, "database_bytes": made.database_bytes, "blobs": made.blobs,
                    "unsound": made.unsound}),
                format!(
                    "restored to {}: {} blobs, {} that the backup lacked",
                    data.display(),
                    made.blobs,
                    made.unsound
                ),
            )?;
            Ok(Some(0))
        }
        _ => Ok(None),
    }
}

fn problems(problems: &[String]) -> String {
    if problems.is_empty() {
        return "sound: nothing is missing, nothing is damaged".to_owned();
    }
    let lines: Vec<String> = problems.iter().map(|problem| seen(problem)).collect();
    lines.join("\n")
}

fn backed_up(folder: &str, database_bytes: u64, (blobs, copied, unsound): (u64, u64, u64)) -> String {
    let mut text = format!(
        "{}: database {}, {blobs} blobs, {copied} copied now",
        seen(folder),
        pyti_report::bytes(database_bytes)
    );
    if unsound > 0 {
        text.push_str(&format!(
            "\n{unsound} blobs could not be copied: `pyti admin store check --deep` names them"
        ));
    }
    text
}

fn pruned(old: u64, orphans: u64, bytes: u64, segments: u64) -> String {
    format!(
        "{old} blobs past their time, {orphans} that nothing names, {segments} segments of leases that are over: {}",
        pyti_report::bytes(bytes)
    )
}

/// What the feeds are at.
pub(crate) fn feed_text(status: &FeedStatus, now_ms: u64, look: &pyti_report::Look) -> String {
    let mut rows = vec![head(&["feed", "cursor", "heard", "state"])];
    for feed in &status.feeds {
        let heard = feed.heard_ms.map_or_else(
            || "–".to_owned(),
            |at| format!("{} ago", shown::ago(now_ms.saturating_sub(at))),
        );
        rows.push(vec![
            (Ink::Strong, seen(&feed.name)),
            (
                Ink::Strong,
                feed.cursor.as_deref().map_or_else(|| "–".to_owned(), seen),
            ),
            (Ink::Quiet, heard),
            (Ink::Notice, seen(&feed.state)),
        ]);
    }
    let mut text = if status.feeds.is_empty() {
        " no feed is configured\n".to_owned()
    } else {
        table(&rows, look)
    };
    let lag = status.oldest_ms.map_or_else(String::new, |at| {
        format!(", the oldest {} ago", shown::ago(now_ms.saturating_sub(at)))
    });
    text.push_str(&format!(" {} events wait to become jobs{lag}\n", status.open));
    text
}
