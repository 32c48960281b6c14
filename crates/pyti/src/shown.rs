//! How jobs, results, queues and workers of a service are shown. Text in, text out.

use std::collections::BTreeMap;

use pyti_command::admin::{QueueView, WorkerView};
use pyti_command::job::JobView;
use pyti_command::result::ResultView;
use pyti_model::foreign::Foreign;
use pyti_model::outcome::ReasonCode;
use pyti_report::{Ink, Look, seconds, status_ink, verdict_ink};

/// A text from elsewhere on one line, with what would not be seen made visible.
pub(crate) fn seen(text: &str) -> String {
    Foreign::from(text).visible()
}

/// A table: columns as wide as they must be, the last one cut to the terminal. The first row is the head.
pub(crate) fn table(rows: &[Vec<(Ink, String)>], look: &Look) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |text: &str| look.plain(text).chars().count();
    let widths: Vec<usize> = (0..columns)
        .map(|at| {
            rows.iter()
                .filter_map(|row| row.get(at))
                .map(|(_, text)| width(text))
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::from(" ");
        let mut used = 1;
        for (at, (ink, text)) in row.iter().enumerate() {
            let room = look.width.saturating_sub(used + 1);
            let text = look.cut(&look.plain(text), room.max(8));
            let pad = widths[at].saturating_sub(text.chars().count());
            used += text.chars().count() + pad + 2;
            line.push_str(&look.ink(*ink, &text));
            if at + 1 < row.len() {
                line.push_str(&" ".repeat(pad + 2));
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// The head of a table.
pub(crate) fn head(names: &[&str]) -> Vec<(Ink, String)> {
    names
        .iter()
        .map(|name| (Ink::Quiet, (*name).to_owned()))
        .collect()
}

/// `3.13` of `cpython-3.13`.
pub(crate) fn python(interpreter: &str) -> &str {
    interpreter.strip_prefix("cpython-").unwrap_or(interpreter)
}

/// A reason's word as a sentence for people; one that this program does not know yet as it is.
fn meaning(word: &str) -> String {
    serde_json::from_value::<ReasonCode>(word.into())
        .map_or_else(|_| seen(word), |code| code.meaning().to_owned())
}

/// One result on one line: works, safe, which file, in what, and why.
pub(crate) fn result_line(result: &ResultView, look: &Look) -> String {
    let status = format!("{:<7}", result.status.word().to_uppercase());
    let verdict = format!("{:<12}", result.verdict.word().replace('_', " "));
    let mut rest = format!("{} · {}", seen(&result.file), seen(python(&result.interpreter)));
    if result.passed + result.failed > 0 {
        rest.push_str(&format!(
            " · {} of {} tests pass",
            result.passed,
            result.passed + result.failed
        ));
    }
    if let Some(reason) = &result.reason {
        rest.push_str(&format!(" · {}", meaning(reason)));
    }
    let room = look.width.saturating_sub(23);
    format!(
        " {} {} {}",
        look.ink(status_ink(result.status), &status),
        look.ink(verdict_ink(result.verdict), &verdict),
        look.cut(&look.plain(&rest), room.max(20))
    )
}

/// One job: its result, or where it stands.
pub(crate) fn job_lines(job: &JobView, look: &Look) -> String {
    let mut text = job
        .result
        .as_ref()
        .map_or_else(|| open_line(job, look), |result| result_line(result, look));
    let findings = job.result.iter().flat_map(|result| &result.findings);
    for finding in findings.filter(|finding| finding.active) {
        let sentence = look.plain(&seen(&finding.sentence));
        for line in look.wrap(&sentence, look.columns().saturating_sub(24)) {
            text.push_str(&format!("\n{}{line}", " ".repeat(22)));
        }
    }
    text
}

/// Where a job stands that has no result.
fn open_line(job: &JobView, look: &Look) -> String {
    let (word, ink) = standing(job);
    let file = job.file.as_deref().unwrap_or(&job.project);
    let mut rest = format!(
        "{} · {}",
        seen(file),
        seen(python(job.needs.interpreter.as_str()))
    );
    if let Some(worker) = job.worker.as_ref().filter(|_| !job.ended) {
        rest.push_str(&format!(" · at {worker}"));
    }
    if job.lost > 0 {
        rest.push_str(&format!(" · lost {} times", job.lost));
    }
    if job.faults > 0 {
        rest.push_str(&format!(" · failed here {} times", job.faults));
    }
    format!(
        " {} {:<12} {}",
        look.ink(ink, &format!("{word:<7}")),
        "",
        look.cut(&look.plain(&rest), look.width.saturating_sub(23).max(20))
    )
}

fn standing(job: &JobView) -> (String, Ink) {
    let word = job.state.word();
    let ink = match word {
        "dead" => Ink::Bad,
        "cancelled" => Ink::Quiet,
        "leased" => Ink::Strong,
        _ => Ink::Notice,
    };
    let word = if word == "leased" { "running" } else { word };
    (word.to_owned(), ink)
}

/// Several results, grouped by what they came to, most frequent first.
pub(crate) fn summary(jobs: &[JobView], look: &Look) -> String {
    let mut groups: BTreeMap<(String, String), (Ink, Vec<String>)> = BTreeMap::new();
    for job in jobs {
        let name = seen(&job.project);
        let (key, ink) = match &job.result {
            Some(result) => (
                (
                    result.status.word().to_owned(),
                    result.reason.clone().unwrap_or_default(),
                ),
                status_ink(result.status),
            ),
            None => ((job.state.word().to_owned(), String::new()), Ink::Notice),
        };
        groups.entry(key).or_insert((ink, Vec::new())).1.push(name);
    }
    let mut sorted: Vec<_> = groups.into_iter().collect();
    sorted.sort_by(|a, b| b.1.1.len().cmp(&a.1.1.len()).then(a.0.cmp(&b.0)));
    let mut text = format!(" {}\n", look.ink(Ink::Strong, &format!("{} jobs", jobs.len())));
    for ((status, reason), (ink, names)) in sorted {
        let mut shown = names.iter().take(6).cloned().collect::<Vec<_>>().join(", ");
        if names.len() > 6 {
            shown.push_str(&format!(" and {} more", names.len() - 6));
        }
        let reason = if reason.is_empty() {
            String::new()
        } else {
            format!("{}  ", meaning(&reason))
        };
        text.push_str(&format!(
            " {:>5}  {}  {reason}{}\n",
            names.len(),
            look.ink(ink, &format!("{:<9}", status.to_uppercase())),
            look.ink(
                Ink::Quiet,
                &look.cut(&look.plain(&shown), look.columns().saturating_sub(22))
            )
        ));
    }
    text
}

/// Queues, the longest wait first.
pub(crate) fn queues(queues: &[QueueView], look: &Look) -> String {
    if queues.is_empty() {
        return " no jobs wait\n".to_owned();
    }
    let mut rows = vec![head(&["queue", "waits", "runs", "later", "oldest", "workers"])];
    for queue in queues {
        let oldest = queue.oldest_ms.map_or_else(|| "–".to_owned(), ago);
        let nobody = queue.workers == 0 && queue.queued > 0;
        rows.push(vec![
            (
                Ink::Strong,
                format!(
                    "{} {}",
                    queue.needs.platform,
                    python(queue.needs.interpreter.as_str())
                ),
            ),
            (Ink::Strong, queue.queued.to_string()),
            (Ink::Good, queue.leased.to_string()),
            (Ink::Quiet, queue.waiting.to_string()),
            (Ink::Notice, oldest),
            if nobody {
                (Ink::Bad, "none can run these".to_owned())
            } else {
                (Ink::Quiet, queue.workers.to_string())
            },
        ]);
    }
    table(&rows, look)
}

/// Workers. `now_ms` is milliseconds since 1970.
pub(crate) fn workers(workers: &[WorkerView], now_ms: u64, look: &Look) -> String {
    if workers.is_empty() {
        return " no workers yet: pyti admin workers invite makes a join token\n".to_owned();
    }
    let mut rows = vec![head(&[
        "worker",
        "standing",
        "jobs",
        "bad of 8",
        "heard",
        "interpreters",
    ])];
    for worker in workers {
        let standing = worker.standing.word();
        let ink = match standing {
            "active" => Ink::Good,
            "revoked" | "quarantined" => Ink::Bad,
            _ => Ink::Notice,
        };
        let heard = worker.heard_ms.map_or_else(
            || "–".to_owned(),
            |at| format!("{} ago", ago(now_ms.saturating_sub(at))),
        );
        let interpreters: Vec<&str> = worker
            .offers
            .interpreters
            .iter()
            .map(|label| python(label.as_str()))
            .collect();
        rows.push(vec![
            (Ink::Strong, worker.worker.to_string()),
            (ink, standing.to_owned()),
            (Ink::Strong, format!("{}/{}", worker.held, worker.offers.slots)),
            (
                if worker.bad > 2 { Ink::Bad } else { Ink::Quiet },
                worker.bad.to_string(),
            ),
            (Ink::Quiet, heard),
            (Ink::Quiet, interpreters.join(" ")),
        ]);
    }
    table(&rows, look)
}

/// A duration of so many milliseconds, for people.
#[expect(clippy::cast_precision_loss, reason = "only for showing")]
pub(crate) fn ago(ms: u64) -> String {
    seconds(ms as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Look = Look {
        colour: false,
        width: 90,
        ascii: false,
    };

    fn result(file: &str) -> ResultView {
        serde_json::from_value(serde_json::json!({
            "id": 1, "job": 4, "project": "six", "version": "1.17.0", "file": file, "sha256": "ab".repeat(32), "kind": "wheel",
            "platform": "linux/x86_64", "interpreter": "cpython-3.13", "isolation": "sandbox", "finished_ms": 1, "status": "pass",
            "verdict": "clean", "cost_ms": 10, "passed": 197, "failed": 0,
        }))
        .unwrap()
    }

    fn job(result: Option<ResultView>, state: serde_json::Value) -> JobView {
        let digest = "ab".repeat(32);
        let ended = result.is_some();
        serde_json::from_value(serde_json::json!({
            "job": 4, "key": {"file": digest, "spec": digest, "generation": 0}, "project": "six", "file": "six-1.17.0-py3-none-any.whl",
            "needs": {"platform": "linux/x86_64", "interpreter": "cpython-3.13", "isolation": "sandbox", "memory_mib": 2048},
            "priority": "interactive", "state": state, "ended": ended, "epoch": 1, "worker": "box-1", "faults": 0, "lost": 1,
            "result": result,
        }))
        .unwrap()
    }

    #[test]
    fn a_result_says_works_and_safe_and_speaks_to_no_terminal() {
        assert_eq!(
            result_line(&result("six-1.17.0-py3-none-any.whl"), &PLAIN),
            " PASS    clean        six-1.17.0-py3-none-any.whl · 3.13 · 197 of 197 tests pass"
        );
        let hostile = result_line(&result("a\u{1b}[2J\u{202e}.whl"), &PLAIN);
        assert!(
            !hostile.contains('\u{1b}') && !hostile.contains('\u{202e}'),
            "{hostile}"
        );
    }

    #[test]
    fn a_job_without_a_result_says_where_it_stands() {
        let text = job_lines(&job(None, "leased".into()), &PLAIN);
        assert!(
            text.contains("running") && text.contains("at box-1") && text.contains("lost 1 times"),
            "{text}"
        );
        let text = job_lines(&job(None, "queued".into()), &PLAIN);
        assert!(text.contains("queued"), "{text}");
    }

    #[test]
    fn summaries_count_and_name() {
        let done = || job(Some(result("six-1.17.0-py3-none-any.whl")), "done".into());
        let text = summary(&[done(), done(), job(None, "cancelled".into())], &PLAIN);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0].trim(), "3 jobs");
        assert!(
            lines[1].contains("2  PASS") && lines[1].contains("six, six"),
            "{text}"
        );
        assert!(lines[2].contains("1  CANCELLED"), "{text}");
    }

    #[test]
    fn tables_line_up() {
        let cell = |text: &str| (Ink::Quiet, text.to_owned());
        let text = table(
            &[
                head(&["a", "long name"]),
                vec![cell("wide cell"), cell("x")],
                vec![cell("y"), cell(&"z".repeat(200))],
            ],
            &PLAIN,
        );
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0].find("long"), lines[1].find('x'));
        assert!(lines.iter().all(|line| line.chars().count() <= 90), "{text}");
    }
}
