//! A job: where it stands, and what came of it.

use askama::Template;
use axum::response::Response;
use pyti_dispatch::{JobId, JobStore as _};
use serde::Serialize;

use super::{Frame, say};
use crate::address::Form;
use crate::fault::Fault;
use crate::site::Site;
use crate::views::{FileView, JobView, ResultView};

#[derive(Template, Serialize)]
#[template(path = "job.html")]
struct JobPage {
    #[serde(skip)]
    frame: Frame,
    job: JobView,
    file: Option<FileView>,
    result: Option<ResultView>,
}

pub(crate) async fn job(site: &Site, id: u64, form: Form) -> Result<Response, Fault> {
    let (job, file, result) = site
        .read(move |store| {
            let job = store
                .job(JobId(id))?
                .ok_or_else(|| Fault::NotFound(format!("there is no job {id}")))?;
            let file = store.files(&job.key.file)?.into_iter().next();
            Ok((job, file, store.result_of(JobId(id))?))
        })
        .await?;
    let mut frame = Frame::new(site, format!("Job {id}"), "workers", &format!("/jobs/{id}"));
    frame.live = false;
    let page = JobPage {
        frame,
        job: JobView::new(job, site.inner.store.now()),
        file: file.map(Into::into),
        result: result.map(Into::into),
    };
    say(form, &page)
}
