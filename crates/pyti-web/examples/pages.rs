//! Measures every page with rendering, over a real socket, and what readers of pages cost the queue.
//!
//! Fill a store first: `cargo run --release -p pyti-store --example million -- 1000000 DATA`, and put some real recordings into it:
//! `cargo run --release -p pyti-web --example site -- fill DATA RUNS…`. Then `cargo run --release -p pyti-web --example pages -- DATA [TURNS]`.

#![expect(clippy::print_stdout, reason = "figures for people")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

#[path = "../../pyti-store/examples/million/filling.rs"]
mod filling;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use filling::{CLAIMED, Fallible, Source, crowd};
use pyti_store::{Options, Store};
use pyti_web::{Render, Settings, Site};

/// Requests of one page.
const TIMES: u64 = 21;
/// One turn of the queue.
const TURN: Duration = Duration::from_secs(5);

struct Answer {
    code: u16,
    bytes: usize,
    took: Duration,
    body: Vec<u8>,
}

fn get(address: SocketAddr, path: &str) -> Fallible<Answer> {
    let began = Instant::now();
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(
        socket,
        "GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept: text/html\r\n\r\n"
    )?;
    let mut body = Vec::new();
    socket.read_to_end(&mut body)?;
    let code = std::str::from_utf8(body.get(9..12).ok_or("no answer")?)?.parse()?;
    Ok(Answer {
        code,
        bytes: body.len(),
        took: began.elapsed(),
        body,
    })
}

fn measure(address: SocketAddr, name: &str, path: impl Fn(u64) -> String) -> Fallible<bool> {
    let (mut times, mut bytes, mut bad) = (Vec::new(), 0, None);
    for n in 0..TIMES {
        let answer = get(address, &path(n))?;
        if answer.code != 200 {
            bad = Some(answer.code);
        }
        bytes = bytes.max(answer.bytes);
        times.push(answer.took);
    }
    times.sort();
    let ms = |at: usize| times[at].as_secs_f64() * 1000.0;
    let middle = ms(times.len() / 2);
    let bad = bad.map_or(String::new(), |code| format!("  (a {code} among them)"));
    println!(
        "  {name:<44} {:8.1} {middle:8.1} {:8.1} {:8.1}{bad}",
        ms(0),
        ms(times.len() - 1),
        bytes as f64 / 1000.0
    );
    Ok(middle <= 30.0 && bad.is_empty())
}

fn pages(address: SocketAddr, store: &Store) -> Fallible<bool> {
    let newest = store.latest(None, 1)?.first().ok_or("an empty store")?.id;
    let one = |n: u64| -> Option<pyti_store::ResultRow> {
        let id = i64::try_from(n + 1).ok()? * newest / 23;
        store.result(id).ok().flatten()
    };
    let name = |n: u64| one(n).map_or_else(String::new, |row| row.project);
    // results with a real recording: the newest ones, put there by the other example
    let real: Vec<pyti_store::ResultRow> = store
        .latest(None, 200)?
        .into_iter()
        .filter(|row| {
            row.recording
                .as_ref()
                .is_some_and(|(digest, ..)| store.blobs().has(digest))
        })
        .collect();
    println!(
        "  {:<44} {:>8} {:>8} {:>8} {:>8}",
        "page, ms", "min", "median", "max", "kB"
    );
    let mut good = true;
    let mut page = |what: &str, path: &dyn Fn(u64) -> String| -> Fallible<()> {
        good &= measure(address, what, path)?;
        Ok(())
    };
    page("front", &|_| "/".into())?;
    page("front as JSON", &|_| "/index.json".into())?;
    page("search", &|n| format!("/search?q=lib-{n}"))?;
    page("results", &|_| "/results".into())?;
    page("results in the middle of everything", &|n| {
        format!("/results?before={}", newest / 2 + i64::try_from(n).unwrap_or(0))
    })?;
    page("results of a reason", &|_| "/results?reason=segfault".into())?;
    page("project", &|n| format!("/projects/{}", name(n)))?;
    page("biggest project", &|_| "/projects/lib-0".into())?;
    page("biggest project as JSON", &|_| "/projects/lib-0.json".into())?;
    page("biggest project, its history further on", &|n| {
        format!(
            "/projects/lib-0?before={}",
            newest / 2 + i64::try_from(n).unwrap_or(0)
        )
    })?;
    page("file without a recording", &|n| {
        one(n).map_or_else(String::new, |row| format!("/files/{}", row.sha256))
    })?;
    if real.is_empty() {
        println!("  (no real recordings: fill some in)");
    } else {
        let at = |n: u64| usize::try_from(n).unwrap_or(0) % real.len();
        page("file with its report, the first time", &|n| {
            format!("/results/{}", real[at(n)].id)
        })?;
        page("file with its report, again", &|n| {
            format!("/results/{}", real[at(n)].id)
        })?;
        page("file as JSON with its summary, again", &|n| {
            format!("/results/{}.json", real[at(n % 2)].id)
        })?;
        page("two results compared, again", &|_| {
            format!("/compare?a={}&b={}", real[0].id, real[at(1)].id)
        })?;
    }
    page("findings", &|_| "/findings".into())?;
    page("findings of a rule", &|n| format!("/findings?rule=rule-{n}"))?;
    page("findings of a severity", &|_| "/findings?severity=high".into())?;
    page("findings of a verdict", &|_| {
        "/findings?verdict=suspicious".into()
    })?;
    page("rules", &|_| "/rules".into())?;
    page("a rule", &|n| format!("/rules/rule-{n}"))?;
    page("reasons of a day", &|_| "/reasons".into())?;
    page("reasons of 30 days", &|_| "/reasons?days=30".into())?;
    page("workers", &|_| "/workers".into())?;
    page("a job", &|n| format!("/jobs/{}", n * 1000 + 1))?;
    page("Atom of a project", &|n| format!("/projects/{}.atom", name(n)))?;
    page("Atom of verdicts", &|_| "/verdicts.atom".into())?;
    page("badge", &|n| format!("/projects/{}/works.svg", name(n)))?;
    page("export, 1,000", &|n| {
        format!("/results.jsonl?after={}&limit=1000", n * 1000)
    })?;
    page("metrics", &|_| "/metrics".into())?;
    Ok(good)
}

/// Claims and completions a second, alone and beside readers of pages, in turns, because machines are not equally busy at all times.
fn rates(address: SocketAddr, store: &Store, next: &AtomicU64, turns: usize) -> Fallible<()> {
    const READERS: [u64; 3] = [0, 20, 100];
    const PAGES: [&str; 6] = [
        "/",
        "/projects/lib-0",
        "/findings?severity=high",
        "/reasons",
        "/workers",
        "/results",
    ];
    let mut rates = [const { Vec::new() }; 3];
    let (served, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    for turn in 0..turns {
        for (readers, rates) in READERS.into_iter().zip(&mut rates) {
            let stop = AtomicBool::new(false);
            let began = Instant::now();
            let done = std::thread::scope(|scope| {
                for reader in 0..readers {
                    let (stop, served, refused) = (&stop, &served, &refused);
                    scope.spawn(move || {
                        std::thread::sleep(Duration::from_millis(reader * 1000 / readers));
                        let mut n = usize::try_from(reader).unwrap_or(0);
                        while !stop.load(Ordering::Relaxed) {
                            n += 1;
                            let good = get(address, PAGES[n % PAGES.len()])
                                .is_ok_and(|answer| answer.code == 200 && !answer.body.is_empty());
                            let counter = if good { served } else { refused };
                            counter.fetch_add(1, Ordering::Relaxed);
                            std::thread::sleep(Duration::from_secs(1));
                        }
                    });
                }
                scope.spawn(|| {
                    std::thread::sleep(TURN);
                    stop.store(true, Ordering::Relaxed);
                });
                let source = Source {
                    next,
                    end: u64::MAX,
                    all: 1_000_000,
                    stop: &stop,
                };
                let prefix = format!("p{}-{turn}-{readers}-", next.load(Ordering::Relaxed));
                crowd(store, &prefix, 1, &source)
            })?;
            rates.push(done as f64 / began.elapsed().as_secs_f64());
        }
    }
    println!("  claimed one by one and completed, a second:  min, median, max of {turns} turns");
    for (readers, rates) in READERS.into_iter().zip(&mut rates) {
        rates.sort_by(f64::total_cmp);
        let (least, middle, most) = (rates[0], rates[rates.len() / 2], rates[rates.len() - 1]);
        println!("  {readers:>3} readers at a page a second {least:>18.0} {middle:>6.0} {most:>6.0}");
    }
    println!(
        "  {} pages served, {} refused",
        served.into_inner(),
        refused.into_inner()
    );
    Ok(())
}

fn run(data: &Path, turns: usize) -> Fallible<()> {
    let store = Store::open(data, Options::default())?;
    let render = Render::Child {
        program: std::env::current_exe()?,
        arguments: vec!["__page".to_owned()],
    };
    let site = Site::new(store.clone(), Settings::new(render));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let address = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move { axum::serve(listener, pyti_web::router(site)).await });
        Ok::<_, std::io::Error>(address)
    })?;
    let good = pages(address, &store)?;
    println!(
        "  {}",
        if good {
            "every median is at most 30 ms"
        } else {
            "not every median is at most 30 ms"
        }
    );
    let newest = store
        .latest(None, 1)?
        .first()
        .map_or(0, |row| row.id.unsigned_abs());
    // numbers that no result of this store has yet
    let next = AtomicU64::new(newest.next_multiple_of(u64::from(CLAIMED)) + 1_000_000);
    rates(address, &store, &next, turns)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["__page"] => return pyti_web::page_main(),
        [data] => run(Path::new(data), 5),
        [data, turns] => turns
            .parse()
            .map_err(Into::into)
            .and_then(|turns| run(Path::new(data), turns)),
        _ => Err("DATA [TURNS]".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}
