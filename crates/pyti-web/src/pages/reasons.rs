//! Why: the reasons of the last day, or of some days.

use askama::Template;
use axum::response::Response;
use pyti_model::outcome::{ReasonCode, Status};
use pyti_store::Count;
use serde::Serialize;

use super::{Frame, link, say};
use crate::address::Form;
use crate::fault::Fault;
use crate::hostile::Markup;
use crate::moment;
use crate::query::Query;
use crate::site::Site;
use crate::views::reason_meaning;
use crate::words;

#[derive(Template, Serialize)]
#[template(path = "reasons.html")]
struct ReasonsPage {
    #[serde(skip)]
    frame: Frame,
    days: u32,
    results: u64,
    statuses: Vec<StatusCount>,
    reasons: Vec<ReasonCount>,
}

#[derive(Debug, Serialize)]
struct StatusCount {
    status: Status,
    count: u64,
    #[serde(skip)]
    share: u64,
}

impl StatusCount {
    fn tag(&self) -> Markup {
        words::works(self.status)
    }

    fn words(&self) -> &'static str {
        words::works_words(self.status)
    }

    fn number(&self) -> String {
        words::number(self.count)
    }
}

#[derive(Debug, Serialize)]
struct ReasonCount {
    reason: String,
    meaning: &'static str,
    /// Whose doing it is, as a rule.
    blame: Option<pyti_model::outcome::Blame>,
    count: u64,
    #[serde(skip)]
    share: u64,
}

impl ReasonCount {
    fn number(&self) -> String {
        words::number(self.count)
    }

    fn blame_words(&self) -> &'static str {
        use pyti_model::outcome::Blame;
        match self.blame {
            Some(Blame::Package) => "the package",
            Some(Blame::Dependency) => "a dependency",
            Some(Blame::Environment) => "the environment",
            Some(Blame::Us) => "PyTI",
            None => "",
        }
    }
}

impl ReasonsPage {
    fn span(&self) -> String {
        if self.days == 1 {
            "24 hours".to_owned()
        } else {
            format!("{} days", self.days)
        }
    }

    fn results_words(&self) -> String {
        words::count(self.results, "result")
    }
}

/// The counts of each status and of each reason, the most frequent first; shares of 1000 of the biggest.
fn count(counts: Vec<Count>) -> (u64, Vec<StatusCount>, Vec<ReasonCount>) {
    let mut all = 0;
    let mut statuses: Vec<StatusCount> = Vec::new();
    let mut reasons: Vec<ReasonCount> = Vec::new();
    for one in counts {
        all += one.count;
        match statuses.iter_mut().find(|known| known.status == one.status) {
            Some(known) => known.count += one.count,
            None => statuses.push(StatusCount {
                status: one.status,
                count: one.count,
                share: 0,
            }),
        }
        let Some(reason) = one.reason else { continue };
        match reasons.iter_mut().find(|known| known.reason == reason) {
            Some(known) => known.count += one.count,
            None => reasons.push(ReasonCount {
                meaning: reason_meaning(&reason).unwrap_or("a reason of another version"),
                blame: ReasonCode::ALL
                    .iter()
                    .find(|code| code.word() == reason)
                    .map(|code| code.usual_blame()),
                reason,
                count: one.count,
                share: 0,
            }),
        }
    }
    statuses.sort_by_key(|one| Status::ALL.iter().position(|status| *status == one.status));
    reasons.sort_by(|a, b| (b.count, &a.reason).cmp(&(a.count, &b.reason)));
    let most = statuses.iter().map(|one| one.count).max().unwrap_or(1).max(1);
    for one in &mut statuses {
        one.share = one.count * 1000 / most;
    }
    let most = reasons.first().map_or(1, |one| one.count).max(1);
    for one in &mut reasons {
        one.share = one.count * 1000 / most;
    }
    (all, statuses, reasons)
}

pub(crate) async fn reasons(site: &Site, query: &Query, form: Form) -> Result<Response, Fault> {
    let days = query.number::<u32>("days")?.unwrap_or(1);
    if !(1..=90).contains(&days) {
        return Err(Fault::Bad("from 1 to 90 days"));
    }
    let now = moment::now_ms();
    let counts = site
        .read(move |store| {
            Ok(if days == 1 {
                store.reasons_of_hours(24, now)?
            } else {
                store.reasons_of_days(days, now)?
            })
        })
        .await?;
    let (results, statuses, reasons) = count(counts);
    let mut frame = Frame::new(site, "Reasons", "reasons", "/reasons");
    frame.json = link(Form::Json, "/reasons", &[("days", &days.to_string())]);
    let page = ReasonsPage {
        frame,
        days,
        results,
        statuses,
        reasons,
    };
    say(form, &page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_summed_over_statuses_and_the_most_frequent_is_first() {
        let one = |status, reason: Option<&str>, count| Count {
            status,
            reason: reason.map(str::to_owned),
            count,
        };
        let (all, statuses, reasons) = count(vec![
            one(Status::Fail, Some("no_tests"), 1),
            one(Status::Fail, Some("segfault"), 5),
            one(Status::Load, Some("no_tests"), 7),
            one(Status::Pass, None, 10),
        ]);
        assert_eq!(all, 23);
        assert_eq!(statuses.iter().map(|s| s.count).collect::<Vec<_>>(), [10, 7, 6]);
        assert_eq!(
            (reasons[0].reason.as_str(), reasons[0].count, reasons[0].share),
            ("no_tests", 8, 1000)
        );
        assert_eq!(reasons[1].share, 625);
    }
}
