//! Every page, as HTML and as JSON.

use std::collections::{BTreeSet, VecDeque};

use pyti_store::Options;
use pyti_web::Settings;

use crate::server::{SDIST, Server, WHEEL, child, file};

/// Values of an attribute.
pub(crate) fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    let start = format!(" {attribute}=\"");
    html.split(&start)
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect()
}

fn ids(page: &serde_json::Value) -> Vec<i64> {
    let results = page["results"].as_array().unwrap();
    results.iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

#[test]
fn all_that_is_linked_is_there_and_nothing_is_inline() {
    let server = Server::with_six();
    let mut seen = BTreeSet::new();
    let mut next = VecDeque::from(["/".to_owned()]);
    let mut pages = 0;
    while let Some(path) = next.pop_front() {
        if !seen.insert(path.clone()) || path.contains("/log/") || path.contains("/stream") {
            continue;
        }
        let reply = server.get(&path);
        assert!(matches!(reply.code, 200 | 303), "{path}: {}", reply.code);
        if reply.header("content-type") != "text/html; charset=utf-8" {
            continue;
        }
        pages += 1;
        let html = reply.text();
        for bad in [
            " style=\"",
            " onclick",
            " onload",
            " onerror",
            "javascript:",
            "<style",
        ] {
            assert!(!html.contains(bad), "{path} has {bad}");
        }
        for script in html.split("<script").skip(1) {
            let ours = script.starts_with(" defer src=\"/static/")
                || script.starts_with(" type=\"application/json\" id=\"data\"");
            assert!(ours, "{path}: {}", &script[..60]);
        }
        assert_eq!(html.matches("<h1").count(), 1, "{path}");
        assert_eq!(html.matches("<main id=\"main\"").count(), 1, "{path}");
        let ids = values(&html, "id");
        let unique: BTreeSet<_> = ids.iter().collect();
        assert_eq!(ids.len(), unique.len(), "{path} has an id twice");
        for link in values(&html, "href").into_iter().chain(values(&html, "src")) {
            let link = link.replace("&amp;", "&");
            match link.split_once('#') {
                Some(("", anchor)) => assert!(ids.contains(&anchor), "{path} leads to #{anchor}"),
                Some((page, _)) => next.push_back(page.to_owned()),
                None => next.push_back(link),
            }
        }
    }
    assert!(pages > 40, "{pages}");
}

#[test]
fn a_page_and_its_json_are_one() {
    let server = Server::with_six();
    for path in [
        "/index",
        "/search?q=s",
        "/results",
        "/projects/six",
        "/results/1",
        "/findings",
        "/rules",
        "/reasons",
        "/workers",
        "/jobs/1",
        "/about",
        "/compare?a=1&b=2",
    ] {
        let by_header = server.json(path);
        let (page, query) = path
            .split_once('?')
            .map_or((path, String::new()), |(p, q)| (p, format!("?{q}")));
        let mut by_name = server.json(&format!("{page}.json{query}"));
        // ages go on
        let mut by_header = by_header;
        for value in [&mut by_header, &mut by_name] {
            if path.starts_with("/jobs") {
                value["job"]["age_ms"] = 0.into();
            }
        }
        assert_eq!(by_header, by_name, "{path}");
        assert_eq!(server.get(path).code, 200, "{path}");
    }
}

#[test]
fn a_project_is_a_matrix_with_a_history() {
    let server = Server::with_six();
    let page = server.json("/projects/six");
    let releases = page["releases"].as_array().unwrap();
    assert_eq!(releases.len(), 2);
    assert_eq!(releases[0]["version"], "1.17.0");
    // the wheel first, in two environments
    assert_eq!(releases[0]["files"][0]["results"].as_array().unwrap().len(), 2);
    assert_eq!(releases[0]["files"][1]["kind"], "sdist");
    assert_eq!(page["history"].as_array().unwrap().len(), 4);
    assert_eq!(page["newest"]["works"], "pass");
    let html = server.get("/projects/six").text();
    let columns = html.split("<table class=\"matrix\">").nth(1).unwrap();
    let columns = columns.split("</thead>").next().unwrap();
    assert!(columns.find("CPython 3.13").unwrap() < columns.find("CPython 3.12").unwrap());
    assert!(html.contains("not tested"), "the sdist in 3.12");
    assert_eq!(server.get("/projects/nothing").code, 404);
    assert_eq!(server.get("/projects/SIX").header("location"), "/projects/six");
}

#[test]
fn a_file_has_everything_that_the_report_has() {
    let server = Server::with_six();
    let html = server.get("/results/2").text();
    let report = server.get("/results/2/report.html").text();
    let titles = |html: &str| -> Vec<String> {
        html.split("<h3>")
            .skip(1)
            .filter_map(|rest| rest.split("</h3>").next())
            .map(str::to_owned)
            .collect()
    };
    assert!(titles(&report).len() >= 4, "{:?}", titles(&report));
    assert_eq!(titles(&html), titles(&report));
    // the same templates: all of the report's content stands in the page
    let content = report.split("<main id=\"main\">").nth(1).unwrap();
    let content = content.split("<section class=\"again\"").next().unwrap().trim();
    assert!(html.contains(content), "the report's content is another");
    assert!(html.contains("id=\"data\""));
    let json = server.json("/results/2");
    assert_eq!(json["summary"]["schema"], "pyti.run/1");
    assert_eq!(json["result"]["id"], 2);
    assert_eq!(json["results"].as_array().unwrap().len(), 2);
    // a file is its newest result, or the one in an environment
    let sha = json["file"]["sha256"].as_str().unwrap().to_owned();
    assert_eq!(server.json(&format!("/files/{sha}"))["result"]["id"], 3);
    assert_eq!(server.json(&format!("/files/{sha}?env=1"))["result"]["id"], 2);
}

#[test]
fn a_file_without_a_recording_shows_what_is_known() {
    let server = Server::with_six();
    let (digest, ..) = server.store.result(1).unwrap().unwrap().recording.unwrap();
    server.lose(&digest);
    let reply = server.get("/results/1");
    assert_eq!(reply.code, 200);
    assert!(reply.text().contains("the recording is not kept any more"));
    assert_eq!(server.get("/results/1/recording").code, 404);
    assert_eq!(server.get("/results/1/junit.xml").code, 404);
}

#[test]
fn lists_go_on_where_they_ended_and_have_each_row_once() {
    let server = Server::empty(Options::default(), Settings::new(child()));
    for n in 0..120 {
        server.put(
            file("six", &format!("1.{n:03}"), &format!("six-1.{n:03}.tar.gz")),
            "cpython-3.13",
            SDIST,
        );
    }
    let mut all = Vec::new();
    let mut next = Some("/results.json".to_owned());
    while let Some(path) = next {
        let page = server.json(&path);
        all.extend(ids(&page));
        next = page["next"].as_str().map(str::to_owned);
    }
    assert_eq!(all, (1..=120).rev().collect::<Vec<_>>());
    let (mut versions, mut pages) = (Vec::new(), 0);
    let mut next = Some("/projects/six.json".to_owned());
    while let Some(path) = next {
        let page = server.json(&path);
        for release in page["releases"].as_array().unwrap() {
            versions.push(release["version"].as_str().unwrap().to_owned());
        }
        next = page["next"].as_str().map(str::to_owned);
        pages += 1;
    }
    assert_eq!(
        versions,
        (0..120).rev().map(|n| format!("1.{n:03}")).collect::<Vec<_>>()
    );
    assert_eq!(pages, 16);
    // releases of many files are fewer on a page, and none is left out
    for n in 0..90 {
        let name = format!("big-{}-{n}.whl", n / 30);
        server.put(file("big", &format!("{}", n / 30), &name), "cpython-3.13", SDIST);
    }
    let (mut versions, mut next) = (Vec::new(), Some("/projects/big.json".to_owned()));
    let mut pages = 0;
    while let Some(path) = next {
        let page = server.json(&path);
        for release in page["releases"].as_array().unwrap() {
            assert_eq!(release["files"].as_array().unwrap().len(), 30);
            versions.push(release["version"].as_str().unwrap().to_owned());
        }
        next = page["next"].as_str().map(str::to_owned);
        pages += 1;
    }
    assert_eq!(
        (versions, pages),
        (vec!["2".to_owned(), "1".to_owned(), "0".to_owned()], 2)
    );
    assert_eq!(server.get("/results?before=x").code, 400);
}

#[test]
fn search_is_by_the_first_letters_or_by_a_digest() {
    let server = Server::with_six();
    for n in 0..60 {
        server.put(
            file(&format!("sub-{n:02}"), "1", &format!("sub-{n}-1.tar.gz")),
            "cpython-3.13",
            SDIST,
        );
    }
    let names = |path: &str| -> Vec<String> {
        let page = server.json(path);
        page["projects"]
            .as_array()
            .unwrap()
            .iter()
            .map(|n| n.as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names("/search?q=Si"), ["six"]);
    assert_eq!(names("/search?q=sub_0").len(), 10);
    let page = server.json("/search?q=s");
    let more = names(page["next"].as_str().unwrap());
    assert_eq!((page["projects"].as_array().unwrap().len(), more.len()), (50, 11));
    assert!(names("/search?q=%3Cscript%3E").is_empty());
    let sha = server.json("/results/1")["file"]["sha256"]
        .as_str()
        .unwrap()
        .to_owned();
    let reply = server.get(&format!("/search?q={sha}"));
    assert_eq!(
        (reply.code, reply.header("location")),
        (303, &*format!("/files/{sha}"))
    );
}

#[test]
fn two_results_are_compared() {
    let server = Server::with_six();
    let failing = WHEEL.replace("\"outcome\":\"passed\"", "\"outcome\":\"failed\"");
    assert_ne!(failing, WHEEL);
    let after = server.put(
        file("six", "1.17.1", "six-1.17.1-py3-none-any.whl"),
        "cpython-3.13",
        &failing,
    );
    let page = server.json(&format!("/compare?a=2&b={after}"));
    let file = &page["pair"]["comparison"]["files"][0];
    assert!(
        !file["tests"]["newly_failing"].as_array().unwrap().is_empty(),
        "{file}"
    );
    assert!(
        server
            .get(&format!("/compare?a=2&b={after}"))
            .text()
            .contains("class-")
    );
    assert_eq!(server.get("/compare?a=2&b=77").code, 404);
    assert_eq!(server.get("/compare?a=2&b=x").code, 400);
    assert_eq!(server.get("/compare").code, 200);
}

#[test]
fn workers_queues_jobs_and_reasons_are_told() {
    let server = Server::with_six();
    let page = server.json("/workers");
    assert_eq!(page["workers"][0]["name"], "north-1");
    assert_eq!(page["workers"][0]["standing"], "active");
    assert!(
        page["queues"]
            .as_array()
            .unwrap()
            .iter()
            .all(|queue| queue["queued"] == 0)
    );
    let info = file("six", "2", "six-2.tar.gz");
    let jobs = vec![crate::fill::job(&info, &crate::server::env("cpython-3.13"), 0, true).unwrap()];
    server
        .store
        .expand(pyti_store::Expansion {
            files: vec![info.clone()],
            jobs,
            ..Default::default()
        })
        .unwrap();
    let page = server.json("/workers");
    let queued: u64 = page["queues"]
        .as_array()
        .unwrap()
        .iter()
        .map(|q| q["queued"].as_u64().unwrap())
        .sum();
    assert_eq!(queued, 1);
    let job = server.json(&format!("/files/{}", info.sha256));
    assert_eq!(job["jobs"][0]["state"], "queued");
    assert_eq!(job["result"], serde_json::Value::Null);
    let id = job["jobs"][0]["id"].as_u64().unwrap();
    assert_eq!(server.json(&format!("/jobs/{id}"))["job"]["project"], "six");
    assert_eq!(server.json("/jobs/1")["result"]["id"], 1);
    assert_eq!(server.get("/jobs/999").code, 404);
    assert_eq!(server.get("/reasons?days=0").code, 400);
    assert_eq!(server.get("/reasons?days=30").code, 200);
}

#[test]
fn programs_get_badges_feeds_metrics_and_health() {
    let server = Server::with_six();
    let works = server.get("/projects/six/works.svg");
    assert_eq!(works.header("content-type"), "image/svg+xml");
    assert!(works.text().contains("six 1.17.0: works? pass"));
    assert!(!works.text().contains("safe"));
    assert!(server.get("/projects/six/safe.svg").text().contains("safe? "));
    assert!(
        server
            .get("/projects/nothing/works.svg")
            .text()
            .contains("not tested")
    );
    let atom = server.get("/projects/six.atom").text();
    assert_eq!(atom.matches("<entry>").count(), 4);
    assert!(atom.contains("<id>http://localhost/results/4</id>"));
    assert_eq!(server.get("/verdicts.atom").code, 200);
    let metrics = server.get("/metrics").text();
    assert!(metrics.contains("\npyti_results_total 4\n"), "{metrics}");
    assert!(metrics.contains("pyti_workers{standing=\"active\"} 1"));
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let (_, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
    assert_eq!(server.get("/health").text(), "ok\n");
    assert_eq!(server.get("/ready").text(), "ready\n");
    server.site.add_metrics(|| "pyti_more 1\n".to_owned());
    assert!(server.get("/metrics").text().contains("\npyti_more 1\n"));
    server.site.close();
    assert_eq!(server.get("/ready").code, 503);
}
